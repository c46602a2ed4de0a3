//! Files as packets in, what is played of them as lines out.

use std::time::Duration;

use capture::{Packet, Sum};
use wire::checksum::{Verdict, judge};
use wire::ethernet;
use wire::flow::{Addr, Endpoint};
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;
use wire::tcp::{Flags, Header, Options};

use super::Player;
use crate::{Schedule, Side, Speed};

const MS: u64 = 1_000_000;
const CLIENT: u16 = 40_000;
const SERVICE: u16 = 80;

/// A packet of a file.
#[derive(Clone)]
struct Given {
    at_ms: u64,
    network: u32,
    side: Side,
    seq: u32,
    ack: u32,
    flags: Flags,
    payload: &'static str,
    missing: u32,
    sum: Sum,
}

fn packet(side: Side, at_ms: u64, (seq, ack): (u32, u32), payload: &'static str) -> Given {
    Given {
        at_ms,
        network: 0,
        side,
        seq,
        ack,
        flags: Flags::ACK,
        payload,
        missing: 0,
        sum: Sum::Good,
    }
}

fn client(at_ms: u64, numbers: (u32, u32), payload: &'static str) -> Given {
    packet(Side::Client, at_ms, numbers, payload)
}

fn online(at_ms: u64, numbers: (u32, u32), payload: &'static str) -> Given {
    packet(Side::Online, at_ms, numbers, payload)
}

/// Both halves of a handshake: the client begins with 100, the server with 500.
fn handshake(at_ms: u64) -> [Given; 2] {
    let syn = Given {
        flags: Flags::SYN,
        ..client(at_ms, (99, 0), "")
    };
    let answer = Given {
        flags: Flags::SYN.with(Flags::ACK),
        ..online(at_ms + 1, (499, 100), "")
    };
    [syn, answer]
}

impl Given {
    fn bytes(&self) -> Vec<u8> {
        let ends = [
            Endpoint::new(Addr::v4([10, 0, 0, 9]), CLIENT),
            Endpoint::new(Addr::v4([10, 0, 0, 1]), SERVICE),
        ];
        let (source, destination) = match self.side {
            Side::Client => (ends[0], ends[1]),
            Side::Online => (ends[1], ends[0]),
        };
        let header = Header {
            source,
            destination,
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: 1000,
            urgent: 0,
            options: Options::default(),
        };
        let mut frame = vec![0; header.payload_offset()];
        frame.extend_from_slice(self.payload.as_bytes());
        assert!(header.emit(&mut frame));
        frame.split_off(ethernet::HEADER_LEN)
    }
}

fn player(speed: Speed) -> Player {
    let services = vec![Endpoint::new(Addr::UNSPECIFIED, SERVICE)];
    Player::new(
        services,
        Schedule::new(speed, Duration::from_secs(60)),
        0..u64::MAX,
    )
}

/// What is played: when it is due and when it was seen, in milliseconds, whose it is, its numbers and how long it is.
fn played(player: &mut Player, file: &[Given]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut take = |cue: crate::Cue<'_>| {
        let segment = Segment::parse(cue.packet, 0).expect("a segment");
        if cue.side == Side::Client {
            let tcp = segment.tcp(cue.packet).expect("a whole packet");
            let verdict = judge(
                &segment.source.addr,
                &segment.destination.addr,
                PROTOCOL_TCP,
                tcp,
            );
            assert_eq!(verdict, Verdict::Valid, "the engine would not take it");
        }
        let port = cue.flow.client.port;
        let renamed = if port == CLIENT {
            String::new()
        } else {
            format!(" as {port}")
        };
        lines.push(format!(
            "{}/{} {:?}{renamed} {}+{} ack {}",
            cue.due_ns / MS,
            cue.stamp_ns / MS,
            cue.side,
            segment.seq,
            segment.payload_len,
            segment.ack,
        ));
    };
    for given in file {
        let bytes = given.bytes();
        let packet = Packet {
            at_ns: 1_700_000_000_000 * MS + given.at_ms * MS,
            network: given.network,
            interface: 0,
            bytes: &bytes,
            missing: given.missing,
            sum: given.sum,
        };
        assert!(player.play(&packet, 7 * MS, &mut take));
    }
    player.end(9 * MS, &mut take);
    lines
}

fn exchange() -> Vec<Given> {
    let mut file = handshake(0).to_vec();
    file.extend([
        client(10, (100, 500), ""),
        client(20, (100, 500), "request"),
        online(50, (500, 107), "response"),
        client(80, (107, 508), "request"),
        online(90, (508, 114), "response"),
    ]);
    file
}

