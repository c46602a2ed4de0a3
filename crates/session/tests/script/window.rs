//! How much the target may send: what the online server has sent, some slack, and what is let in beyond that.

use super::*;

const SLACK: u32 = 10_000;

fn with_slack() -> Script {
    let mut s = Script::with(|config| config.reply_slack = SLACK);
    s.handshake();
    s
}

/// The target sends full segments from its byte `from` on until the window is full, each acknowledged; returns where it
/// stopped.
fn fill(s: &mut Script, mut from: u32, ack: u32) -> u32 {
    loop {
        let before = from;
        while (1..1 << 30).contains(&s.edge.wrapping_sub(from)) {
            let len = (s.edge - from).min(1000);
            s.target(ACK, from, ack, len as usize);
            from += len;
            s.frames();
        }
        // What ends a response is acknowledged a little later.
        s.wait(Duration::from_millis(30)).frames();
        if from == before || from > 1 << 20 {
            return from;
        }
    }
}

/// A request of one byte is under way, and the online server has sent `len` bytes of its response.
fn asked(len: usize) -> Script {
    let mut s = with_slack();
    s.client(PSH, 1, 1, b"a");
    s.online(PSH, 1, 2, len).frames();
    s
}

#[test]
fn a_target_may_send_what_the_online_server_has_sent_and_the_slack() {
    let mut s = asked(5000);
    let stopped = fill(&mut s, 1, 2);
    assert!((14_800..=15_001).contains(&stopped), "{stopped}");
    // The client reads on, the online server sends more, and the target is told so without having been heard.
    s.online(ACK, 5001, 2, 4000);
    let told = s.frames();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!((18_800..=19_001).contains(&s.edge), "{}", s.edge);
}

/// The end of a response has a number of its own, and takes no room: where its bytes fill the window, it is believed behind them.
#[test]
fn a_target_may_close_at_the_edge_of_its_window() {
    let mut s = asked(5000);
    s.target(FIN, 1, 2, 15_000).wait(Duration::from_secs(5));
    let told = s.frames();
    assert!(told.iter().any(|it| it.ack == 15_002), "{told:?}");
    assert_eq!(s.engine.counters().reply_unacceptable, 0);
}

/// A turn that its target left unanswered opens the window for all that is missing of its answer; the next turns are answered with that
/// much, and one grant beyond what the online server has sent does not make up for it.
#[test]
fn a_window_that_one_grant_does_not_open_is_opened_by_more_of_them() {
    let mut s = asked(60_000);
    s.wait(Duration::from_secs(1));
    s.client(PSH, 2, 60_001, b"b");
    s.online(PSH, 60_001, 3, 100);
    s.wait(Duration::from_secs(1));
    s.client(PSH, 3, 60_101, b"c");
    s.online(PSH, 60_101, 4, 100).frames();
    s.target(ACK, 1, 2, 0).frames();
    s.wait(Duration::from_secs(40)).frames();
    s.target(PSH, 1, 3, 100).frames();
    s.wait(Duration::from_secs(1)).frames();
    let stopped = fill(&mut s, 101, 4);
    assert!(stopped > 60_000, "{stopped}");
    s.wait(Duration::from_secs(10)).frames();
    assert!(s.edge >= stopped + SLACK / 4, "{stopped} {}", s.edge);
}

/// A target that was told of a wider window has not filled the one before: what it sends next ends where it seems to end.
#[test]
fn a_shorter_response_behind_a_window_that_was_opened_ends_soon() {
    let mut s = asked(1000);
    for from in (1..9351).step_by(850) {
        s.target(PSH, from, 2, 850).frames();
    }
    // The online server is silent: the target may send the rest of its longer response, and is told so.
    let edge = s.edge;
    s.wait(Duration::from_secs(6)).frames();
    assert!(s.edge > edge, "{edge} {}", s.edge);
    s.client(PSH, 2, 1001, b"b");
    s.online(PSH, 1001, 3, 600);
    s.wait(Duration::from_millis(300)).frames();
    s.target(PSH, 9351, 3, 100);
    s.client(PSH, 3, 1601, b"c");
    s.wait(Duration::from_secs(1));
    let sent = s.frames();
    assert!(sent.iter().any(|it| it.payload == b"c"), "{sent:?}");
}

/// What its client takes is not acknowledged by a response: a closed window is asked for by a probe of one byte, or of none.
#[test]
fn a_probe_of_the_closed_window_is_answered_and_never_reset() {
    let mut s = asked(5000);
    let stopped = fill(&mut s, 1, 2);
    // The online server asks its client as well.
    s.online(ACK, 5000, 2, 0);
    for probe in 0..20 {
        s.wait(Duration::from_secs(30));
        s.target(ACK, stopped - 1 + probe % 2, 2, (probe % 2) as usize);
        s.wait(Duration::from_millis(30));
        let told = s.frames();
        assert!(matches!(&told[..], [ack] if ack.flags == ACK), "{told:?}");
        assert!(s.edge <= 15_001, "{}", s.edge);
    }
    assert_eq!(s.engine.sessions(), 1);
}

