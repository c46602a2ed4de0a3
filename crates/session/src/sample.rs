//! What responses begin with, where a user asked for it (`--sample-bytes`): the first payload bytes of both responses of
//! each turn.
//!
//! A table beside the sessions: a session has not a byte more for it, and an engine that keeps no samples has no table. A
//! beginning is kept by place in the stream, so it does not matter in which order, in what pieces or how often its bytes
//! come, and one whose very first byte was never seen is not taken for another. Nothing here decides anything: where there
//! are too many, a response is left without a sample.

use std::collections::{HashMap, VecDeque};

use wire::hash::FlowHash;
use wire::segment::Segment;
use wire::seq::{Online, OnlineSeq, Seq, Target, TargetSeq};

use crate::event::{Prefix, Response, Samples, TurnEnded};
use crate::id::SessionId;
use crate::limits::SAMPLED_RESPONSES_MAX;

/// Most payload bytes of a response that can be kept.
pub const SAMPLE_LEN_MAX: usize = u128::BITS as usize;

/// The samples of all sessions.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// How many bytes of each response are kept.
    len: usize,
    /// What the packet that is being handled carries.
    at_hand: Vec<u8>,
    sessions: HashMap<SessionId, Kept, FlowHash>,
    /// Windows of all sessions.
    windows: usize,
}

/// What is kept for one session.
#[derive(Debug, Default)]
struct Kept {
    /// Beginnings of the online server's responses, each with the place in the client's stream where its turn begins.
    online: VecDeque<(u64, Window<Online>)>,
    /// The beginning of the target's response to the current turn; where it has not begun, of what comes next.
    target: Option<Window<Target>>,
}

/// The first bytes from a sequence number on, as far as they were seen.
#[derive(Debug)]
pub(crate) struct Window<S> {
    start: Seq<S>,
    /// One bit for each byte, the first one's lowest.
    seen: u128,
    bytes: Box<[u8]>,
}

impl<S> Window<S> {
    pub(crate) fn new(start: Seq<S>, len: usize) -> Self {
        Self {
            start,
            seen: 0,
            bytes: vec![0; len].into_boxed_slice(),
        }
    }

    /// The response begins at `start`, and not where it was expected to.
    pub(crate) fn move_to(&mut self, start: Seq<S>) {
        match usize::try_from(start - self.start) {
            Ok(0) => {}
            Ok(by) if by < self.bytes.len() => {
                self.bytes.copy_within(by.., 0);
                self.seen >>= by;
            }
            _ => self.seen = 0,
        }
        self.start = start;
    }

    /// Takes bytes from `seq` on, as far as they belong here. Those that were seen before stay: a server's TCP sends the same
    /// again, and somebody else's word comes second.
    pub(crate) fn put(&mut self, seq: Seq<S>, bytes: &[u8]) {
        let offset = i64::from(seq - self.start);
        for (at, byte) in (offset..).zip(bytes) {
            if let Ok(at) = usize::try_from(at)
                && let Some(slot) = self.bytes.get_mut(at)
                && self.seen >> at & 1 == 0
            {
                *slot = *byte;
                self.seen |= 1 << at;
            }
        }
    }

    /// Of a response of so many bytes.
    pub(crate) fn prefix(&self, response_bytes: u64) -> Prefix {
        let wanted = usize::try_from(response_bytes).map_or(self.bytes.len(), |response_bytes| {
            response_bytes.min(self.bytes.len())
        });
        let len = wanted.min(self.seen.trailing_ones() as usize);
        Prefix {
            bytes: self.bytes[..len].to_vec(),
            whole: len == wanted,
        }
    }
}

fn prefix<S>(window: Option<&Window<S>>, response: Option<Response>) -> Prefix {
    let bytes = response.map_or(0, |response| response.bytes);
    match window {
        Some(window) => window.prefix(bytes),
        None => Prefix {
            bytes: Vec::new(),
            whole: bytes == 0,
        },
    }
}

impl Sampler {
    pub(crate) fn new(len: usize) -> Self {
        Self {
            len: len.min(SAMPLE_LEN_MAX),
            at_hand: Vec::new(),
            // Numbers of slots are ours; nobody chooses them.
            sessions: HashMap::with_hasher(FlowHash::new(0)),
            windows: 0,
        }
    }

    /// A response's packet is about to be handled: what of its payload was recorded with it is at hand.
    pub(crate) fn hold(&mut self, segment: &Segment, record: &[u8]) {
        let payload = record
            .get(usize::from(segment.payload_offset)..)
            .unwrap_or_default();
        let len = payload.len().min(segment.payload_len.into()).min(self.len);
        self.at_hand.clear();
        self.at_hand.extend_from_slice(&payload[..len]);
    }

    /// The online server sent what is at hand, from `seq` on; `answered` is the turn, by its start, that it answers, and
    /// where its response begins if these are its first bytes.
    pub(crate) fn on_online(
        &mut self,
        id: SessionId,
        seq: OnlineSeq,
        answered: Option<(u64, OnlineSeq)>,
    ) {
        if let Some((turn, begins)) = answered {
            let kept = self.sessions.entry(id).or_default();
            // Where the copy lags, many may wait for their turns to end: the latest stand last.
            let mut latest = kept.online.iter().rev().map(|(known, _)| *known);
            let is_known = latest.find(|known| *known <= turn) == Some(turn);
            if !is_known && self.windows < SAMPLED_RESPONSES_MAX {
                let window = Window::new(begins, self.len);
                kept.online.push_back((turn, window));
                self.windows += 1;
            }
        }
        if let Some(kept) = self.sessions.get_mut(&id) {
            for (_, window) in kept.online.iter_mut().rev() {
                window.put(seq, &self.at_hand);
                if window.start <= seq {
                    // Those before it end where it begins.
                    break;
                }
            }
        }
    }

