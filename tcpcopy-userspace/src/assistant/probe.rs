//! Proving the path: a SYN of our own to each target, whose answer must come back through `intercept`.
//!
//! With the clients' own addresses a target without the right route would answer real clients. So the first thing that
//! leaves is a probe from addresses that hurt nobody: this host's own, from a port that its kernel hands to nobody, and
//! one of a documentation network. If the target's route is missing, the answer comes to this host, whose kernel resets
//! it, or goes nowhere. A SYN-ACK alone proves little: a firewall that sees one direction lets SYN and SYN-ACK pass and nothing
//! after them. So a probe completes the handshake and asks for one word more, by a keep-alive probe (RFC 9293 section 3.8.4),
//! before it is reset; no byte that an application could read is sent. What a probe proves is that the target sends what is
//! addressed to the probe's address to the assistant; that the clients' addresses go the same way is proven network by network
//! by the engine ([`session::Config::prove_path`]).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use wire::flow::Endpoint;
use wire::segment::Segment;
use wire::tcp::{COPY_MARK, Flags, Header, Options};

/// The window that a probe offers, in bytes.
const WINDOW: u16 = 1024;

/// The probes of a run, one or several per target.
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
    /// No answer yet; with the sequence number of the SYN, once one was sent. It is sent again with the same one, so that a
    /// slow answer to the first is one.
    Waiting { isn: Option<u32> },
    /// The target has a connection of a run before, which has to be reset with this sequence number.
    Stale { seq: u32 },
    /// The target took the connection; it is to be asked for a word.
    Accepted { seq: u32, ack: u32 },
    /// It was asked, and has not answered.
    Asked { seq: u32, ack: u32 },
    /// It has answered what was sent after the handshake; the connection has to be reset with this sequence number.
    Answered { seq: u32 },
    /// The target refused the connection: its way back is right, but nobody listens.
    Refused,
    /// Proven and reset.
    Done { refused: bool },
}

/// What is known about one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) target: Endpoint,
    /// Where its probes come from.
    pub(crate) sources: Vec<Endpoint>,
    /// Whether one of them was answered through intercept.
    pub(crate) proven: bool,
    /// Whether the answer was a refusal.
    pub(crate) refused: bool,
    /// Whether it takes connections and answers nothing that is sent on them.
    pub(crate) is_one_sided: bool,
}

impl Probes {
    /// Probes for these targets, each from its own source.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (Endpoint, Endpoint)>) -> Self {
        let probes: Vec<_> = pairs
            .into_iter()
            .map(|(source, target)| Probe {
                source,
                target,
                state: State::Waiting { isn: None },
            })
            .collect();
        Self {
            waiting: AtomicUsize::new(probes.len()),
            probes: Mutex::new(probes),
        }
    }

    /// Takes a report that answers a probe; `false` where it belongs to a session.
    pub(crate) fn take(&self, segment: &Segment) -> bool {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(probe) = probes
            .iter_mut()
            .find(|probe| probe.source == segment.destination && probe.target == segment.source)
        else {
            return false;
        };
        probe.hear(segment);
        true
    }

    /// The frames that are to be sent now: a question for each probe that was accepted, a reset for each that was answered and,
    /// with a sequence number to begin at, a SYN or the question once more for each that waits.
    pub(crate) fn frames(&self, isn: Option<u32>) -> Vec<Vec<u8>> {
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut frames = Vec::new();
        for probe in probes.iter_mut() {
            match probe.state {
                State::Waiting { isn: sent } => {
                    let isn = isn.map(|isn| sent.unwrap_or(isn));
                    frames.extend(isn.and_then(|isn| frame(probe, Flags::SYN, isn, 0)));
                    probe.state = State::Waiting { isn: isn.or(sent) };
                }
                State::Stale { seq } => {
                    frames.extend(frame(probe, Flags::RST, seq, 0));
                    probe.state = State::Waiting { isn: None };
                }
                State::Accepted { seq, ack } => {
                    frames.extend(question(probe, seq, ack));
                    probe.state = State::Asked { seq, ack };
                }
                State::Asked { seq, ack } if isn.is_some() => {
                    frames.extend(question(probe, seq, ack));
                }
                State::Asked { .. } => {}
                State::Answered { seq } => {
                    frames.extend(frame(probe, Flags::RST, seq, 0));
                    probe.state = State::Done { refused: false };
                }
                State::Refused => probe.state = State::Done { refused: true },
                State::Done { .. } => {}
            }
        }
        frames
    }

    /// What is known, target by target.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut verdicts: Vec<Verdict> = Vec::new();
        for probe in probes.iter() {
            let is_one_sided = matches!(probe.state, State::Accepted { .. } | State::Asked { .. });
            let is_open = matches!(probe.state, State::Waiting { .. } | State::Stale { .. });
            let proven = !is_open && !is_one_sided;
            let refused = matches!(probe.state, State::Refused | State::Done { refused: true });
            match verdicts
                .iter_mut()
                .find(|verdict| verdict.target == probe.target)
            {
                Some(verdict) => {
                    verdict.sources.push(probe.source);
                    verdict.proven |= proven;
                    verdict.refused |= refused;
                    verdict.is_one_sided |= is_one_sided;
                }
                None => {
                    let (target, sources) = (probe.target, vec![probe.source]);
                    verdicts.push(Verdict {
                        target,
                        sources,
                        proven,
                        refused,
                        is_one_sided,
                    });
                }
            }
        }
        verdicts
    }

    /// No more probes: what still comes for them is the engine's to count.
    pub(crate) fn end(&self) {
        self.waiting.store(0, Ordering::Relaxed);
    }
}

