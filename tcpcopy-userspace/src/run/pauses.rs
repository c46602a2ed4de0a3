//! Times in which the programs record nothing, because nothing could be copied: what is said of them, and one of the reasons.
//!
//! A worker pauses by itself where no target can be reached or no session is left (`worker/pausing.rs`). Here a pause begins
//! where the rings are full again and again: nearly every flow has holes then, and clients pay for records that come to
//! nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::counter::Counter;
use abi::maps::{PAUSED_BUSY, PAUSED_RING_FULL, PAUSED_UNREACHABLE};
use telemetry::warning::Kind;
use telemetry::{Figures, KernelCounters};
use tracing::info;
use words::Words;

use super::Run;
use super::warnings::{Subject, Warnings};
use crate::cpu::MachineTime;
use crate::worker::Command;

/// For so many seconds in a row ...
const FULL_SECONDS: u32 = 3;
/// ... at least one record of this many must be lost.
const FULL_SHARE: u64 = 4;
/// The longest pause, in seconds; the first one takes a second, and each that follows twice as long as the one before ...
const PAUSE_SECONDS_MAX: u32 = 32;
/// ... unless so many seconds without a loss lie between them.
const CALM_SECONDS: u32 = 10;

/// All workers' switches, and what was said of them.
pub(super) struct Pauses {
    words: Arc<Words>,
    workers: usize,
    rings: Rings,
    said: u64,
    pauses: u64,
    seconds: u64,
}

impl Pauses {
    pub(super) fn new(words: Arc<Words>, workers: u32) -> Self {
        Self {
            words,
            workers: workers as usize,
            rings: Rings::default(),
            said: 0,
            pauses: 0,
            seconds: 0,
        }
    }

    /// To be called once a second.
    pub(super) fn second(&mut self, kernel: &KernelCounters, warnings: &mut Warnings) {
        let sum =
            |counters: [Counter; 2]| counters.iter().map(|&counter| kernel.get(counter)).sum();
        let lost = sum([Counter::CaptureRingFull, Counter::ObserveRingFull]);
        let kept = sum([Counter::CaptureRecorded, Counter::ObserveRecorded]);
        if let Some(pause) = self.rings.second(lost, kept) {
            self.set_ring_full(pause);
        }
        let words = (0..self.workers).filter_map(|worker| self.words.get(worker));
        let (mut reasons, mut paused) = (0, 0);
        for word in words.map(|word| word.load(Ordering::Relaxed)) {
            reasons |= word;
            paused += u64::from(word != 0);
        }
        self.seconds += paused;
        self.pauses += u64::from((reasons & !self.said).count_ones());
        say(reasons, self.said, warnings);
        self.said = reasons;
    }

    /// What there was, for the summary.
    pub(super) fn notes(&self, notes: &mut Figures) {
        notes.push("recording_pauses", self.pauses);
        notes.push("recording_paused_worker_seconds", self.seconds);
    }

    fn set_ring_full(&self, pause: bool) {
        for word in (0..self.workers).filter_map(|worker| self.words.get(worker)) {
            if pause {
                word.fetch_or(PAUSED_RING_FULL, Ordering::SeqCst);
            } else {
                word.fetch_and(!PAUSED_RING_FULL, Ordering::SeqCst);
            }
        }
    }
}

impl Run<'_> {
    /// While the machine is busier than `--max-cpu` no new flow is taken. To be called once a second.
    pub(super) fn spare_the_machine(&mut self) {
        let guard = self.guard.as_mut();
        let Some(admit) = guard.and_then(|guard| guard.look(MachineTime::now())) else {
            return;
        };
        info!(
            "{}",
            if admit {
                "the machine is less busy: new flows are copied again"
            } else {
                "the machine is busier than --max-cpu: no new flows"
            }
        );
        self.crew.command(&|| Command::Admit(admit));
    }
}

