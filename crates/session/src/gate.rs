//! The gate before a target: whether frames may be sent to it now.
//!
//! A target that does not answer at all must neither stall the others (its frames wait in the kernel for a neighbour
//! that is not there) nor, with the clients' own addresses, have its replies reach real clients. So frames without a
//! reply are counted: beyond a limit the target is suspended, and one session at a time may probe it until it answers.

use crate::limits::{
    BACKOFF_MAX, BACKOFF_MIN, PROBE_INTERVAL, REFUSALS_MAX, SILENCE, SILENCE_UNPROVEN,
    UNANSWERED_MAX, UNANSWERED_UNPROVEN_MAX,
};
use crate::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It answers, as far as is known.
    Open,
    /// It does not; the next probe may leave at this time.
    Suspended { probe_at: Instant },
    /// Nothing may be sent: no route, or reports cannot arrive.
    Closed,
}

/// What a session that wants to send has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Send.
    Yes,
    /// Wait until the gate opens or the next probe is due.
    Hold,
}

/// The gate of one target.
#[derive(Debug)]
pub(crate) struct Gate {
    mode: Mode,
    /// Whether it starts suspended, and falls back to that whenever reports stopped.
    prove: bool,
    channel: bool,
    route: bool,
    unanswered: u32,
    answered_at: Instant,
    /// Connections that it has refused in a row.
    refusals: u32,
    /// Until then it is taken to refuse the next one as well.
    refuses_until: Instant,
}

impl Gate {
    /// A gate that is open from the start, or opens with the first reply (`prove`).
    pub(crate) fn new(prove: bool, now: Instant) -> Self {
        let mut gate = Self {
            mode: Mode::Closed,
            prove,
            channel: true,
            route: true,
            unanswered: 0,
            answered_at: now,
            refusals: 0,
            refuses_until: Instant::default(),
        };
        gate.reopen(now);
        gate
    }

    /// Asks to send one frame. The second result is whether this suspended the target.
    pub(crate) fn pass(&mut self, now: Instant) -> (Pass, bool) {
        match self.mode {
            Mode::Closed => (Pass::Hold, false),
            Mode::Suspended { probe_at } if now < probe_at => (Pass::Hold, false),
            Mode::Suspended { .. } => {
                self.mode = Mode::Suspended {
                    probe_at: now + PROBE_INTERVAL,
                };
                (Pass::Yes, false)
            }
            Mode::Open => {
                if self.is_silent(now) {
                    self.mode = Mode::Suspended {
                        probe_at: now + PROBE_INTERVAL,
                    };
                    return (Pass::Hold, true);
                }
                (Pass::Yes, false)
            }
        }
    }

    /// A frame was sent that wants an answer. Mere acknowledgements do not: thousands of sessions that have acknowledged
    /// their responses and wait for their clients are not a target that is silent.
    pub(crate) fn on_asked(&mut self, now: Instant) {
        if self.mode == Mode::Open {
            if self.unanswered == 0 {
                // Silence counts from the first frame that wants an answer.
                self.answered_at = now;
            }
            self.unanswered += 1;
        }
    }

    /// The target answered. Returns whether this opened the gate.
    pub(crate) fn on_reply(&mut self, now: Instant) -> bool {
        self.unanswered = 0;
        self.answered_at = now;
        if matches!(self.mode, Mode::Suspended { .. }) {
            self.mode = Mode::Open;
            return true;
        }
        false
    }

    /// The target refused a connection. After [`REFUSALS_MAX`] in a row it is believed to refuse all of them, for a time
    /// that doubles from [`BACKOFF_MIN`] to [`BACKOFF_MAX`]. What is refused meanwhile was asked before, and says nothing new.
    pub(crate) fn on_refusal(&mut self, now: Instant) {
        if now < self.refuses_until {
            return;
        }
        self.refusals = self.refusals.saturating_add(1);
        if let Some(beyond) = self.refusals.checked_sub(REFUSALS_MAX) {
            self.refuses_until = now + (BACKOFF_MIN * (1 << beyond.min(10))).min(BACKOFF_MAX);
        }
    }

    /// The target accepted a connection.
    pub(crate) fn on_accept(&mut self) {
        self.refusals = 0;
        self.refuses_until = Instant::default();
    }

    /// Until when the target would refuse another connection, as far as is known.
    pub(crate) fn refuses_until(&self, now: Instant) -> Option<Instant> {
        Some(self.refuses_until).filter(|until| now < *until)
    }

    /// Whether replies can arrive at all (the channel of assistant mode).
    pub(crate) fn set_channel(&mut self, connected: bool, now: Instant) {
        self.channel = connected;
        self.reopen(now);
    }

    /// Whether there is a route to the target.
    pub(crate) fn set_route(&mut self, exists: bool, now: Instant) {
        self.route = exists;
        self.reopen(now);
    }

