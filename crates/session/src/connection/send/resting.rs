//! The sending half of a session that rests: nothing in flight, nothing lost, no timer.

use wire::seq::{LocalSeq, TargetSeq};

use super::rtt::RoundTrip;
use super::{SendHalf, Timer};

/// What is left of it.
#[derive(Debug)]
pub(crate) struct RestingSend {
    iss: LocalSeq,
    base: u64,
    /// So many bytes before the place of its session it had acknowledged everything.
    behind: u32,
    window: u32,
    window_shift: u8,
    mss: u16,
    congestion_window: u32,
    threshold: u32,
    trip: RoundTrip,
}

impl RestingSend {
    /// What is left of `send`, whose session needs the stream from `kept` on; `None` where that would lose something.
    pub(crate) fn of(send: &SendHalf, kept: u64) -> Option<Self> {
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
        let behind = u32::try_from(kept.checked_sub(*una)?).ok()?;
        (una == nxt && nxt == sent && is_idle && is_repaired).then_some(Self {
            iss: *iss,
            base: *base,
            behind,
            window: *window,
            window_shift: *window_shift,
            mss: *mss,
            congestion_window: *congestion_window,
            threshold: *threshold,
            trip: *trip,
        })
    }

    /// The half as it was, of a session that needs the stream from `kept` on; the target had sent everything before `received`.
    pub(crate) fn wake(self, kept: u64, received: TargetSeq) -> SendHalf {
        let una = kept - u64::from(self.behind);
        let half = SendHalf::new(self.iss, self.base, self.mss);
        SendHalf {
            una,
            nxt: una,
            sent: una,
            window: self.window,
            window_shift: self.window_shift,
            congestion_window: self.congestion_window,
            threshold: self.threshold,
            trip: self.trip,
            window_from: (received, half.seq(una)),
            ..half
        }
    }
}
