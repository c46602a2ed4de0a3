//! A server's bytes in order, for a protocol module: each once, as far as none is missing.
//!
//! What comes behind a hole waits. A connection to the target has no hole for long, because what was not acknowledged is sent
//! again; of the online server's bytes one may stay, where the record of a packet was lost. Then the stream is *lost*: nothing
//! is told of it any more.

use wire::seq::Seq;

use crate::limits::{CONNECTION_DISTANCE_MAX, RESPONSE_HELD_MAX, RESPONSE_PIECES_MAX};

/// One server's stream.
#[derive(Debug)]
pub(crate) struct Ordered<S> {
    /// The next byte in order.
    next: Seq<S>,
    /// What waits behind a hole, in order of its places.
    waiting: Vec<(Seq<S>, Box<[u8]>)>,
    /// How many bytes wait.
    held: usize,
    lost: bool,
}

impl<S> Ordered<S> {
    /// A stream whose first byte is `next`.
    pub(crate) fn new(next: Seq<S>) -> Self {
        Self {
            next,
            waiting: Vec::new(),
            held: 0,
            lost: false,
        }
    }

    /// The next byte in order.
    pub(crate) fn next(&self) -> Seq<S> {
        self.next
    }

    /// Whether bytes are missing that will not come.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Bytes are missing that will not come.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
        self.waiting = Vec::new();
        self.held = 0;
    }

    /// Whether something is missing before `seq`.
    pub(crate) fn lacks_before(&self, seq: Seq<S>) -> bool {
        self.next < seq
    }

    /// A segment with `len` bytes of payload from `seq` on, of which `bytes` were recorded. `take` gets what is next in order
    /// now, with the place behind it.
    pub(crate) fn on_segment(
        &mut self,
        seq: Seq<S>,
        len: u32,
        bytes: &[u8],
        take: &mut dyn FnMut(&[u8]),
    ) {
        let distance = (seq - self.next).unsigned_abs();
        if self.lost || len == 0 || distance > CONNECTION_DISTANCE_MAX || seq + len <= self.next {
            return;
        }
        if bytes.len() != len as usize {
            self.lose();
            return;
        }
        if self.next < seq {
            self.hold(seq, bytes);
            return;
        }
        self.take_from(seq, bytes, take);
        while let Some((seq, _)) = self.waiting.first()
            && *seq <= self.next
        {
            let (seq, bytes) = self.waiting.remove(0);
            self.held -= bytes.len();
            self.take_from(seq, &bytes, take);
        }
    }

    /// What of a segment that begins before the next byte, or with it, is new.
    fn take_from(&mut self, seq: Seq<S>, bytes: &[u8], take: &mut dyn FnMut(&[u8])) {
        let known = self.next.ahead_of(seq) as usize;
        if let Some(new) = bytes.get(known..).filter(|new| !new.is_empty()) {
            self.next += new.len() as u32;
            take(new);
        }
    }

    fn hold(&mut self, seq: Seq<S>, bytes: &[u8]) {
        let at = self.waiting.partition_point(|(known, _)| *known < seq);
        let is_known = self
            .waiting
            .get(at)
            .is_some_and(|(known, held)| *known == seq && held.len() >= bytes.len());
        if is_known {
            return;
        }
        self.held += bytes.len();
        if self.held > RESPONSE_HELD_MAX || self.waiting.len() >= RESPONSE_PIECES_MAX {
            self.lose();
            return;
        }
        self.waiting.insert(at, (seq, bytes.into()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::seq::{Target, TargetSeq};

    use super::Ordered;
    use crate::limits::RESPONSE_HELD_MAX;

    const START: TargetSeq = TargetSeq::new(u32::MAX - 9);

    fn stream() -> (Ordered<Target>, Vec<u8>) {
        (Ordered::new(START), Vec::new())
    }

    fn put(stream: &mut Ordered<Target>, got: &mut Vec<u8>, at: u32, bytes: &[u8]) {
        let len = bytes.len() as u32;
        stream.on_segment(START + at, len, bytes, &mut |new| {
            got.extend_from_slice(new);
        });
    }

    proptest! {
        #[test]
        fn each_byte_comes_once_and_in_order(
            cuts in prop::collection::vec((0_usize..200, 1_usize..60), 1..60),
        ) {
            let all: Vec<u8> = (0..=255).collect();
            let (mut stream, mut got) = stream();
            for (start, len) in cuts {
                let end = (start + len).min(all.len());
                put(&mut stream, &mut got, start as u32, &all[start..end]);
                prop_assert_eq!(&got[..], &all[..got.len()]);
                prop_assert_eq!(stream.next(), START + got.len() as u32);
            }
            put(&mut stream, &mut got, 0, &all);
            prop_assert_eq!(got, all);
            prop_assert!(stream.waiting.is_empty() && stream.held == 0);
        }
    }

    #[test]
    fn what_was_recorded_without_its_payload_is_missing() {
        let (mut stream, mut got) = stream();
        put(&mut stream, &mut got, 0, b"abc");
        stream.on_segment(START + 1, 2, b"", &mut |_| panic!("these are known"));
        assert!(!stream.is_lost());
        stream.on_segment(START + 3, 4, b"de", &mut |_| panic!("there are four"));
        assert!(stream.is_lost());
        put(&mut stream, &mut got, 3, b"defg");
        assert_eq!(got, b"abc");
    }

    #[test]
    fn no_more_waits_than_the_limit() {
        let (mut stream, mut got) = stream();
        let segment = vec![0; 60_000];
        for at in 0..=RESPONSE_HELD_MAX / segment.len() {
            put(
                &mut stream,
                &mut got,
                (10 + at * segment.len()) as u32,
                &segment,
            );
        }
        assert!(stream.is_lost() && stream.held == 0);
    }
}
