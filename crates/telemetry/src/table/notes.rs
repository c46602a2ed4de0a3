//! What stands in the way of a line of the table, each in a line of its own.

use session::Outcome;

use super::{figure, turns};
use crate::figures::grouped;
use crate::outcomes::{self, Group};
use crate::summary::Summary;
use crate::totals::State;

/// One of so many turns in doubt is as good as none.
const DOUBTS_TOLD: u64 = 100;

/// Why the target did not take what it did not take.
pub(super) fn of_taken(summary: &Summary) -> Vec<String> {
    let is_over = summary.state == State::Ended;
    let mut notes = Vec::new();
    for &outcome in Outcome::ALL {
        let words = outcomes::words(outcome, is_over);
        let count = turns(summary, outcome.name());
        if count > 0 && words.0 != Group::Good {
            notes.push(format!("{} {}: {}", grouped(count), words.1, words.2));
        }
    }
    let left_out = |name| figure(&summary.left_out, name);
    for (count, words) in [
        (
            left_out("turns"),
            "left out by --max-sessions, --max-new-sessions, --max-cpu or --memory",
        ),
        (
            left_out("paused_packets"),
            "packets of clients not recorded while recording was paused: their requests count as not taken",
        ),
        (
            left_out("lost_packets"),
            "packets of clients lost on the way to a worker, whose ring was full: their requests count as not taken",
        ),
        (
            left_out("open_before_flows"),
            "connection(s) that were open before the start left out (see --join)",
        ),
    ] {
        if count > 0 {
            notes.push(format!("{} {words}", grouped(count)));
        }
    }
    notes
}

/// What is to be known of the comparison.
pub(super) fn of_answers(summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    if summary.target_closes > 0 {
        notes.push(format!(
            "THE TARGET CLOSED {} TIMES after an answer where the online server went on",
            grouped(summary.target_closes)
        ));
    }
    if let Some(report) = &summary.comparison
        && let Some(largest) = &report.largest
    {
        let beyond = if report.has_baseline {
            "BEYOND NOISE, "
        } else {
            ""
        };
        notes.push(format!("{beyond}{}", largest.words()));
        if report.changed > 1 {
            notes.push(format!("and {} places more", grouped(report.changed - 1)));
        }
    }
    let (unpaired, compared) = (summary.differences.unpaired, summary.differences.compared);
    if unpaired > 0 && unpaired * DOUBTS_TOLD >= unpaired + compared {
        notes.push(format!(
            "{} not compared: what came after these requests may answer requests before them, so that the target may have answered fewer",
            grouped(unpaired)
        ));
    }
    if let Some(samples) = &summary.samples {
        notes.extend(
            samples
                .to_string()
                .lines()
                // The columns of two lines that belong together stay as they are.
                .map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned()),
        );
    }
    notes
}

/// What of two responses was compared.
pub(super) fn compared(summary: &Summary) -> String {
    summary.samples.as_ref().map_or_else(
        || "length and reset, not contents".to_owned(),
        |samples| format!("length, reset, status, first {} bytes", samples.bytes),
    )
}

/// How responses differed, the most frequent kind first.
pub(super) fn kinds(summary: &Summary) -> Vec<String> {
    let mut kinds: Vec<(u64, &str)> = [
        ("target_shorter", "shorter"),
        ("target_longer", "longer"),
        ("target_silent", "missing"),
        ("target_reset_only", "reset by the target only"),
        ("online_reset_only", "reset by the online server only"),
        ("status_differs", "of another status"),
        ("bytes_differ", "other in the first bytes"),
    ]
    .map(|(name, words)| (figure(&summary.differences.kinds, name), words))
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .collect();
    kinds.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    kinds
        .into_iter()
        .map(|(count, words)| format!("{} {words}", grouped(count)))
        .collect()
}