    /// The target sent what is at hand, from `seq` on; `begins` is where its response begins, unless that is known already.
    pub(crate) fn on_target(&mut self, id: SessionId, seq: TargetSeq, begins: Option<TargetSeq>) {
        if let Some(begins) = begins {
            let kept = self.sessions.entry(id).or_default();
            match &mut kept.target {
                Some(window) => window.move_to(begins),
                None if self.windows < SAMPLED_RESPONSES_MAX => {
                    kept.target = Some(Window::new(begins, self.len));
                    self.windows += 1;
                }
                None => {}
            }
        }
        let kept = self.sessions.get_mut(&id);
        if let Some(window) = kept.and_then(|kept| kept.target.as_mut()) {
            window.put(seq, &self.at_hand);
        }
    }

    /// The session has another connection to the target, with other numbers.
    pub(crate) fn restart(&mut self, id: SessionId) {
        if let Some(kept) = self.sessions.get_mut(&id) {
            self.windows -= usize::from(kept.target.take().is_some());
        }
    }

    /// The session is gone.
    pub(crate) fn forget(&mut self, id: SessionId) {
        if let Some(kept) = self.sessions.remove(&id) {
            self.windows -= kept.online.len() + usize::from(kept.target.is_some());
        }
    }

    /// What the responses to a turn that ended begin with. Of a session out of step nothing is known: what was kept may
    /// belong to another turn.
    pub(crate) fn take(
        &mut self,
        id: SessionId,
        turn: u64,
        ended: &TurnEnded,
    ) -> Option<Box<Samples>> {
        let kept = self.sessions.get_mut(&id);
        let (mut online, mut target) = (None, None);
        if let Some(kept) = kept {
            while let Some((known, _)) = kept.online.front()
                && *known <= turn
            {
                online = kept.online.pop_front().filter(|(known, _)| *known == turn);
                self.windows -= 1;
            }
            // It stays: behind this response it may hold some of the next.
            target = kept.target.as_ref();
        }
        let is_answered = ended.online.is_some() || ended.target.is_some();
        (ended.paired && is_answered).then(|| {
            let online = online.as_ref().map(|(_, window)| window);
            Box::new(Samples {
                online: prefix(online, ended.online),
                target: prefix(target, ended.target),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use wire::seq::{OnlineSeq, Target, TargetSeq};

    use super::{Sampler, Window};
    use crate::limits::SAMPLED_RESPONSES_MAX;

    const START: TargetSeq = TargetSeq::new(u32::MAX - 1);

    fn window() -> Window<Target> {
        Window::new(START, 8)
    }

    #[test]
    fn bytes_find_their_place_in_any_order() {
        let mut window = window();
        window.put(START + 3, b"defgh and more");
        assert_eq!(window.prefix(100).bytes, b"");
        assert!(!window.prefix(100).whole);
        window.put(TargetSeq::new(START.raw() - 2), b"..ab");
        assert_eq!(window.prefix(100).bytes, b"ab");
        window.put(START + 2, b"c###");
        let prefix = window.prefix(100);
        assert_eq!((&prefix.bytes[..], prefix.whole), (&b"abcdefgh"[..], true));
        let prefix = window.prefix(3);
        assert_eq!((&prefix.bytes[..], prefix.whole), (&b"abc"[..], true));
    }

    #[test]
    fn what_lies_elsewhere_is_left_out() {
        let mut window = window();
        for far in [8, 9, 1 << 20, 1 << 31, u32::MAX - 20] {
            window.put(START + far, b"0123456789");
            assert_eq!(window.seen, 0, "{far}");
        }
    }

    #[test]
    fn no_more_responses_are_kept_than_the_limit() {
        let mut sampler = Sampler::new(1);
        let half = SAMPLED_RESPONSES_MAX as u32 / 2;
        for at in 0..=half {
            let seq = OnlineSeq::new(at);
            for id in [1, 2] {
                sampler.on_online(id, seq, Some((at.into(), seq)));
            }
        }
        assert_eq!(sampler.windows, SAMPLED_RESPONSES_MAX);
        sampler.on_target(3, TargetSeq::new(0), Some(TargetSeq::new(0)));
        assert!(sampler.sessions[&3].target.is_none());
        // What is given back can be used again.
        sampler.forget(1);
        assert_eq!(sampler.windows, SAMPLED_RESPONSES_MAX / 2);
        sampler.on_target(3, TargetSeq::new(0), Some(TargetSeq::new(0)));
        assert!(sampler.sessions[&3].target.is_some());
        sampler.restart(3);
        sampler.forget(2);
        assert_eq!(sampler.windows, 0);
    }

    #[test]
    fn a_window_moves_to_where_the_response_begins() {
        let mut window = window();
        window.put(START, b"ab");
        window.put(START + 5, b"fgh");
        window.move_to(START + 5);
        assert_eq!(window.prefix(3).bytes, b"fgh");
        window.put(START + 8, b"ijklmnop");
        assert_eq!(window.prefix(100).bytes, b"fghijklm");
        for start in [START, START + 8, START + 100] {
            window.move_to(start);
            assert_eq!(window.seen, 0, "neither back nor far ahead");
            window.put(start, b"x");
        }
    }
}
