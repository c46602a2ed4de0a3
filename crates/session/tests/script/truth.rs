//! Every byte that a client sent is told once: in a turn of the ledger, in one that was missed, or among what was left out.

use session::Join;

use super::*;

impl Script {
    /// Bytes in turns that have ended, of which in turns that were missed.
    fn bytes_told(&mut self) -> (u64, u64) {
        let (mut all, mut missed) = (0, 0);
        while let Some(event) = self.engine.poll_event() {
            let (bytes, is_missed) = match event {
                Event::TurnEnded(turn) => (turn.bytes, turn.outcome == Outcome::Missed),
                Event::MissedBytes { bytes, .. } => (bytes, true),
                _ => continue,
            };
            all += bytes;
            missed += if is_missed { bytes } else { 0 };
        }
        (all, missed)
    }

    fn left_out(&self) -> u64 {
        let counters = self.engine.counters();
        let named = counters
            .iter()
            .filter(|(name, _)| name.starts_with("left_out_") && name.ends_with("_bytes"));
        named.map(|(_, bytes)| bytes).sum()
    }

    /// Ends the run, and looks whether `sent` bytes are told.
    #[track_caller]
    fn check(&mut self, sent: u64) {
        self.wait(Duration::from_secs(1)).frames();
        self.engine.finish(self.now);
        self.frames();
        let (told, missed) = self.bytes_told();
        let left_out = self.left_out();
        assert_eq!(
            told + left_out,
            sent,
            "{told} in turns, {missed} of them missed, {left_out} left out: {:?}",
            self.engine.counters()
        );
    }
}

/// Both handshakes of a flow, or of its last copy.
fn open(s: &mut Script) {
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .frames();
    s.target(SYN.with(ACK), 0, 1, 0).frames();
}

/// What a client of one flow does, by its number.
fn play(s: &mut Script, shape: u32) -> u64 {
    match shape {
        // All is well.
        0 => {
            open(s);
            s.client(PSH, 1, 1, b"abcd").client(PSH, 1, 1, b"abcd");
            s.online(PSH, 1, 5, 10).client(PSH, 5, 11, b"ef");
            6
        }
        // A hole, and bytes of three turns behind it, of which some come again.
        1 => {
            open(s);
            s.client(PSH, 1, 1, b"abcd").client(PSH, 8, 1, b"xy");
            s.client(PSH, 10, 11, b"z").online(PSH, 11, 11, 10);
            s.wait(Duration::from_secs(1));
            s.client(PSH, 10, 11, b"z").client(PSH, 11, 21, b"next");
            11
        }
        // The answer to the SYN is missing.
        2 => {
            s.client(SYN, 0, 0, b"").client(PSH, 1, 1, b"abcd");
            s.client(PSH, 5, 1, b"ef").client(PSH, 7, 11, b"ghi");
            9
        }
        // It was open before.
        3 => {
            s.client(PSH, 500, 900, b"abcd").online(PSH, 900, 504, 10);
            s.client(PSH, 504, 910, b"efg")
                .client(PSH, 504, 910, b"efg");
            7
        }
        // Its client is a target.
        4 => {
            s.client = Endpoint::new(s.target.addr, 40_000);
            s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
            s.client(PSH, 1, 1, b"abcd").client(PSH, 5, 11, b"ef");
            6
        }
        _ => play_to_the_end(s, shape),
    }
}

