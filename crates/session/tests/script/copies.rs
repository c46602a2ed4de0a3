//! Several sessions of one flow: what was captured is held once, until the slowest of them has it acknowledged.

use std::collections::BTreeMap;

use super::*;

/// What each copy has sent: by its source, its ISN and the bytes that the target has of its stream.
type Copies = BTreeMap<Endpoint, (u32, Vec<u8>)>;

impl Script {
    /// A script with so many copies of each flow, each from a port of its own.
    fn copies(copies: u16) -> Self {
        Self::copies_that(copies, true)
    }

    /// The same; what its target has ended may go on with any turn, or only where that makes sense by itself.
    fn copies_that(copies: u16, resume_anywhere: bool) -> Self {
        Self::with(|config| {
            config.copies = copies;
            config.sessions_max = 1000;
            config.rules[0].resume_anywhere = resume_anywhere;
            config.payload_bytes_max = 8 << 20;
            if let Source::Pool { ranges, .. } = &mut config.source {
                ranges[0].port_last = 11_000;
            }
        })
    }

    /// Takes all that the copies send.
    fn take(&mut self, copies: &mut Copies) {
        let mut frame = [0; 1514];
        while let Some(len) = self.engine.poll_transmit(self.now, &mut frame) {
            let packet = &frame[14..len];
            let segment = Segment::parse(packet, 0).expect("a whole segment");
            if segment.flags.contains(SYN) {
                copies.insert(segment.source, (segment.seq, Vec::new()));
                continue;
            }
            let (iss, got) = copies.get_mut(&segment.source).expect("a SYN came before");
            let at = segment.seq.wrapping_sub(*iss) as usize - 1;
            let payload = segment.payload(packet).expect("whole");
            if at == got.len() {
                got.extend_from_slice(payload);
            }
        }
    }

    /// The target says something to one copy.
    fn answer(&mut self, copy: Endpoint, iss: u32, flags: Flags, seq: u32, ack: u32, len: usize) {
        (self.local, self.iss) = (copy, iss);
        self.target(flags, seq, ack, len);
    }

    /// The target accepts one copy's connection, and takes what comes until it has `wanted` bytes.
    fn serve(&mut self, copies: &mut Copies, copy: Endpoint, wanted: usize) {
        let (iss, _) = copies[&copy];
        self.answer(copy, iss, SYN.with(ACK), 0, 1, 0);
        for _ in 0..2000 {
            self.take(copies);
            let got = copies[&copy].1.len();
            self.answer(copy, iss, ACK, 1, 1 + got as u32, 0);
            if got >= wanted {
                return;
            }
        }
        panic!("{} of {wanted} bytes came", copies[&copy].1.len());
    }
}

/// Flows that were open before are joined, and the target ends each connection at once, however many copies of one there are.
#[test]
fn a_flow_whose_copies_are_all_ended_counts_once() {
    for (line, answer, flows) in [(&b"frame"[..], 30, 3), (b"GET / HTTP/1.1\r\n\r\n", 0, 3)] {
        let mut s = Script::copies_that(3, false);
        let (first, len) = (s.client, line.len() as u32);
        let mut joined = 0;
        for number in 0..5 {
            s.client = Endpoint::new(first.addr, first.port + number);
            s.client(PSH, 500, 900, line)
                .online(PSH, 900, 500 + len, 10);
            s.client(PSH, 500 + len, 910, line);
            let mut copies = Copies::new();
            s.take(&mut copies);
            assert!([0, 3].contains(&copies.len()), "{copies:?}");
            joined += usize::from(!copies.is_empty());
            let all: Vec<_> = copies
                .iter()
                .map(|(copy, (iss, _))| (*copy, *iss))
                .collect();
            for (copy, iss) in all {
                s.serve(&mut copies, copy, line.len());
                let flags = if answer > 0 { FIN.with(PSH) } else { RST };
                s.answer(copy, iss, flags, 1, 1 + len, answer);
                s.take(&mut copies);
            }
            s.online(PSH, 910, 500 + 2 * len, 10);
            // What follows makes no sense without what came before.
            s.client(PSH, 500 + 2 * len, 920, b"frame");
            s.online(PSH, 920, 505 + 2 * len, 10);
            s.take(&mut copies);
        }
        assert_eq!(joined, flows);
        assert_eq!(s.engine.sights()[0].joining_stopped, 1);
    }
}

