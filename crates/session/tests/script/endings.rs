//! How a client's end is copied, and how a run ends.

use super::*;

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

/// A log, say: servers that never answer close when the client has.
#[test]
fn a_stream_that_both_servers_only_close_is_delivered() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").client(FIN, 2, 1, b"");
    s.online(FIN, 1, 3, 0).expect(&[sent(PSH, 1, 1, b"a")]);
    s.target(ACK, 1, 2, 0).expect(&[sent(FIN, 2, 1, b"")]);
    s.target(FIN, 1, 3, 0)
        .expect(&[sent(ACK, 3, 2, b"")])
        .expect_outcomes(&[Outcome::Delivered]);
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

/// Where the target has closed first, TIME-WAIT is the target's: the session is over with the acknowledgement of our FIN, and what
/// its client or the online server send again is no new connection.
#[test]
fn a_session_that_closes_second_is_over_with_the_last_acknowledgement() {
    let request = b"GET / HTTP/1.1\r\n\r\n";
    let end = 1 + request.len() as u32;
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, request)
        .expect(&[sent(PSH, 1, 1, request)]);
    s.online(FIN.with(PSH), 1, end, 10)
        .client(FIN, end, 12, b"")
        .online(ACK, 12, end + 1, 0);
    s.target(FIN.with(PSH), 1, end, 10)
        .expect(&[sent(FIN, end, 12, b"")]);
    assert_eq!(s.engine.sessions(), 1);
    s.target(ACK, 12, end + 1, 0)
        .expect_outcomes(&[Outcome::Answered]);
    assert_eq!(s.engine.sessions(), 0);
    s.online(FIN.with(PSH), 1, end, 10)
        .client(FIN.with(PSH), 1, 12, request)
        .online(ACK, 12, end + 1, 0);
    s.wait(Duration::from_secs(2)).expect(&[]);
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
        .expect_outcomes(&[Outcome::Answered, Outcome::Missed]);
    s.client(PSH, isn + 5, online + 100, b"second")
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"second")]);
}

#[test]
fn an_expired_session_waits_at_a_closed_gate_in_peace_and_not_for_ever() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10).frames();
    s.target(PSH, 1, 2, 10).frames();
    s.engine.on_channel(s.now, false);
    s.wait(Duration::from_secs(601))
        .expect_outcomes(&[Outcome::Answered]);
    assert_eq!(s.engine.sessions(), 1, "its RST could not leave");
    let mut wakes = 0;
    while let Some(next) = s.engine.next_timeout() {
        s.now = next;
        s.engine.on_timeout(next);
        wakes += 1;
        assert!(wakes < 100, "asked again and again");
    }
    s.expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_target_that_resets_before_the_online_server_acknowledges_is_told_so() {
    let mut s = Script::new();
    s.handshake().client(PSH, 1, 1, b"GET /");
    s.expect(&[sent(PSH, 1, 1, b"GET /")]);
    s.target(RST, 1, 6, 0).expect_outcomes(&[]);
    // It delays its acknowledgement until its response.
    s.wait(Duration::from_millis(300))
        .online(PSH, 1, 6, 100)
        .expect_outcomes(&[]);
    s.client(PSH, 6, 101, b"GET /2")
        .expect_outcomes(&[Outcome::Reset]);
    s.expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn a_last_turn_that_its_target_reset_ends_when_the_online_server_has_taken_it() {
    let reset = || {
        let mut s = Script::new();
        s.handshake().client(FIN, 1, 1, b"GET /");
        s.expect(&[sent(PSH, 1, 1, b"GET /")]);
        s.target(RST, 1, 6, 0).expect_outcomes(&[]);
        s
    };
    reset()
        .online(ACK, 1, 7, 0)
        .expect_outcomes(&[Outcome::Reset]);
    // It was lost on its way there, and comes again after a retransmission timeout and a round trip.
    reset()
        .wait(Duration::from_millis(1100))
        .client(FIN, 1, 1, b"GET /")
        .online(ACK, 1, 7, 0)
        .expect_outcomes(&[Outcome::Reset]);
    // A firewall may have dropped it.
    reset()
        .wait(Duration::from_secs(5))
        .expect_outcomes(&[Outcome::Unserved]);
}

/// A target that resets each connection is not asked again at once for ever. One that stood for as long as a response may take is no part
/// of that row: what it had not seen when it was reset is sent again.
#[test]
fn a_connection_that_stood_for_long_ends_a_row_of_resets() {
    let mut s = Script::new();
    s.handshake().client(PSH, 1, 1, b"a");
    for turn in 0..3 {
        s.expect(&[sent(PSH, 1, 1, b"a")]);
        s.online(PSH, 1 + 10 * turn, 2 + turn, 10);
        s.client(PSH, 2 + turn, 11 + 10 * turn, b"a");
        s.target(RST, 1, 2, 0)
            .expect_outcomes(&[Outcome::Reset])
            .expect(&[sent(SYN, 0, 0, b"")]);
        s.target(SYN.with(ACK), 0, 1, 0);
    }
    s.expect(&[sent(PSH, 1, 1, b"a")]).target(ACK, 1, 2, 0);
    s.online(PSH, 31, 5, 10).client(PSH, 5, 41, b"a");
    s.wait(Duration::from_secs(31));
    s.expect(&[sent(PSH, 2, 1, b"a")])
        .expect_outcomes(&[Outcome::TimedOut]);
    s.target(Flags::RST, 1, 0, 0).expect_outcomes(&[]);
    s.expect(&[sent(SYN, 0, 0, b"")]);
}
