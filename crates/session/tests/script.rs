//! Packet scripts: what a session does, told segment by segment.
//!
//! A [`Script`] plays the client, the online server and the target, and reads like a packet trace: what goes in, then
//! what must come out. Numbers are relative to each side's initial sequence number.

use core::time::Duration;

use session::{Config, Engine, Event, Instant, Outcome, Rule, RuleId, Source};
use wire::flow::{Addr, Endpoint, PoolRange};
use wire::segment::Segment;
use wire::tcp::{Flags, Header, Options, Timestamps};

pub(crate) const CLIENT_ISN: u32 = 1000;
pub(crate) const ONLINE_ISN: u32 = u32::MAX - 50;
pub(crate) const TARGET_ISN: u32 = 77_000;

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const PSH: Flags = Flags(0x18);
const FIN: Flags = Flags(0x11);
const RST: Flags = Flags(0x14);

/// A segment that the engine sent, with its sequence number relative to the ISN of its connection.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    flags: Flags,
    seq: u32,
    ack: u32,
    payload: Vec<u8>,
}

fn sent(flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> Sent {
    Sent {
        flags,
        seq,
        ack,
        payload: payload.to_vec(),
    }
}

struct Script {
    engine: Engine,
    now: Instant,
    client: Endpoint,
    online: Endpoint,
    target: Endpoint,
    /// Where the session sends from, and its ISN, as the last SYN said.
    local: Endpoint,
    iss: u32,
    window: u16,
}

impl Script {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let online = Endpoint::new(Addr::v4([10, 0, 1, 1]), 80);
        let target = Endpoint::new(Addr::v4([10, 0, 2, 2]), 80);
        let mut config = Config {
            rules: vec![Rule {
                online,
                target,
                mtu: 1500,
                full_sessions_only: false,
            }],
            source: Source::Pool {
                ranges: vec![PoolRange {
                    prefix: Addr::v4([10, 0, 2, 1]),
                    mask: Addr::v6([255; 16]),
                    port_first: 10_000,
                    port_last: 10_009,
                }],
                excluded_ports: vec![],
            },
            worker: 0,
            workers: 1,
            copies: 1,
            wait_for_responses: true,
            response_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            sessions_max: 100,
            payload_bytes_max: 1 << 20,
            sessions_per_second_max: None,
            in_order: true,
            gap_grace: Duration::from_millis(20),
            prove_path: false,
            unix_nanos: 1_800_000_000_000_000_000,
        };
        change(&mut config);
        let now = Instant::from_nanos(5_000_000_000);
        Self {
            engine: Engine::new(config, now),
            now,
            client: Endpoint::new(Addr::v4([10, 0, 1, 2]), 40_000),
            online,
            target,
            local: Endpoint::new(Addr::UNSPECIFIED, 0),
            iss: 0,
            window: 65_535,
        }
    }

    fn packet(
        source: Endpoint,
        destination: Endpoint,
        seq: u32,
        ack: u32,
        flags: Flags,
        window: u16,
        payload: &[u8],
    ) -> Vec<u8> {
        let syn = flags.contains(SYN);
        let options = Options {
            mss: syn.then_some(1460),
            window_scale: syn.then_some(7),
            sack_permitted: syn,
            timestamps: None,
            ..Options::default()
        };
        let header = Header {
            source,
            destination,
            seq,
            ack,
            flags,
            window,
            urgent: 0,
            options,
        };
        let at = header.payload_offset();
        let mut frame = vec![0; at + payload.len()];
        frame[at..].copy_from_slice(payload);
        assert!(header.emit(&mut frame));
        frame.split_off(14)
    }

    fn wait(&mut self, time: Duration) -> &mut Self {
        let until = self.now + time;
        while let Some(next) = self.engine.next_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.engine.on_timeout(self.now);
        }
        self.now = until;
        self
    }

    fn client(&mut self, flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> &mut Self {
        let (seq, ack) = (CLIENT_ISN.wrapping_add(seq), ONLINE_ISN.wrapping_add(ack));
        let packet = Self::packet(self.client, self.online, seq, ack, flags, 500, payload);
        self.engine.on_client_packet(self.now, self.now, &packet);
        self
    }

    fn online(&mut self, flags: Flags, seq: u32, ack: u32, len: usize) -> &mut Self {
        let (seq, ack) = (ONLINE_ISN.wrapping_add(seq), CLIENT_ISN.wrapping_add(ack));
        let packet = Self::packet(
            self.online,
            self.client,
            seq,
            ack,
            flags,
            500,
            &vec![0; len],
        );
        self.engine
            .on_online_packet(self.now, self.now, &packet[..packet.len() - len]);
        self
    }

    fn target(&mut self, flags: Flags, seq: u32, ack: u32, len: usize) -> &mut Self {
        let (seq, ack) = (TARGET_ISN.wrapping_add(seq), self.iss.wrapping_add(ack));
        let packet = Self::packet(
            self.target,
            self.local,
            seq,
            ack,
            flags,
            self.window,
            &vec![0; len],
        );
        self.engine
            .on_target_packet(self.now, self.now, &packet[..packet.len() - len]);
        self
    }

    fn frames(&mut self) -> Vec<Sent> {
        let mut frames = Vec::new();
        let mut frame = [0; 1514];
        while let Some(len) = self.engine.poll_transmit(self.now, &mut frame) {
            let packet = &frame[14..len];
            let segment = Segment::parse(packet, 0).expect("a whole segment");
            assert!(segment.is_copy(), "every copy is marked");
            if segment.flags.contains(SYN) {
                (self.local, self.iss) = (segment.source, segment.seq);
            }
            frames.push(Sent {
                flags: segment.flags,
                seq: segment.seq.wrapping_sub(self.iss),
                ack: if segment.flags.contains(ACK) && segment.ack != 0 {
                    segment.ack.wrapping_sub(TARGET_ISN)
                } else {
                    0
                },
                payload: segment.payload(packet).expect("whole").to_vec(),
            });
        }
        frames
    }

    #[track_caller]
    fn expect(&mut self, expected: &[Sent]) -> &mut Self {
        assert_eq!(self.frames(), expected);
        self
    }

    fn outcomes(&mut self) -> Vec<Outcome> {
        core::iter::from_fn(|| self.engine.poll_event())
            .filter_map(|event| match event {
                Event::TurnEnded(turn) => Some(turn.outcome),
                _ => None,
            })
            .collect()
    }

    #[track_caller]
    fn expect_outcomes(&mut self, expected: &[Outcome]) -> &mut Self {
        assert_eq!(self.outcomes(), expected);
        self
    }

    /// The client's handshake with the online server, and the session's with the target.
    fn handshake(&mut self) -> &mut Self {
        self.client(SYN, 0, 0, b"").expect(&[]);
        self.online(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(SYN, 0, 0, b"")]);
        self.target(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(ACK, 1, 1, b"")])
    }
}

