//! Gates: what a user asks of a run so that a script can go on or stop, and what came of each.
//!
//! A gate is judged from the figures that everybody sees: its answer stands in the table, in the summary and in the report, and
//! the exit status follows from the answers alone. A gate that cannot be judged has not passed.

mod difference;
mod slower;

use serde::Serialize;

use crate::differences::DifferencesSummary;
use crate::figures::{Figures, grouped};
use crate::latency::LatencySummary;
use crate::verdict::Verdict;
use crate::verdict::measured::Measured;
pub use slower::SlowerMax;

/// What is asked of a run; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gates {
    /// The least fidelity, 0 to 1.
    pub fidelity_min: Option<f64>,
    /// The largest share of compared responses that may differ, 0 to 1.
    pub differing_max: Option<f64>,
    /// The largest share of a route's responses that may differ at one place beyond noise, 0 to 1.
    pub difference_max: Option<f64>,
    /// How much slower the target may be.
    pub slower_max: Option<SlowerMax>,
    /// How late the copies may leave, in microseconds: the 99th percentile of the lag.
    pub lag_max_us: Option<u64>,
    /// The fewest requests that must have been served.
    pub requests_min: Option<u64>,
    /// Whether a gate that cannot be judged has failed.
    pub is_strict: bool,
}

/// What came of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The run did what was asked of it.
    Ok,
    /// It did not.
    Failed,
    /// The run does not say.
    CannotTell,
}

impl Answer {
    /// The mark in the table.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAIL",
            Self::CannotTell => "?",
        }
    }
}

/// One gate and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// The option without its hyphens, as in `min_fidelity`.
    pub gate: &'static str,
    /// What came of it.
    pub result: Answer,
    /// What was asked, in words: `>= 99.9 %`.
    pub wanted: String,
    /// What was found, in words: `99.998 %`.
    pub found: String,
    /// What there is to say besides; empty where there is nothing.
    pub why: String,
}

/// What came of all gates together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// No gate was given.
    NoGate,
    /// All said ok.
    Passed,
    /// One failed.
    Failed,
    /// None failed, and one cannot be judged.
    NotJudged,
}

/// What gates are judged from: parts of a facts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) fidelity: Option<f64>,
    /// Whether there is nothing to judge.
    pub(crate) is_nothing: bool,
    /// Turns that the target had a chance to take.
    pub(crate) served: u64,
    pub(crate) left_out: &'a Figures,
    pub(crate) differences: &'a DifferencesSummary,
    pub(crate) comparison: Option<&'a comparison::Report>,
    pub(crate) latency: &'a LatencySummary,
    pub(crate) verdict: &'a Verdict,
    /// What the verdict was made of.
    pub(crate) measured: &'a Measured<'a>,
}

impl Gates {
    /// Whether anything is asked.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.fidelity_min.is_some()
            || self.differing_max.is_some()
            || self.difference_max.is_some()
            || self.slower_max.is_some()
            || self.lag_max_us.is_some()
            || self.requests_min.is_some()
    }

    /// What came of each gate that was given.
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Vec<Gate> {
        let mut gates: Vec<Gate> = [
            self.fidelity_min.map(|least| fidelity(least, facts)),
            self.differing_max.map(|most| differing(most, facts)),
            self.difference_max
                .map(|most| difference::judge(most, facts.comparison)),
            self.slower_max
                .map(|most| slower::judge(most, self.is_strict, facts)),
            self.lag_max_us.map(|most| lag(most, facts)),
            self.requests_min.map(|least| requests(least, facts)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if facts.is_nothing {
            for gate in &mut gates {
                gate.result = Answer::CannotTell;
                gate.why = "nothing to judge".to_owned();
            }
        }
        gates
    }
}

/// What came of all of them together.
#[must_use]
pub fn passage(gates: &[Gate], is_strict: bool, nothing_to_judge: bool) -> Passage {
    let any = |answer| gates.iter().any(|gate| gate.result == answer);
    let in_doubt = any(Answer::CannotTell);
    if gates.is_empty() {
        Passage::NoGate
    } else if nothing_to_judge {
        Passage::NotJudged
    } else if any(Answer::Failed) || (is_strict && in_doubt) {
        Passage::Failed
    } else if in_doubt {
        Passage::NotJudged
    } else {
        Passage::Passed
    }
}

fn fidelity(least: f64, facts: &Facts<'_>) -> Gate {
    let answer = |share: f64| pick(share >= least);
    let found = facts.fidelity.map_or_else(|| "-".to_owned(), share);
    let left_out = facts.left_out.get("turns").copied().unwrap_or_default();
    Gate {
        gate: "min_fidelity",
        result: facts.fidelity.map_or(Answer::CannotTell, answer),
        wanted: format!(">= {}", limit(least)),
        found,
        why: if left_out > 0 {
            format!(
                "{} left out by --max-sessions, --max-new-sessions, --max-cpu or --memory",
                grouped(left_out)
            )
        } else {
            String::new()
        },
    }
}

fn differing(most: f64, facts: &Facts<'_>) -> Gate {
    let (compared, differing) = (facts.differences.compared, facts.differences.differing);
    let wanted = format!("<= {}", limit(most));
    let gate = "max_differing";
    if compared == 0 {
        return Gate {
            gate,
            result: Answer::CannotTell,
            wanted,
            found: "-".to_owned(),
            why: "no responses were compared".to_owned(),
        };
    }
    let found = differing as f64 / compared as f64;
    Gate {
        gate,
        result: pick(found <= most),
        wanted,
        found: share_up(found),
        why: format!("{} of {}", grouped(differing), grouped(compared)),
    }
}

/// A copy that fell behind has asked the target at another pace than clients asked the online server, however much it made up for in
/// the end.
fn lag(most_us: u64, facts: &Facts<'_>) -> Gate {
    let lag = &facts.latency.lag;
    let millis = |micros: u64| format!("{} ms", micros as f64 / 1000.0);
    Gate {
        gate: "max_lag",
        result: if lag.count == 0 {
            Answer::CannotTell
        } else {
            pick(lag.p99 <= most_us)
        },
        wanted: format!("<= {}", millis(most_us)),
        found: if lag.count == 0 {
            "-".to_owned()
        } else {
            format!("p99 {}", millis(lag.p99))
        },
        why: if lag.count == 0 && facts.served > 0 {
            "a file that is replayed as fast as the target answers has no pace to fall behind"
                .to_owned()
        } else if lag.count == 0 {
            "no request has left".to_owned()
        } else {
            String::new()
        },
    }
}

fn requests(least: u64, facts: &Facts<'_>) -> Gate {
    let served = facts.served;
    Gate {
        gate: "min_requests",
        result: pick(served >= least),
        wanted: format!(">= {}", grouped(least)),
        found: grouped(served),
        why: String::new(),
    }
}

const fn pick(is_met: bool) -> Answer {
    if is_met { Answer::Ok } else { Answer::Failed }
}

/// A share that was found in percent, rounded down: 99.8999 must not read 99.9.
fn share(share: f64) -> String {
    format!("{:.3} %", (share * 100_000.0).floor() / 1000.0)
}

/// One that must not be exceeded, rounded up: a share that is too large must not read as one that is not.
fn share_up(share: f64) -> String {
    format!("{:.3} %", (share * 100_000.0).ceil() / 1000.0)
}

/// A share that was asked for in percent, as it was written.
fn limit(share: f64) -> String {
    // Shares come from percents: the eighth digit is that of the division.
    let percent = (share * 1e10).round() / 1e8;
    format!("{percent} %")
}

#[cfg(test)]
mod tests;