fn play_to_the_end(s: &mut Script, shape: u32) -> u64 {
    match shape {
        // No session may be opened.
        5 => {
            s.engine.admit(false);
            s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
            s.client(PSH, 1, 1, b"abcd").client(PSH, 5, 11, b"ef");
            s.client(PSH, 5, 11, b"ef");
            6
        }
        // The target resets the connection in the middle of a turn.
        6 => {
            open(s);
            s.client(PSH, 1, 1, b"abcd").online(ACK, 1, 5, 0).frames();
            s.target(ACK, 1, 5, 0).target(RST, 1, 5, 0).frames();
            s.client(PSH, 5, 1, b"rest").online(PSH, 1, 9, 10);
            s.client(PSH, 9, 11, b"next");
            12
        }
        // The online server resets, and the client goes on for a moment.
        7 => {
            open(s);
            s.client(PSH, 1, 1, b"abcd").online(RST, 1, 5, 0);
            s.client(PSH, 5, 1, b"ef").client(PSH, 5, 1, b"efgh");
            8
        }
        // It comes back after the idle timeout.
        8 => {
            open(s);
            s.client(PSH, 1, 1, b"abcd").online(PSH, 1, 5, 10).frames();
            s.target(PSH, 1, 5, 10).wait(Duration::from_secs(601));
            s.frames();
            s.client(PSH, 5, 11, b"ef").client(PSH, 7, 11, b"g");
            7
        }
        // It is encrypted, and then it is not in order.
        9 => {
            open(s);
            s.client(PSH, 1, 1, &[0x16, 3, 1, 2, 0, 1, 0, 1]);
            s.client(PSH, 12, 1, b"later").online(PSH, 1, 9, 10);
            13
        }
        // A SYN carries data, of which the server takes a part.
        10 => {
            s.client(SYN, 0, 0, b"abcd").online(SYN.with(ACK), 0, 3, 0);
            s.client(PSH, 3, 1, b"cdef");
            6
        }
        // A byte of rubbish in a probe, a FIN with data, and data behind the end.
        11 => {
            open(s);
            s.client(PSH, 1, 1, b"abcd").client(ACK, 4, 1, b"?");
            s.client(FIN, 5, 1, b"ef").client(PSH, 8, 1, b"gh");
            8
        }
        _ => play_what_is_not_one_connection(s, shape),
    }
}

/// The same of ports that are used again, and of what comes behind an end.
fn play_what_is_not_one_connection(s: &mut Script, shape: u32) -> u64 {
    match shape {
        // It has no session, and its port is used again, by a connection with lower numbers whose SYN is not seen to be answered.
        12 => {
            let again = 0u32.wrapping_sub(1 << 25);
            s.client(SYN, 0, 0, b"").client(PSH, 1, 1, b"abcd");
            s.online(PSH, 1, 5, 10).client(SYN, again, 0, b"");
            s.client(PSH, again + 1, 1 << 25, b"ef");
            s.client(FIN, again + 3, 1 << 25, b"gh");
            8
        }
        // The same where nothing of the handshake is seen, and the online server answers.
        13 => {
            let again = 0u32.wrapping_sub(1 << 25);
            s.client(SYN, 0, 0, b"").client(PSH, 1, 1, b"abcd");
            s.client(PSH, again, 1 << 25, b"ef");
            s.online(PSH, 1 << 25, again + 2, 10);
            s.client(PSH, again + 2, (1 << 25) + 10, b"g");
            7
        }
        // What is missing comes when the online server has reset the connection.
        14 => {
            open(s);
            s.client(PSH, 3, 1, b"cd").client(PSH, 7, 1, b"gh");
            s.online(RST, 1, 1, 0).client(PSH, 11, 1, b"kl");
            s.client(PSH, 1, 1, b"abcdefghijkl");
            s.client(PSH, 5, 1, b"efgh");
            12
        }
        // What is missing comes when the flow has been joined behind it ...
        15 => {
            open(s);
            s.client(PSH, 5, 1, b"ef").online(ACK, 1, 7, 0);
            s.wait(Duration::from_secs(1)).frames();
            s.client(PSH, 7, 1, b"gh").client(PSH, 1, 1, b"abcd");
            s.client(PSH, 3, 1, b"cdefghi");
            9
        }
        // ... or what was sent before the start, and comes again.
        16 => {
            s.client(PSH, 500, 900, b"abcd").online(PSH, 900, 504, 10);
            s.client(PSH, 504, 910, b"efg");
            s.client(PSH, 496, 900, b"wxyzabcd");
            11
        }
        _ => play_what_takes_its_place(s, shape),
    }
}

