//! What it means that a target says nothing of a turn that the online server has answered.

use super::*;

#[test]
fn an_online_server_that_speaks_unprompted_is_not_waited_for_like_a_slow_one() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    s.wait(Duration::from_secs(2)).online(PSH, 11, 2, 10);
    s.client(PSH, 2, 21, b"b").frames();
    s.target(ACK, 1, 2, 0).wait(Duration::from_millis(1900));
    s.expect(&[]).wait(Duration::from_millis(200));
    s.expect(&[sent(PSH, 2, 1, b"b")])
        .expect_outcomes(&[Outcome::Delivered]);
    s.online(PSH, 21, 3, 10).client(PSH, 3, 31, b"c");
    // What the target has not said in all this time is not waited for any longer than a silence.
    s.target(ACK, 1, 3, 0).wait(Duration::from_millis(210));
    s.expect(&[sent(PSH, 3, 1, b"c")]);
    assert_eq!(s.engine.counters().sessions_streaming, 1);
}

/// What was let go without waiting is over where both servers have closed, whatever the target has answered it with.
#[test]
fn turns_that_stream_are_over_when_both_servers_have_closed() {
    for closes in [true, false] {
        let mut s = Script::new();
        s.handshake();
        s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
        s.wait(Duration::from_secs(2)).online(PSH, 11, 2, 10);
        s.client(PSH, 2, 21, b"b").frames();
        s.target(ACK, 1, 2, 0).wait(Duration::from_millis(2100));
        assert_eq!(s.frames().len(), 1);
        s.online(PSH, 21, 3, 10).client(PSH, 3, 31, b"c");
        s.online(PSH, 31, 4, 10).client(PSH, 4, 41, b"d");
        s.online(if closes { FIN } else { PSH }, 41, 5, 10);
        s.target(ACK, 1, 3, 0).wait(Duration::from_secs(1)).frames();
        s.target(FIN, 1, 5, 40).frames();
        s.client(FIN, 5, 51 + u32::from(closes), b"").frames();
        let outcomes = s.outcomes();
        let lost = outcomes.contains(&Outcome::TargetClosed);
        assert_eq!((outcomes.len(), lost), (4, !closes), "{outcomes:?}");
    }
}

/// Each second turn asks nothing: its client has seen the first half of an answer, and the target has said all of it by then, in
/// another length. That is found out soon.
#[test]
fn an_answer_that_came_before_its_turn_is_not_waited_for_again() {
    let mut s = Script::new();
    s.handshake();
    let (mut asked, mut seen, mut said) = (0, 0, 0);
    for _ in 0..6 {
        s.client(PSH, 1 + asked, 1 + seen, b"a").frames();
        s.online(PSH, 1 + seen, 2 + asked, 500);
        s.target(PSH, 1 + said, 2 + asked, 999);
        // Where it is not known what belongs to which turn, a silence is waited for.
        s.client(PSH, 2 + asked, 501 + seen, b"k")
            .wait(Duration::from_millis(450));
        s.frames();
        s.online(PSH, 501 + seen, 3 + asked, 500);
        s.target(ACK, 1000 + said, 3 + asked, 0);
        (asked, seen, said) = (asked + 2, seen + 1000, said + 999);
        s.client(PSH, 1 + asked, 1 + seen, b"a")
            .wait(Duration::from_millis(1010));
        let left = s.frames();
        assert_eq!(left.iter().filter(|sent| sent.payload == b"a").count(), 1);
    }
    let outcomes = s.outcomes();
    assert!(!outcomes.contains(&Outcome::TimedOut), "{outcomes:?}");
    assert_eq!(s.engine.counters().sessions_streaming, 1);
}

