//! What a connection does by itself: it sends again what was not acknowledged, gives up after a while, and tries smaller segments
//! where large ones seem to be swallowed.

use super::send::Fired;
use super::{Connection, Phase, Reach};
use crate::event::Counters;
use crate::limits::{MTU_PLATEAUS, SYN_RETRIES_MAX, TIMEOUTS_MAX};
use crate::time::Instant;

/// What a connection's own timer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Something is to be sent once more, or a probe.
    Sending,
    /// No SYN of many was answered.
    Unanswered,
    /// Nothing was acknowledged for too long.
    GivenUp,
}

impl Connection {
    /// Whether the timer of the sending half has fired.
    pub(crate) fn is_timer_due(&self, now: Instant) -> bool {
        self.send.timer_at().is_some_and(|at| at <= now)
    }

    /// The timer starts again: nothing could have been answered.
    pub(crate) fn postpone_timer(&mut self, now: Instant) {
        self.send.arm_retransmission(now);
    }

    /// The timer of the sending half has fired.
    pub(crate) fn on_timer(
        &mut self,
        reach: Reach,
        now: Instant,
        counters: &mut Counters,
    ) -> Expired {
        match self.phase {
            Phase::SynSent { .. } if self.send.timeouts >= SYN_RETRIES_MAX => Expired::Unanswered,
            Phase::SynSent { .. } => {
                counters.retransmission_timeouts += 1;
                self.send.on_timer(0, now);
                self.phase = Phase::SynSent { due: true };
                Expired::Sending
            }
            Phase::Synchronized if self.send.timeouts >= TIMEOUTS_MAX => Expired::GivenUp,
            Phase::Synchronized => {
                match self.send.on_timer(reach.limit, now) {
                    Fired::Probe => counters.tail_probes += 1,
                    Fired::Timeout => {
                        counters.retransmission_timeouts += 1;
                        self.shun_black_hole(counters);
                    }
                }
                Expired::Sending
            }
            Phase::Closed | Phase::Leaving(_) => {
                self.send.disarm();
                Expired::Sending
            }
        }
    }

    /// Two timeouts in a row: perhaps the path swallows large segments without a word (RFC 4821). What it carries may be less
    /// than what was lost, which need not be of full size.
    fn shun_black_hole(&mut self, counters: &mut Counters) {
        let Some(lost) = self.send.lost_twice() else {
            return;
        };
        let headers = self.headers_len();
        let mtu = lost.saturating_add(headers);
        let Some(smaller) = MTU_PLATEAUS.into_iter().find(|plateau| *plateau < mtu) else {
            return;
        };
        counters.black_holes += 1;
        self.send.shun(smaller - headers);
    }
}
