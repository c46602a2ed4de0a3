//! Turns and their release.

use super::*;

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
    s.wait(Duration::from_millis(8)).expect(&[]);
    s.wait(Duration::from_millis(10))
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
fn a_greeting_that_never_comes_is_not_waited_for_longer_than_a_response() {
    let mut s = Script::new();
    s.handshake();
    s.online(PSH, 1, 1, 20).client(PSH, 1, 21, b"a");
    s.client(PSH, 2, 21, b"b");
    s.online(ACK, 21, 3, 0).expect(&[]);
    for _ in 0..3 {
        // Keep-alive probes must not make it longer.
        s.wait(Duration::from_secs(9)).expect(&[]);
        s.target(ACK, 0, 1, 0).frames();
    }
    s.wait(Duration::from_secs(4));
    s.expect(&[sent(ACK, 1, 1, b"a"), sent(PSH, 2, 1, b"b")]);
}

#[test]
fn what_waited_behind_a_hole_answers_the_turn_that_it_acknowledges() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    s.client(PSH, 2, 11, b"b").online(PSH, 11, 3, 10);
    s.client(PSH, 3, 21, b"c").frames();
    // The target's first response is longer, and its last segment is overtaken.
    s.target(PSH, 1, 2, 10).expect(&[sent(PSH, 2, 11, b"b")]);
    s.target(PSH, 21, 3, 10).expect(&[sent(ACK, 3, 11, b"")]);
    s.target(PSH, 11, 2, 10).expect(&[sent(PSH, 3, 31, b"c")]);
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
fn what_came_early_of_an_unreplayable_stream_is_no_hole() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 9, 1, b"more")
        .client(PSH, 1, 1, &[0x16, 3, 1, 2, 0, 1, 0, 1])
        .online(PSH, 1, 13, 100)
        .wait(Duration::from_secs(1));
    s.client(PSH, 13, 101, b"next").online(PSH, 101, 17, 1);
    s.client(FIN, 17, 102, b"").online(FIN, 102, 18, 0);
    s.wait(Duration::from_secs(1))
        .expect_outcomes(&[Outcome::Unreplayable, Outcome::Unreplayable]);
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
    s.wait(Duration::from_millis(150));
    s.target(SYN.with(ACK), 0, 1, 0).frames();
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 3000)
        .client(PSH, 2, 3001, b"b");
    s.expect(&[sent(PSH, 1, 1, b"a")]);
    s.wait(Duration::from_millis(150));
    s.target(PSH, 1, 2, 1000).frames();
    s.wait(Duration::from_millis(290)).expect(&[]);
    s.wait(Duration::from_millis(20))
        .expect(&[sent(PSH, 2, 1001, b"b")]);
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
fn a_response_to_half_a_request_does_not_answer_it() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(PSH, 1, 2, 10).expect(&[sent(ACK, 2, 11, b"")]);
    s.client(PSH, 2, 1, b"bcd").online(PSH, 1, 5, 10);
    s.target(RST, 11, 2, 0).expect_outcomes(&[Outcome::Reset]);
}

#[test]
fn a_target_that_only_closes_has_not_answered() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").client(FIN, 2, 1, b"");
    s.online(FIN, 1, 3, 0).frames();
    s.target(ACK, 1, 2, 0).expect(&[sent(FIN, 2, 1, b"")]);
    s.target(FIN, 1, 3, 0).frames();
    s.wait(Duration::from_secs(2))
        .expect_outcomes(&[Outcome::Delivered]);
}

/// Both sides speak whenever they like, and the target less often: each turn is released by its quiet, ever later.
#[test]
fn a_session_that_falls_behind_without_being_in_step_departs_by_time_in_the_end() {
    let mut s = Script::with(|config| config.response_timeout = Duration::from_secs(1));
    s.handshake();
    let mut last = 0;
    for line in 0..100 {
        s.client(PSH, 1 + line, 1 + 20 * line, b"x");
        s.online(PSH, 1 + 20 * line, 2 + line, 20);
        for sent in s.frames() {
            last = last.max(sent.seq);
        }
        s.wait(Duration::from_millis(50));
        if line % 10 == 9 {
            s.target(PSH, 1 + line - 9, last + 1, 10);
        }
    }
    assert_eq!(s.engine.counters().sessions_streaming, 1);
    s.wait(Duration::from_millis(500)).frames();
    assert_eq!(s.engine.counters().bytes_sent, 100);
}

/// The client's second turn asks nothing: it acknowledges what the server said first, as HTTP/2 does with settings. The target has
/// answered the request before it sooner than that turn came, the online server after it.
#[test]
fn an_answer_that_came_before_a_turn_that_asks_nothing_is_not_waited_for() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10).frames();
    s.target(PSH, 1, 2, 110).client(PSH, 2, 11, b"k").frames();
    s.target(ACK, 111, 3, 0).online(PSH, 11, 3, 100).frames();
    s.client(PSH, 3, 111, b"b");
    assert!(s.frames().iter().any(|sent| sent.payload == b"b"));
    // The same answer counts once.
    s.online(PSH, 111, 4, 100).client(PSH, 4, 211, b"c");
    s.target(ACK, 111, 4, 0).wait(Duration::from_secs(1));
    assert!(s.frames().iter().all(|sent| sent.payload != b"c"));
}

/// Linux ends each piece of 64 KB so that a server has written with PSH: in the middle of a response that is longer than the
/// online server's, such a piece is no end.
#[test]
fn a_piece_of_whole_segments_does_not_end_a_longer_response() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online(PSH, 1, 2, 100);
    s.client(PSH, 2, 101, b"b").frames();
    s.target(PSH, 1, 2, 44 * 1460);
    assert!(s.frames().iter().all(|sent| sent.payload.is_empty()));
    s.target(PSH, 1 + 44 * 1460, 2, 300)
        .expect(&[sent(PSH, 2, 1 + 44 * 1460 + 300, b"b")]);
}

/// A worker that had to wait for its processor finds much at once: what the target said meanwhile stands behind the client's
/// next request, and is no silence.
#[test]
fn what_was_not_taken_yet_is_no_silence() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"GET /1")
        .online(PSH, 1, 7, 100)
        .expect(&[sent(PSH, 1, 1, b"GET /1")]);
    s.target(PSH, 1, 7, 50);
    let spoke = s.now;
    // The next request came a millisecond later, and the rest of the response another one later.
    s.now = spoke + Duration::from_secs(1);
    s.client_at(spoke + Duration::from_millis(1), PSH, 7, 101, b"GET /2")
        .expect(&[sent(ACK, 7, 51, b"")]);
    s.target_at(spoke + Duration::from_millis(2), PSH, 51, 7, 50)
        .expect(&[sent(PSH, 7, 101, b"GET /2")])
        .expect_outcomes(&[Outcome::Answered]);
}