/// The same of a 4-tuple that is another connection's, whose beginning was not seen.
fn play_what_takes_its_place(s: &mut Script, shape: u32) -> u64 {
    match shape {
        // Nor was the first copy of its request.
        17 => {
            open(s);
            s.client(PSH, 1, 1, b"abcd").frames();
            s.online(PSH, 1 << 25, (1 << 25) + 4, 10);
            s.client(PSH, 1 << 25, 1 << 25, b"efgh");
            8
        }
        // Its numbers are a little lower than those of a flow that has no session.
        18 | 19 => {
            let again = 0u32.wrapping_sub(1 << 23);
            s.client(SYN, 0, 0, b"");
            if shape == 18 {
                // Nor has the first had a session.
                s.client(PSH, 1, 1, b"abcd").online(PSH, 1, 5, 10);
                s.client(SYN, again, 0, b"");
            } else {
                s.online(SYN.with(ACK), 0, 1, 0).frames();
                s.client(PSH, 3, 1, b"cdef").online(PSH, 1, 7, 10);
                s.wait(Duration::from_secs(1)).frames();
            }
            s.client(PSH, again + 1, 1 << 25, b"ef");
            s.client(FIN, again + 3, 1 << 25, b"gh");
            8
        }
        // Or of one that has a session, or has ended.
        20 | 21 => {
            let again = 0u32.wrapping_sub(1 << 23);
            open(s);
            let flags = if shape == 20 { PSH } else { FIN };
            s.client(flags, 1, 1, b"abcd")
                .online(PSH, 1, 5, 10)
                .frames();
            s.client(SYN, again, 0, b"");
            s.client(PSH, again + 1, 1 << 25, b"ef");
            s.client(FIN, again + 3, 1 << 25, b"gh");
            8
        }
        // Those whose client has seen much more of the online server come again, and so does the byte of a keep-alive probe.
        22 | 23 => {
            let far = 1 + (1 << 25);
            if shape == 22 {
                open(s);
                s.client(PSH, 1, 1, b"abcd").frames();
            } else {
                s.client(PSH, 1, 1, b"abcd");
            }
            s.online(PSH, 1, 5, 10).online(PSH, far - 10, 5, 10);
            s.client(PSH, 1, far, b"abcd").client(ACK, 4, far, b"d");
            4
        }
        _ => play_behind_the_end(s, shape),
    }
}

/// The same of what comes when a connection has ended.
fn play_behind_the_end(s: &mut Script, shape: u32) -> u64 {
    match shape {
        // Something comes behind the end when one of the copies has left.
        24 => {
            open(s);
            s.client(FIN.with(PSH), 1, 1, b"abcd")
                .online(FIN.with(PSH), 1, 6, 10)
                .frames();
            s.target(FIN.with(PSH), 1, 5, 10).frames();
            s.target(ACK, 12, 6, 0).frames();
            s.client(PSH, 6, 1, b"ef");
            6
        }
        // Both sides have closed, the target has not, and the next connection is answered: its numbers are a little lower, or higher,
        // and whether the end of the online server was seen or not.
        25..=28 => {
            let (again, far) = (
                [0u32.wrapping_sub(1 << 23), 1 << 23][shape as usize % 2],
                1 << 25,
            );
            open(s);
            s.client(FIN.with(PSH), 1, 1, b"abcd");
            let flags = if shape < 27 { FIN.with(PSH) } else { PSH };
            s.online(flags, 1, 6, 10).client(ACK, 6, 12, b"").frames();
            s.client(SYN, again, 0, b"");
            s.client(PSH, again + 1, far, b"ef");
            s.online(PSH, far, again + 3, 10);
            s.client(PSH, again + 3, far + 10, b"gh");
            8
        }
        _ => 0,
    }
}