impl Probe {
    /// Only what answers this very probe counts: another tcpcopy may probe from the same address of a documentation network, and
    /// an intercept that has heard of neither gives its answers to both.
    fn hear(&mut self, segment: &Segment) {
        let has = |flag| segment.flags.contains(flag);
        if !has(Flags::ACK) && !has(Flags::RST) {
            return;
        }
        self.state = match self.state {
            State::Waiting { isn: Some(isn) } if has(Flags::ACK) => {
                let seq = isn.wrapping_add(1);
                let is_ours = segment.ack == seq;
                match (has(Flags::RST), has(Flags::SYN)) {
                    (true, _) if is_ours => State::Refused,
                    (false, true) if is_ours => State::Accepted {
                        seq,
                        ack: segment.seq.wrapping_add(1),
                    },
                    // What RFC 9293 section 3.10.7.3 does in this state: it is reset, and the SYN follows once more.
                    (false, false) if !is_ours => State::Stale { seq: segment.ack },
                    _ => self.state,
                }
            }
            // A reset has the sequence number that was asked for, or one of the bytes that came meanwhile.
            State::Asked { ack, .. }
                if has(Flags::RST) && segment.seq.wrapping_sub(ack) < WINDOW.into() =>
            {
                State::Refused
            }
            // It says it again where it has not seen that we know.
            State::Asked { seq, ack } if has(Flags::SYN) && segment.ack == seq => {
                State::Accepted { seq, ack }
            }
            State::Asked { seq, .. }
                if !has(Flags::RST) && !has(Flags::SYN) && segment.ack == seq =>
            {
                State::Answered { seq }
            }
            state => state,
        };
    }
}

/// The end of the handshake, and a segment that stands one before what the target expects, which it has to answer.
fn question(probe: &Probe, seq: u32, ack: u32) -> impl Iterator<Item = Vec<u8>> {
    let frames = [seq, seq.wrapping_sub(1)].map(|seq| frame(probe, Flags::ACK, seq, ack));
    frames.into_iter().flatten()
}