#[test]
fn a_request_is_copied_and_answered() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"GET /1")
        .online(ACK, 1, 7, 0)
        .expect(&[sent(PSH, 1, 1, b"GET /1")]);
    s.online(PSH, 1, 7, 100);
    s.target(PSH, 1, 7, 100);
    // The acknowledgement of a complete response rides on the next turn.
    s.expect(&[]);
    s.client(PSH, 7, 101, b"GET /2")
        .expect(&[sent(PSH, 7, 101, b"GET /2")])
        .expect_outcomes(&[Outcome::Answered]);
    s.online(PSH, 101, 13, 100)
        .target(PSH, 101, 13, 100)
        .expect(&[]);
    s.wait(Duration::from_millis(50))
        .expect(&[sent(ACK, 13, 201, b"")]);
    s.client(FIN, 13, 201, b"")
        .online(FIN, 201, 14, 0)
        .expect(&[sent(FIN, 13, 201, b"")]);
    s.target(FIN, 201, 14, 0)
        .expect(&[sent(ACK, 14, 202, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    s.wait(Duration::from_secs(2));
    assert_eq!(
        (
            s.engine.sessions(),
            s.engine.turns_open(),
            s.engine.payload_bytes()
        ),
        (0, 0, 0)
    );
}

#[test]
fn the_next_turn_waits_for_as_many_bytes_as_the_client_had_seen() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 3000)
        .client(PSH, 2, 3001, b"b");
    s.expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(ACK, 1, 2, 1460).expect(&[sent(ACK, 2, 1461, b"")]);
    s.target(ACK, 1461, 2, 1460)
        .expect(&[sent(ACK, 2, 2921, b"")]);
    s.target(PSH, 2921, 2, 80)
        .expect(&[sent(PSH, 2, 3001, b"b")]);
}

#[test]
fn a_shorter_response_is_complete_when_the_target_is_quiet() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 3000)
        .client(PSH, 2, 3001, b"b");
    s.expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(PSH, 1, 2, 10).expect(&[sent(ACK, 2, 11, b"")]);
    s.wait(Duration::from_millis(100))
        .expect(&[sent(PSH, 2, 11, b"b")])
        .expect_outcomes(&[Outcome::Answered]);
}

#[test]
fn a_longer_response_does_not_run_ahead_of_the_next_turn() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10)
        .client(PSH, 2, 11, b"b")
        .online(PSH, 11, 3, 10);
    s.client(PSH, 3, 21, b"c").expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(PSH, 1, 2, 60).expect(&[sent(PSH, 2, 61, b"b")]);
    // 60 bytes for the first turn are not an answer to the second.
    s.target(PSH, 61, 2, 40).expect(&[sent(ACK, 3, 101, b"")]);
    s.target(PSH, 101, 3, 60).expect(&[sent(PSH, 3, 161, b"c")]);
}

#[test]
fn without_a_response_the_turn_times_out_and_the_session_goes_on() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10)
        .client(PSH, 2, 11, b"b")
        .expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(ACK, 1, 2, 0)
        .wait(Duration::from_secs(29))
        .expect(&[]);
    s.wait(Duration::from_secs(2))
        .expect(&[sent(PSH, 2, 1, b"b")])
        .expect_outcomes(&[Outcome::TimedOut]);
}

#[test]
fn a_greeting_is_waited_for() {
    let mut s = Script::new();
    s.handshake();
    s.online(PSH, 1, 1, 30)
        .client(PSH, 1, 31, b"HELO")
        .expect(&[]);
    s.target(PSH, 1, 1, 30).expect(&[sent(PSH, 1, 31, b"HELO")]);
}

#[test]
fn lost_segments_are_sent_again() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"abc")
        .expect(&[sent(PSH, 1, 1, b"abc")]);
    s.wait(Duration::from_millis(250))
        .expect(&[sent(PSH, 1, 1, b"abc")]);
    s.wait(Duration::from_millis(450))
        .expect(&[sent(PSH, 1, 1, b"abc")]);
    s.target(ACK, 1, 4, 0)
        .wait(Duration::from_secs(2))
        .expect(&[]);
}

#[test]
fn a_large_request_is_cut_to_the_targets_segments() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, &[7; 4000]);
    let lens: Vec<_> = s
        .frames()
        .iter()
        .map(|frame| (frame.flags, frame.payload.len()))
        .collect();
    assert_eq!(lens, [(ACK, 1460), (ACK, 1460), (PSH, 1080)]);
}

#[test]
fn a_syn_alone_opens_nothing() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"")
        .wait(Duration::from_secs(1))
        .expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_flow_is_joined_at_its_first_turn_boundary() {
    let mut s = Script::new();
    s.client(ACK, 500, 900, b"middle of a request").expect(&[]);
    s.client(PSH, 519, 900, b"its end")
        .online(PSH, 900, 526, 10)
        .expect(&[]);
    s.client(PSH, 526, 910, b"next")
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"next")]);
    assert_eq!(s.engine.counters().bytes_skipped, 26);
    assert_eq!(s.engine.counters().sessions_joined, 1);
}

