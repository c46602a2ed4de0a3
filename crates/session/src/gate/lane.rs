//! One lane of a gate: a network of clients as one target answers it.

use core::time::Duration;
use std::collections::VecDeque;

use wire::flow::Addr;

use super::{Held, Reply};
use crate::id::SessionId;
use crate::limits::{
    FAILURES_UNTIL_TOLD, MUTE_CONNECTIONS_MAX, PROBE_FRAMES_MAX, PROBE_INTERVAL, PROVE_BACKOFF_MAX,
    PROVE_BACKOFF_MIN, SILENCE, SILENCE_UNPROVEN, STRIKE_PAUSE_MAX, UNANSWERED_MAX,
    UNANSWERED_UNPROVEN_MAX,
};
use crate::time::Instant;

/// Whether frames pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The target answers, as far as is known.
    Open,
    /// It does not, or nobody knows; without a probe under way the next may leave at this time.
    Shut {
        probe: Option<Probe>,
        next_at: Instant,
    },
}

/// A session that may go through a shut lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) session: SessionId,
    /// Until then it is waited for.
    pub(super) until: Instant,
    frames: u8,
}

/// Why a lane has to be shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Silent,
    /// It accepts connections, and nothing that is sent on them arrives.
    OneSided,
}

/// What has been sent after handshakes without a word of the target's since.
#[derive(Clone, Copy, Debug, Default)]
struct Wordless {
    connections: u32,
    frames: u32,
    since: Instant,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) network: Addr,
    /// A client of this network.
    pub(super) client: Addr,
    pub(super) state: State,
    unanswered: u32,
    answered_at: Instant,
    wordless: Wordless,
    /// Whether the target has ever said a word here.
    pub(super) proven: bool,
    /// Probes that failed in a row.
    failures: u32,
    /// Whether one of them was accepted, and then nothing.
    pub(super) heard: bool,
    /// Whether the user has been told that it is shut.
    pub(super) told: bool,
    /// Sessions that wait, and how many of them are gone.
    pub(super) held: VecDeque<Held>,
    pub(super) gone: usize,
    pub(super) used_at: Instant,
}

impl Lane {
    pub(super) fn new(network: Addr, client: Addr, is_open: bool, now: Instant) -> Self {
        let (probe, next_at) = (None, now);
        Self {
            network,
            client,
            state: if is_open {
                State::Open
            } else {
                State::Shut { probe, next_at }
            },
            unanswered: 0,
            answered_at: now,
            wordless: Wordless::default(),
            proven: false,
            failures: 0,
            heard: false,
            told: false,
            held: VecDeque::new(),
            gone: 0,
            used_at: now,
        }
    }

    /// Whether the target has left too much unanswered for too long. Where a reply that nobody consumes would reach a
    /// real client, far less is enough.
    pub(super) fn fails(&self, prove: bool, now: Instant) -> Option<Why> {
        if self.unanswered == 0 && self.wordless.frames == 0 {
            return None;
        }
        let Wordless {
            connections,
            frames,
            since,
        } = self.wordless;
        if connections.min(frames) >= MUTE_CONNECTIONS_MAX && now.since(since) >= SILENCE {
            return Some(Why::OneSided);
        }
        let silence = now.since(self.answered_at);
        let is_silent = if prove {
            let few = self.unanswered >= UNANSWERED_UNPROVEN_MAX && silence >= SILENCE_UNPROVEN;
            few || self.unanswered >= UNANSWERED_MAX
        } else {
            self.unanswered >= UNANSWERED_MAX && silence >= SILENCE
        };
        is_silent.then_some(Why::Silent)
    }

