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

use session::probe::{Probe as Connection, Word};
use wire::flow::{Endpoint, FlowKey};
use wire::segment::Segment;
use wire::tcp::{Flags, Options};

use crate::clock;

/// The window that a probe offers, in bytes.
const WINDOW: u16 = 1024;
/// The longest packet that a probe sends: it has no payload.
const PACKET_LEN_MAX: u16 = 128;
/// What a probe says of the path, for the MSS of its SYN: what every path carries (RFC 9293 section 3.7.1).
const MTU: u16 = 576;

/// The probes of a run, one or several per target.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    /// How many are still waited for: 0 keeps reports off the lock.
    waiting: AtomicUsize,
    probes: Mutex<Vec<Probe>>,
}

#[derive(Debug)]
struct Probe {
    flow: FlowKey,
    /// None before the first SYN.
    connection: Option<Connection>,
    heard: Heard,
}

/// What a target has said to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    /// It took the connection, and has not answered what was sent after the handshake.
    Accepted,
    /// It has answered what was sent after the handshake.
    Word,
    /// It refused the connection: its way back is right, but nobody listens.
    Refusal,
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
            .map(|(client, server)| Probe {
                flow: FlowKey { client, server },
                connection: None,
                heard: Heard::Nothing,
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
        let Some(probe) = probes.iter_mut().find(|probe| {
            probe.flow.client == segment.destination && probe.flow.server == segment.source
        }) else {
            return false;
        };
        probe.hear(segment);
        true
    }

    /// The frames that are to be sent now: what was heard asks for some. Where `repeats`, a SYN or the question leaves as well, for the
    /// first time or once more, for each probe that waits.
    pub(crate) fn frames(&self, repeats: bool) -> Vec<Vec<u8>> {
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut frames = Vec::new();
        for probe in probes.iter_mut() {
            if repeats {
                probe.repeat();
            }
            frames.extend(core::iter::from_fn(|| probe.transmit()));
        }
        frames
    }

    /// What is known, target by target.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut verdicts: Vec<Verdict> = Vec::new();
        for probe in probes.iter() {
            let is_one_sided = probe.heard == Heard::Accepted;
            let proven = matches!(probe.heard, Heard::Word | Heard::Refusal);
            let refused = probe.heard == Heard::Refusal;
            match verdicts
                .iter_mut()
                .find(|verdict| verdict.target == probe.flow.server)
            {
                Some(verdict) => {
                    verdict.sources.push(probe.flow.client);
                    verdict.proven |= proven;
                    verdict.refused |= refused;
                    verdict.is_one_sided |= is_one_sided;
                }
                None => {
                    let (target, sources) = (probe.flow.server, vec![probe.flow.client]);
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
        let Some(connection) = &mut self.connection else {
            return;
        };
        match connection.on_segment(segment, &Options::default(), clock::now()) {
            Word::None => {
                // It says that it takes the connection until it sees that we know.
                if segment.flags.contains(Flags::SYN) {
                    connection.ask();
                }
            }
            Word::Accepted => {
                self.heard = Heard::Accepted;
                connection.ask();
            }
            Word::Refused | Word::Reset => self.heard = Heard::Refusal,
            Word::Answered => {
                self.heard = Heard::Word;
                connection.reset();
            }
        }
    }

    /// Begins, or asks once more.
    fn repeat(&mut self) {
        match &mut self.connection {
            None => {
                let now = clock::unix_nanos();
                self.connection = Some(Connection::new(self.flow, now, MTU, WINDOW));
            }
            Some(connection) => {
                connection.repeat_syn();
                connection.ask();
            }
        }
    }

    fn transmit(&mut self) -> Option<Vec<u8>> {
        let mut frame = vec![0; PACKET_LEN_MAX.into()];
        let len = self
            .connection
            .as_mut()?
            .transmit(clock::now(), &mut frame)?;
        frame.truncate(len);
        Some(frame)
    }
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

    /// What the target says of everything before `ack`.
    fn answer(flags: Flags, port: u16, seq: u32, ack: u32) -> Segment {
        let (source, target) = ends();
        let header = Header {
            source: target,
            destination: Endpoint { port, ..source },
            seq,
            ack,
            flags,
            window: 1,
            urgent: 0,
            options: Options::default(),
        };
        let mut frame = vec![0; header.payload_offset()];
        assert!(header.emit(&mut frame));
        Segment::parse(&frame[14..], 0).unwrap()
    }

    fn segments(frames: &[Vec<u8>]) -> Vec<Segment> {
        let parse = |frame: &Vec<u8>| Segment::parse(&frame[14..], 0).unwrap();
        frames.iter().map(parse).collect()
    }

    fn flags_of(frames: &[Vec<u8>]) -> Vec<Flags> {
        segments(frames)
            .iter()
            .map(|segment| segment.flags)
            .collect()
    }

    /// One probe whose SYN has left, and where its stream begins.
    fn begun() -> (Probes, u32) {
        let probes = Probes::new([ends()]);
        let syns = segments(&probes.frames(true));
        assert_eq!((syns.len(), syns[0].flags), (1, Flags::SYN));
        (probes, syns[0].seq.wrapping_add(1))
    }

    const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);
    const RST_ACK: Flags = Flags::RST.with(Flags::ACK);

    #[test]
    fn a_probe_is_sent_until_it_is_answered_and_then_reset() {
        let (probes, una) = begun();
        assert!(probes.frames(false).is_empty());
        assert_eq!(flags_of(&probes.frames(true)), [Flags::SYN]);
        let others = answer(SYN_ACK, 9998, 500, una);
        assert!(!probes.take(&others), "somebody else's");
        assert!(!probes.verdicts()[0].proven);
        assert!(probes.take(&answer(SYN_ACK, 9999, 500, una)));
        let question = segments(&probes.frames(false));
        assert_eq!(
            question
                .iter()
                .map(|s| (s.flags, s.seq, s.ack))
                .collect::<Vec<_>>(),
            [
                (Flags::ACK, una, 501),
                (Flags::ACK, una.wrapping_sub(1), 501)
            ]
        );
        // A firewall that sees one direction lets the SYN-ACK come again and again.
        assert!(probes.take(&answer(SYN_ACK, 9999, 500, una)));
        let verdict = &probes.verdicts()[0];
        assert!(!verdict.proven && verdict.is_one_sided);
        assert_eq!(probes.frames(false).len(), 2, "asked again");
        assert!(probes.take(&answer(Flags::ACK, 9999, 501, una)));
        assert!(probes.verdicts()[0].proven);
        let reset = segments(&probes.frames(false));
        assert_eq!((reset[0].flags, reset[0].seq), (RST_ACK, una));
        assert!(reset[0].is_copy());
        assert!(probes.frames(true).is_empty());
        probes.end();
        assert!(!probes.take(&answer(Flags::RST, 9999, 501, una)));
    }

    /// Another tcpcopy may probe the same target from the same address of a documentation network, and what stands here from
    /// a run before is as old as that.
    #[test]
    fn answers_to_what_was_not_sent_prove_nothing() {
        for flags in [SYN_ACK, RST_ACK, Flags::ACK] {
            let probes = Probes::new([ends()]);
            assert!(
                probes.take(&answer(flags, 9999, 500, 778)),
                "it is no session's"
            );
            assert!(!probes.verdicts()[0].proven, "{flags:?} before a SYN");
            let (probes, una) = begun();
            assert!(probes.take(&answer(flags, 9999, 500, una.wrapping_sub(100))));
            let verdict = &probes.verdicts()[0];
            assert!(!verdict.proven && !verdict.is_one_sided, "{flags:?}");
        }
    }

    /// A target that still has a connection of a run that was killed answers a SYN with where that one stands (RFC 5961).
    #[test]
    fn a_connection_of_a_run_before_is_reset_and_the_probe_begins_anew() {
        let (probes, una) = begun();
        let stale = una.wrapping_sub(1000);
        assert!(probes.take(&answer(Flags::ACK, 9999, 500, stale)));
        let frames = segments(&probes.frames(false));
        assert_eq!((frames[0].flags, frames[0].seq), (Flags::RST, stale));
        assert_eq!((frames[1].flags, frames.len()), (Flags::SYN, 2));
    }

    #[test]
    fn a_refusal_proves_the_way_back_too() {
        let (probes, una) = begun();
        assert!(probes.take(&answer(RST_ACK, 9999, 0, una)));
        assert!(probes.frames(true).is_empty());
        let verdict = &probes.verdicts()[0];
        assert!(verdict.proven && verdict.refused);
    }
}