#[test]
fn full_sessions_only_means_just_that() {
    let mut s = Script::with(|config| config.rules[0].full_sessions_only = true);
    s.client(PSH, 500, 900, b"a")
        .online(PSH, 900, 501, 10)
        .client(PSH, 501, 910, b"b")
        .expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_refused_connection_is_not_a_storm() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.target(RST, 0, 1, 0).expect(&[]);
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10)
        .client(PSH, 2, 11, b"b")
        .expect(&[]);
    s.online(PSH, 11, 3, 10);
    s.expect_outcomes(&[Outcome::Refused]);
    s.wait(Duration::from_millis(200))
        .client(PSH, 3, 21, b"c")
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.expect_outcomes(&[Outcome::Refused]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"c")]);
}

#[test]
fn a_turn_that_the_target_never_acknowledged_is_sent_on_a_new_session() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10)
        .expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(PSH, 1, 2, 10).expect(&[]);
    s.client(PSH, 2, 11, b"b").expect(&[sent(PSH, 2, 11, b"b")]);
    s.target(RST, 11, 2, 0).expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"b")]);
    s.expect_outcomes(&[Outcome::Answered]);
}

#[test]
fn a_turn_that_was_partly_acknowledged_is_not_sent_twice() {
    let mut s = Script::new();
    s.handshake();
    s.client(ACK, 1, 1, &[1; 1460])
        .client(PSH, 1461, 1, &[1; 40])
        .online(ACK, 1, 1501, 0)
        .frames();
    s.target(ACK, 1, 1461, 0).target(RST, 1, 1461, 0);
    s.expect(&[]).expect_outcomes(&[Outcome::Reset]);
    s.online(PSH, 1, 1501, 10)
        .client(PSH, 1501, 11, b"next")
        .expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn a_target_that_closed_gets_the_next_turn_on_a_new_session() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10)
        .expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(Flags(0x19), 1, 2, 10)
        .expect(&[sent(FIN, 2, 12, b"")]);
    s.client(PSH, 2, 11, b"b")
        .expect(&[sent(SYN, 0, 0, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"b")]);
}

#[test]
fn a_leftover_connection_of_a_killed_run_is_reset_first() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    let iss = s.iss;
    s.target(ACK, 500, 9000, 0);
    let frames = s.frames();
    assert_eq!((frames[0].flags, frames[0].seq), (Flags::RST, 9000));
    assert_eq!(frames[1].flags, SYN);
    assert!(
        s.iss.wrapping_sub(iss) > 9000,
        "the new ISN exceeds what the leftover expected"
    );
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b"")]);
}