fn frame(probe: &Probe, flags: Flags, seq: u32, ack: u32) -> Option<Vec<u8>> {
    let is_syn = flags.contains(Flags::SYN);
    let header = Header {
        source: probe.source,
        destination: probe.target,
        seq,
        ack,
        flags,
        window: if flags.contains(Flags::RST) {
            0
        } else {
            WINDOW
        },
        urgent: COPY_MARK,
        options: Options {
            mss: is_syn.then_some(536),
            ..Options::default()
        },
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
        (
            Endpoint::new(Addr::v4([10, 0, 0, 1]), 9999),
            Endpoint::new(Addr::v4([10, 0, 0, 2]), 80),
        )
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
        frames
            .iter()
            .map(|frame| Segment::parse(&frame[14..], 0).unwrap().flags)
            .collect()
    }

    #[test]
    fn a_probe_is_sent_until_it_is_answered_and_then_reset() {
        let probes = Probes::new([ends()]);
        assert_eq!(flags_of(&probes.frames(Some(777))), [Flags::SYN]);
        assert_eq!(flags_of(&probes.frames(Some(777))), [Flags::SYN]);
        assert!(
            !probes.take(&answer(Flags::SYN.with(Flags::ACK), 9998)),
            "somebody else's"
        );
        assert!(!probes.verdicts()[0].proven);
        assert!(probes.take(&answer(Flags::SYN.with(Flags::ACK), 9999)));
        let question = probes.frames(None);
        assert_eq!(flags_of(&question), [Flags::ACK, Flags::ACK]);
        let seqs: Vec<u32> = question
            .iter()
            .map(|frame| Segment::parse(&frame[14..], 0).unwrap().seq)
            .collect();
        assert_eq!(seqs, [778, 777]);
        // A firewall that sees one direction lets the SYN-ACK come again and again.
        assert!(probes.take(&answer(Flags::SYN.with(Flags::ACK), 9999)));
        let verdict = &probes.verdicts()[0];
        assert!(!verdict.proven && verdict.is_one_sided);
        assert_eq!(probes.frames(None).len(), 2, "asked again");
        assert!(probes.take(&answer(Flags::ACK, 9999)));
        assert!(probes.verdicts()[0].proven);
        let reset = probes.frames(None);
        let segment = Segment::parse(&reset[0][14..], 0).unwrap();
        assert_eq!((segment.flags, segment.seq), (Flags::RST, 778));
        assert!(segment.is_copy());
        assert!(probes.frames(Some(777)).is_empty());
        probes.end();
        assert!(!probes.take(&answer(Flags::RST, 9999)));
    }

    /// Another tcpcopy may probe the same target from the same address of a documentation network, and what stands here from
    /// a run before is as old as that.
    #[test]
    fn answers_to_what_was_not_sent_prove_nothing() {
        for flags in [
            Flags::SYN.with(Flags::ACK),
            Flags::RST.with(Flags::ACK),
            Flags::ACK,
        ] {
            let probes = Probes::new([ends()]);
            assert!(probes.take(&answer(flags, 9999)), "it is no session's");
            assert!(!probes.verdicts()[0].proven, "{flags:?} before a SYN");
            // Acknowledged is 778.
            probes.frames(Some(1_000_000));
            assert!(probes.take(&answer(flags, 9999)));
            let verdict = &probes.verdicts()[0];
            assert!(!verdict.proven && !verdict.is_one_sided, "{flags:?}");
        }
    }

    /// A target that still has a connection of a run that was killed answers a SYN with where that one stands (RFC 5961).
    #[test]
    fn a_connection_of_a_run_before_is_reset_and_the_probe_begins_anew() {
        let probes = Probes::new([ends()]);
        probes.frames(Some(1_000_000));
        assert!(probes.take(&answer(Flags::ACK, 9999)));
        let frames = probes.frames(None);
        let reset = Segment::parse(&frames[0][14..], 0).unwrap();
        assert_eq!((reset.flags, reset.seq), (Flags::RST, 778));
        assert_eq!(flags_of(&probes.frames(Some(777))), [Flags::SYN]);
    }

    #[test]
    fn a_refusal_proves_the_way_back_too() {
        let probes = Probes::new([ends()]);
        probes.frames(Some(777));
        assert!(probes.take(&answer(Flags::RST.with(Flags::ACK), 9999)));
        assert!(probes.frames(Some(1)).is_empty());
        let verdict = &probes.verdicts()[0];
        assert!(verdict.proven && verdict.refused);
    }
}