/// A client's upload, in segments.
fn upload(s: &mut Script, bytes: &[u8]) {
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    let mut at = 1;
    for piece in bytes.chunks(1400) {
        s.client(PSH, at, 1, piece);
        at += piece.len() as u32;
    }
    s.online(ACK, 1, at, 0);
}

#[test]
fn the_bytes_of_a_flow_are_held_once_for_a_hundred_copies() {
    const UPLOAD: usize = 1 << 20;
    let mut s = Script::copies(100);
    let bytes: Vec<u8> = (0..UPLOAD).map(|at| (at / 7) as u8).collect();
    upload(&mut s, &bytes);
    let held = s.engine.payload_bytes() as usize;
    assert!((UPLOAD..UPLOAD + (64 << 10)).contains(&held), "{held}");
    let mut copies = Copies::new();
    s.take(&mut copies);
    assert_eq!(copies.len(), 100);
    let all: Vec<Endpoint> = copies.keys().copied().collect();
    for copy in &all[1..] {
        s.serve(&mut copies, *copy, UPLOAD);
        assert!(copies[copy].1 == bytes, "each gets all of it");
    }
    let held = s.engine.payload_bytes() as usize;
    assert!(held >= UPLOAD, "one copy still needs all of it: {held}");
    s.serve(&mut copies, all[0], UPLOAD);
    assert!(copies[&all[0]].1 == bytes, "also the slowest");
    assert!(s.engine.payload_bytes() < 1024, "nobody needs it any more");
    assert_eq!(s.engine.turns_open(), 100, "a turn counts once per copy");
    s.engine.finish(s.now);
    s.take(&mut copies);
    let delivered = vec![Outcome::Delivered; 100];
    s.expect_outcomes(&delivered);
    assert_eq!((s.engine.sessions(), s.engine.payload_bytes()), (0, 0));
}

#[test]
fn a_copy_that_its_target_has_torn_off_leaves_the_others_whole() {
    let mut s = Script::copies(2);
    upload(&mut s, b"first half, ");
    let mut copies = Copies::new();
    s.take(&mut copies);
    let all: Vec<Endpoint> = copies.keys().copied().collect();
    for copy in &all {
        s.serve(&mut copies, *copy, 12);
    }
    let (torn, whole) = (all[0], all[1]);
    let iss = copies[&torn].0;
    s.answer(torn, iss, RST, 1, 13, 0);
    s.expect_outcomes(&[Outcome::Reset]);
    s.client(PSH, 13, 1, b"second half").online(PSH, 1, 24, 10);
    s.take(&mut copies);
    assert_eq!(copies[&whole].1, b"first half, second half");
    assert_eq!(copies.len(), 2, "the rest alone opens no connection");
    let iss = copies[&whole].0;
    s.answer(whole, iss, PSH, 1, 24, 10);
    s.client(PSH, 24, 11, b"next").online(PSH, 11, 28, 10);
    s.expect_outcomes(&[Outcome::Answered]);
    assert_eq!(s.engine.counters().left_out_cut_off_bytes, 11);
    s.take(&mut copies);
    assert_eq!(copies[&whole].1, b"first half, second halfnext");
    assert_eq!(copies.len(), 3, "the torn one goes on with the next turn");
    s.engine.finish(s.now);
    s.take(&mut copies);
    assert_eq!((s.engine.sessions(), s.engine.payload_bytes()), (0, 0));
}

#[test]
fn copies_rest_together_and_wake_with_the_next_request() {
    let mut s = Script::copies(3);
    upload(&mut s, b"a");
    let mut copies = Copies::new();
    s.take(&mut copies);
    let all: Vec<Endpoint> = copies.keys().copied().collect();
    for copy in &all {
        s.serve(&mut copies, *copy, 1);
        let iss = copies[copy].0;
        s.answer(*copy, iss, PSH, 1, 2, 10);
    }
    s.online(PSH, 1, 2, 10).wait(Duration::from_secs(1));
    s.take(&mut copies);
    s.wait(Duration::from_secs(60));
    assert_eq!(s.engine.sessions_resting(), 3);
    s.client(PSH, 2, 11, b"b").online(PSH, 11, 3, 10);
    s.take(&mut copies);
    assert!(all.iter().all(|copy| copies[copy].1 == b"ab"));
    s.expect_outcomes(&[Outcome::Answered; 3]);
    assert_eq!(s.engine.sessions_resting(), 0);
    s.wait(Duration::from_secs(700));
    s.take(&mut copies);
    s.wait(Duration::from_secs(1));
    assert_eq!((s.engine.sessions(), s.engine.payload_bytes()), (0, 0));
}
