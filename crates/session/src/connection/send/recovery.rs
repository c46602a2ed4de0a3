//! Loss recovery and congestion control: what of the flight is lost, and how much may be in the network.

use core::time::Duration;

use wire::seq::LocalSeq;

use super::{Ack, SendHalf};
use crate::limits::{
    CONGESTION_WINDOW_MAX, DUPLICATE_ACKS, TAIL_PROBE_MIN, TARGET_DELAYED_ACK_MAX,
};
use crate::time::Instant;

/// Fast recovery (RFC 6582 and 6675).
#[derive(Clone, Copy, Debug)]
pub(super) struct Recovery {
    /// What had been sent when the loss was found: acknowledged, the recovery is over.
    pub(super) point: u64,
    /// What was sent again ends here (HighRxt).
    pub(super) resent: u64,
}

/// A tail loss probe on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// What was sent ended here.
    pub(super) end: u64,
    /// Whether it was sent before: then its arrival repairs a loss.
    pub(super) resent: bool,
}

impl SendHalf {
    /// How many more bytes the congestion window lets into the network.
    pub(super) fn room(&self) -> u64 {
        let mut window = u64::from(self.congestion_window);
        if self.recovery.is_none() && self.held.is_empty() {
            // Limited transmit: a duplicate acknowledgement tells that a segment has left the network (RFC 3042).
            window += u64::from(self.duplicates.min(2)) * u64::from(self.mss);
        }
        window.saturating_sub(self.pipe())
    }

    /// What is in the network, as far as is known (RFC 6675 section 4, SetPipe).
    fn pipe(&self) -> u64 {
        let flight = self.nxt - self.una;
        if self.held.is_empty() {
            return flight;
        }
        let held = self.held.held_between(self.una, self.nxt);
        let resent = self.recovery.map_or(self.una, |recovery| recovery.resent);
        let lost_below = self.held.lost_below(self.mss).unwrap_or(resent);
        let lost = lost_below.saturating_sub(resent);
        let lost = lost - self.held.held_between(resent, resent + lost);
        flight.saturating_sub(held + lost)
    }

    /// The next stretch that the target lacks and that has not been sent again: one that is lost or, in want of anything
    /// better, `any` (RFC 6675 section 4, NextSeg rules 1 and 3).
    pub(super) fn next_hole(&self, limit: u64, any: bool) -> Option<(u64, u64)> {
        let recovery = self.recovery?;
        let hole = self.held.next_hole(recovery.resent.max(self.una))?;
        let end = self.held.next_held(hole)?.min(limit);
        let lost = |edge| hole < edge;
        let wanted = any || self.held.lost_below(self.mss).is_some_and(lost);
        (wanted && hole < end).then_some((hole, end))
    }

    /// Notes what the SACK blocks report. Returns whether any of it is news, and whether they say that something arrived
    /// twice (RFC 2883).
    pub(super) fn note_held(&mut self, ack: &Ack<'_>, acknowledged: u64) -> (bool, bool) {
        let (mut news, mut twice) = (false, false);
        for &(left, right) in ack.sack.unwrap_or_default() {
            let ends = [left, right].map(|edge| self.offset_of(LocalSeq::new(edge)));
            let [Some(left), Some(right)] = ends else {
                continue;
            };
            if left < right && right <= acknowledged {
                twice = true;
            } else if left < right && left > acknowledged && right <= self.sent {
                news |= self.held.add(left, right);
            }
        }
        (news, twice)
    }

    pub(super) fn on_duplicate(&mut self, limit: u64) {
        self.duplicates = self.duplicates.saturating_add(1);
        if self.recovery.is_some() {
            if self.held.is_empty() {
                self.congestion_window = self.congestion_window.saturating_add(u32::from(self.mss));
            }
            return;
        }
        let lost = self
            .held
            .lost_below(self.mss)
            .is_some_and(|edge| edge > self.una);
        if lost || self.duplicates >= DUPLICATE_ACKS || self.is_early_loss(limit) {
            self.recover();
        }
    }