    pub(super) fn on_asked(&mut self, is_syn: bool, now: Instant) {
        if self.state != State::Open {
            return;
        }
        if self.unanswered == 0 {
            // Silence counts from the first frame that wants an answer.
            self.answered_at = now;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        if !is_syn {
            if self.wordless.frames == 0 {
                self.wordless.since = now;
            }
            self.wordless.frames = self.wordless.frames.saturating_add(1);
        }
    }

    pub(super) fn on_reply(&mut self, reply: Reply, now: Instant) {
        match reply {
            Reply::AcceptsAgain => {}
            Reply::Accepts => {
                self.heard = true;
                (self.unanswered, self.answered_at) = (0, now);
                self.wordless.connections = self.wordless.connections.saturating_add(1);
            }
            Reply::Word => self.forget_silence(now),
        }
    }

    pub(super) fn forget_silence(&mut self, now: Instant) {
        (self.unanswered, self.answered_at) = (0, now);
        self.wordless = Wordless::default();
    }

    /// Opens it. Returns whether a probe was under way.
    pub(super) fn open(&mut self, now: Instant) -> bool {
        let probed = matches!(self.state, State::Shut { probe: Some(_), .. });
        self.state = State::Open;
        self.forget_silence(now);
        (self.failures, self.heard, self.told) = (0, false, false);
        probed
    }

    pub(super) fn shut(&mut self, next_at: Instant) {
        let probe = None;
        self.state = State::Shut { probe, next_at };
        (self.failures, self.heard) = (0, false);
    }

    /// Without a probe, the next may leave then.
    pub(super) fn wait_until(&mut self, next_at: Instant) {
        let probe = None;
        self.state = State::Shut { probe, next_at };
    }

    pub(super) fn begin_probe(&mut self, session: SessionId, now: Instant) {
        let probe = Some(Probe {
            session,
            until: now + PROBE_INTERVAL,
            frames: 1,
        });
        let next_at = now;
        self.state = State::Shut { probe, next_at };
    }

    /// Whether the probe that is under way may send one more frame, if it is this session's.
    pub(super) fn is_probe(&mut self, session: SessionId) -> bool {
        let State::Shut {
            probe: Some(probe), ..
        } = &mut self.state
        else {
            return false;
        };
        if probe.session != session || probe.frames >= PROBE_FRAMES_MAX {
            return false;
        }
        probe.frames += 1;
        true
    }

    /// The session that probes.
    pub(super) fn probe(&self) -> Option<SessionId> {
        match self.state {
            State::Shut { probe, .. } => probe.map(|probe| probe.session),
            State::Open => None,
        }
    }

    /// How many sessions wait that are not gone.
    pub(super) fn waiting(&self) -> usize {
        self.held.len().saturating_sub(self.gone)
    }

    /// Its probe was not answered. Returns whether that has gone on for long enough to be told.
    pub(super) fn fail_probe(&mut self, prove: bool, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let wait = if prove {
            let doubled = PROVE_BACKOFF_MIN * (1 << (self.failures - 1).min(16));
            doubled.min(PROVE_BACKOFF_MAX)
        } else {
            Duration::ZERO
        };
        let (probe, next_at) = (None, now + wait);
        self.state = State::Shut { probe, next_at };
        self.failures >= FAILURES_UNTIL_TOLD
    }

    /// Whether it was proven once, and may now be tried again at once.
    pub(super) fn reconsider(&mut self, now: Instant) -> bool {
        let State::Shut {
            probe: None,
            next_at,
        } = &mut self.state
        else {
            return false;
        };
        if !self.proven {
            return false;
        }
        *next_at = now;
        self.failures = 0;
        true
    }

    /// Whether nothing is lost but what is known of the network where it is forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty() && !matches!(self.state, State::Shut { probe: Some(_), .. })
    }

    /// One that waited is gone; those that are gone are taken out when they are the most.
    pub(super) fn forget_one(&mut self, is_waiting: impl Fn(&Held) -> bool) {
        self.gone += 1;
        // Each is looked at once for every one that has gone.
        if self.gone * 2 > self.held.len() {
            self.held.retain(is_waiting);
            self.gone = 0;
        }
    }
}

/// How long a target of which no lane is open is left in peace after so many probes that failed in a row.
pub(super) fn pause(strikes: u32) -> Duration {
    match strikes.checked_sub(1) {
        None => Duration::ZERO,
        Some(before) => (PROBE_INTERVAL * (1 << before.min(16))).min(STRIKE_PAUSE_MAX),
    }
}
