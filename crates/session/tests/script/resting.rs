//! Sessions that were silent long enough to rest go on as if nothing had been.

use super::*;

/// A session that has had a turn and rests.
fn rested() -> Script {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"GET /1")
        .expect(&[sent(PSH, 1, 1, b"GET /1")]);
    s.online(PSH, 1, 7, 100).target(PSH, 1, 7, 100);
    s.wait(Duration::from_secs(1))
        .expect(&[sent(ACK, 7, 101, b"")]);
    assert_eq!(s.engine.sessions_resting(), 0);
    s.wait(Duration::from_secs(2)).expect(&[]);
    assert_eq!(s.engine.sessions_resting(), 1);
    assert_eq!((s.engine.sessions(), s.engine.turns_open()), (1, 1));
    assert_eq!(s.engine.turns_waiting(s.now), 0);
    s
}

#[test]
fn the_next_request_wakes_it() {
    let mut s = rested();
    s.client(PSH, 7, 101, b"GET /2")
        .expect(&[sent(PSH, 7, 101, b"GET /2")])
        .expect_outcomes(&[Outcome::Answered]);
    assert_eq!(s.engine.sessions_resting(), 0);
    s.online(PSH, 101, 13, 100)
        .target(PSH, 101, 13, 100)
        .wait(Duration::from_secs(1))
        .expect(&[sent(ACK, 13, 201, b"")]);
    s.wait(Duration::from_secs(2));
    assert_eq!(s.engine.sessions_resting(), 1);
}

#[test]
fn the_clients_end_wakes_it() {
    let mut s = rested();
    s.client(FIN, 7, 101, b"")
        .online(FIN, 101, 8, 0)
        .expect(&[sent(FIN, 7, 101, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    s.target(FIN, 101, 8, 0).expect(&[sent(ACK, 8, 102, b"")]);
    s.wait(Duration::from_secs(2));
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn the_targets_end_wakes_it() {
    let mut s = rested();
    s.target(FIN, 101, 7, 0)
        .expect(&[sent(FIN, 7, 102, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    s.client(PSH, 7, 101, b"GET /2")
        .expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn it_rests_without_a_connection() {
    let mut s = rested();
    s.target(FIN, 101, 7, 0)
        .expect(&[sent(FIN, 7, 102, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    s.wait(Duration::from_secs(3)).expect(&[]);
    assert_eq!(s.engine.sessions_resting(), 1);
    s.client(PSH, 7, 101, b"GET /2")
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"GET /2")]);
}

#[test]
fn it_rests_again_after_a_keep_alive_probe_of_the_target() {
    let mut s = rested();
    s.target(ACK, 100, 7, 0).expect(&[sent(ACK, 7, 101, b"")]);
    s.wait(Duration::from_secs(3));
    assert_eq!(s.engine.sessions_resting(), 1);
}

#[test]
fn it_is_closed_when_it_has_been_silent_for_too_long() {
    let mut s = rested();
    s.wait(Duration::from_secs(598))
        .expect(&[sent(RST, 7, 101, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_turn_without_its_response_keeps_it_awake() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").expect(&[sent(PSH, 1, 1, b"a")]);
    s.online(PSH, 1, 2, 10).target(ACK, 1, 2, 0);
    s.wait(Duration::from_secs(20)).expect(&[]);
    assert_eq!(s.engine.sessions_resting(), 0);
    assert_eq!(s.engine.turns_waiting(s.now), 1);
}

#[test]
fn the_end_of_the_run_wakes_it() {
    let mut s = rested();
    s.engine.finish(s.now);
    s.expect(&[sent(RST, 7, 101, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    assert_eq!((s.engine.sessions(), s.engine.turns_open()), (0, 0));
}

/// Those that rest are woken a few at a time: all at once would need their memory twice, and more frames than can leave.
#[test]
fn the_end_of_the_run_comes_to_a_few_sessions_at_a_time() {
    let mut s = rested();
    assert!(!s.engine.finish_some(s.now, 0));
    assert_eq!(s.engine.sessions_resting(), 1);
    assert!(s.engine.finish_some(s.now, 1));
    s.expect(&[sent(RST, 7, 101, b"")])
        .expect_outcomes(&[Outcome::Answered]);
}