#[test]
fn a_hole_that_the_online_server_acknowledged_ends_the_session_as_gap() {
    let mut s = Script::new();
    s.handshake();
    s.client(ACK, 1, 1, b"abc")
        .client(PSH, 9, 1, b"xyz")
        .online(ACK, 1, 12, 0)
        .expect(&[sent(PSH, 1, 1, b"abc")]);
    s.target(ACK, 1, 4, 0).wait(Duration::from_millis(200));
    s.expect_outcomes(&[Outcome::Gap])
        .expect(&[sent(RST, 4, 1, b"")]);
    // The flow goes on as a new session at its next turn.
    s.online(PSH, 1, 12, 10)
        .client(PSH, 12, 11, b"next")
        .expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn a_fin_waits_for_the_response() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(FIN, 1, 2, 10)
        .client(FIN, 2, 12, b"")
        .expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(ACK, 1, 2, 0)
        .wait(Duration::from_millis(30))
        .expect(&[]);
    s.target(FIN.with(PSH), 1, 2, 10)
        .expect(&[sent(FIN, 2, 12, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    s.target(ACK, 12, 3, 0).wait(Duration::from_secs(2));
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn bytes_before_a_reset_go_out_first() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10)
        .client(RST, 2, 11, b"")
        .expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(PSH, 1, 2, 10)
        .expect(&[sent(RST, 2, 11, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn what_the_online_server_never_acknowledged_is_unserved() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(PSH, 1, 2, 10);
    s.engine.finish(s.now);
    s.expect_outcomes(&[Outcome::Unserved]);
}

#[test]
fn the_end_of_the_run_resets_everything() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(ACK, 1, 2, 0)
        .expect(&[sent(PSH, 1, 1, b"a")]);
    s.online(PSH, 1, 2, 5);
    assert_eq!(s.engine.turns_open(), 1);
    s.engine.finish(s.now);
    s.expect(&[sent(RST, 2, 1, b"")])
        .expect_outcomes(&[Outcome::Pending]);
    assert_eq!(
        (
            s.engine.sessions(),
            s.engine.turns_open(),
            s.engine.payload_bytes()
        ),
        (0, 0, 0)
    );
}

/// A worker may find packets in its ring that `capture` put there before the end: they were captured, so they count.
#[test]
fn what_was_captured_before_the_end_is_copied_after_it() {
    let mut s = Script::new();
    s.handshake();
    let seen = s.now;
    s.wait(Duration::from_millis(5));
    s.engine.stop_capture(s.now);
    let (client, online) = (s.client, s.online);
    let request = |seq: u32, payload: &[u8]| {
        let (seq, ack) = (CLIENT_ISN + seq, ONLINE_ISN.wrapping_add(1));
        Script::packet(client, online, seq, ack, PSH, 500, payload)
    };
    s.engine.on_client_packet(s.now, seen, &request(1, b"in"));
    s.expect(&[sent(PSH, 1, 1, b"in")]);
    s.engine.on_client_packet(s.now, s.now, &request(3, b"out"));
    s.expect(&[]);
    // Nor is what the online server says of it a hole.
    s.online(PSH, 1, 3, 10).target(PSH, 1, 3, 10);
    s.wait(Duration::from_millis(5)).online(PSH, 11, 6, 10);
    s.wait(Duration::from_secs(2)).expect_outcomes(&[]);
    s.engine.finish(s.now);
    s.expect_outcomes(&[Outcome::Answered]);
}

#[test]
fn every_copy_has_a_session_of_its_own() {
    let mut s = Script::with(|config| config.copies = 3);
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    assert_eq!(s.frames().len(), 3);
    assert_eq!(s.engine.sessions(), 3);
}

#[test]
fn an_empty_pool_is_a_collision() {
    let mut s = Script::with(|config| {
        config.source = Source::Pool {
            ranges: vec![],
            excluded_ports: vec![],
        }
    });
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10);
    s.client(FIN, 2, 11, b"")
        .expect(&[])
        .expect_outcomes(&[Outcome::Collision]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn tls_is_said_to_be_unreplayable() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, &[0x16, 3, 1, 2, 0, 1, 0, 1])
        .online(PSH, 1, 9, 100)
        .client(PSH, 9, 101, b"more");
    s.expect(&[sent(RST, 1, 1, b"")])
        .expect_outcomes(&[Outcome::Unreplayable]);
}

#[test]
fn over_budget_the_largest_backlog_is_shed_as_a_whole() {
    let mut s = Script::with(|config| config.payload_bytes_max = 8 << 10);
    s.handshake();
    for n in 0..20 {
        s.client(PSH, 1 + n * 1000, 1, &[1; 1000]);
    }
    s.online(ACK, 1, 20_001, 0);
    s.client(FIN, 20_001, 1, b"");
    s.expect_outcomes(&[Outcome::Shed]);
    assert_eq!(s.engine.payload_bytes(), 0);
}

#[test]
fn timestamps_are_ours_and_echo_the_targets() {
    let mut s = Script::new();
    let header = |source, destination, seq, ack, flags, value, echo| {
        let timestamps = Some(Timestamps { value, echo });
        let options = Options {
            mss: Some(1460),
            timestamps,
            ..Options::default()
        };
        let header = Header {
            source,
            destination,
            seq,
            ack,
            flags,
            window: 500,
            urgent: 0,
            options,
        };
        let mut frame = vec![0; header.payload_offset()];
        assert!(header.emit(&mut frame));
        frame.split_off(14)
    };
    let syn = header(s.client, s.online, CLIENT_ISN, 0, SYN, 123, 0);
    s.engine.on_client_packet(s.now, s.now, &syn);
    s.online(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    let reply = header(
        s.target,
        s.local,
        TARGET_ISN,
        s.iss + 1,
        SYN.with(ACK),
        4711,
        1,
    );
    s.engine.on_target_packet(s.now, s.now, &reply);
    let mut frame = [0; 1514];
    let len = s
        .engine
        .poll_transmit(s.now, &mut frame)
        .expect("an acknowledgement");
    let packet = &frame[14..len];
    let timestamps = Segment::parse(packet, 0)
        .expect("whole")
        .options(packet)
        .timestamps
        .expect("there");
    assert_eq!(timestamps.echo, 4711);
    assert_eq!(timestamps.value, (1_800_000_000_000u64 % (1 << 32)) as u32);
}

#[test]
fn a_rule_is_named_with_each_turn() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(ACK, 1, 2, 0).frames();
    s.engine.finish(s.now);
    let rule = core::iter::from_fn(|| s.engine.poll_event()).find_map(|event| match event {
        Event::TurnEnded(turn) => Some(turn.rule),
        _ => None,
    });
    assert_eq!(rule, Some(RuleId(0)));
}

#[test]
fn a_client_that_half_closes_still_gets_its_response_copied() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").client(FIN, 2, 1, b"");
    s.online(ACK, 1, 3, 0).expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(ACK, 1, 2, 0).expect(&[sent(FIN, 2, 1, b"")]);
    s.target(FIN.with(PSH), 1, 3, 10)
        .expect(&[sent(ACK, 3, 12, b"")]);
    // The online server is slower. What a target that has forgotten the connection says to our last word is nothing
    // new (RFC 1337).
    s.target(Flags::RST, 12, 0, 0).expect_outcomes(&[]);
    s.online(FIN.with(PSH), 1, 3, 10)
        .expect_outcomes(&[Outcome::Answered]);
    s.wait(Duration::from_secs(2)).expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_half_closed_session_waits_for_its_response_as_long_as_any_other() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").client(FIN, 2, 1, b"");
    s.online(FIN.with(PSH), 1, 3, 10).frames();
    s.target(ACK, 1, 2, 0).expect(&[sent(FIN, 2, 1, b"")]);
    s.target(ACK, 1, 3, 0);
    s.wait(Duration::from_secs(25)).expect(&[]);
    s.expect_outcomes(&[]).wait(Duration::from_secs(10));
    s.expect(&[sent(RST, 3, 1, b"")])
        .expect_outcomes(&[Outcome::TimedOut]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_target_that_closes_late_is_acknowledged_for_as_long_as_time_wait() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10)
        .client(FIN, 2, 11, b"")
        .expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(PSH, 1, 2, 10).expect(&[sent(FIN, 2, 11, b"")]);
    s.target(ACK, 11, 3, 0).wait(Duration::from_secs(4));
    s.target(FIN, 11, 3, 0).expect(&[sent(ACK, 3, 12, b"")]);
    s.wait(Duration::from_millis(900));
    s.target(FIN, 11, 3, 0).expect(&[sent(ACK, 3, 12, b"")]);
    s.wait(Duration::from_millis(200)).expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_reset_that_does_not_say_what_the_client_had_seen_waits_for_what_the_online_server_sent() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10)
        .client(Flags::RST, 2, 0, b"")
        .expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(ACK, 1, 2, 0)
        .wait(Duration::from_secs(1))
        .expect(&[]);
    s.target(PSH, 1, 2, 10)
        .expect(&[sent(RST, 2, 11, b"")])
        .expect_outcomes(&[Outcome::Answered]);
}

#[test]
fn what_the_targets_reset_acknowledges_is_not_sent_again() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"poison")
        .online(PSH, 1, 7, 10)
        .expect(&[sent(PSH, 1, 1, b"poison")]);
    s.target(RST, 1, 7, 0)
        .expect(&[])
        .expect_outcomes(&[Outcome::Reset]);
}