#[test]
fn packets_are_due_when_the_file_says() {
    let mut player = player(Speed::Times(1.0));
    assert_eq!(
        played(&mut player, &exchange()),
        [
            "0/0 Client 99+0 ack 0",
            "1/1 Online 499+0 ack 100",
            "20/20 Client 100+7 ack 500",
            "50/50 Online 500+8 ack 107",
            "80/80 Client 107+7 ack 508",
            "90/90 Online 508+8 ack 114",
        ]
    );
    assert_eq!(player.counts().pure_acks, 1);
}

/// What is measured of the online server is as long as it was, however fast its requests are replayed.
#[test]
fn answers_come_as_late_as_they_came() {
    let mut player = player(Speed::Times(10.0));
    let lines = played(&mut player, &exchange());
    assert_eq!(
        lines[2..],
        [
            "2/2 Client 100+7 ack 500",
            "5/32 Online 500+8 ack 107",
            "8/8 Client 107+7 ack 508",
            "9/18 Online 508+8 ack 114",
        ]
    );
    let mut player = self::player(Speed::Max);
    let lines = played(&mut player, &exchange());
    assert_eq!(
        lines[2..4],
        ["7/7 Client 100+7 ack 500", "7/37 Online 500+8 ack 107",]
    );
}

#[test]
fn an_answer_before_its_request_waits_for_it() {
    let mut file = exchange();
    file.swap(3, 4);
    file[3].at_ms = 15;
    let mut player = player(Speed::Times(1.0));
    assert_eq!(
        played(&mut player, &file)[2..],
        [
            "20/20 Client 100+7 ack 500",
            "15/20 Online 500+8 ack 107",
            "80/80 Client 107+7 ack 508",
            "90/90 Online 508+8 ack 114",
        ]
    );
    assert_eq!(player.counts().early, 1);
}

/// The online server's packets come 25 ms late in the file: its handshake behind the first request, its answer behind the second.
#[test]
fn a_request_waits_for_the_answer_that_its_client_had_seen() {
    let mut file = exchange();
    for given in &mut file {
        given.at_ms += if given.side == Side::Online { 35 } else { 0 };
    }
    file.sort_by_key(|given| given.at_ms);
    let mut player = player(Speed::Times(1.0));
    assert_eq!(
        played(&mut player, &file),
        [
            "0/0 Client 99+0 ack 0",
            "36/36 Online 499+0 ack 100",
            "20/20 Client 100+7 ack 500",
            "85/85 Online 500+8 ack 107",
            "80/80 Client 107+7 ack 508",
            "125/125 Online 508+8 ack 114",
        ]
    );
    assert_eq!(player.counts().late, 2);
    // Where it does not come at all nothing waits for it a second time.
    let mut file = exchange();
    file.retain(|given| given.side == Side::Client);
    file.push(client(300, (114, 516), "request"));
    let mut player = self::player(Speed::Times(1.0));
    assert_eq!(
        played(&mut player, &file),
        [
            "0/0 Client 99+0 ack 0",
            "300/300 Client 100+7 ack 500",
            "300/300 Client 107+7 ack 508",
            "300/300 Client 114+7 ack 516",
        ]
    );
    assert_eq!(player.counts().late, 2);
}

/// A request that the file has not: its answer was seen before the client went on.
#[test]
fn an_answer_whose_request_is_missing_comes_before_what_follows() {
    let mut file = exchange();
    file.remove(3);
    let mut player = player(Speed::Times(1.0));
    let lines = played(&mut player, &file);
    assert_eq!(
        lines[2..],
        [
            "50/50 Online 500+8 ack 107",
            "80/80 Client 107+7 ack 508",
            "90/90 Online 508+8 ack 114",
        ]
    );
}

#[test]
fn a_wrong_checksum_loses_against_a_good_copy_alone() {
    let mut file = exchange();
    file[3].sum = Sum::Bad;
    let mut player = player(Speed::Times(1.0));
    let lines = played(&mut player, &file);
    assert_eq!(
        lines[2], "20/20 Client 100+7 ack 500",
        "it was acknowledged"
    );
    assert_eq!(lines.len(), 6);
    let again = Given {
        at_ms: 40,
        payload: "REQUEST",
        sum: Sum::Good,
        ..file[3].clone()
    };
    file.insert(4, again);
    let mut player = self::player(Speed::Times(1.0));
    let lines = played(&mut player, &file);
    assert_eq!(lines[2], "40/40 Client 100+7 ack 500");
    assert_eq!(lines.len(), 6);
    assert_eq!(player.counts().doubtful_dropped, 1);
}