    /// Whether anything may be sent, if only a probe.
    pub(crate) fn is_closed(&self) -> bool {
        self.mode == Mode::Closed
    }

    /// Whether frames pass now.
    pub(crate) fn is_open(&self) -> bool {
        self.mode == Mode::Open
    }

    /// When a session that was held may try again; `None` while nothing is to be expected.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        match self.mode {
            Mode::Open => Some(Instant::default()),
            Mode::Suspended { probe_at } => Some(probe_at),
            Mode::Closed => None,
        }
    }

    /// Whether the target has left too much unanswered for too long. Where a reply that nobody consumes would reach a
    /// real client, far less is enough.
    fn is_silent(&self, now: Instant) -> bool {
        let silence = now.since(self.answered_at);
        if self.prove {
            let few = self.unanswered >= UNANSWERED_UNPROVEN_MAX && silence >= SILENCE_UNPROVEN;
            return few || self.unanswered >= UNANSWERED_MAX;
        }
        self.unanswered >= UNANSWERED_MAX && silence >= SILENCE
    }

    fn reopen(&mut self, now: Instant) {
        self.unanswered = 0;
        self.answered_at = now;
        self.mode = match (self.channel && self.route, self.prove) {
            (false, _) => Mode::Closed,
            (true, true) => Mode::Suspended { probe_at: now },
            (true, false) => Mode::Open,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Pass};
    use crate::limits::{
        PROBE_INTERVAL, SILENCE, SILENCE_UNPROVEN, UNANSWERED_MAX, UNANSWERED_UNPROVEN_MAX,
    };
    use crate::time::Instant;

    fn ask(gate: &mut Gate, now: Instant) -> (Pass, bool) {
        let answer = gate.pass(now);
        if answer.0 == Pass::Yes {
            gate.on_asked(now);
        }
        answer
    }

    #[test]
    fn a_silent_target_is_suspended_and_probed() {
        let start = Instant::from_nanos(1);
        let mut gate = Gate::new(false, start);
        for _ in 0..UNANSWERED_MAX {
            assert_eq!(ask(&mut gate, start), (Pass::Yes, false));
        }
        let later = start + SILENCE;
        assert_eq!(ask(&mut gate, later), (Pass::Hold, true));
        assert_eq!(ask(&mut gate, later + PROBE_INTERVAL), (Pass::Yes, false));
        assert_eq!(ask(&mut gate, later + PROBE_INTERVAL), (Pass::Hold, false));
        assert!(gate.on_reply(later + PROBE_INTERVAL));
        assert_eq!(ask(&mut gate, later + PROBE_INTERVAL), (Pass::Yes, false));
    }

    #[test]
    fn where_replies_could_reach_clients_silence_is_noticed_sooner() {
        let start = Instant::from_nanos(1);
        let mut gate = Gate::new(true, start);
        assert_eq!(ask(&mut gate, start), (Pass::Yes, false));
        assert!(gate.on_reply(start));
        for _ in 0..UNANSWERED_UNPROVEN_MAX {
            assert_eq!(ask(&mut gate, start), (Pass::Yes, false));
        }
        assert_eq!(ask(&mut gate, start + SILENCE_UNPROVEN), (Pass::Hold, true));
        assert!(gate.on_reply(start + SILENCE_UNPROVEN));
        for _ in 0..UNANSWERED_MAX {
            assert_eq!(ask(&mut gate, start + SILENCE), (Pass::Yes, false));
        }
        assert_eq!(
            ask(&mut gate, start + SILENCE),
            (Pass::Hold, true),
            "however fast they left"
        );
    }

    #[test]
    fn a_path_that_must_be_proven_lets_one_probe_through_at_a_time() {
        let start = Instant::from_nanos(1);
        let mut gate = Gate::new(true, start);
        assert_eq!(ask(&mut gate, start), (Pass::Yes, false));
        assert_eq!(ask(&mut gate, start), (Pass::Hold, false));
        assert!(gate.on_reply(start));
        assert_eq!(ask(&mut gate, start), (Pass::Yes, false));
        gate.set_channel(false, start);
        assert_eq!(ask(&mut gate, start + SILENCE), (Pass::Hold, false));
        assert_eq!(gate.retry_at(), None);
        gate.set_channel(true, start);
        assert_eq!(
            (ask(&mut gate, start), ask(&mut gate, start)),
            ((Pass::Yes, false), (Pass::Hold, false))
        );
    }

    #[test]
    fn acknowledgements_are_not_answered() {
        let start = Instant::from_nanos(1);
        let mut gate = Gate::new(false, start);
        for _ in 0..2 * UNANSWERED_MAX {
            assert_eq!(gate.pass(start), (Pass::Yes, false));
        }
        assert_eq!(ask(&mut gate, start + SILENCE), (Pass::Yes, false));
    }
}
