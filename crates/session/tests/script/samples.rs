//! What responses begin with (`--sample-bytes`).

use session::Samples;

use super::*;

/// Payload bytes that a record carries.
const N: usize = 8;

impl Script {
    fn sampling() -> Self {
        let mut script = Self::new();
        script.engine.sample_responses(N);
        script
    }

    /// The online server says `payload`, of which a record carries the first bytes.
    fn online_says(&mut self, seq: u32, ack: u32, payload: &[u8]) -> &mut Self {
        let (seq, ack) = (ONLINE_ISN.wrapping_add(seq), CLIENT_ISN.wrapping_add(ack));
        let packet = Self::packet(self.online, self.client, seq, ack, PSH, 500, payload);
        let kept = packet.len() - payload.len() + payload.len().min(N);
        self.engine
            .on_online_packet(self.now, self.now, &packet[..kept]);
        self
    }

    /// The target says `payload`, of which a record carries the first bytes.
    fn target_says(&mut self, flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> &mut Self {
        let (seq, ack) = (TARGET_ISN.wrapping_add(seq), self.iss.wrapping_add(ack));
        let packet = Self::packet(self.target, self.local, seq, ack, flags, 65_535, payload);
        let kept = packet.len() - payload.len() + payload.len().min(N);
        self.engine
            .on_target_packet(self.now, self.now, &packet[..kept]);
        self
    }

    /// The samples of the turns that ended.
    fn samples(&mut self) -> Vec<Option<Samples>> {
        core::iter::from_fn(|| self.engine.poll_event())
            .filter_map(|event| match event {
                Event::TurnEnded(turn) => Some(turn.samples.map(|samples| *samples)),
                _ => None,
            })
            .collect()
    }

    /// One turn ended, with these beginnings of the online server's and of the target's response.
    #[track_caller]
    fn expect_samples(&mut self, online: &str, target: &str) -> &mut Self {
        let samples = self.samples();
        let [Some(samples)] = &samples[..] else {
            panic!("not one turn with samples: {samples:?}");
        };
        assert!(samples.online.whole && samples.target.whole, "{samples:?}");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let seen = (text(&samples.online.bytes), text(&samples.target.bytes));
        assert_eq!(seen, (online.to_owned(), target.to_owned()));
        self
    }
}

#[test]
fn both_responses_are_kept_from_their_first_byte_on() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"online one")
        .target_says(PSH, 1, 2, b"target one");
    s.client(PSH, 2, 11, b"b").frames();
    s.expect_samples("online o", "target o");
    s.online_says(11, 3, b"ONLINE two")
        .target_says(PSH, 11, 3, b"TARGET two");
    s.client(PSH, 3, 21, b"c").frames();
    s.expect_samples("ONLINE t", "TARGET t");
}

#[test]
fn a_response_may_come_in_segments_of_any_size() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    for (at, byte) in (1..).zip(b"online".chunks(1)) {
        s.online_says(at, 2, byte);
    }
    s.target_says(ACK, 1, 2, b"tar")
        .target_says(PSH, 4, 2, b"get and more");
    s.client(PSH, 2, 7, b"b").frames();
    s.expect_samples("online", "target a");
}

#[test]
fn a_response_that_is_shorter_is_whole() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"+OK\r\n")
        .target_says(PSH, 1, 2, b"-E");
    s.wait(Duration::from_secs(1))
        .client(PSH, 2, 6, b"b")
        .wait(Duration::from_secs(5))
        .frames();
    s.expect_samples("+OK\r\n", "-E");
}

#[test]
fn what_comes_again_is_the_same() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"onl")
        .online_says(1, 2, b"onl")
        .online_says(1, 2, b"online one")
        .target_says(ACK, 1, 2, b"tar")
        .target_says(ACK, 1, 2, b"###")
        .target_says(PSH, 1, 2, b"###get one");
    s.client(PSH, 2, 11, b"b").frames();
    s.expect_samples("online o", "target o");
}

/// The first segment is lost on its way and comes last: what came before it is not taken for the beginning.
#[test]
fn a_lost_first_segment_of_the_target_is_waited_for() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"online one")
        .target_says(PSH, 6, 2, b"t one")
        .target_says(ACK, 4, 2, b"ge");
    s.frames();
    s.target_says(ACK, 1, 2, b"tar");
    s.client(PSH, 2, 11, b"b").frames();
    s.expect_samples("online o", "target o");
}

/// The records of the first bytes were lost between program and worker: nobody knows what the responses began with.
#[test]
fn a_beginning_that_was_never_seen_is_not_made_up() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(4, 2, b"ine one")
        .target_says(PSH, 1, 2, b"target one");
    s.client(PSH, 2, 11, b"b")
        .wait(Duration::from_secs(5))
        .frames();
    let samples = s.samples().pop().flatten().expect("in step");
    assert_eq!(
        (samples.online.bytes.len(), samples.online.whole),
        (0, false)
    );
    assert_eq!(
        (&samples.target.bytes[..], samples.target.whole),
        (&b"target o"[..], true)
    );
}

/// The middle is missing: what is known is kept, and said to be not all.
#[test]
fn a_hole_within_the_sample_ends_it() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"on").online_says(5, 2, b"ne one");
    s.target_says(PSH, 1, 2, b"target one");
    s.client(PSH, 2, 11, b"b")
        .wait(Duration::from_secs(5))
        .frames();
    let samples = s.samples().pop().flatten().expect("in step");
    assert_eq!(
        (&samples.online.bytes[..], samples.online.whole),
        (&b"on"[..], false)
    );
}