fn say(now: u64, before: u64, warnings: &mut Warnings) {
    const WORDS: [(u64, &str); 3] = [
        (PAUSED_UNREACHABLE, "no target can be reached"),
        (
            PAUSED_BUSY,
            "the machine is busier than --max-cpu and no session is left",
        ),
        (
            PAUSED_RING_FULL,
            "the workers do not keep up, and records are lost all the time",
        ),
    ];
    for (reason, words) in WORDS {
        let subject = Subject::Thing(words);
        if now & reason != 0 {
            let words = format!(
                "nothing is recorded for now: {words}; what is not recorded is counted as `paused`"
            );
            warnings.raise(Kind::RecordingPaused, subject, &words);
        } else if before & reason != 0 {
            let words = if now == 0 {
                "recording goes on".to_owned()
            } else {
                format!("no reason any more to record nothing: {words}")
            };
            warnings.end(Kind::RecordingPaused, subject, &words);
        }
    }
}

/// Whether the rings are full again and again.
#[derive(Debug, Default)]
struct Rings {
    lost: u64,
    kept: u64,
    full_seconds: u32,
    calm_seconds: u32,
    /// How long the last pause was, in seconds.
    pause: u32,
    /// Seconds that are left of this one.
    left: u32,
}

impl Rings {
    /// Takes the totals of a second; says whether a pause begins or ends.
    fn second(&mut self, lost: u64, kept: u64) -> Option<bool> {
        let now_lost = lost.saturating_sub(std::mem::replace(&mut self.lost, lost));
        let now_kept = kept.saturating_sub(std::mem::replace(&mut self.kept, kept));
        if self.left > 0 {
            self.left -= 1;
            return (self.left == 0).then_some(false);
        }
        self.calm_seconds = if now_lost == 0 {
            self.calm_seconds + 1
        } else {
            0
        };
        if self.calm_seconds >= CALM_SECONDS {
            self.pause = 0;
        }
        let full = now_lost > 0 && now_lost * FULL_SHARE >= now_lost + now_kept;
        self.full_seconds = if full { self.full_seconds + 1 } else { 0 };
        if self.full_seconds < FULL_SECONDS {
            return None;
        }
        self.full_seconds = 0;
        self.pause = (self.pause * 2).clamp(1, PAUSE_SECONDS_MAX);
        self.left = self.pause;
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{CALM_SECONDS, FULL_SECONDS, PAUSE_SECONDS_MAX, Rings};

    /// Plays seconds, each with so many records lost and kept; returns how long pauses were.
    fn pauses(seconds: impl IntoIterator<Item = (u64, u64)>) -> Vec<u32> {
        let (mut rings, mut lost, mut kept) = (Rings::default(), 0, 0);
        let (mut began, mut pauses) = (None, Vec::new());
        for (second, (more_lost, more_kept)) in (0u32..).zip(seconds) {
            lost += more_lost;
            kept += more_kept;
            match rings.second(lost, kept) {
                Some(true) => began = Some(second),
                Some(false) => pauses.extend(began.take().map(|began| second - began)),
                None => {}
            }
        }
        pauses
    }

    #[test]
    fn rings_that_are_full_again_and_again_make_longer_and_longer_pauses() {
        let made = pauses(vec![(1, 3); 130]);
        assert_eq!(made, [1, 2, 4, 8, 16, PAUSE_SECONDS_MAX, PAUSE_SECONDS_MAX]);
    }

    #[test]
    fn a_burst_and_a_small_share_make_none() {
        let burst = vec![(9, 1); FULL_SECONDS as usize - 1];
        assert!(pauses([burst.clone(), vec![(0, 9)], burst].concat()).is_empty());
        assert!(pauses(vec![(1, 4); 100]).is_empty());
        assert!(pauses(vec![(0, 0); 100]).is_empty());
    }

    #[test]
    fn calm_is_remembered() {
        let full = vec![(1, 0); 2 * FULL_SECONDS as usize + 3];
        let calm = vec![(0, 9); CALM_SECONDS as usize];
        assert_eq!(pauses([full.clone(), calm, full].concat()), [1, 2, 1, 2]);
    }
}