/// The same addresses and ports in two networks are two flows; where each side is seen in one network of its own they are one.
#[test]
fn networks_are_kept_apart() {
    let other = |given: &Given| Given {
        network: 200,
        ..given.clone()
    };
    // Of another connection: its numbers are others.
    let of_another = |given: &Given| Given {
        seq: given.seq + 1_000_000,
        ack: given.ack + 1_000_000,
        ..other(given)
    };
    let file: Vec<Given> = exchange()
        .iter()
        .flat_map(|given| [given.clone(), of_another(given)])
        .collect();
    let mut player = player(Speed::Times(1.0));
    let lines = played(&mut player, &file);
    assert_eq!(lines.len(), 12, "{lines:?}");
    assert_eq!(player.counts().again, 0);
    let renamed = lines.iter().filter(|line| line.contains("as 65535"));
    assert_eq!(renamed.count(), 6, "{lines:?}");
    assert_eq!(player.counts().aliased, 1);

    let file: Vec<Given> = exchange()
        .iter()
        .map(|given| match given.side {
            Side::Client => given.clone(),
            Side::Online => other(given),
        })
        .collect();
    let mut player = self::player(Speed::Times(1.0));
    assert_eq!(played(&mut player, &file).len(), 6);
    assert_eq!(player.counts().aliased, 0);
}

/// What is played of a file as fast as can be, and how many packets were seen again, and flows renamed.
fn played_in_networks(file: &[Given]) -> (Vec<String>, u64, u64) {
    let mut player = player(Speed::Max);
    let lines = played(&mut player, file);
    (lines, player.counts().again, player.counts().aliased)
}

/// A file in this network.
fn within(network: u32, file: &[Given]) -> Vec<Given> {
    let given = |given: &Given| Given {
        network,
        ..given.clone()
    };
    file.iter().map(given).collect()
}

/// A file on both sides of a router: whoever speaks is seen on its own side first.
fn on_both_sides(file: &[Given]) -> Vec<Given> {
    let pairs = within(10, file).into_iter().zip(within(20, file));
    pairs
        .flat_map(|(inner, outer)| match inner.side {
            Side::Client => [inner, outer],
            Side::Online => [outer, inner],
        })
        .collect()
}

/// A capture on both sides of a router has each packet in two networks: that is one connection.
#[test]
fn what_is_seen_on_both_sides_of_a_router_is_one_flow() {
    // With its handshake, and from its middle on, where there is no SYN that would tell.
    for file in [&exchange()[..], &exchange()[2..]] {
        let (expected, ..) = played_in_networks(file);
        let (lines, again, aliased) = played_in_networks(&on_both_sides(file));
        assert_eq!((again, aliased), (file.len() as u64, 0), "{lines:?}");
        assert_eq!(lines, expected);
    }
}

/// Several packets pass before any of them is seen again, and what one side has lost comes from the other.
#[test]
fn what_one_side_of_a_router_has_lost_comes_from_the_other() {
    let mut file = within(10, &exchange());
    let lost = file.remove(3);
    assert_eq!((lost.side, lost.payload), (Side::Client, "request"));
    file.extend(within(20, &exchange()));
    let (lines, _, aliased) = played_in_networks(&file);
    let of_lost = lines.iter().filter(|line| line.contains("Client 100+7"));
    assert_eq!((of_lost.count(), aliased), (1, 0), "{lines:?}");
    // All else was seen, also what stood behind the hole.
    assert_eq!(lines.len(), 6, "{lines:?}");
}

/// Numbers that are close to each other at different times are those of two connections.
#[test]
fn what_is_seen_much_later_is_another_flow() {
    let mut file = within(10, &exchange());
    file.extend(within(20, &exchange()).into_iter().map(|given| Given {
        at_ms: given.at_ms + 10_000,
        ..given
    }));
    let (lines, again, aliased) = played_in_networks(&file);
    assert_eq!((again, aliased), (0, 1), "{lines:?}");
    assert_eq!(lines.len(), 12, "{lines:?}");
}

#[test]
fn what_is_missing_of_an_answer_is_counted_in_its_length() {
    let mut file = exchange();
    file[4].missing = 1000;
    file[3].missing = 1000;
    let mut player = player(Speed::Times(1.0));
    let lines = played(&mut player, &file);
    assert!(lines.contains(&"50/50 Online 500+1008 ack 107".to_owned()));
    // Of a request what is there, and behind it a hole.
    assert_eq!(lines[2], "20/20 Client 100+7 ack 500");
    assert_eq!((player.counts().cut, player.counts().cut_bytes), (1, 1000));
}

