//! Proving the path: a SYN of our own to each target, whose answer must come back through `intercept`.
//!
//! With the clients' own addresses a target without the right route would answer real clients. So the first thing that
//! leaves is a probe from an address whose owner is asked before: this host's own, from a port that its kernel hands to
//! nobody. If the target's route is missing, the answer comes to this host, whose kernel resets it, and nobody else sees
//! anything. What it proves is that the target sends what is addressed to the probe's address to the assistant; that
//! the clients' addresses go the same way is proven once more by the engine, which opens one session at a time until
//! one was answered ([`session::Config::prove_path`]).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use wire::flow::Endpoint;
use wire::segment::Segment;
use wire::tcp::{COPY_MARK, Flags, Header, Options};

/// The probes of a run, one per target.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    /// How many are still waited for: 0 keeps reports off the lock.
    waiting: AtomicUsize,
    probes: Mutex<Vec<Probe>>,
}

#[derive(Clone, Debug)]
struct Probe {
    source: Endpoint,
    target: Endpoint,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No answer yet.
    Waiting,
    /// The target took the connection; it has to be reset with this sequence number.
    Accepted { seq: u32 },
    /// The target refused the connection: its way back is right, but nobody listens.
    Refused,
    /// Proven and reset.
    Done { refused: bool },
}

/// What is known about one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) source: Endpoint,
    pub(crate) target: Endpoint,
    pub(crate) proven: bool,
    pub(crate) refused: bool,
}

impl Probes {
    /// Probes for these targets, each from its own source.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (Endpoint, Endpoint)>) -> Self {
        let probes: Vec<_> =
            pairs.into_iter().map(|(source, target)| Probe { source, target, state: State::Waiting }).collect();
        Self { waiting: AtomicUsize::new(probes.len()), probes: Mutex::new(probes) }
    }

    /// Takes a report that answers a probe; `false` where it belongs to a session.
    pub(crate) fn take(&self, segment: &Segment) -> bool {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(probe) =
            probes.iter_mut().find(|probe| probe.source == segment.destination && probe.target == segment.source)
        else {
            return false;
        };
        if probe.state == State::Waiting {
            probe.state = match segment.flags {
                flags if flags.contains(Flags::RST) => State::Refused,
                flags if flags.contains(Flags::ACK) => State::Accepted { seq: segment.ack },
                _ => State::Waiting,
            };
        }
        true
    }

    /// The frames that are to be sent now: a SYN for each probe that waits, a reset for each that was answered.
    pub(crate) fn frames(&self, isn: u32) -> Vec<Vec<u8>> {
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut frames = Vec::new();
        for probe in probes.iter_mut() {
            match probe.state {
                State::Waiting => frames.extend(frame(probe, Flags::SYN, isn)),
                State::Accepted { seq } => {
                    frames.extend(frame(probe, Flags::RST, seq));
                    probe.state = State::Done { refused: false };
                }
                State::Refused => probe.state = State::Done { refused: true },
                State::Done { .. } => {}
            }
        }
        frames
    }

    /// What is known.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = |probe: &Probe| Verdict {
            source: probe.source,
            target: probe.target,
            proven: probe.state != State::Waiting,
            refused: matches!(probe.state, State::Refused | State::Done { refused: true }),
        };
        probes.iter().map(verdict).collect()
    }

    /// No more probes: what still comes for them is the engine's to count.
    pub(crate) fn end(&self) {
        self.waiting.store(0, Ordering::Relaxed);
    }
}

fn frame(probe: &Probe, flags: Flags, seq: u32) -> Option<Vec<u8>> {
    let is_syn = flags.contains(Flags::SYN);
    let header = Header {
        source: probe.source,
        destination: probe.target,
        seq,
        ack: 0,
        flags,
        window: if is_syn { 1024 } else { 0 },
        urgent: COPY_MARK,
        options: Options { mss: is_syn.then_some(536), ..Options::default() },
    };
    let mut frame = vec![0; header.payload_offset()];
    header.emit(&mut frame).then_some(frame)
}

#[cfg(test)]
mod tests {
    use wire::flow::{Addr, Endpoint};
    use wire::segment::Segment;
    use wire::tcp::{Flags, Header, Options};

    use super::Probes;

    fn ends() -> (Endpoint, Endpoint) {
        (Endpoint::new(Addr::v4([10, 0, 0, 1]), 9999), Endpoint::new(Addr::v4([10, 0, 0, 2]), 80))
    }

    fn answer(flags: Flags, port: u16) -> Segment {
        let (source, target) = ends();
        let header = Header {
            source: target,
            destination: Endpoint { port, ..source },
            seq: 1,
            ack: 778,
            flags,
            window: 1,
            urgent: 0,
            options: Options::default(),
        };
        let mut frame = vec![0; header.payload_offset()];
        assert!(header.emit(&mut frame));
        Segment::parse(&frame[14..], 0).unwrap()
    }

    fn flags_of(frames: &[Vec<u8>]) -> Vec<Flags> {
        frames.iter().map(|frame| Segment::parse(&frame[14..], 0).unwrap().flags).collect()
    }

    #[test]
    fn a_probe_is_sent_until_it_is_answered_and_then_reset() {
        let probes = Probes::new([ends()]);
        assert_eq!(flags_of(&probes.frames(777)), [Flags::SYN]);
        assert_eq!(flags_of(&probes.frames(777)), [Flags::SYN]);
        assert!(!probes.take(&answer(Flags::SYN.with(Flags::ACK), 9998)), "somebody else's");
        assert!(!probes.verdicts()[0].proven);
        assert!(probes.take(&answer(Flags::SYN.with(Flags::ACK), 9999)));
        assert!(probes.verdicts()[0].proven);
        let reset = probes.frames(777);
        let segment = Segment::parse(&reset[0][14..], 0).unwrap();
        assert_eq!((segment.flags, segment.seq), (Flags::RST, 778));
        assert!(segment.is_copy());
        assert!(probes.frames(777).is_empty());
        probes.end();
        assert!(!probes.take(&answer(Flags::RST, 9999)));
    }

    #[test]
    fn a_refusal_proves_the_way_back_too() {
        let probes = Probes::new([ends()]);
        assert!(probes.take(&answer(Flags::RST.with(Flags::ACK), 9999)));
        assert!(probes.frames(1).is_empty());
        let verdict = probes.verdicts()[0];
        assert!(verdict.proven && verdict.refused);
    }
}