    /// In a small flight with nothing more to send, fewer duplicate acknowledgements than usual can come (RFC 5827).
    fn is_early_loss(&self, limit: u64) -> bool {
        let (flight, mss) = (self.nxt - self.una, u64::from(self.mss));
        if self.nxt < limit || flight > u64::from(DUPLICATE_ACKS) * mss {
            return false;
        }
        let segments = flight.div_ceil(mss);
        let held = self.held.held_between(self.una, self.nxt);
        u64::from(self.duplicates) + 1 >= segments || (held > 0 && flight - held <= mss)
    }

    fn recover(&mut self) {
        self.recovery = Some(Recovery {
            point: self.nxt,
            resent: self.una,
        });
        self.threshold = self.half_flight();
        self.congestion_window = self.threshold;
        if self.held.is_empty() {
            // As many segments have left the network.
            let left = u32::from(self.duplicates) * u32::from(self.mss);
            self.congestion_window = self.congestion_window.saturating_add(left);
        }
        self.forced = Some(self.una);
        self.probe = None;
    }

    /// A probe that was a retransmission, and of which the target does not say that it had it already, has repaired a loss:
    /// congestion (RFC 8985 section 7.4).
    pub(super) fn settle_probe(&mut self, twice: bool) {
        let Some(probe) = self.probe.filter(|probe| self.una >= probe.end) else {
            return;
        };
        self.probe = None;
        if probe.resent && !twice && self.recovery.is_none() {
            self.threshold = (self.congestion_window / 2).max(2 * u32::from(self.mss));
            self.congestion_window = self.threshold;
        }
    }

    pub(super) fn grow(&mut self, advanced: u64, used: bool) {
        let mss = u32::from(self.mss);
        match &mut self.recovery {
            Some(recovery) if self.una < recovery.point => {
                // A partial acknowledgement: the next hole (RFC 6582 section 3.2, step 3).
                if self.held.is_empty() {
                    self.forced = Some(self.una);
                    let deflated = self.congestion_window.saturating_sub(advanced as u32);
                    self.congestion_window = deflated.max(mss).saturating_add(mss);
                } else if recovery.resent <= self.una {
                    self.forced = Some(self.una);
                    recovery.resent = self.una;
                }
            }
            Some(_) => {
                self.recovery = None;
                self.congestion_window = self.threshold;
            }
            None if used => {
                let step = if self.congestion_window < self.threshold {
                    (advanced as u32).min(mss)
                } else {
                    (mss * mss / self.congestion_window).max(1)
                };
                self.congestion_window = (self.congestion_window + step).min(CONGESTION_WINDOW_MAX);
            }
            None => {}
        }
    }

    pub(super) fn half_flight(&self) -> u32 {
        let half = u32::try_from((self.nxt - self.una) / 2).unwrap_or(u32::MAX);
        half.max(2 * u32::from(self.mss))
    }

    pub(super) fn on_probe(&mut self, limit: u64, now: Instant) {
        let fresh = limit > self.nxt && u64::from(self.window) > self.nxt - self.una;
        let from = if fresh {
            self.nxt
        } else {
            let last = self.sent.saturating_sub(u64::from(self.mss));
            last.max(self.una)
        };
        self.forced = Some(from);
        self.probe = Some(Probe {
            end: self.sent,
            resent: !fresh,
        });
        self.arm_retransmission(now);
    }

    /// Everything that was sent and not acknowledged counts as lost. What the target has reported to hold it may have
    /// dropped since (RFC 2018 section 8).
    pub(super) fn forget_flight(&mut self) {
        self.nxt = self.una;
        self.held.clear();
        (self.recovery, self.probe, self.forced) = (None, None, None);
        self.duplicates = 0;
    }

    /// PTO (RFC 8985 section 7.2). With one segment in flight the target may be delaying its acknowledgement.
    pub(super) fn probe_timeout(&self) -> Option<Duration> {
        let alone = self.nxt - self.una <= u64::from(self.mss);
        let patience = if alone {
            TARGET_DELAYED_ACK_MAX
        } else {
            Duration::ZERO
        };
        Some((self.trip.smoothed()? * 2 + patience).max(TAIL_PROBE_MIN))
    }
}
