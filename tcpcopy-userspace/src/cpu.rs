//! How busy the machine and our threads are.

use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use telemetry::Figures;

/// How the processors of this machine spent their time, from `/proc/stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MachineTime {
    busy: u64,
    total: u64,
}

impl MachineTime {
    /// As of now; zeros where `/proc` cannot be read.
    pub(crate) fn now() -> Self {
        fs::read_to_string("/proc/stat")
            .ok()
            .and_then(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let fields: Vec<u64> = line
            .split_ascii_whitespace()
            .take(8)
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        let total = fields.iter().sum();
        // Idle and waiting for disks: fields 4 and 5 (proc_stat(5)).
        let idle = fields.get(3)? + fields.get(4)?;
        Some(Self {
            busy: total - idle,
            total,
        })
    }

    /// Share of busy time since `earlier`, in percent of all processors; `None` where no time passed.
    pub(crate) fn busy_percent_since(&self, earlier: &Self) -> Option<f64> {
        let total = self
            .total
            .checked_sub(earlier.total)
            .filter(|&total| total > 0)?;
        let busy = self.busy.saturating_sub(earlier.busy);
        Some(busy as f64 * 100.0 / total as f64)
    }
}

/// Watches the machine for `--max-cpu`.
#[derive(Debug)]
pub(crate) struct Guard {
    percent_max: f64,
    last: MachineTime,
    admitting: bool,
    /// How often it stopped new flows.
    pub(crate) pauses: u64,
}

impl Guard {
    pub(crate) fn new(percent_max: f64) -> Self {
        Self {
            percent_max,
            last: MachineTime::now(),
            admitting: true,
            pauses: 0,
        }
    }

    /// To be called about once a second: whether new flows are to be admitted, where that changes.
    pub(crate) fn look(&mut self, now: MachineTime) -> Option<bool> {
        let busy = now.busy_percent_since(&self.last)?;
        self.last = now;
        let admit = busy <= self.percent_max;
        if admit == self.admitting {
            return None;
        }
        self.admitting = admit;
        self.pauses += u64::from(!admit);
        Some(admit)
    }
}

/// CPU time of each thread of this process, by name; threads of one name are added up.
pub(crate) fn threads() -> Figures<f64> {
    let ticks = sysconf(SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|ticks| u32::try_from(ticks).ok())
        .unwrap_or(100);
    let mut found: Vec<(String, f64)> = Vec::new();
    for task in fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let Some((name, spent)) = fs::read_to_string(task.path().join("stat"))
            .ok()
            .as_deref()
            .and_then(parse_task)
        else {
            continue;
        };
        let seconds = spent as f64 / f64::from(ticks);
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += seconds,
            None => found.push((name, seconds)),
        }
    }
    found.into_iter().collect()
}

/// Name and ticks of a line of `/proc/.../stat`.
fn parse_task(stat: &str) -> Option<(String, u64)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let mut fields = tail.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((name.to_owned(), user + system))
}

/// Seconds with a precision that a reader can use.
pub(crate) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::{Guard, MachineTime, parse_task};

    #[test]
    fn a_busy_machine_pauses_new_flows_until_it_is_not() {
        let time = |busy, idle| {
            MachineTime::parse(&format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1")).unwrap()
        };
        let mut guard = Guard {
            percent_max: 80.0,
            last: time(0, 0),
            admitting: true,
            pauses: 0,
        };
        assert_eq!(guard.look(time(50, 50)), None);
        assert_eq!(guard.look(time(140, 60)), Some(false));
        assert_eq!(guard.look(time(230, 70)), None);
        assert_eq!(guard.look(time(231, 169)), Some(true));
        assert_eq!(guard.look(time(231, 169)), None, "no time passed");
        assert_eq!(guard.pauses, 1);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "77 (a) (b) S 1 77 77 0 -1 4194304 5 0 0 0 12 30 0 0 20 0 1 0 100";
        assert_eq!(parse_task(stat), Some(("a) (b".to_owned(), 42)));
    }
}