/// A target that is slow in earnest is given its time, also behind an answer that was longer, and where the request stands alone.
#[test]
fn a_slow_target_is_waited_for_behind_a_longer_answer() {
    for (longer, second) in [(20, "bbbbbbbb"), (2000, "GET / HTTP/1.1\r\n\r\n")] {
        let mut s = Script::new();
        s.handshake();
        s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 100).frames();
        s.target(PSH, 1, 2, 100 + longer)
            .client(PSH, 2, 101, b"b")
            .frames();
        s.target(ACK, 101 + longer as u32, 3, 0);
        s.online(PSH, 101, 3, 100)
            .client(PSH, 3, 201, second.as_bytes());
        s.wait(Duration::from_secs(20)).expect(&[]);
    }
}

/// A pause that a lost segment makes is none of its own.
#[test]
fn an_online_server_that_makes_up_for_a_loss_does_not_speak_unprompted() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    s.wait(Duration::from_secs(2));
    s.online(PSH, 1, 2, 10).online(PSH, 11, 2, 10);
    s.client(PSH, 2, 21, b"b").frames();
    s.target(ACK, 1, 2, 0).frames();
    s.wait(Duration::from_secs(31))
        .expect(&[sent(PSH, 2, 1, b"b")])
        .expect_outcomes(&[Outcome::TimedOut]);
    assert_eq!(s.engine.counters().sessions_streaming, 0);
}

/// An online server that goes on a round trip later each time, since its buffer is small, does not speak unasked, and a target that is
/// slow behind it stays in step.
#[test]
fn an_online_server_that_waits_for_room_does_not_speak_unasked() {
    let mut s = Script::new();
    let trip = Duration::from_millis(30);
    s.handshake();
    for turn in 0..10 {
        let (asked, seen) = (1 + turn, 1 + 3000 * turn);
        s.client(PSH, asked, seen, b"a").frames();
        for chunk in 0..3 {
            s.online(PSH, seen + 1000 * chunk, asked + 1, 1000);
            s.wait(trip);
        }
    }
    s.client(PSH, 11, 30_001, b"a");
    for turn in 0..10 {
        s.target(ACK, 1 + 3000 * turn, 2 + turn, 0)
            .wait(Duration::from_millis(700));
        s.expect(&[]).target(PSH, 1 + 3000 * turn, 2 + turn, 3000);
        let next = s.frames();
        assert_eq!(next.iter().filter(|sent| sent.payload == b"a").count(), 1);
    }
    assert_eq!(s.engine.counters().sessions_streaming, 0);
}

/// Four requests are under way at a time, and each answer lets the client's next one go. The target has answered the first four before it
/// gets the fifth: it has said as much as the online server has by some answer that no request of the client's came after, and no answer
/// to the fifth is owed before the sixth.
#[test]
fn an_answer_that_came_for_another_request_is_not_waited_for() {
    const ANSWER: u32 = 13;
    for seen_at_once in [&[1, 1][..], &[1, 1, 3]] {
        let mut s = Script::new();
        s.handshake();
        s.client(PSH, 1, 1, b"aaaa").frames();
        let (mut asked, mut seen) = (4, 0);
        for answers in seen_at_once {
            // The client goes on when it has one answer, or so many that came one after the other.
            for _ in 0..*answers {
                s.online(PSH, 1 + seen, 1 + asked, ANSWER as usize);
                seen += ANSWER;
            }
            s.client(PSH, 1 + asked, 1 + seen, b"b");
            asked += 1;
        }
        for answers in [1, 2, 1] {
            s.online(PSH, 1 + seen, 1 + asked, (answers * ANSWER) as usize);
            seen += answers * ANSWER;
        }
        s.target(PSH, 1, 5, 4 * ANSWER as usize)
            .wait(Duration::from_millis(450));
        s.expect(&[sent(PSH, 5, 1 + 4 * ANSWER, b"b")]);
        s.target(ACK, 1 + 4 * ANSWER, 6, 0)
            .wait(Duration::from_millis(450));
        let left = s.frames();
        assert!(
            left.iter().any(|sent| sent.payload == b"b"),
            "{seen_at_once:?}: {left:?}"
        );
    }
}