#[test]
fn answers_are_whole_where_they_are_wanted_so() {
    let said: &str = "x".repeat(3000).leak();
    let mut file = handshake(0).to_vec();
    file.push(client(20, (100, 500), "GET /1\n"));
    file.push(online(30, (500, 107), said));
    let lengths = |mut player: Player| {
        let mut lengths = Vec::new();
        let mut take = |cue: crate::Cue<'_>| {
            if cue.side == Side::Online {
                lengths.push(cue.packet.len());
            }
        };
        for given in &file {
            let bytes = given.bytes();
            let packet = Packet {
                at_ns: given.at_ms * MS,
                network: given.network,
                interface: 0,
                bytes: &bytes,
                missing: given.missing,
                sum: given.sum,
            };
            assert!(player.play(&packet, 0, &mut take));
        }
        player.end(MS, &mut take);
        lengths
    };
    assert_eq!(lengths(player(Speed::Max)), [40, 168]);
    let elsewhere = vec![Endpoint::new(Addr::UNSPECIFIED, SERVICE + 1)];
    let others = player(Speed::Max).with_whole_answers_of(elsewhere);
    assert_eq!(lengths(others), [40, 168]);
    let these = vec![Endpoint::new(Addr::UNSPECIFIED, SERVICE)];
    let whole = player(Speed::Max).with_whole_answers_of(these);
    assert_eq!(lengths(whole), [40, 3040]);
}

/// A recording has the headers of answers alone. Were what is missing of them not said, each request would wait for it.
#[test]
fn nobody_waits_for_what_was_said_and_is_not_in_the_file() {
    let head = |given: Given| Given {
        missing: 1400,
        ..given
    };
    let mut file = handshake(0).to_vec();
    for turn in 0..5 {
        let (asked, said) = (100 + 7 * turn, 500 + 1400 * turn);
        let at_ms = 20 + 10 * u64::from(turn);
        file.push(client(at_ms, (asked, said), "GET /1\n"));
        file.push(head(online(at_ms + 1, (said, asked + 7), "")));
    }
    let mut player = player(Speed::Times(1.0));
    let lines = played(&mut player, &file);
    let counts = player.counts();
    assert_eq!((counts.early, counts.late), (0, 0), "{lines:?}");
    assert_eq!(lines[10], "60/60 Client 128+7 ack 6100");
    assert_eq!(lines[11], "61/61 Online 6100+1400 ack 135");
}

#[test]
fn clients_alone_are_answered_by_what_they_acknowledge() {
    let mut file: Vec<Given> = exchange();
    file.retain(|given| given.side == Side::Client);
    file.push(Given {
        flags: Flags::FIN.with(Flags::ACK),
        ..client(100, (114, 516), "")
    });
    let mut player = player(Speed::Times(1.0));
    player.has_one_side();
    assert_eq!(
        played(&mut player, &file),
        [
            "0/0 Client 99+0 ack 0",
            "10/10 Online 499+0 ack 100",
            "20/20 Client 100+7 ack 500",
            "80/80 Online 500+8 ack 107",
            "80/80 Client 107+7 ack 508",
            "100/100 Online 508+8 ack 114",
            "100/100 Client 114+0 ack 516",
            "100/100 Online 516+0 ack 115",
        ]
    );
}

#[test]
fn what_belongs_to_no_rule_is_told_by_its_port() {
    let services = vec![Endpoint::new(Addr::UNSPECIFIED, 8081)];
    let schedule = Schedule::new(Speed::Max, Duration::from_secs(60));
    let mut player = Player::new(services, schedule, 0..u64::MAX);
    assert!(played(&mut player, &exchange()).is_empty());
    assert_eq!(player.counts().unmatched, 7);
    assert_eq!(player.census().busiest(3), [(SERVICE, 7)]);
}

#[test]
fn a_part_of_the_file_is_played_from_its_own_start() {
    let services = vec![Endpoint::new(Addr::UNSPECIFIED, SERVICE)];
    let schedule = Schedule::new(Speed::Times(1.0), Duration::from_secs(60));
    let mut player = Player::new(services, schedule, 20 * MS..60 * MS);
    let file = &exchange()[..5];
    assert_eq!(
        played(&mut player, file),
        ["0/0 Client 100+7 ack 500", "30/30 Online 500+8 ack 107"]
    );
    assert_eq!(player.counts().outside, 3);
}