#[test]
fn a_response_that_pauses_for_long_lets_the_target_go_on_at_a_rate() {
    let mut s = asked(5000);
    let stopped = fill(&mut s, 1, 2);
    s.wait(Duration::from_millis(4900)).expect(&[]);
    s.wait(Duration::from_millis(200));
    s.expect(&[sent(ACK, 2, stopped, b"")]);
    assert!(s.edge >= stopped + SLACK - 128, "{}", s.edge);
}

#[test]
fn a_client_that_went_on_after_all_of_the_response_lets_the_rest_of_a_longer_one_in() {
    let mut s = asked(5000);
    let stopped = fill(&mut s, 1, 2);
    s.client(PSH, 2, 5001, b"b").wait(Duration::from_millis(1));
    s.frames();
    let whole = fill(&mut s, stopped, 2);
    assert!(whole > stopped + SLACK, "{whole}");
}

/// It has not seen what is on its way: the response may go on for ever. Its next turn gets a slack of its own and no more.
#[test]
fn a_client_that_pipelines_and_does_not_read_gets_one_more_slack() {
    let mut s = asked(5000);
    let stopped = fill(&mut s, 1, 2);
    s.client(PSH, 2, 1001, b"b");
    s.online(ACK, 5000, 3, 0);
    s.wait(Duration::from_millis(1)).frames();
    assert!(fill(&mut s, stopped, 2) <= stopped + SLACK + 4000);
}

#[test]
fn turns_that_were_held_back_are_told_and_others_are_not() {
    let mut s = asked(5000);
    s.target(PSH, 1, 2, 5000);
    s.client(PSH, 2, 5001, b"b");
    s.online(PSH, 5001, 3, 100).frames();
    // The client's request of one byte more, and 100 bytes of the online server: what the target says more is held back.
    s.target(ACK, 5001, 3, 1000).frames();
    let whole = fill(&mut s, 6001, 3);
    assert!(whole <= 15_101, "{whole}");
    s.client(PSH, 3, 5101, b"c").frames();
    s.wait(Duration::from_secs(1)).frames();
    let paced: Vec<bool> = core::iter::from_fn(|| s.engine.poll_event())
        .filter_map(|event| match event {
            Event::TurnEnded(turn) => Some(turn.paced),
            _ => None,
        })
        .collect();
    assert_eq!(paced, [false, true]);
    assert_eq!(s.engine.counters().turns_paced, 1);
}

#[test]
fn lost_records_of_the_online_server_close_no_window() {
    let mut s = asked(5000);
    // 20,000 bytes were not seen to leave.
    s.online(PSH, 25_001, 2, 1000);
    s.frames();
    assert!(fill(&mut s, 1, 2) >= 35_800);
}

#[test]
fn a_response_that_the_client_aborts_ends_at_the_target() {
    let mut s = asked(5000);
    s.target(ACK, 1, 2, 1000);
    s.target(ACK, 1001, 2, 1000).frames();
    s.client(RST, 2, 3001, b"").expect(&[]);
    s.target(ACK, 2001, 2, 1000)
        .expect(&[sent(RST, 2, 3001, b"")])
        .expect_outcomes(&[Outcome::Answered]);
    assert_eq!(s.engine.sessions(), 0);
}

