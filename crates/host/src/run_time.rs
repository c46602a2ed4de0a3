//! What the programs cost: how often each runs, and how long.
//!
//! The kernel measures that only where it is asked to, for it reads a clock before and after every run of every program
//! of the machine then, some 40 ns. So it is asked to for one second of every ten ([`OPEN_SECONDS`] of
//! [`PERIOD_SECONDS`]), and only what ran within these windows is counted. Time by count is what a run costs all the
//! same, and ten times either is what there was altogether, nearly.
//!
//! Asking is a file descriptor (`BPF_ENABLE_STATS`, Linux 5.8): the setting `kernel.bpf_stats_enabled` stays what it is,
//! and a process that is killed leaves nothing switched on.

use std::os::fd::OwnedFd;

use aya::sys::{Stats, enable_stats};
use libbpf_rs::query::ProgInfoIter;

/// How long a window is open, in calls of [`RunTime::second`].
pub const OPEN_SECONDS: u32 = 1;
/// From the beginning of a window to the beginning of the next, in the same.
pub const PERIOD_SECONDS: u32 = 10;

/// Runs of one program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// How many.
    pub count: u64,
    /// How long all of them took, in nanoseconds.
    pub nanos: u64,
}

/// A program that is watched.
#[derive(Debug)]
struct Watched {
    name: &'static str,
    id: u32,
    /// What the kernel said when the window was opened, if it said anything.
    before: Option<Runs>,
    counted: Runs,
}

/// The programs of this process, and what was measured of them.
#[derive(Debug)]
pub struct RunTime {
    programs: Vec<Watched>,
    window: Option<OwnedFd>,
    seconds: u32,
}

/// The kernel does not measure.
#[derive(Debug, thiserror::Error)]
#[error(
    "the kernel does not measure the programs' run time: {0}; that needs Linux 5.8 and root or CAP_SYS_ADMIN"
)]
pub struct NotMeasured(std::io::Error);

impl RunTime {
    /// Watches programs of these names and ids.
    #[must_use]
    pub fn new(programs: impl IntoIterator<Item = (&'static str, u32)>) -> Self {
        let watched = programs.into_iter().map(|(name, id)| Watched {
            name,
            id,
            before: None,
            counted: Runs::default(),
        });
        Self {
            programs: watched.collect(),
            window: None,
            seconds: 0,
        }
    }

    /// Opens or closes a window where that is due. To be called once a second; the first call opens one.
    ///
    /// # Errors
    ///
    /// [`NotMeasured`], and no window is open then.
    pub fn second(&mut self) -> Result<(), NotMeasured> {
        let at = self.seconds % PERIOD_SECONDS;
        self.seconds = self.seconds.wrapping_add(1);
        if at == 0 {
            let window =
                enable_stats(Stats::RunTime).map_err(|error| NotMeasured(error.io_error))?;
            self.window = Some(window);
            self.look(|watched, now| watched.before = Some(now));
        } else if at == OPEN_SECONDS && self.window.is_some() {
            self.look(|watched, now| {
                if let Some(before) = watched.before.take() {
                    watched.counted.count += now.count.saturating_sub(before.count);
                    watched.counted.nanos += now.nanos.saturating_sub(before.nanos);
                }
            });
            self.window = None;
        }
        Ok(())
    }

    /// Each program with its runs in the windows so far.
    pub fn programs(&self) -> impl Iterator<Item = (&'static str, Runs)> {
        self.programs
            .iter()
            .map(|watched| (watched.name, watched.counted))
    }

    fn look(&mut self, mut each: impl FnMut(&mut Watched, Runs)) {
        for info in ProgInfoIter::default() {
            if let Some(watched) = self.programs.iter_mut().find(|known| known.id == info.id) {
                let now = Runs {
                    count: info.run_cnt,
                    nanos: info.run_time_ns,
                };
                each(watched, now);
            }
        }
    }
}
