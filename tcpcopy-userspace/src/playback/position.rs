//! How far the files of a replay are read, and what was found in them so far.

use std::time::Duration;

use capture::{Progress, UnwrapCounts};
use replay::Counts;

/// How far a replay is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position {
    /// Which file is being read, from 1 on, and of how many.
    pub(crate) file: (usize, usize),
    /// Which time that is (`--loop`), from 1 on, and of how many.
    pub(crate) round: (u32, u32),
    /// Bytes of the files that were read, and of how many; nobody knows how many where a file is a pipe or may still grow.
    pub(crate) bytes: u64,
    pub(crate) bytes_total: Option<u64>,
    /// The file's own time.
    pub(crate) file_time: Duration,
    /// How much of the replay is read, 0 to 1, where that can be told.
    pub(crate) share: Option<f64>,
    /// What became of the packets.
    pub(crate) counts: Counts,
    /// The busiest ports that no rule names.
    pub(crate) ports: Vec<(u16, u64)>,
    /// Silences that were made shorter, and by how much altogether.
    pub(crate) gaps: (u64, Duration),
    pub(crate) leaps_back: u64,
    /// Whether the files have the clients' side alone.
    pub(crate) is_one_sided: bool,
    /// Packets of flows that are not in the sample (-r).
    pub(crate) sampled_out: u64,
    /// What was found in frames, and what not.
    pub(crate) unwrapped: UnwrapCounts,
    /// What is wrong with the files, each with its place.
    pub(crate) notes: Vec<String>,
}

/// From where on and how far a replay reads.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    /// The part that was asked for, in nanoseconds of the file's time.
    pub(super) part: std::ops::Range<u64>,
    pub(super) rounds: u32,
    /// Whether the last file may still grow.
    pub(super) follow: bool,
    /// Bytes that were read before the part began.
    pub(super) before: u64,
}

impl Extent {
    /// Bytes of all files, where that is more than how many there are just now.
    pub(super) fn total(&self, progress: &Progress) -> Option<u64> {
        progress.total.filter(|_| !self.follow)
    }

    /// How much is read, 0 to 1: of the bytes, or of the time where an end was asked for and is nearer. `None` without a total.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of what has an end: 53 bits are enough"
    )]
    pub(super) fn share(&self, progress: &Progress, round: u32, reached_ns: u64) -> Option<f64> {
        let total = self.total(progress)?;
        let of = |done: u64, all: u64| done as f64 / all.max(1) as f64;
        let bytes = of(
            progress.read.saturating_sub(self.before),
            total.saturating_sub(self.before),
        );
        let time = match self.part.end {
            u64::MAX => 0.0,
            end => of(
                reached_ns.saturating_sub(self.part.start),
                end.saturating_sub(self.part.start),
            ),
        };
        let of_round = bytes.max(time).min(1.0);
        Some((f64::from(round.saturating_sub(1)) + of_round) / f64::from(self.rounds.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use capture::Progress;

    use super::Extent;

    const SECOND: u64 = 1_000_000_000;

    fn progress(read: u64, total: Option<u64>) -> Progress {
        Progress {
            read,
            total,
            file: 1,
            files: 1,
        }
    }

    fn extent() -> Extent {
        Extent {
            part: 0..u64::MAX,
            rounds: 1,
            follow: false,
            before: 0,
        }
    }

    #[test]
    fn a_share_is_of_bytes_of_rounds_and_of_the_part() {
        let share = |extent: &Extent, read, round, reached| {
            extent.share(&progress(read, Some(1000)), round, reached)
        };
        assert_eq!(share(&extent(), 250, 1, 0), Some(0.25));
        let looped = Extent {
            rounds: 4,
            ..extent()
        };
        assert_eq!(share(&looped, 500, 3, 0), Some(0.625));
        // What lies before --start was read at once, and says nothing of how long the rest takes.
        let late = Extent {
            before: 800,
            ..extent()
        };
        assert_eq!(share(&late, 850, 1, 0), Some(0.25));
        let part = Extent {
            part: 10 * SECOND..30 * SECOND,
            ..extent()
        };
        assert_eq!(share(&part, 100, 1, 25 * SECOND), Some(0.75));
        assert_eq!(share(&part, 900, 1, 25 * SECOND), Some(0.9));
        // A damaged file has more than it said.
        assert_eq!(share(&extent(), 1100, 1, 0), Some(1.0));
    }

    #[test]
    fn what_has_no_end_has_no_share() {
        assert_eq!(extent().share(&progress(250, None), 1, 0), None);
        let follows = Extent {
            follow: true,
            ..extent()
        };
        assert_eq!(follows.share(&progress(250, Some(1000)), 1, 0), None);
    }
}
