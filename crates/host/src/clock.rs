//! The clock that the programs stamp with.

use std::fs;

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
    use super::{is_slow, source};

    #[test]
    fn this_machine_has_a_clock() {
        assert!(source().is_none_or(|name| !name.is_empty()));
        assert!(is_slow("hpet") && !is_slow("tsc"));
    }
}
