//! The summary for a reader's eye: five lines that say what a run found, in the words of the verdict, and below each what stands in
//! its way.
//!
//! | module | holds |
//! |---|---|
//! | [`details`] | everything that was counted, for developers |
//! | [`notes`] | what stands in the way of a line |
//! | [`speed`] | the lines about the target's times |

mod details;
mod notes;
mod speed;

use std::fmt::{self, Display, Formatter};

pub use details::Details;

use crate::figures::{Figures, grouped};
use crate::findings::Level;
use crate::moment::rfc3339;
use crate::summary::Summary;
use crate::verdict::Says;

/// Where the mark of a line stands.
const MARK: usize = 78;

/// Prints a [`Summary`] as a table of some twelve lines.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a>(pub &'a Summary);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(summary) = self;
        head(f, summary)?;
        taken(f, summary)?;
        copy(f, summary)?;
        speed::lines(f, summary)?;
        answers(f, summary)?;
        counters(f, summary)?;
        gates(f, summary)?;
        warnings(f, summary)
    }
}

fn head(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let rules = match summary.rules.as_slice() {
        [rule] => rule.rule.clone(),
        // Each has a line of its own below.
        rules => format!("{} rules", rules.len()),
    };
    let drain = if summary.drain_seconds > 0.0 {
        format!(" + drain {}", seconds(summary.drain_seconds))
    } else {
        String::new()
    };
    writeln!(
        f,
        "tcpcopy {}  {}  {rules}  {}{drain}  seed {}",
        summary.version,
        summary.mode.name(),
        seconds(summary.capture_seconds),
        summary.seed,
    )?;
    if let Some(title) = &summary.title {
        writeln!(f, "{title}")?;
    }
    if summary.dry_run {
        writeln!(
            f,
            "DRY RUN: nothing was sent. What would be is below, of a target that answers as the online server did."
        )?;
    }
    writeln!(f)
}

/// A line, with its mark at the end.
fn row(f: &mut Formatter<'_>, name: &str, text: &str, mark: &str) -> fmt::Result {
    let text = format!("{name:<9} {text}");
    writeln!(f, "{text:<MARK$} {mark}")
}

/// What belongs to the line above.
fn below(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    writeln!(f, "          {text}")
}

/// How much was copied, and what was not: nothing that stands in the way of the figure may be missing.
fn taken(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let mark = mark(summary.findings.taken);
    if let Some(why) = summary.nothing_to_judge {
        row(f, "TAKEN", "-         NOTHING TO JUDGE", mark)?;
        below(f, why)?;
    } else {
        let text = format!(
            "{:<9} {} of {} requests",
            judged(summary.fidelity),
            grouped(turns(summary, "answered") + turns(summary, "delivered")),
            grouped(summary.served() + figure(&summary.left_out, "turns")),
        );
        row(f, "TAKEN", &text, mark)?;
    }
    for note in notes::of_taken(summary) {
        below(f, &note)?;
    }
    of_rules(f, summary)
}

/// What was taken of each rule where there are several: one from which nothing was captured hides behind the others otherwise.
fn of_rules(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    if summary.rules.len() < 2 {
        return Ok(());
    }
    for rule in &summary.rules {
        let of = |name| figure(&rule.ledger, name);
        let served = of("captured") - of("unserved") - of("filtered");
        let taken = if of("captured") == 0 {
            "nothing captured".to_owned()
        } else {
            let taken = of("answered") + of("delivered");
            format!("{} of {} requests", grouped(taken), grouped(served))
        };
        let share = judged(rule.fidelity);
        below(f, &format!("{share:<9} {taken:<28} {}", rule.rule))?;
    }
    Ok(())
}

/// Whether copies left in time: otherwise the target's times are not those of the load that its clients made.
fn copy(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let lag = &summary.latency_us.lag;
    let level = summary.findings.copy;
    let text = match level {
        Level::Neutral if summary.dry_run => "-         nothing left: a dry run".to_owned(),
        Level::Neutral if summary.speed.as_deref() == Some("max") => {
            format!("max       as fast as the target answered{}", rate(summary))
        }
        Level::Neutral => "-         nothing left".to_owned(),
        Level::Good => format!(
            "kept up   requests left {} after their capture (p99 {})",
            millis(lag.p50),
            millis(lag.p99)
        ),
        Level::Warn | Level::Bad => format!(
            "{:<9} requests left up to {} late (p99)",
            if level == Level::Bad {
                "BEHIND"
            } else {
                "late"
            },
            millis(lag.p99)
        ),
    };
    // A pace that the target sets is kept.
    let level = if summary.speed.as_deref() == Some("max") && !summary.dry_run {
        Level::Good
    } else {
        level
    };
    row(f, "COPY", &text, mark(level))?;
    if summary.findings.copy_late_because.is_empty() {
        return Ok(());
    }
    below(f, &summary.findings.copy_late_because)
}

/// Requests that were answered in a second of the capture, where that lasted long enough to say.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count divided by a time"
)]
fn rate(summary: &Summary) -> String {
    if summary.capture_seconds < 1.0 {
        return String::new();
    }
    let answered = figure(&summary.ledger, "answered") as f64;
    let rate = (answered / summary.capture_seconds).round() as u64;
    format!(": {} requests a second", grouped(rate))
}