#[test]
fn a_reset_outside_the_window_acknowledges_nothing() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    s.expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(RST, 1 << 29, 2, 0).expect(&[]);
    s.wait(Duration::from_secs(1))
        .expect(&[sent(PSH, 1, 1, b"a")]);
}

#[test]
fn a_flow_is_not_joined_at_bytes_that_are_old() {
    let mut s = Script::new();
    s.client(PSH, 500, 900, b"request").expect(&[]);
    s.client(PSH, 500, 950, b"request").expect(&[]);
    // A keep-alive probe with a byte of garbage (RFC 9293 section 3.8.4).
    s.client(ACK, 506, 950, b"?").expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
    s.client(PSH, 507, 950, b"next")
        .expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn a_target_that_closes_before_the_online_server_has_read_everything_is_not_followed() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").client(PSH, 2, 1, b"b").frames();
    s.online(PSH, 1, 2, 100);
    s.target(FIN.with(PSH), 1, 3, 10)
        .expect(&[sent(ACK, 3, 12, b"")])
        .expect_outcomes(&[]);
    s.online(PSH, 101, 3, 50)
        .expect(&[sent(FIN, 3, 12, b"")])
        .expect_outcomes(&[Outcome::Answered]);
}

#[test]
fn a_response_that_is_cut_off_is_waited_for_as_long_as_a_retransmission_takes() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 3000)
        .client(PSH, 2, 3001, b"b");
    s.expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(ACK, 1, 2, 1460).frames();
    s.wait(Duration::from_millis(2000))
        .target(PSH, 2921, 2, 80)
        .frames();
    // A keep-alive probe with a byte of garbage is silence.
    s.wait(Duration::from_millis(2000))
        .target(ACK, 1460, 2, 1)
        .frames();
    s.wait(Duration::from_millis(1900)).expect(&[]);
    s.wait(Duration::from_millis(200))
        .expect(&[sent(PSH, 2, 1461, b"b")]);
}

#[test]
fn silence_means_nothing_before_two_round_trips() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .frames();
    s.wait(Duration::from_millis(50));
    s.target(SYN.with(ACK), 0, 1, 0).frames();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 3000)
        .client(PSH, 2, 3001, b"b");
    s.expect(&[sent(PSH, 1, 1, b"a")]);
    s.wait(Duration::from_millis(50));
    s.target(PSH, 1, 2, 1000).frames();
    s.wait(Duration::from_millis(90)).expect(&[]);
    s.wait(Duration::from_millis(20))
        .expect(&[sent(PSH, 2, 1001, b"b")]);
}

#[test]
fn a_turn_that_was_captured_before_a_reset_and_read_after_it_is_sent() {
    let mut s = Script::new();
    s.handshake();
    s.client(ACK, 1, 1, &[1; 1460]).client(PSH, 1461, 1, b"end");
    s.online(PSH, 1, 1464, 10).frames();
    let (before, next) = (s.now, (CLIENT_ISN + 1464, ONLINE_ISN.wrapping_add(11)));
    s.wait(Duration::from_millis(1));
    s.target(ACK, 1, 1461, 0).target(RST, 1, 1461, 0);
    s.expect_outcomes(&[Outcome::Reset]);
    assert_eq!(s.engine.payload_bytes(), 0, "nothing of it is kept");
    let packet = Script::packet(s.client, s.online, next.0, next.1, PSH, 500, b"next");
    s.engine.on_client_packet(s.now, before, &packet);
    s.expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"next")]);
}

#[test]
fn the_rest_of_a_turn_that_was_reset_is_not_a_turn() {
    let mut s = Script::new();
    s.handshake();
    s.client(ACK, 1, 1, &[1; 1460]).online(ACK, 1, 1461, 0);
    s.frames();
    s.target(ACK, 1, 1461, 0).target(RST, 1, 1461, 0);
    s.expect_outcomes(&[Outcome::Reset]);
    s.client(PSH, 1461, 1, b"rest").expect(&[]);
    assert_eq!(s.engine.counters().bytes_skipped, 4);
    s.online(PSH, 1, 1465, 10)
        .client(PSH, 1465, 11, b"next")
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"next")]);
}

#[test]
fn a_session_that_does_not_wait_sends_nothing_twice_after_a_reset() {
    let mut s = Script::with(|config| config.wait_for_responses = false);
    s.handshake();
    s.client(PSH, 1, 1, b"aaa").online(PSH, 1, 4, 10);
    s.client(PSH, 4, 11, b"bbb").online(PSH, 11, 7, 10);
    s.frames();
    s.target(ACK, 1, 7, 0).target(RST, 1, 7, 0);
    s.expect(&[])
        .expect_outcomes(&[Outcome::Reset, Outcome::Reset]);
    s.client(PSH, 7, 21, b"c").expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"c")]);
}

