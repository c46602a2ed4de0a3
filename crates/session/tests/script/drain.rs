//! What the end of a run waits for, and what it cuts off.

use super::*;

/// Its client says no more, and the target says nothing: a drain waits for it as long as the next turn would.
#[test]
fn a_last_turn_without_a_response_is_not_waited_for_longer_than_any_other() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10).frames();
    s.target(ACK, 1, 2, 0);
    assert_eq!(s.engine.turns_waiting(s.now), 1);
    s.wait(Duration::from_secs(29));
    assert_eq!(s.engine.turns_waiting(s.now), 1);
    s.wait(Duration::from_secs(2));
    assert_eq!(s.engine.turns_waiting(s.now), 0);
    s.engine.finish(s.now);
    s.expect_outcomes(&[Outcome::TimedOut]);
}

/// A burst of requests is one turn, and a target that says more of each may still be at the first of them when it has said as much
/// as the online server. Nobody waits behind the last turn, so that its end can be waited for.
#[test]
fn a_drain_waits_until_a_longer_response_is_over() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"abc").online(PSH, 1, 4, 300).frames();
    s.target(PSH, 1, 4, 301).frames();
    s.engine.stop_capture(s.now);
    for seq in [302, 602, 902] {
        s.wait(Duration::from_millis(300));
        assert_eq!(s.engine.turns_waiting(s.now), 1, "it pauses");
        s.target(PSH, seq, 4, 300).frames();
    }
    s.wait(Duration::from_millis(1100));
    assert_eq!(s.engine.turns_waiting(s.now), 0);
    s.engine.finish(s.now);
    s.expect_outcomes(&[Outcome::Answered]);
}

/// The same for one that says less: it is over when it has been silent for long.
#[test]
fn a_drain_waits_until_a_shorter_response_is_over() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"abc").online(PSH, 1, 4, 300).frames();
    s.target(PSH, 1, 4, 10).frames();
    s.engine.stop_capture(s.now);
    s.wait(Duration::from_millis(900));
    assert_eq!(s.engine.turns_waiting(s.now), 1);
    s.wait(Duration::from_millis(200));
    assert_eq!(s.engine.turns_waiting(s.now), 0);
    s.engine.finish(s.now);
    s.expect_outcomes(&[Outcome::Answered]);
}

/// Where a response is taken to be over by its length or by a silence, the client's end leaves while the target is still at work.
#[test]
fn a_target_that_still_speaks_after_the_clients_end_is_waited_for() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"abc")
        .online(FIN.with(PSH), 1, 4, 300)
        .client(FIN, 4, 302, b"")
        .frames();
    s.target(PSH, 1, 4, 10).wait(Duration::from_secs(1));
    s.expect(&[sent(FIN, 4, 11, b"")]);
    s.expect_outcomes(&[Outcome::Answered]);
    for seq in [11, 21, 31, 41] {
        s.target(PSH, seq, 5, 10).frames();
        s.engine.stop_capture(s.now);
        assert_eq!(s.engine.turns_waiting(s.now), 1);
        s.wait(Duration::from_millis(4900));
        assert_eq!(
            s.engine.turns_waiting(s.now),
            0,
            "it may be waited for in vain"
        );
        s.expect(&[]);
    }
    s.wait(Duration::from_millis(200))
        .expect(&[sent(RST, 5, 51, b"")]);
    assert_eq!(s.engine.sessions(), 0);
}

/// What the end of the run cuts off is not told as answered.
#[test]
fn a_response_that_is_under_way_when_the_run_ends_is_pending() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"abc").online(PSH, 1, 4, 300).frames();
    s.target(PSH, 1, 4, 10).frames();
    s.engine.stop_capture(s.now);
    s.engine.finish(s.now);
    s.expect_outcomes(&[Outcome::Pending]);
}

#[test]
fn a_drain_waits_for_the_online_servers_word_on_a_turn_that_its_target_reset() {
    let mut s = Script::new();
    s.handshake().client(PSH, 1, 1, b"GET /");
    s.expect(&[sent(PSH, 1, 1, b"GET /")]);
    s.target(RST, 1, 6, 0);
    s.engine.stop_capture(s.now);
    assert_eq!(s.engine.turns_waiting(s.now), 1);
    s.wait(Duration::from_millis(40)).online(ACK, 1, 6, 0);
    assert_eq!(s.engine.turns_waiting(s.now), 0);
    s.engine.finish(s.now);
    s.expect_outcomes(&[Outcome::Reset]);
}
