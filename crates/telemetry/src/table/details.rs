//! Everything that was counted and measured, for developers: what `--verbose` adds.

use std::fmt::{self, Display, Formatter};

use super::judged;
use crate::figures::Figures;
use crate::latency::{LatencySummary, Quantiles};
use crate::summary::Summary;

/// Rows that are a program's own counters.
const HOOKS: [&str; 6] = ["capture", "reply", "observe", "inject", "absorb", "steer"];

/// Prints the counters and times of a [`Summary`], only those that are not zero.
#[derive(Clone, Copy, Debug)]
pub struct Details<'a>(pub &'a Summary);

impl Display for Details<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(summary) = self;
        latencies(f, &summary.latency_us)?;
        writeln!(f, "details")?;
        line(f, "turns", &summary.ledger)?;
        line(f, "bytes", &summary.bytes)?;
        line(f, "left out", &summary.left_out)?;
        if summary.rules.len() > 1 {
            for rule in &summary.rules {
                line(
                    f,
                    &format!("  {} ({})", rule.rule, judged(rule.fidelity)),
                    &rule.ledger,
                )?;
            }
        }
        line(f, "sessions", &summary.sessions)?;
        line(f, "budget", &summary.budget)?;
        line(f, "engine", &summary.engine)?;
        line(f, "differences", &summary.differences.kinds)?;
        for (hook, row) in summary.kernel.rows().iter() {
            // What programs and workers say of the same packets is worth a line only where they disagree.
            let says_more = HOOKS.contains(&hook) || row.get("residue") != Some(&0);
            if says_more && row.iter().any(|(_, &n)| n != 0) {
                write!(f, "  {hook:<16}")?;
                for (name, n) in row.iter().filter(|(_, n)| **n != 0) {
                    write!(f, " {name} {n}")?;
                }
                writeln!(f)?;
            }
        }
        write!(f, "  {:<16}", "cpu seconds")?;
        for (name, seconds) in summary
            .cpu_seconds
            .iter()
            .filter(|(_, seconds)| **seconds >= 0.01)
        {
            write!(f, " {name} {seconds:.2}")?;
        }
        writeln!(f)?;
        line(f, "incidents", &summary.incidents)
    }
}

fn latencies(f: &mut Formatter<'_>, latency: &LatencySummary) -> fmt::Result {
    if latency.lag.count == 0 {
        return Ok(());
    }
    writeln!(
        f,
        "  {:<16}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "ms", "mean", "p50", "p90", "p99", "max"
    )?;
    for (name, quantiles) in [
        ("online first", &latency.online.first),
        ("target first", &latency.target.first),
        ("online last", &latency.online.last),
        ("target last", &latency.target.last),
        ("target net", &latency.target_net.first),
        ("lag of copies", &latency.lag),
        ("reaction", &latency.reaction),
        ("worker's round", &latency.round),
    ] {
        quantile_line(f, name, quantiles)?;
    }
    Ok(())
}

/// A name and all figures that are not zero; nothing at all where there are none.
fn line(f: &mut Formatter<'_>, name: &str, figures: &Figures) -> fmt::Result {
    if figures.iter().all(|(_, &n)| n == 0) {
        return Ok(());
    }
    write!(f, "  {name:<16}")?;
    for (name, n) in figures.iter().filter(|(_, n)| **n != 0) {
        write!(f, " {name} {n}")?;
    }
    writeln!(f)
}

fn quantile_line(f: &mut Formatter<'_>, name: &str, q: &Quantiles) -> fmt::Result {
    if q.count == 0 {
        return Ok(());
    }
    let millis = |micros: u64| micros as f64 / 1000.0;
    writeln!(
        f,
        "  {name:<16}{:>10.3}{:>10.3}{:>10.3}{:>10.3}{:>10.3}",
        q.mean / 1000.0,
        millis(q.p50),
        millis(q.p90),
        millis(q.p99),
        millis(q.max)
    )
}