/// Responses to turns that left together may come in one segment: each turn gets its share.
#[test]
fn a_session_that_does_not_wait_shares_out_what_comes_at_once() {
    let mut s = Script::with(|config| config.wait_for_responses = false);
    s.handshake();
    s.client(PSH, 1, 1, b"aaa").online(PSH, 1, 4, 10);
    s.client(PSH, 4, 11, b"bbb").online(PSH, 11, 7, 10);
    s.client(PSH, 7, 21, b"ccc").online(PSH, 21, 10, 10);
    s.frames();
    s.target(PSH, 1, 10, 30)
        .expect_outcomes(&[Outcome::Answered, Outcome::Answered]);
    assert_eq!(s.engine.turns_waiting(s.now), 0);
    s.client(PSH, 10, 31, b"d")
        .expect_outcomes(&[Outcome::Answered]);
}

#[test]
fn a_target_that_closed_is_told_that_the_session_goes_on_elsewhere() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    s.client(PSH, 2, 11, b"b").expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(FIN.with(PSH), 1, 2, 10);
    let flags: Vec<_> = s
        .frames()
        .iter()
        .map(|sent| (sent.flags, sent.ack))
        .collect();
    assert_eq!(flags, [(FIN, 12), (SYN, 0)]);
}

#[test]
fn what_is_answered_online_after_a_gap_and_before_the_next_session_is_lost_and_counted() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"abc");
    s.expect(&[sent(PSH, 1, 1, b"abc")]);
    s.online(PSH, 1, 4, 10).target(PSH, 1, 4, 10);
    // The second request never reaches us, the third stands behind the hole.
    s.online(PSH, 11, 7, 10).client(PSH, 7, 21, b"ghi");
    s.online(PSH, 21, 10, 10).wait(Duration::from_millis(200));
    s.expect_outcomes(&[Outcome::Gap, Outcome::Answered, Outcome::Gap]);
    // The fourth is lost as well.
    s.online(PSH, 31, 13, 10).expect_outcomes(&[Outcome::Gap]);
    s.client(PSH, 13, 41, b"mno");
    assert_eq!(s.engine.sessions(), 2);
}

#[test]
fn a_hole_that_is_filled_makes_a_response_complete_at_once() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 3000)
        .client(PSH, 2, 3001, b"b");
    s.expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(ACK, 1, 2, 1460).target(PSH, 2921, 2, 80).frames();
    s.target(ACK, 1461, 2, 1460)
        .expect(&[sent(PSH, 2, 3001, b"b")]);
}

#[test]
fn a_session_that_had_to_wait_for_its_source_still_waits_for_the_greeting() {
    let mut s = Script::with(|config| config.source = Source::Clients);
    s.handshake();
    s.client(FIN, 1, 1, b"").expect(&[sent(FIN, 1, 1, b"")]);
    // The client's port is used again while the target still holds the first connection.
    let old = s.iss;
    let (isn, online_isn) = (CLIENT_ISN + 50_000, ONLINE_ISN.wrapping_add(50_000));
    let (client, online, now) = (s.client, s.online, s.now);
    let from_client = |seq, ack, flags, payload: &[u8]| {
        Script::packet(client, online, seq, ack, flags, 500, payload)
    };
    s.engine
        .on_client_packet(now, now, &from_client(isn, 0, SYN, b""));
    let syn_ack = Script::packet(online, client, online_isn, isn + 1, SYN.with(ACK), 500, b"");
    s.engine.on_online_packet(now, now, &syn_ack);
    let hello = from_client(isn + 1, online_isn.wrapping_add(31), PSH, b"HELO");
    s.engine.on_client_packet(now, now, &hello);
    s.expect(&[]);
    s.target(FIN, 1, 2, 0).frames();
    s.wait(Duration::from_secs(2))
        .expect(&[sent(SYN, 0, 0, b"")]);
    assert!(s.iss != old);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b"")]);
    s.target(PSH, 1, 1, 30).expect(&[sent(PSH, 1, 31, b"HELO")]);
}

#[test]
fn the_end_of_the_run_does_not_wait_for_a_closed_gate() {
    let mut s = Script::new();
    s.handshake();
    s.engine.on_channel(s.now, false);
    s.engine.finish(s.now);
    s.expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_reset_of_the_online_server_about_an_older_connection_is_ignored() {
    let mut s = Script::new();
    s.handshake();
    s.online(Flags::RST, 700_000_000, 0, 0);
    s.client(PSH, 1, 1, b"a").expect(&[sent(PSH, 1, 1, b"a")]);
    s.online(Flags::RST, 1, 0, 0);
    s.client(PSH, 2, 1, b"b").expect(&[]);
}

#[test]
fn a_turn_without_a_source_ends_although_its_client_has_already_closed() {
    let mut s = Script::with(|config| {
        config.source = Source::Pool {
            ranges: vec![],
            excluded_ports: vec![],
        }
    });
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.online(ACK, 1, 3, 0).client(FIN, 1, 1, b"a");
    s.expect(&[]).expect_outcomes(&[Outcome::Collision]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_session_that_gets_its_source_late_waits_for_no_response_that_was_never_asked_for() {
    let mut s = Script::with(|config| {
        let Source::Pool { ranges, .. } = &mut config.source else {
            return;
        };
        ranges[0].port_last = ranges[0].port_first;
    });
    let first = s.client;
    s.handshake();
    s.client = Endpoint::new(first.addr, first.port + 1);
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 100).expect(&[]);
    let second = core::mem::replace(&mut s.client, first);
    s.client(RST, 1, 1, b"").expect(&[sent(RST, 1, 1, b"")]);
    s.client = second;
    s.client(PSH, 2, 101, b"b").expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"b")])
        .expect_outcomes(&[Outcome::Collision]);
}

#[test]
fn what_a_reset_behind_a_hole_acknowledges_is_not_sent_again_either() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"poison")
        .online(PSH, 1, 7, 10)
        .expect(&[sent(PSH, 1, 1, b"poison")]);
    s.target(RST, 11, 7, 0).expect(&[sent(ACK, 7, 1, b"")]);
    s.target(Flags::RST, 1, 0, 0)
        .expect(&[])
        .expect_outcomes(&[Outcome::Reset]);
}