#[test]
fn every_byte_is_told_once() {
    for join in [Join::Standalone, Join::Always, Join::Never] {
        for copies in [1, 3] {
            for shape in 0..29 {
                let mut s = Script::with(|config| {
                    config.rules[0].join = join;
                    config.rules[0].resume_anywhere = join == Join::Always;
                    config.copies = copies;
                });
                s.engine.on_client_packet(s.now, s.now, &[]);
                s.online(ACK, 1, 1, 0).wait(Duration::from_secs(2));
                let sent = play(&mut s, shape) * u64::from(copies);
                std::println!("{join:?}, {copies} copies, shape {shape}");
                s.check(sent);
            }
        }
    }
}

#[test]
fn a_turn_that_is_missed_is_one_however_many_segments_it_has() {
    let mut s = Script::new();
    s.online(ACK, 1, 1, 0).wait(Duration::from_secs(2));
    s.client(SYN, 0, 0, b"").client(PSH, 1, 1, b"abcd");
    s.client(PSH, 5, 1, b"ef").client(PSH, 5, 1, b"ef");
    let (told, missed) = s.bytes_told();
    assert_eq!((told, missed), (6, 6));
    s.client(PSH, 7, 1, b"g").expect_outcomes(&[]);
}

/// The end of a client's stream has a number that is acknowledged, and is no byte of a further turn.
#[test]
fn an_answer_to_the_last_turn_of_a_client_that_closes_answers_no_other() {
    let mut s = Script::new();
    s.online(ACK, 1, 1, 0).wait(Duration::from_secs(2));
    s.client(SYN, 0, 0, b"").client(FIN, 1, 1, b"abcd");
    s.online(PSH, 1, 6, 10).online(FIN, 11, 6, 10);
    s.expect_outcomes(&[Outcome::Missed]);
}

/// Only what the online server says is seen.
#[test]
fn what_is_answered_and_was_never_seen_is_missed() {
    let mut s = Script::new();
    s.online(ACK, 1, 1, 0).wait(Duration::from_secs(2));
    s.client.port += 1;
    s.online(SYN.with(ACK), 0, 1, 0).online(PSH, 1, 20, 100);
    s.online(PSH, 101, 20, 100).online(PSH, 201, 39, 100);
    s.expect_outcomes(&[Outcome::Missed; 2]);
}

/// What came before the programs were attached is nobody's fault.
#[test]
fn right_after_the_start_half_a_handshake_says_nothing() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"").client(PSH, 1, 1, b"abcd");
    s.expect_outcomes(&[]);
    assert_eq!(s.engine.counters().left_out_open_before_bytes, 4);
    let mut s = Script::new();
    s.online(SYN.with(ACK), 0, 1, 0).online(PSH, 1, 20, 100);
    s.expect_outcomes(&[]);
}

/// Encryption that begins later: after an `SSLRequest`, after STARTTLS, after a greeting.
#[test]
fn a_client_hello_in_the_middle_ends_what_can_be_replayed() {
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 7, 7];
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"\0\0\0\x08\x04\xd2\x16\x2f")
        .online(PSH, 1, 9, 1)
        .frames();
    s.target(PSH, 1, 9, 1).client(PSH, 9, 2, &hello);
    s.online(PSH, 2, 22, 100)
        .client(PSH, 22, 102, b"\x17\x03\x03");
    s.frames();
    s.expect_outcomes(&[Outcome::Answered, Outcome::Unreplayable]);
    // MySQL asks and begins in one breath.
    let mut s = Script::new();
    s.handshake();
    s.online(PSH, 1, 1, 80).target(PSH, 1, 1, 80);
    s.client(PSH, 1, 81, &[1; 36]).client(PSH, 37, 81, &hello);
    s.online(PSH, 81, 50, 100).client(PSH, 50, 181, b"more");
    s.frames();
    s.expect_outcomes(&[Outcome::Unreplayable]);
}

