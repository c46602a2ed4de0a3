//! What the whole machine and single processes spend.
//!
//! Kernels without `IRQ_TIME_ACCOUNTING` bill softirq work to whoever was interrupted, so only the whole machine's
//! figure can be compared; it is taken from idle time, which the kernel measures and does not sample.

use std::fs;
use std::time::{Duration, Instant};

/// Unit of the times in `/proc` on every architecture that matters (`USER_HZ`): 10 ms.
const TICK: Duration = Duration::from_millis(10);

/// Number of CPUs that are on.
#[must_use]
pub fn cpus() -> usize {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines()
        .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
        .count()
        .max(1)
}

/// A moment of the whole machine; see [`Moment::busy_since`].
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: Instant,
    cpus: usize,
    /// Time that CPUs stood idle, waited for devices, or were taken away by the hypervisor.
    unused: Duration,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            at: Instant::now(),
            cpus: cpus(),
            unused: TICK * u32::try_from(unused_ticks(&stat)).unwrap_or(u32::MAX),
        }
    }

    /// CPU time that all CPUs together spent on anything since `earlier`.
    #[must_use]
    pub fn busy_since(&self, earlier: &Self) -> Duration {
        let all = (self.at - earlier.at) * u32::try_from(self.cpus).unwrap_or(1);
        all.saturating_sub(self.unused.saturating_sub(earlier.unused))
    }

    /// Time passed since `earlier`.
    #[must_use]
    pub fn elapsed_since(&self, earlier: &Self) -> Duration {
        self.at - earlier.at
    }
}

/// CPU time of a process, its ended children that it waited for, and its running children. Zero where there is none.
#[must_use]
pub fn process_cpu(pid: u32) -> Duration {
    let own =
        fs::read_to_string(format!("/proc/{pid}/stat")).map_or(0, |stat| process_ticks(&stat));
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let of_children: Duration = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .map(process_cpu)
        .sum();
    TICK * u32::try_from(own).unwrap_or(u32::MAX) + of_children
}

/// CPU time of the threads of a process that have this name.
#[must_use]
pub fn thread_cpu(pid: u32, name: &str) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let spent = tasks.flatten().filter_map(|task| {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).ok();
        // Nanoseconds on a processor, where ticks would tell nothing of a thread that runs for microseconds.
        let nanos = read("schedstat")?.split_whitespace().next()?.parse().ok()?;
        (read("comm")?.trim_end() == name).then_some(Duration::from_nanos(nanos))
    });
    spent.sum()
}

/// Peak resident memory of a process in bytes; 0 where there is no such process.
#[must_use]
pub fn memory_peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Idle, iowait and steal of the line of all CPUs.
fn unused_ticks(stat: &str) -> u64 {
    let line = stat
        .lines()
        .find(|line| line.starts_with("cpu "))
        .unwrap_or_default();
    let fields: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    [3, 4, 7]
        .iter()
        .filter_map(|index| fields.get(*index))
        .sum()
}

/// utime, stime, cutime and cstime.
fn process_ticks(stat: &str) -> u64 {
    // The name in parentheses may hold spaces: count from its end.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::{Moment, process_cpu, process_ticks, unused_ticks};
    use std::time::Duration;

    #[test]
    fn the_unused_time_is_idle_iowait_and_steal() {
        assert_eq!(
            unused_ticks("cpu  1 2 3 40 5 6 7 8 9 0\ncpu0 1 1 1 1\n"),
            53
        );
    }

    #[test]
    fn a_name_with_spaces_does_not_shift_the_fields() {
        assert_eq!(
            process_ticks("7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 15 0"),
            127
        );
    }

    #[test]
    fn a_busy_loop_is_seen() {
        let (before, own) = (Moment::now(), process_cpu(std::process::id()));
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(120) {
            std::hint::spin_loop();
        }
        assert!(Moment::now().busy_since(&before) > Duration::from_millis(60));
        assert!(process_cpu(std::process::id()) > own);
    }
}