#[test]
fn the_same_answer_of_a_leftover_connection_does_not_change_the_isn_twice() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.expect(&[sent(SYN, 0, 0, b"")]);
    let leftover = Script::packet(
        s.target,
        s.local,
        500,
        s.iss.wrapping_add(9000),
        ACK,
        500,
        b"",
    );
    s.engine.on_target_packet(s.now, s.now, &leftover);
    s.frames();
    let iss = s.iss;
    s.engine.on_target_packet(s.now, s.now, &leftover);
    s.frames();
    assert_eq!(s.iss, iss);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b"")]);
}

#[test]
fn a_copy_that_ends_first_does_not_take_the_others_from_their_flow() {
    let mut s = Script::with(|config| {
        config.copies = 2;
        let Source::Pool { ranges, .. } = &mut config.source else {
            return;
        };
        ranges[0].port_last = ranges[0].port_first;
    });
    s.handshake();
    // The second copy has no source, and ends with its client.
    s.client(FIN, 1, 1, b"a").frames();
    s.online(ACK, 1, 3, 0);
    s.expect_outcomes(&[Outcome::Collision]);
    assert_eq!(s.engine.sessions(), 1);
    s.target(ACK, 1, 2, 0).frames();
    s.target(FIN.with(PSH), 1, 3, 10).frames();
    s.online(FIN.with(PSH), 1, 3, 10)
        .expect_outcomes(&[Outcome::Answered]);
}

#[test]
fn a_request_may_overtake_the_syn_ack_only_where_there_is_no_order() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"").client(PSH, 1, 1, b"a").expect(&[]);
    let mut s = Script::with(|config| config.in_order = false);
    s.client(SYN, 0, 0, b"").client(PSH, 1, 1, b"a");
    s.expect(&[sent(SYN, 0, 0, b"")]);
    s.online(SYN.with(ACK), 0, 1, 0).expect(&[]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"a")]);
    assert_eq!(s.engine.sessions(), 1);
}

/// The client goes on while half of the first response is on its way.
fn pipelined(target_sends: usize) -> Script {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 1000);
    s.client(PSH, 2, 501, b"b").expect(&[sent(PSH, 1, 1, b"a")]);
    let seen = 1 + target_sends as u32;
    s.target(PSH, 1, 2, target_sends)
        .expect(&[sent(PSH, 2, seen, b"b")])
        .expect_outcomes(&[Outcome::Answered]);
    s
}

#[test]
fn what_was_on_its_way_when_the_client_went_on_counts_for_its_next_turn() {
    let mut s = pipelined(1000);
    s.online(PSH, 1001, 3, 100).client(PSH, 3, 1101, b"c");
    s.target(ACK, 1001, 3, 0).expect(&[]);
    s.wait(Duration::from_secs(5)).expect(&[]);
    s.target(PSH, 1001, 3, 100)
        .expect(&[sent(PSH, 3, 1101, b"c")])
        .expect_outcomes(&[Outcome::Answered]);
}

#[test]
fn a_turn_that_nobody_answers_is_not_waited_for_when_an_early_response_explains_what_was_seen() {
    let mut s = pipelined(1000);
    s.client(PSH, 3, 1001, b"c");
    s.target(ACK, 1001, 3, 0)
        .expect(&[sent(PSH, 3, 1001, b"c")])
        .expect_outcomes(&[Outcome::Delivered]);
    // The same with a target that sends less: quiet is enough.
    let mut s = pipelined(900);
    s.client(PSH, 3, 1001, b"c");
    s.target(ACK, 901, 3, 0).expect(&[]);
    s.wait(Duration::from_millis(250))
        .expect(&[sent(PSH, 3, 901, b"c")])
        .expect_outcomes(&[Outcome::Delivered]);
}

#[test]
fn an_online_server_that_speaks_unprompted_makes_the_first_time_out_the_last() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    s.wait(Duration::from_secs(2)).online(PSH, 11, 2, 10);
    s.client(PSH, 2, 21, b"b").frames();
    s.target(ACK, 1, 2, 0).frames();
    s.wait(Duration::from_secs(31))
        .expect(&[sent(PSH, 2, 1, b"b")])
        .expect_outcomes(&[Outcome::TimedOut]);
    s.online(PSH, 21, 3, 10).client(PSH, 3, 31, b"c");
    s.expect(&[sent(PSH, 3, 1, b"c")]);
    assert_eq!(s.engine.counters().sessions_streaming, 1);
}

#[test]
fn what_stands_outside_the_window_is_only_acknowledged() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    // The session offered a scale of 7.
    s.target(PSH, 1 + (65_535 << 7), 2, 100);
    s.expect(&[sent(ACK, 2, 1, b"")]);
    assert_eq!(s.engine.counters().reply_unacceptable, 1);
    s.target(FIN, 2000, 2, 0).expect(&[sent(ACK, 2, 1, b"")]);
    s.target(PSH, 1, 2, 100).expect(&[sent(ACK, 2, 101, b"")]);
}

#[test]
fn a_path_that_swallows_large_segments_gets_smaller_ones() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, &[7; 1400])
        .client(PSH, 1401, 1, &[8; 1000]);
    assert_eq!(s.frames().len(), 2);
    s.online(ACK, 1, 2401, 0);
    let mut largest = vec![];
    for _ in 0..3 {
        s.wait(Duration::from_millis(420));
        let frames = s.frames();
        largest.push(frames.iter().map(|sent| sent.payload.len()).max());
    }
    assert_eq!(
        largest[0],
        Some(1460),
        "the first time it may be congestion"
    );
    assert_eq!(largest[1], Some(1240), "an MTU of 1280 bytes");
    assert_eq!(s.engine.counters().black_holes, 1);
    s.target(ACK, 1, 1241, 0);
    assert_eq!(s.frames()[0].payload.len(), 1160);
}

