//! What stands in the way of a line of the table, each in a line of its own.

use comparison::Report;
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
    if let Some(report) = &summary.comparison {
        notes.extend(of_contents(report));
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

/// Whether answers say something else, beyond what two equal servers do.
pub(super) fn contents_differ(summary: &Summary) -> bool {
    let report = summary.comparison.as_ref();
    report.is_some_and(|report| report.largest.is_some())
}

/// What answers say differently, by route.
fn of_contents(report: &Report) -> Vec<String> {
    let groups = report.groups.len() as u64 + report.groups_unlisted;
    let compared = format!(
        "contents of {} compared, by {} route(s)",
        grouped(report.responses.compared),
        grouped(groups)
    );
    let Some(largest) = &report.largest else {
        let found = match (report.responses.differing, report.has_baseline) {
            _ if report.responses.compared == 0 => ": no answer could be read",
            (0, _) => ": all the same",
            (_, true) => ": nothing beyond noise",
            (_, false) => {
                ": nothing but what differs always, as clocks and identifiers do; a baseline would tell"
            }
        };
        return vec![format!("{compared}{found}")];
    };
    let beyond = if report.has_baseline {
        "BEYOND NOISE, "
    } else {
        ""
    };
    let mut notes = vec![compared, format!("{beyond}{}", largest.words())];
    if report.changed > 1 {
        notes.push(format!("and {} places more", grouped(report.changed - 1)));
    }
    notes
}

/// What of two responses was compared.
pub(super) fn compared(summary: &Summary) -> String {
    match (&summary.samples, &summary.comparison) {
        (Some(samples), _) => format!("length, reset, status, first {} bytes", samples.bytes),
        (None, Some(_)) => "length and reset; contents below".to_owned(),
        (None, None) => "length and reset, not contents".to_owned(),
    }
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