/// Whether the target said the same.
fn answers(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let (compared, differing) = (summary.differences.compared, summary.differences.differing);
    let level = mark(summary.findings.answers);
    let text = if summary.dry_run {
        "-         nothing to compare: the target is made up".to_owned()
    } else if compared == 0 {
        "-         no responses were compared".to_owned()
    } else if differing == 0 && notes::contents_differ(summary) {
        format!("differ    by contents, {} compared", grouped(compared))
    } else if differing == 0 {
        format!(
            "the same  {} compared: {}",
            grouped(compared),
            notes::compared(summary)
        )
    } else {
        format!(
            "{:<9} of {} differ: {}",
            percent_up(differing as f64 / compared as f64),
            grouped(compared),
            notes::kinds(summary).join(", ")
        )
    };
    row(f, "ANSWERS", &text, level)?;
    for note in notes::of_answers(summary) {
        below(f, &note)?;
    }
    Ok(())
}

/// Whether the figures can be trusted.
fn counters(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let level = summary.findings.counters;
    let text = match level {
        Level::Good => "add up",
        Level::Neutral => "-",
        Level::Warn | Level::Bad => "DO NOT ADD UP",
    };
    row(f, "COUNTERS", text, mark(level))?;
    for (name, residue) in summary.kernel.residues() {
        below(f, &format!("{name}, residue {residue}"))?;
    }
    Ok(())
}

/// What was asked of the run, and what came of it.
fn gates(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    if !summary.gates.is_empty() {
        writeln!(f)?;
    }
    for (index, gate) in summary.gates.iter().enumerate() {
        let name = if index == 0 { "GATE" } else { "" };
        let text = format!(
            "{name:<9} {:<5} {:<14} {:<26} wanted {}",
            gate.result.mark(),
            gate.gate.replace('_', "-"),
            gate.found,
            gate.wanted,
        );
        writeln!(f, "{}", text.trim_end())?;
        // What all have in common is said below the last.
        let next = summary.gates.get(index + 1);
        if !gate.why.is_empty() && next.is_none_or(|next| next.why != gate.why) {
            writeln!(f, "                {}", gate.why)?;
        }
    }
    Ok(())
}

/// What the user was told of, each in a line: what is over with its time, what holds in full.
fn warnings(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    if let Some(feedback) = &summary.feedback {
        writeln!(f, "\nA LOOP ENDED THE RUN: {feedback}")?;
    }
    for warning in &summary.warnings {
        let about = warning.rule.as_deref().or(warning.about.as_deref());
        let about = about.map_or_else(String::new, |about| format!(" ({about})"));
        write!(
            f,
            "WARNING {}{about} since {}",
            warning.kind.name(),
            rfc3339(warning.since)
        )?;
        match warning.over {
            Some(over) => writeln!(f, ", over at {}", rfc3339(over))?,
            None => writeln!(f, ": {}", warning.text)?,
        }
    }
    if summary.warnings_unlisted > 0 {
        writeln!(f, "and {} warnings more", summary.warnings_unlisted)?;
    }
    Ok(())
}

const fn mark(level: Level) -> &'static str {
    match level {
        Level::Good => "ok",
        Level::Neutral => "?",
        Level::Warn => "mind",
        Level::Bad => "BAD",
    }
}

/// The verdict's words, as page and report have them.
const fn says(says: Says) -> &'static str {
    match says {
        Says::Slower => "slower",
        Says::Faster => "faster",
        Says::NoDifference => "no difference",
        Says::CannotTell => "cannot tell",
    }
}

fn turns(summary: &Summary, name: &str) -> u64 {
    figure(&summary.ledger, name)
}

fn figure(figures: &Figures, name: &str) -> u64 {
    figures.get(name).copied().unwrap_or_default()
}

/// A time in milliseconds or seconds.
fn millis(micros: u64) -> String {
    if micros < 1_000_000 {
        format!("{} ms", short(micros))
    } else {
        format!("{:.1} s", micros as f64 / 1e6)
    }
}

/// How long something went on.
fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// Milliseconds in three digits or so.
fn short(micros: u64) -> String {
    let millis = micros as f64 / 1000.0;
    let digits = if micros < 10_000 {
        2
    } else {
        usize::from(micros < 100_000)
    };
    format!("{millis:.digits$}")
}

/// A fidelity, where there is one.
fn judged(fidelity: Option<f64>) -> String {
    fidelity.map_or_else(|| "-".to_owned(), percent)
}

/// A share in percent, rounded down: 99.9999 must not read 100.
fn percent(share: f64) -> String {
    whole_or(share, (share * 100_000.0).floor())
}

/// All of it in as few digits as page and report use.
fn whole_or(share: f64, thousandths: f64) -> String {
    if share >= 1.0 {
        "100 %".to_owned()
    } else {
        format!("{:.3} %", thousandths / 1000.0)
    }
}

/// A share of what should not be, rounded up: one of a million must not read 0.
fn percent_up(share: f64) -> String {
    whole_or(share, (share * 100_000.0).ceil())
}

#[cfg(test)]
mod tests;