#[test]
fn what_the_target_holds_is_not_sent_again() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, &[7; 4000]);
    assert_eq!(s.frames().len(), 3);
    let mut options = Options::default();
    options
        .sack
        .push(s.iss.wrapping_add(1461), s.iss.wrapping_add(4001));
    let header = Header {
        source: s.target,
        destination: s.local,
        seq: TARGET_ISN + 1,
        ack: s.iss.wrapping_add(1),
        flags: ACK,
        window: 65_535,
        urgent: 0,
        options,
    };
    let mut frame = vec![0; header.payload_offset()];
    assert!(header.emit(&mut frame));
    s.engine.on_target_packet(s.now, s.now, &frame[14..]);
    s.expect(&[sent(ACK, 1, 1, &[7; 1460])]);
}

#[test]
fn a_client_that_closes_before_the_targets_handshake_is_over_still_gets_its_connection() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.expect(&[sent(SYN, 0, 0, b"")]);
    s.client(FIN, 1, 1, b"").online(FIN, 1, 2, 0).expect(&[]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(FIN, 1, 1, b"")]);
    s.target(FIN, 1, 2, 0).expect(&[sent(ACK, 2, 2, b"")]);
    s.wait(Duration::from_secs(2));
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_connection_that_was_only_offered_is_reset_without_an_acknowledgement() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.expect(&[sent(SYN, 0, 0, b"")]);
    s.client(RST, 1, 1, b"")
        .expect(&[sent(Flags::RST, 1, 0, b"")]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn with_the_clients_own_addresses_both_families_must_be_the_same() {
    let mut s = Script::with(|config| {
        config.source = Source::Clients;
        config.rules[0].online.addr = Addr::UNSPECIFIED;
    });
    s.client.addr = Addr::v6([0xfd; 16]);
    s.online.addr = Addr::v6([0xfe; 16]);
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .expect(&[]);
    assert_eq!(s.engine.counters().sessions_foreign, 1);
}

/// A SYN with data (RFC 7413), of which the online server takes `taken` bytes.
fn syn_with_data(taken: u32) -> Script {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"GET /1")
        .online(SYN.with(ACK), 0, 1 + taken, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    s
}

#[test]
fn what_the_online_server_takes_of_a_syn_is_copied() {
    let mut s = syn_with_data(6);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"GET /1")]);
    s.client(PSH, 7, 101, b"GET /2").online(PSH, 1, 7, 100);
    s.target(PSH, 1, 7, 100)
        .expect(&[sent(PSH, 7, 101, b"GET /2")]);
    let mut s = syn_with_data(0);
    s.client(PSH, 1, 1, b"GET /1");
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"GET /1")]);
}

#[test]
fn an_answer_to_more_than_the_syn_carried_opens_nothing() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"GET /1")
        .online(SYN.with(ACK), 0, 8, 0)
        .expect(&[]);
}

#[test]
fn numbers_of_another_connection_end_the_old_one() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 100).frames();
    s.target(PSH, 1, 2, 100).frames();
    // Neither the end of this connection nor the handshake of the next one was seen.
    let (isn, online) = (3 << 28, 5 << 28);
    s.client(PSH, isn, online, b"first");
    s.online(PSH, online, isn + 5, 100)
        .expect(&[sent(FIN, 2, 101, b"")])
        .expect_outcomes(&[Outcome::Answered, Outcome::Gap]);
    s.client(PSH, isn + 5, online + 100, b"second")
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"second")]);
}

#[test]
fn urgent_data_is_sent_as_ordinary_data() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH.with(Flags::URG), 1, 1, b"!")
        .expect(&[sent(PSH, 1, 1, b"!")]);
    assert_eq!(s.engine.counters().client_urgent, 1);
}

#[test]
fn a_turn_that_leaves_late_leaves_in_the_pieces_that_it_came_in() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 100);
    s.client(PSH, 2, 101, b"head").client(PSH, 6, 101, b"body");
    s.client(PSH, 10, 101, &[7; 2000])
        .client(PSH, 2010, 101, b"end");
    s.expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(PSH, 1, 2, 100).expect(&[
        sent(ACK, 2, 101, b"head"),
        sent(ACK, 6, 101, b"body"),
        sent(ACK, 10, 101, &[7; 1460]),
        sent(ACK, 1470, 101, &[7; 540]),
        sent(PSH, 2010, 101, b"end"),
    ]);
}

#[test]
fn a_clients_own_port_goes_on_beyond_what_was_sent_from_it() {
    let mut s = Script::with(|config| config.source = Source::Clients);
    s.handshake();
    let before = s.iss;
    s.client(PSH, 1, 1, &[7; 1000]).online(ACK, 1, 1001, 0);
    s.expect(&[sent(PSH, 1, 1, &[7; 1000])]);
    // It has acknowledged nothing: the turn goes on a new connection.
    s.target(RST, 1, 1, 0).expect(&[sent(SYN, 0, 0, b"")]);
    assert!(s.iss.wrapping_sub(before) > 1001, "{before} to {}", s.iss);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, &[7; 1000])]);
    // The client opens another connection from the same port; its session waits for the first to be over.
    let before = s.iss;
    s.client(SYN, 50_000, 0, b"")
        .online(SYN.with(ACK), 50_000, 50_001, 0)
        .expect(&[]);
    s.target(PSH, 1, 1001, 10);
    s.wait(Duration::from_millis(500));
    s.expect(&[sent(FIN, 1001, 11, b"")]);
    s.target(FIN, 11, 1002, 0)
        .expect(&[sent(ACK, 1002, 12, b"")])
        .wait(Duration::from_secs(2));
    s.expect(&[sent(SYN, 0, 0, b"")]);
    assert!(s.iss.wrapping_sub(before) > 1002, "{before} to {}", s.iss);
}
