//! The sending half of a session that rests: nothing in flight, nothing lost, no timer.

use wire::seq::{LocalSeq, TargetSeq};

use super::rtt::RoundTrip;
use super::{SendHalf, Timer};

/// What is left of it.
#[derive(Debug)]
pub(crate) struct RestingSend {
    iss: LocalSeq,
    base: u64,
    una: u64,
    window: u32,
    window_shift: u8,
    mss: u16,
    congestion_window: u32,
    threshold: u32,
    trip: RoundTrip,
}

impl RestingSend {
    /// What is left of `send`; `None` where that would lose something.
    pub(crate) fn of(send: &SendHalf) -> Option<Self> {
        let SendHalf {
            iss,
            base,
            una,
            nxt,
            sent,
            window,
            // What has come since is not older.
            window_from: _,
            window_shift,
            mss,
            congestion_window,
            threshold,
            trip,
            timed,
            timer,
            timeouts,
            duplicates,
            held,
            recovery,
            probe,
            forced,
            shunning,
        } = send;
        let is_idle = *timer == Timer::Idle && timed.is_none() && *timeouts == 0 && !shunning;
        let is_repaired = *duplicates == 0
            && held.is_empty()
            && recovery.is_none()
            && probe.is_none()
            && forced.is_none();
        (una == nxt && nxt == sent && is_idle && is_repaired).then_some(Self {
            iss: *iss,
            base: *base,
            una: *una,
            window: *window,
            window_shift: *window_shift,
            mss: *mss,
            congestion_window: *congestion_window,
            threshold: *threshold,
            trip: *trip,
        })
    }

    /// The half as it was; the target had sent everything before `received`.
    pub(crate) fn wake(self, received: TargetSeq) -> SendHalf {
        let half = SendHalf::new(self.iss, self.base, self.mss);
        SendHalf {
            una: self.una,
            nxt: self.una,
            sent: self.una,
            window: self.window,
            window_shift: self.window_shift,
            congestion_window: self.congestion_window,
            threshold: self.threshold,
            trip: self.trip,
            window_from: (received, half.seq(self.una)),
            ..half
        }
    }
}
