//! Early close by the target, holes in the capture, budgets.

use session::limits::QUIET_MAX;

use super::*;

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
        .expect(&[sent(ACK, 2, 12, b"")]);
    s.wait(QUIET_MAX + Duration::from_millis(2))
        .expect(&[sent(FIN, 2, 12, b"")]);
    s.client(PSH, 2, 11, b"b")
        .expect(&[sent(SYN, 0, 0, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"b")]);
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
fn a_target_that_closes_before_the_online_server_has_read_everything_is_not_followed() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").client(PSH, 2, 1, b"b").frames();
    s.online(PSH, 1, 2, 100);
    s.target(FIN.with(PSH), 1, 3, 10)
        .expect(&[sent(ACK, 3, 12, b"")])
        .expect_outcomes(&[]);
    s.online(PSH, 101, 3, 50).expect(&[]);
    s.wait(QUIET_MAX + Duration::from_millis(2))
        .expect(&[sent(FIN, 3, 12, b"")])
        .expect_outcomes(&[Outcome::Answered]);
}

/// A target that is faster than the online server closes before all of the online server's response was seen: what is compared
/// with its own is all of it.
#[test]
fn a_target_that_closes_first_is_compared_with_a_whole_response() {
    for (of_target, at_once) in [(150, true), (150, false), (100, false)] {
        let mut s = Script::new();
        s.handshake();
        s.client(PSH, 1, 1, b"a").frames();
        s.online(PSH, 1, 2, 100);
        s.target(FIN.with(PSH), 1, 2, of_target).frames();
        s.wait(QUIET_MAX / 2);
        s.online(if at_once { FIN } else { PSH }, 101, 2, 50);
        s.wait(if at_once {
            Duration::ZERO
        } else {
            QUIET_MAX * 2
        });
        s.frames();
        let lens = core::iter::from_fn(|| s.engine.poll_event()).find_map(|event| match event {
            Event::TurnEnded(turn) => Some((turn.online?.bytes, turn.target?.bytes)),
            _ => None,
        });
        assert_eq!(lens, Some((150, of_target as u64)));
    }
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
    s.online(PSH, 31, 13, 10)
        .expect_outcomes(&[Outcome::Missed]);
    s.client(PSH, 13, 41, b"mno");
    assert_eq!(s.engine.sessions(), 2);
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
fn a_target_that_refuses_everybody_is_not_asked_by_everybody() {
    let mut s = Script::new();
    let first = s.client;
    let mut syns = 0;
    for number in 0..100 {
        s.client = Endpoint::new(first.addr, first.port + number);
        s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
        syns += s.frames().len();
        s.client(PSH, 1, 1, b"a").online(FIN, 1, 2, 10);
        s.target(RST, 0, 1, 0);
        s.client(FIN, 2, 12, b"").online(ACK, 12, 3, 0).frames();
    }
    assert_eq!(syns, 16);
    s.expect_outcomes(&[Outcome::Refused; 100]);
    // After a while one asks for all of them.
    s.wait(Duration::from_millis(100));
    s.client(SYN, 900, 0, b"").online(SYN.with(ACK), 0, 901, 0);
    s.expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0).frames();
    s.client = first;
    s.client(SYN, 900, 0, b"").online(SYN.with(ACK), 0, 901, 0);
    s.expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn what_a_reset_behind_a_hole_acknowledges_lets_the_session_go_on() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").client(FIN, 2, 1, b"").frames();
    s.online(FIN.with(PSH), 1, 3, 10);
    // The response and a challenge's answer are lost.
    s.target(RST, 11, 2, 0).expect(&[sent(FIN, 2, 1, b"")]);
}

/// Its service is started again: all its connections are reset, and the next ones are refused until it listens.
#[test]
fn a_target_that_was_started_again_is_used_again() {
    let mut s = Script::with(|config| {
        let Source::Pool { ranges, .. } = &mut config.source else {
            return;
        };
        ranges[0].port_last = 10_099;
    });
    let first = s.client;
    let mut locals = vec![];
    for number in 0..20 {
        s.client = Endpoint::new(first.addr, first.port + number);
        s.handshake();
        s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10).frames();
        s.target(PSH, 1, 2, 10).frames();
        locals.push((s.local, s.iss));
    }
    for (local, iss) in locals {
        (s.local, s.iss) = (local, iss);
        s.target(RST, 11, 2, 0).frames();
    }
    let mut seq = 2;
    let mut accepted = 0;
    for round in 0..40 {
        for number in 0..20 {
            s.client = Endpoint::new(first.addr, first.port + number);
            s.client(PSH, seq, 1 + 10 * (seq - 1), b"a");
            s.online(PSH, 1 + 10 * (seq - 1), seq + 1, 10);
            if !s.frames().iter().any(|sent| sent.flags == SYN) {
                continue;
            }
            if round < 5 {
                s.target(RST, 0, 1, 0);
            } else {
                s.target(SYN.with(ACK), 0, 1, 0).frames();
                accepted += 1;
            }
        }
        seq += 1;
        s.wait(Duration::from_millis(50));
    }
    assert_eq!(accepted, 20);
}