/// The rest of an answer may be seen to leave behind the client's next turn: that client goes on while answers are on their way. A target
/// that has said as much as it had seen is not waited for as a slow one is.
#[test]
fn an_answer_that_leaves_behind_the_next_turn_was_on_its_way() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 100).frames();
    s.target(PSH, 1, 2, 300).client(PSH, 2, 101, b"b").frames();
    s.online(PSH, 101, 2, 100).client(PSH, 3, 201, b"c");
    s.target(ACK, 301, 3, 0).wait(Duration::from_millis(450));
    s.expect(&[sent(PSH, 3, 301, b"c")]);
    s.online(PSH, 201, 4, 60).client(PSH, 4, 261, b"d");
    s.online(PSH, 261, 5, 100).target(ACK, 301, 4, 0);
    s.wait(Duration::from_millis(600));
    s.expect(&[sent(PSH, 4, 301, b"d")]);
}

/// Both sides push: the target has said to the byte what the online server had by the time at which its client went on, not all of which
/// that had seen. It will not say more of a turn that asks nothing, whatever the next one is.
#[test]
fn what_was_on_its_way_when_the_client_went_on_is_said() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 100).frames();
    s.client(PSH, 2, 101, b"b").online(PSH, 101, 3, 30);
    s.online(PSH, 131, 3, 40);
    s.client(PSH, 3, 131, b"GET / HTTP/1.1\r\n\r\n");
    s.online(PSH, 171, 21, 60);
    s.target(PSH, 1, 2, 170);
    s.expect(&[sent(PSH, 2, 171, b"b")]);
    s.target(ACK, 171, 3, 0).wait(Duration::from_millis(450));
    s.expect(&[sent(PSH, 3, 171, b"GET / HTTP/1.1\r\n\r\n")])
        .expect_outcomes(&[Outcome::Answered, Outcome::Delivered]);
}

/// The same where the next turn had to wait for very long, for which the session is taken to be out of step.
#[test]
fn what_was_said_for_another_turn_is_told_as_it_was_seen() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 100).frames();
    s.client(PSH, 2, 101, b"a").online(PSH, 101, 3, 100);
    s.client(PSH, 3, 201, b"b").online(PSH, 201, 4, 30);
    s.client(PSH, 4, 231, b"c").online(PSH, 231, 5, 40);
    s.wait(Duration::from_secs(31)).frames();
    s.target(PSH, 1, 2, 170).frames();
    s.target(PSH, 171, 3, 100).frames();
    s.target(ACK, 271, 4, 0).wait(Duration::from_millis(450));
    s.expect(&[sent(PSH, 4, 271, b"c")]).expect_outcomes(&[
        Outcome::Answered,
        Outcome::Answered,
        Outcome::Delivered,
    ]);
}

/// A greeting that never comes keeps no turn out of step where there is none.
#[test]
fn a_client_that_says_nothing_has_no_turn_that_is_unpaired() {
    let mut s = Script::new();
    s.handshake();
    s.online(PSH, 1, 1, 10).client(RST, 1, 11, b"");
    s.wait(Duration::from_secs(31));
    s.expect(&[sent(RST, 1, 1, b"")]);
    assert_eq!(s.engine.counters().turns_unpaired, 0);
}

/// A target that leaves out one turn in a few will leave out the next as well: it is not waited for again and again.
#[test]
fn a_target_that_leaves_out_one_turn_in_a_few_is_out_of_step() {
    let mut s = Script::new();
    s.handshake();
    let (mut waited, mut said) = (0, 1);
    for turn in 0..40 {
        s.client(PSH, 1 + turn, 1 + 100 * turn, b"a");
        s.online(PSH, 1 + 100 * turn, 2 + turn, 100);
        while s.frames().iter().all(|sent| sent.payload != b"a") {
            s.wait(Duration::from_secs(1));
            waited += 1;
        }
        let len = if turn % 4 == 3 { 0 } else { 60 };
        s.target(if len > 0 { PSH } else { ACK }, said, 2 + turn, len);
        said += len as u32;
    }
    assert_eq!(s.engine.counters().sessions_streaming, 1);
    assert!(waited < 200, "{waited} s");
}
