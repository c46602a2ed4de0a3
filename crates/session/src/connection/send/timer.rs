//! The timer of the sending half: when it runs, and what it does.

use super::SendHalf;
use crate::time::Instant;

/// The one timer of the sending half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Idle,
    /// Probe for a loss at the tail of what was sent (RFC 8985 section 7).
    Probe(Instant),
    /// Send again, or probe a zero window.
    Retransmission(Instant),
}

/// What the timer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fired {
    /// A tail loss probe is to be sent.
    Probe,
    /// A retransmission timeout.
    Timeout,
}

impl SendHalf {
    /// When the timer fires.
    pub(crate) fn timer_at(&self) -> Option<Instant> {
        match self.timer {
            Timer::Idle => None,
            Timer::Probe(at) | Timer::Retransmission(at) => Some(at),
        }
    }

    /// The timer fired. A tail loss probe sends new data where there is some, or the last segment once more. After a
    /// retransmission timeout everything unacknowledged is to be sent again, slowly; where nothing is in flight, the
    /// timer stood for a zero window, and one byte probes it.
    pub(crate) fn on_timer(&mut self, limit: u64, now: Instant) -> Fired {
        if matches!(self.timer, Timer::Probe(_)) {
            self.on_probe(limit, now);
            return Fired::Probe;
        }
        self.timeouts = self.timeouts.saturating_add(1);
        self.trip.back_off();
        self.timed = None;
        if self.in_flight() {
            self.threshold = self.half_flight();
            self.congestion_window = u32::from(self.mss);
            self.forget_flight();
        }
        if self.window == 0 {
            // Zero-window probe (RFC 9293 section 3.8.6.1): the probe's acknowledgement brings the window.
            self.window = 1;
        }
        self.arm_retransmission(now);
        Fired::Timeout
    }

    /// Whether a timer is missing although bytes wait for a window.
    pub(crate) fn wants_probe_timer(&self, limit: u64) -> bool {
        self.window == 0 && self.timer == Timer::Idle && limit > self.nxt
    }

    /// Starts the timer: that of a tail loss probe, where one can tell anything sooner than a timeout would.
    pub(super) fn arm(&mut self, now: Instant) {
        let timeout = self.trip.timeout();
        let undisturbed = self.held.is_empty() && self.recovery.is_none() && self.probe.is_none();
        let probe = self.probe_timeout().filter(|probe| *probe < timeout);
        self.timer = match probe.filter(|_| undisturbed && self.timeouts == 0) {
            Some(probe) => Timer::Probe(now + probe),
            None => Timer::Retransmission(now + timeout),
        };
    }

    /// Starts the retransmission timer.
    pub(crate) fn arm_retransmission(&mut self, now: Instant) {
        self.timer = Timer::Retransmission(now + self.trip.timeout());
    }

    /// Stops the timer.
    pub(crate) fn disarm(&mut self) {
        self.timer = Timer::Idle;
    }
}