/// Two requests at once are one turn; its sample is what the first response begins with.
#[test]
fn pipelined_requests_are_one_turn() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").client(PSH, 2, 1, b"b").frames();
    s.online_says(1, 2, b"o1").online_says(3, 3, b"o2");
    s.target_says(PSH, 1, 3, b"t1t2");
    s.client(PSH, 3, 5, b"c").frames();
    s.expect_samples("o1o2", "t1t2");
}

/// The client went on while the response was on its way: each turn has its own. Where the target's cannot be told apart for
/// sure there is no sample.
#[test]
fn turns_that_overlap_have_their_own_samples_or_none() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"online");
    // It has seen half of it.
    s.client(PSH, 2, 4, b"b").frames();
    s.online_says(7, 3, b"ONLINE");
    s.target_says(PSH, 1, 2, b"target");
    s.expect_samples("online", "target");
    s.frames();
    s.target_says(PSH, 7, 3, b"TARGET");
    s.client(PSH, 3, 13, b"c").frames();
    assert_eq!(s.samples(), [None], "out of step for one turn");
}

/// What the target says behind what was waited for is not the next response.
#[test]
fn the_rest_of_a_longer_response_is_not_the_next_one() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"o").target_says(PSH, 1, 2, b"t");
    s.client(PSH, 2, 2, b"b").frames();
    s.expect_samples("o", "t");
    s.online_says(2, 3, b"online");
    s.target_says(PSH, 2, 2, b" and so on")
        .target_says(PSH, 12, 3, b"target");
    s.client(PSH, 3, 8, b"c").frames();
    s.expect_samples("online", "target");
}

/// And where the two come in the wrong order.
#[test]
fn the_next_response_may_overtake_the_rest() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"o").target_says(PSH, 1, 2, b"t");
    s.client(PSH, 2, 2, b"b").frames();
    s.expect_samples("o", "t");
    s.online_says(2, 3, b"online");
    s.target_says(PSH, 4, 3, b"target").frames();
    s.target_says(PSH, 2, 2, b"..");
    s.client(PSH, 3, 8, b"c").frames();
    s.expect_samples("online", "target");
}

#[test]
fn a_new_connection_begins_anew() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"online one")
        .target_says(PSH, 1, 2, b"target one");
    s.client(PSH, 2, 11, b"b").frames();
    s.expect_samples("online o", "target o");
    // Its numbers are those of the connection before.
    s.target(RST, 11, 2, 0).expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0).frames();
    s.online_says(11, 3, b"ONLINE")
        .target_says(PSH, 1, 2, b"TARGET");
    s.client(PSH, 3, 17, b"c").frames();
    s.expect_samples("ONLINE", "TARGET");
}

#[test]
fn a_session_that_rested_goes_on() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"online")
        .target_says(PSH, 1, 2, b"target");
    s.wait(Duration::from_secs(60)).frames();
    s.client(PSH, 2, 7, b"b").frames();
    s.expect_samples("online", "target");
    s.online_says(7, 3, b"ONLINE")
        .target_says(PSH, 7, 3, b"TARGET");
    s.client(PSH, 3, 13, b"c").frames();
    s.expect_samples("ONLINE", "TARGET");
}

#[test]
fn a_target_that_is_silent_has_no_sample() {
    let mut s = Script::sampling();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"online").target(ACK, 1, 2, 0);
    s.client(PSH, 2, 7, b"b").frames();
    s.target(RST, 1, 2, 0).frames();
    s.expect_samples("online", "");
}

#[test]
fn a_session_that_does_not_wait_has_none() {
    let mut s = Script::with(|config| config.wait_for_responses = false);
    s.engine.sample_responses(N);
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"online")
        .target_says(PSH, 1, 2, b"target");
    s.client(PSH, 2, 7, b"b").frames();
    s.online_says(7, 3, b"online")
        .target_says(PSH, 7, 3, b"target");
    s.client(PSH, 3, 13, b"c").frames();
    s.engine.finish(s.now);
    let samples = s.samples();
    assert!(
        samples.len() >= 2 && samples.iter().all(Option::is_none),
        "{samples:?}"
    );
}

/// Whatever the records carry: nobody asked.
#[test]
fn nothing_is_kept_unless_asked() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online_says(1, 2, b"online")
        .target_says(PSH, 1, 2, b"target");
    s.client(PSH, 2, 7, b"b").frames();
    assert_eq!(s.samples(), [None]);
}

/// The copy lags far behind: each turn has its own sample all the same.
#[test]
fn turns_that_wait_keep_their_samples() {
    let mut s = Script::sampling();
    s.handshake();
    let turns = 2000;
    for n in 0..turns {
        s.client(PSH, 1 + n, 1 + 4 * n, b"a");
        s.online_says(1 + 4 * n, 2 + n, format!("{n:04}").as_bytes());
    }
    s.frames();
    for n in 0..turns {
        let said = format!("{:04}", n + 1);
        s.target_says(PSH, 1 + 4 * n, 2 + n, said.as_bytes())
            .frames();
    }
    s.client(PSH, turns + 1, 1 + 4 * turns, b"z").frames();
    let samples = s.samples();
    assert_eq!(samples.len() as u32, turns);
    for (n, samples) in samples.into_iter().enumerate() {
        let samples = samples.expect("in step");
        assert_eq!(samples.online.bytes, format!("{n:04}").as_bytes());
        assert_eq!(samples.target.bytes, format!("{:04}", n + 1).as_bytes());
        assert!(samples.online.whole && samples.target.whole);
    }
}