/// `close` with the response still coming: FIN, and RST for what comes after it.
#[test]
fn a_client_that_closes_and_resets_what_comes_aborts_as_well() {
    let mut s = asked(5000);
    s.target(ACK, 1, 2, 1000).frames();
    s.client(FIN, 2, 5001, b"");
    s.online(ACK, 5001, 3, 4000);
    s.client(RST, 3, 5001, b"");
    s.frames();
    for at in 1..9 {
        s.target(ACK, 1 + 1000 * at, 2, 1000);
    }
    let last = s.frames().pop().expect("a frame");
    assert_eq!(last.flags, RST, "{last:?}");
    s.expect_outcomes(&[Outcome::Answered]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_client_has_no_say_in_small_segments_and_huge_windows() {
    let mut s = Script::new();
    let header = Header {
        source: s.client,
        destination: s.online,
        seq: CLIENT_ISN,
        ack: 0,
        flags: SYN,
        window: 500,
        urgent: 0,
        options: Options {
            mss: Some(88),
            window_scale: Some(14),
            ..Options::default()
        },
    };
    let mut frame = vec![0; header.payload_offset()];
    assert!(header.emit(&mut frame));
    s.engine.on_client_packet(s.now, s.now, &frame[14..]);
    s.online(SYN.with(ACK), 0, 1, 0).frames();
    assert_eq!((s.syn.mss, s.syn.window_scale), (Some(536), Some(7)));
}

#[test]
fn a_budget_of_response_bytes_closes_windows_until_it_comes_back() {
    let mut s = Script::with(|config| config.reply_bytes_per_second_max = Some(1_000_000));
    s.handshake();
    s.client(PSH, 1, 1, b"a");
    for part in 0..32 {
        s.online(PSH, 1 + part * 32_768, 2, 32_768).frames();
    }
    let start = s.now;
    let mut at = fill(&mut s, 1, 2);
    for _ in 0..1000 {
        s.wait(Duration::from_millis(10));
        s.frames();
        at = fill(&mut s, at, 2);
        if at > 1 << 20 {
            break;
        }
    }
    let took = s.now.since(start);
    assert!(
        (Duration::from_millis(500)..Duration::from_millis(1500)).contains(&took),
        "{took:?}"
    );
    assert!(s.engine.counters().replies_over_budget > 0);
}

#[test]
fn confirmed_bytes_leave_when_the_online_server_has_acknowledged_them() {
    let mut s = Script::with(|config| config.confirmed = true);
    s.handshake();
    s.client(PSH, 1, 1, b"abcd").wait(Duration::from_secs(3));
    s.expect(&[]);
    s.online(ACK, 1, 3, 0).expect(&[sent(PSH, 1, 1, b"ab")]);
    s.online(PSH, 1, 5, 10).expect(&[sent(PSH, 3, 1, b"cd")]);
    s.target(PSH, 1, 5, 10).frames();
    // Dropped by a firewall, sent again and again, until the client gives up.
    for _ in 0..3 {
        s.client(PSH, 5, 11, b"attack").wait(Duration::from_secs(1));
    }
    assert_eq!(s.engine.turns_waiting(s.now), 0, "a drain waits for nobody");
    s.client(RST, 11, 11, b"").expect(&[sent(ACK, 5, 11, b"")]);
    // The online server's acknowledgement may be on its way.
    s.wait(Duration::from_secs(5))
        .expect(&[sent(RST, 5, 11, b"")]);
    s.expect_outcomes(&[Outcome::Answered, Outcome::Unserved]);
    assert_eq!(s.engine.sessions(), 0);
}

/// The record of the online server's acknowledgement was lost, and the client's port, which is the copy's as well, is used again.
#[test]
fn a_confirmation_is_not_waited_for_once_the_port_is_anothers() {
    let mut s = Script::with(|config| {
        config.confirmed = true;
        config.source = Source::Clients;
    });
    s.handshake();
    s.client(FIN.with(PSH), 1, 1, b"abcd")
        .wait(Duration::from_secs(2))
        .expect(&[]);
    s.client(SYN, 100_000_000, 0, b"");
    s.online(SYN.with(ACK), 200_000_000, 100_000_001, 0);
    let frames = s.frames();
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert_eq!(frames[0].flags, RST);
    assert_eq!(frames[1].flags, SYN);
    s.expect_outcomes(&[Outcome::Unserved]);
}

#[test]
fn what_follows_a_beginning_is_not_sent_without_it() {
    let mut s = Script::with(|config| config.rules[0].resume_anywhere = false);
    s.handshake();
    s.client(PSH, 1, 1, b"LOGIN me")
        .online(PSH, 1, 9, 4)
        .frames();
    s.target(PSH, 1, 9, 4).frames();
    // The target throws it out after the greeting; the client goes on.
    s.target(FIN, 5, 9, 0).frames();
    for turn in 0..3 {
        s.client(PSH, 9 + 4 * turn, 5 + 4 * turn, b"STAT");
        s.online(PSH, 5 + 4 * turn, 13 + 4 * turn, 4);
        s.wait(Duration::from_secs(1));
        assert!(
            s.frames().iter().all(|sent| !sent.flags.contains(SYN)),
            "a new connection for what makes no sense on it"
        );
    }
    s.engine.finish(s.now);
    let outcomes = s.outcomes();
    assert_eq!(outcomes.len(), 4);
    assert_eq!(outcomes[0], Outcome::Answered);
    assert!(
        outcomes[1..]
            .iter()
            .all(|outcome| *outcome == Outcome::TargetClosed),
        "{outcomes:?}"
    );
    assert_eq!(s.engine.counters().flows_without_beginning, 1);
}

#[test]
fn what_stands_alone_goes_on_with_another_connection() {
    let mut s = Script::with(|config| config.rules[0].resume_anywhere = false);
    s.handshake();
    s.client(PSH, 1, 1, b"GET / HTTP/1.1\r\n\r\n")
        .online(PSH, 1, 19, 4)
        .frames();
    s.target(PSH, 1, 19, 4).frames();
    s.target(FIN, 5, 19, 0).frames();
    s.client(PSH, 19, 5, b"GET / HTTP/1.1\r\n\r\n");
    assert!(s.frames().iter().any(|sent| sent.flags.contains(SYN)));
}

/// What a target may still send is more than a segment, and less than is worth being told: with a small slack it waited for ever.
#[test]
fn a_window_that_may_open_by_too_little_is_opened_beyond() {
    let mut s = Script::with(|config| config.reply_slack = 2000);
    s.handshake();
    s.client(PSH, 1, 1, b"GET /1").frames();
    s.online(PSH, 1, 7, 300);
    // 54 bytes are left of the window, and 354 of what the target may send.
    for sent in 0..14 {
        s.target(PSH, 1 + sent * 139, 7, 139).frames();
    }
    let sent = 14 * 139;
    s.client(PSH, 7, 301, b"GET /2").frames();
    s.wait(Duration::from_secs(2)).frames();
    assert!(s.edge > 1 + sent + 139, "{} after {sent}", s.edge);
}
