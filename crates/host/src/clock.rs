//! The clock that the programs stamp with, and that of a thread.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC` now, the clock of `bpf_ktime_get_ns`: comparable with the stamps of the programs.
#[must_use]
pub fn now_ns() -> u64 {
    // The clock exists since Linux 2.6, and the call fails for clocks that do not exist alone.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(Duration::from)
        .unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time that the calling thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .unwrap_or_default()
}

/// Name of the kernel's clock source (`tsc`, `kvm-clock`, `arch_sys_counter`, `hpet`, ...); `None` where it does not say.
#[must_use]
pub fn source() -> Option<String> {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let name = fs::read_to_string(path).ok()?;
    Some(name.trim().to_owned())
}

/// Whether reading this clock source leaves the processor: about a microsecond, where the others take some ten
/// nanoseconds.
#[must_use]
pub fn is_slow(source: &str) -> bool {
    matches!(
        source,
        "hpet" | "acpi_pm" | "jiffies" | "pit" | "refined-jiffies"
    )
}

#[cfg(test)]
mod tests {
    use super::{is_slow, now_ns, source};

    #[test]
    fn time_goes_on() {
        let before = now_ns();
        assert!(before > 0 && now_ns() >= before);
    }

    #[test]
    fn this_machine_has_a_clock() {
        assert!(source().is_none_or(|name| !name.is_empty()));
        assert!(is_slow("hpet") && !is_slow("tsc"));
    }
}
