//! How much memory a run may take, and how many sessions that is.
//!
//! The online server needs its memory itself: what nobody chooses is a share of what is free at the start. Where little is free
//! the numbers shrink, down to floors below which a run makes no sense.

use super::Refusal;
use crate::args::{Args, Capture};

/// Of the free memory, this part may hold captured bytes that wait to be sent ...
const WAITING_SHARE: u64 = 8;
/// ... but neither less nor more than this, in bytes.
const WAITING: std::ops::RangeInclusive<u64> = 4 << 20..=4 << 30;
/// Of the free memory, this part may hold sessions ...
const SESSIONS_SHARE: u64 = 8;
/// ... of which each takes about this much while it is active, in bytes.
const SESSION_LEN: u64 = 4096;
/// Sessions at a time, neither less nor more than this.
const SESSIONS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;
/// Of the free memory, this part may be taken by rings and frames, whether they are used or not.
const FIXED_SHARE: u64 = 8;
/// Bytes of all rings together, where each has at least [`RING_LEN_USUAL`] and enough memory is free.
const RINGS_LEN: u32 = 64 << 20;
/// Bytes of a ring where many workers share [`RINGS_LEN`].
const RING_LEN_USUAL: u32 = abi::maps::RING_LEN_DEFAULT;
/// The least of these where responses come whole: with 16 MiB for each of four workers, 1 of 600 super-packets found its ring full
/// at 3.4 Gb/s of responses both ways, on two processors that had everything else to do as well; with these
/// none did at 4.2 Gb/s.
const RING_LEN_WHOLE: u32 = 32 << 20;
/// The least bytes of a ring: some 16 of the largest records.
const RING_LEN_MIN: u32 = 1 << 20;
/// Frames per worker for sending, where enough memory is free, and the least.
const TX_FRAMES: (u32, u32) = (4096, 512);
/// Frames per worker for receiving clones, likewise.
const RX_FRAMES: (u32, u32) = (8192, 1024);
/// What the process takes before it copies anything: programs, figures, its own code. In bytes.
const BASE_LEN: u64 = 32 << 20;
/// Free memory where the kernel does not say, in bytes.
const FREE_DEFAULT: u64 = 4 << 30;

/// Budgets of the whole process; each worker has its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// Captured bytes that wait to be sent.
    pub(super) payload_bytes: u64,
    /// Sessions at a time, as far as memory decides.
    pub(super) sessions: u32,
    /// What each worker has from the first moment.
    pub(super) fixed: Fixed,
    /// Whether less is free than a run would like to have, in bytes.
    pub(super) short_of: Option<u64>,
}

/// What a worker has from the first moment, whether it is used or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// Bytes of its ring: a power of two. A large upload comes in entries of 64 KiB, and a worker may have to wait for a processor
    /// for some 10 ms while it does.
    pub(crate) ring_len: u32,
    /// Frames for sending.
    pub(crate) tx_frames: u32,
    /// Frames for receiving clones; 0 where none come.
    pub(crate) rx_frames: u32,
}

impl Fixed {
    /// `is_whole` says that responses of some rule come whole.
    fn usual(capture: Capture, workers: u32, is_whole: bool) -> Self {
        let least = if is_whole {
            RING_LEN_WHOLE
        } else {
            RING_LEN_USUAL
        };
        Self {
            ring_len: (RINGS_LEN / workers.next_power_of_two()).max(least),
            tx_frames: TX_FRAMES.0,
            rx_frames: if capture == Capture::AfXdp {
                RX_FRAMES.0
            } else {
                0
            },
        }
    }

    /// Bytes of one worker's frames.
    fn frames_len(self, frame_len: u32) -> u64 {
        u64::from(self.tx_frames + self.rx_frames) * u64::from(frame_len)
    }

    /// Bytes of one worker.
    fn len(self, frame_len: u32) -> u64 {
        u64::from(self.ring_len) + self.frames_len(frame_len)
    }

    /// Half of what takes most; `None` at the floors.
    fn less(self, frame_len: u32) -> Option<Self> {
        let frames = Self {
            tx_frames: (self.tx_frames / 2).max(TX_FRAMES.1),
            rx_frames: (self.rx_frames / 2).max(RX_FRAMES.1.min(self.rx_frames)),
            ..self
        };
        let ring = Self {
            ring_len: (self.ring_len / 2).max(RING_LEN_MIN),
            ..self
        };
        let ring_first = u64::from(self.ring_len) >= self.frames_len(frame_len);
        let [first, second] = if ring_first {
            [ring, frames]
        } else {
            [frames, ring]
        };
        [first, second].into_iter().find(|less| *less != self)
    }
}

