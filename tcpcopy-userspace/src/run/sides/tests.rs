//! Seconds of a run, each with what was seen in it, and when it is said that half is missing.

use std::time::{Duration, Instant};

use session::Sight;
use wire::flow::{Addr, Endpoint, FlowKey};

use super::{Change, Common, NOTHING_AFTER, Nothing, Sides};

/// What comes in one second.
#[derive(Clone, Copy, Default)]
struct Second {
    clients: u64,
    online: u64,
    pure_acks: u64,
    lost: u64,
    unmet: u64,
    met: u64,
    /// Flows that speak alone.
    flows: u16,
}

fn clients(clients: u64, flows: u16) -> Second {
    Second {
        clients,
        flows,
        ..Second::default()
    }
}

fn online(online: u64, flows: u16) -> Second {
    Second {
        online,
        flows,
        ..Second::default()
    }
}

fn both(packets: u64) -> Second {
    Second {
        clients: packets,
        online: packets,
        ..Second::default()
    }
}

fn flow(port: u16) -> FlowKey {
    FlowKey {
        client: Endpoint::new(Addr::v4([10, 0, 0, 0]), port),
        server: Endpoint::new(Addr::v4([10, 0, 0, 1]), 80),
    }
}

/// Plays seconds; returns in which of them what was said.
fn said(seconds: impl IntoIterator<Item = Second>) -> Vec<(u32, &'static str)> {
    let start = Instant::now();
    let (mut sides, mut sight, mut common) =
        (Sides::default(), Sight::default(), Common::default());
    let mut said = Vec::new();
    for (n, second) in (0u32..).zip(seconds) {
        sight.clients += second.clients;
        sight.online += second.online;
        sight.unmet += second.unmet;
        sight.met += second.met;
        common.pure_acks += second.pure_acks;
        common.clients_lost += second.lost;
        let alone = session::sights::Alone::of((0..second.flows).map(flow));
        (sight.unanswered, sight.unasked) = (alone, alone);
        let news = sides.look(start + Duration::from_secs(n.into()), &sight, &common);
        let words = match (news.no_answers, news.in_part) {
            (Some(Change::Begins), false) => Some("no answers"),
            (Some(Change::Begins), true) => Some("some answers"),
            (Some(Change::Ends), _) => Some("answers again"),
            (None, _) => None,
        };
        said.extend(words.map(|words| (n, words)));
        let words = news.no_requests.map(|change| match change {
            Change::Begins => "no requests",
            Change::Ends => "requests again",
        });
        said.extend(words.map(|words| (n, words)));
    }
    said
}

#[test]
fn one_side_alone_is_told_after_two_seconds_and_when_it_is_over() {
    let half = [vec![clients(20, 4); 4], vec![both(20); 2]].concat();
    assert_eq!(said(half), [(2, "no answers"), (4, "answers again")]);
    let half = [vec![both(20); 3], vec![online(20, 4); 4], vec![both(1)]].concat();
    assert_eq!(said(half), [(5, "no requests"), (7, "requests again")]);
    // One flow that goes on and on.
    assert_eq!(said(vec![clients(9, 1); 4]), [(2, "no answers")]);
}

#[test]
fn few_requests_are_told_as_soon_as_they_are_enough() {
    assert_eq!(said(vec![clients(2, 3); 9]), [(4, "no answers")]);
}

#[test]
fn a_server_that_acknowledges_is_silent_to_nobody() {
    let acknowledged = Second {
        clients: 500,
        online: 1,
        ..Second::default()
    };
    assert!(said(vec![acknowledged; 60]).is_empty());
    // A server that pushes: its clients acknowledge.
    let pushed = Second {
        online: 500,
        pure_acks: 3,
        flows: 40,
        ..Second::default()
    };
    assert!(said(vec![pushed; 60]).is_empty());
    // Rings that are full for clients' long packets and not for the online server's headers.
    let lost = Second {
        online: 500,
        lost: 9,
        flows: 40,
        ..Second::default()
    };
    assert!(said(vec![lost; 60]).is_empty());
}

#[test]
fn a_scan_and_a_connection_that_broke_are_no_half() {
    // Three scanners, each of which sends its SYN three times.
    let scan = [clients(3, 3), clients(3, 3), clients(0, 3), clients(3, 3)];
    assert!(said([&scan[..], &[Second::default(); 20]].concat()).is_empty());
    // The same again and again, with pauses.
    let scans: Vec<Second> = [vec![clients(3, 3); 3], vec![clients(0, 3); 11]].concat();
    assert!(said(scans.repeat(20)).is_empty());
    // An upload whose server is gone: a window, then retransmissions.
    let upload = [
        both(500),
        clients(300, 1),
        clients(2, 1),
        clients(1, 1),
        clients(0, 1),
        clients(1, 1),
    ];
    assert!(said(upload).is_empty());
}

#[test]
fn handshakes_that_go_on_unanswered_are_told_although_others_are_answered() {
    let some = Second {
        unmet: 5,
        met: 20,
        ..both(100)
    };
    let few = Second {
        unmet: 1,
        met: 50,
        ..both(100)
    };
    let none = Second {
        met: 20,
        ..both(100)
    };
    let seconds = [vec![some; 4], vec![none; 12]].concat();
    assert_eq!(said(seconds), [(2, "some answers"), (13, "answers again")]);
    assert!(said(vec![few; 60]).is_empty());
}

#[test]
fn nothing_is_told_once_and_its_end_too() {
    let mut nothing = Nothing::default();
    let second = Duration::from_secs(1);
    assert_eq!(nothing.look(NOTHING_AFTER - second, 0), None);
    assert_eq!(nothing.look(NOTHING_AFTER, 0), Some(Change::Begins));
    assert_eq!(nothing.look(NOTHING_AFTER + second, 0), None);
    assert_eq!(nothing.look(NOTHING_AFTER + second, 1), Some(Change::Ends));
    assert_eq!(nothing.look(NOTHING_AFTER * 9, 1), None, "silence later on");
    let mut nothing = Nothing::default();
    assert_eq!(nothing.look(second, 1), None);
    assert_eq!(nothing.look(NOTHING_AFTER, 1), None);
}
