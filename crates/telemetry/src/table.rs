//! The summary for a reader's eye: what matters first, and only what is not zero.

use std::fmt::{self, Display, Formatter};

use crate::figures::Figures;
use crate::latency::{LatencySummary, Quantiles};
use crate::moment::rfc3339;
use crate::summary::Summary;

/// Rows that are a program's own counters.
const HOOKS: [&str; 6] = ["capture", "reply", "observe", "inject", "absorb", "steer"];

/// Prints a [`Summary`] as a table of some twenty lines.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a>(pub &'a Summary);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(summary) = self;
        verdict(f, summary)?;
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
        line(f, "differences", &summary.differences)?;
        if let Some(samples) = &summary.samples {
            write!(f, "{samples}")?;
        }
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
        line(f, "notes", &summary.notes)
    }
}

/// What a reader with ten seconds wants to know: did the target take what it was sent, was it as fast, did it say the
/// same, and can the figures be trusted.
fn verdict(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    headline(f, summary)?;
    let total = figure(&summary.ledger, "captured");
    let before = figure(&summary.left_out, "open_before_flows");
    let paused = figure(&summary.left_out, "paused_packets");
    if paused > 0 {
        writeln!(
            f,
            "  {paused} packet(s) of clients were not recorded while recording was paused"
        )?;
    }
    warnings(f, summary)?;
    if let Some(feedback) = &summary.feedback {
        writeln!(f, "  A LOOP ENDED THE RUN: {feedback}")?;
    }
    if total == 0 && before == 0 {
        writeln!(
            f,
            "  this says nothing of the target; if clients did ask: -i names the interfaces that they \
             come in by, -x the address and port that they ask"
        )?;
    }
    let LatencySummary {
        online, target_net, ..
    } = &summary.latency_us;
    if online.first.count > 0 {
        writeln!(
            f,
            "  the target's first byte came {} at the median and {} at p99, the path not counted",
            later(online.first.p50, target_net.first.p50),
            later(online.first.p99, target_net.first.p99),
        )?;
    }
    let differ = summary.differences.iter();
    let differ = differ.filter(|(name, n)| **n != 0 && name.contains("_"));
    let kinds: Vec<String> = differ.map(|(name, n)| format!("{name} {n}")).collect();
    match (figure(&summary.differences, "compared"), kinds.as_slice()) {
        (0, _) => {}
        (compared, []) => writeln!(
            f,
            "  {compared} responses compared, none differs in length or reset"
        )?,
        (compared, kinds) => writeln!(f, "  {compared} responses compared: {}", kinds.join(", "))?,
    }
    in_doubt(f, summary)?;
    let mut residues = summary.kernel.residues().peekable();
    if residues.peek().is_none() {
        writeln!(f, "  all counters of the kernel and of the workers add up")?;
    }
    for (name, residue) in residues {
        writeln!(f, "  DOES NOT ADD UP: {name}, residue {residue}")?;
    }
    Ok(())
}

/// One of so many turns in doubt is as good as none.
const DOUBTS_TOLD: u64 = 100;

/// Something came after these turns, and may have answered others: how many the target has answered is not known so well.
fn in_doubt(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let [unpaired, compared] =
        ["unpaired", "compared"].map(|name| figure(&summary.differences, name));
    if unpaired == 0 || unpaired * DOUBTS_TOLD < unpaired + compared {
        return Ok(());
    }
    writeln!(
        f,
        "  {unpaired} responses not compared: what came after these turns may answer turns before them, so that the target may \
         have answered fewer"
    )
}

/// How much was copied, and what was not: nothing that stands in the way of the figure may be missing from its line.
fn headline(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let turns = |name| figure(&summary.ledger, name);
    let total = turns("captured");
    write!(
        f,
        "tcpcopy {}, {} mode, {:.1} s: ",
        summary.version,
        summary.mode.name(),
        summary.duration_seconds,
    )?;
    let before = figure(&summary.left_out, "open_before_flows");
    if total == 0 && before > 0 {
        write!(f, "NOTHING WAS COPIED")?;
    } else if total == 0 {
        write!(f, "NOTHING WAS CAPTURED")?;
    } else {
        write!(
            f,
            "{} of {total} turns answered, fidelity {}",
            turns("answered") + turns("delivered"),
            judged(summary.fidelity),
        )?;
    }
    match turns("missed") {
        0 => {}
        missed => write!(f, ", {missed} MISSED")?,
    }
    match figure(&summary.left_out, "turns") {
        0 => {}
        left_out => write!(
            f,
            "; {left_out} MORE WERE LEFT OUT by --max-sessions, --max-new-sessions, --max-cpu or --memory"
        )?,
    }
    if before > 0 {
        write!(
            f,
            "; {before} connection(s) that were open before the start left out"
        )?;
    }
    writeln!(f)?;
    if summary.target_closes > 0 {
        writeln!(
            f,
            "  THE TARGET CLOSED {} TIMES after an answer where the online server went on",
            summary.target_closes
        )?;
    }
    Ok(())
}

/// What the user was told of, each in a line: what is over with its time, what holds in full.
fn warnings(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    for warning in &summary.warnings {
        let about = warning.rule.as_deref().or(warning.about.as_deref());
        let about = about.map_or_else(String::new, |about| format!(" ({about})"));
        write!(
            f,
            "  WARNING {}{about} since {}",
            warning.kind.name(),
            rfc3339(warning.since)
        )?;
        match warning.over {
            Some(over) => writeln!(f, ", over at {}", rfc3339(over))?,
            None => writeln!(f, ": {}", warning.text)?,
        }
    }
    if summary.warnings_unlisted > 0 {
        writeln!(f, "  and {} warnings more", summary.warnings_unlisted)?;
    }
    Ok(())
}

/// How much later the target was, in milliseconds.
fn later(online_us: u64, target_us: u64) -> String {
    let millis = |micros: u64| micros as f64 / 1000.0;
    if target_us >= online_us {
        format!("{:.3} ms later", millis(target_us - online_us))
    } else {
        format!("{:.3} ms EARLIER", millis(online_us - target_us))
    }
}

fn figure(figures: &Figures, name: &str) -> u64 {
    figures.get(name).copied().unwrap_or_default()
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

/// A fidelity, where there is one.
fn judged(fidelity: Option<f64>) -> String {
    fidelity.map_or_else(|| "-".to_owned(), percent)
}

/// A share in percent, rounded down: 99.9999 must not read 100.
fn percent(share: f64) -> String {
    format!("{:.3} %", (share * 100_000.0).floor() / 1000.0)
}

#[cfg(test)]
mod tests;