impl Budget {
    /// Budgets of so many workers with frames of such a length, in bytes.
    ///
    /// # Errors
    ///
    /// Where not even the least is free.
    pub(super) fn new(
        args: &Args,
        memory_available: Option<u64>,
        workers: u32,
        frame_len: u32,
    ) -> Result<Self, Refusal> {
        let free = memory_available.unwrap_or(FREE_DEFAULT);
        let within = |value: u64, range: &std::ops::RangeInclusive<u64>| {
            value.clamp(*range.start(), *range.end())
        };
        let is_whole = args.rules.iter().any(|it| args.module_of(it).is_some());
        let usual = Fixed::usual(args.capture, workers, is_whole);
        let mut fixed = usual;
        let all = |fixed: Fixed| fixed.len(frame_len) * u64::from(workers);
        while all(fixed) > free / FIXED_SHARE
            && let Some(less) = fixed.less(frame_len)
        {
            fixed = less;
        }
        let mut least = fixed;
        while let Some(less) = least.less(frame_len) {
            least = less;
        }
        let needed = BASE_LEN + all(least) + WAITING.start() + SESSIONS.start() * SESSION_LEN;
        if needed > free {
            return Err(Refusal::NoMemory {
                needed,
                free,
                workers,
            });
        }
        let sessions = within(free / SESSIONS_SHARE / SESSION_LEN, &SESSIONS);
        Ok(Self {
            payload_bytes: args
                .memory
                .unwrap_or_else(|| within(free / WAITING_SHARE, &WAITING)),
            sessions: args
                .max_sessions
                .unwrap_or_else(|| u32::try_from(sessions).unwrap_or(u32::MAX)),
            fixed,
            short_of: (fixed != usual).then_some(free),
        })
    }

    /// That numbers had to shrink, in words.
    pub(super) fn note(&self) -> Option<String> {
        let Fixed {
            ring_len,
            tx_frames,
            ..
        } = self.fixed;
        self.short_of.map(|free| {
            format!(
                "only {} MiB of memory are free, so each worker has a ring of {} KiB and {tx_frames} frames: bursts may find them \
                 full (ring_full); fewer --workers leave more for each",
                free >> 20,
                ring_len >> 10
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Budget, Fixed};
    use crate::args::Args;

    const FRAME_LEN: u32 = 2048;

    fn budget_of(line: &str, free: Option<u64>, workers: u32) -> Result<Budget, String> {
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        Budget::new(&args, free, workers, FRAME_LEN).map_err(|refusal| refusal.to_string())
    }

    fn budget(line: &str, free: Option<u64>) -> (u64, u32) {
        let budget = budget_of(line, free, 1).unwrap();
        (budget.payload_bytes >> 20, budget.sessions)
    }

    const LINE: &str = "tcpcopy -x 80-10.0.0.2:80";

    #[test]
    fn budgets_follow_the_free_memory_within_limits() {
        assert_eq!(budget(LINE, Some(8 << 30)), (1024, 262_144));
        assert_eq!(budget(LINE, Some(512 << 20)), (64, 16_384));
        assert_eq!(budget(LINE, Some(100 << 20)), (12, 3_200));
        assert_eq!(budget(LINE, Some(1 << 40)), (4096, 1_000_000));
        assert_eq!(budget(LINE, None), (512, 131_072));
    }

    #[test]
    fn what_is_chosen_stands() {
        let line = "tcpcopy -x 80-10.0.0.2:80 --memory 3M --max-sessions 7";
        assert_eq!(budget(line, Some(8 << 30)), (3, 7));
    }

    #[test]
    fn rings_and_frames_shrink_with_the_free_memory() {
        let usual = Fixed {
            ring_len: 64 << 20,
            tx_frames: 4096,
            rx_frames: 0,
        };
        let rich = budget_of(LINE, Some(8 << 30), 1).unwrap();
        assert_eq!((rich.fixed, rich.note()), (usual, None));
        for (free, workers) in [
            (512u64 << 20, 1),
            (128 << 20, 1),
            (64 << 20, 1),
            (4 << 30, 64),
            (1 << 30, 64),
        ] {
            let poor = budget_of(LINE, Some(free), workers).unwrap();
            let taken = poor.fixed.len(FRAME_LEN) * u64::from(workers);
            let at_the_floor = poor.fixed.less(FRAME_LEN).is_none();
            assert!(taken <= free / 8 || at_the_floor, "{taken} of {free}");
            assert!(taken + poor.payload_bytes < free / 2, "{poor:?}");
            assert!(poor.fixed.ring_len.is_power_of_two());
            assert!(poor.note().is_some_and(|note| note.contains("MiB")));
        }
    }

    #[test]
    fn whole_responses_have_larger_rings_where_many_share_them() {
        let whole = "tcpcopy -x 80-10.0.0.2:80/protocol=http1";
        for (line, workers, mebibytes) in [
            (LINE, 1, 64),
            (whole, 1, 64),
            (whole, 2, 32),
            (LINE, 4, 16),
            (whole, 4, 32),
            (whole, 16, 32),
        ] {
            let budget = budget_of(line, Some(64 << 30), workers).unwrap();
            assert_eq!(budget.fixed.ring_len >> 20, mebibytes, "{line} {workers}");
        }
    }

    #[test]
    fn clones_have_frames_to_arrive_in_however_little_is_free() {
        let line = "tcpcopy -x 80-10.0.0.2:80 --capture af-xdp";
        let poor = budget_of(line, Some(64 << 20), 1).unwrap();
        assert!(poor.fixed.rx_frames >= 1024);
    }

    #[test]
    fn where_not_even_the_least_is_free_the_start_is_refused_with_the_figure() {
        let words = budget_of(LINE, Some(24 << 20), 1).unwrap_err();
        assert!(
            words.contains("24 MiB") && words.contains("42 MiB"),
            "{words}"
        );
        budget_of(LINE, Some(64 << 20), 64).unwrap_err();
    }
}