/// A target that closes after each response, where the online server keeps the connection.
#[test]
fn a_target_that_answers_and_closes_is_told() {
    let get: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
    let len = get.len() as u32;
    let mut s = Script::with(|config| config.rules[0].resume_anywhere = false);
    s.handshake();
    for turn in 0..4 {
        s.client(PSH, 1 + turn * len, 1 + 10 * turn, get).online(
            PSH,
            1 + 10 * turn,
            1 + (turn + 1) * len,
            10,
        );
        if turn > 0 {
            s.frames();
            s.target(SYN.with(ACK), 0, 1, 0);
        }
        s.expect(&[sent(PSH, 1, 1, get)]);
        s.target(FIN.with(PSH), 1, 1 + len, 10).frames();
        s.target(ACK, 12, 2 + len, 0).frames();
    }
    let counters = s.engine.counters();
    assert_eq!(
        (
            counters.target_closes,
            counters.sessions_opened,
            counters.sessions_reconnected
        ),
        (3, 4, 3)
    );
    // The client closes too: the last one was no difference.
    s.client(FIN, 1 + 4 * len, 41, b"")
        .online(FIN, 41, 2 + 4 * len, 0);
    s.wait(Duration::from_secs(5)).frames();
    assert_eq!(s.engine.counters().target_closes, 3);
    s.expect_outcomes(&[Outcome::Answered; 4]);
}

/// The SYN of another connection, or a forged one, is known, and the client's own was not recorded: its bytes are far before that
/// one's first, and are no rubbish of it.
#[test]
fn bytes_far_before_a_forged_syn_are_told() {
    let mut s = Script::new();
    s.client(SYN, 1 << 30, 0, b"");
    s.client(PSH, 1, 1, b"four").client(PSH, 5, 1, b"more");
    s.check(8);
}

/// A SYN that nobody answers, forged or not, changes nothing of what is known of a flow.
#[test]
fn a_syn_that_is_not_answered_changes_nothing() {
    let mut s = Script::new();
    s.client(PSH, 500, 900, b"abcd").online(PSH, 900, 504, 10);
    s.client(SYN, 90_000, 0, b"");
    s.client(PSH, 504, 910, b"efgh")
        .expect(&[sent(SYN, 0, 0, b"")]);
    // However long that is ago.
    let mut s = Script::new();
    s.client(PSH, 500, 900, b"abcd").online(PSH, 900, 504, 10);
    s.client(SYN, 90_000, 0, b"").wait(Duration::from_secs(60));
    s.client(PSH, 504, 910, b"efgh")
        .expect(&[sent(SYN, 0, 0, b"")]);
    // Nor where its session was refused.
    let mut s = Script::new();
    s.engine.admit(false);
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.client(PSH, 1, 1, b"abcd").online(PSH, 1, 5, 10);
    s.wait(Duration::from_secs(2)).client(SYN, 90_000, 0, b"");
    s.client(PSH, 5, 11, b"efgh").expect_outcomes(&[]);
    assert_eq!(s.engine.counters().sessions_shed, 2);
    assert_eq!(s.engine.counters().left_out_shed_bytes, 8);
}

/// The first segment of a flow whose handshake was seen may come second.
#[test]
fn a_segment_that_overtakes_the_first_opens_the_session() {
    let mut s = Script::new();
    s.engine.admit(false);
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .expect(&[]);
    s.engine.admit(true);
    s.client(PSH, 5, 1, b"efgh").expect(&[sent(SYN, 0, 0, b"")]);
    s.client(ACK, 1, 1, b"abcd");
    s.target(SYN.with(ACK), 0, 1, 0);
    let sent: Vec<u8> = s.frames().into_iter().flat_map(|it| it.payload).collect();
    assert_eq!(sent, b"abcdefgh");
}
