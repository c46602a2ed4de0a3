//! From rounds to a row: medians, what the copy makes of them, and what the machine can tell.

use serde::Serialize;

use super::case::Case;
use super::run::Run;
use crate::stage;

/// How many times as long a request may take with a copy as without.
pub(super) const TIMES_MAX: f64 = 1.25;
/// How many more requests may not have left when the time was over, as a share of those that were answered without a
/// copy: where exactly the time ends is chance.
const UNSENT_SHARE_MAX: f64 = 0.001;

/// One percentile over the rounds, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Compared {
    /// Median of the rounds without a copy.
    off_us: f64,
    /// The lowest and the highest of them: what the machine does by itself.
    off_spread_us: (f64, f64),
    /// Median of the rounds with a copy.
    on_us: f64,
    /// The one through the other.
    times: f64,
}

impl Compared {
    /// `None` where one of the two was never measured.
    fn of(off: &mut [f64], on: &mut [f64]) -> Option<Self> {
        let (off_us, on_us) = (stage::median(off), stage::median(on));
        // Sorted by the median.
        let off_spread_us = (*off.first()?, *off.last()?);
        on.first()?;
        (off_us > 0.0).then(|| Self {
            off_us,
            off_spread_us,
            on_us,
            times: on_us / off_us,
        })
    }

    fn is_ok(&self) -> bool {
        self.times <= TIMES_MAX
    }

    /// Whether the machine does as much by itself.
    fn is_within_spread(&self) -> bool {
        self.on_us <= self.off_spread_us.1
    }

    /// Its columns.
    fn cells(&self) -> [String; 4] {
        let (low, high) = self.off_spread_us;
        [
            format!("{:.0}", self.off_us),
            format!("{low:.0}-{high:.0}"),
            format!("{:.0}", self.on_us),
            format!("{:.2}", self.times),
        ]
    }
}

/// What a case has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// p50 and p99 are at most [`TIMES_MAX`] times as long, no more requests failed than without a copy, and as many left.
    Ok,
    /// One of the two takes longer, and not longer than in the slowest round without a copy: this machine cannot tell.
    Unclear,
    /// Clients feel the copy.
    Over,
    /// No round with a copy has captured anything, or there was none: nothing is shown.
    NotShown,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unclear => "unclear",
            Self::Over => "OVER",
            Self::NotShown => "NOT SHOWN",
        }
    }
}

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    case: Case,
    p50: Option<Compared>,
    p99: Option<Compared>,
    /// Requests that failed in all rounds, without and with a copy.
    failed: (u64, u64),
    /// Those that never left, because the server held up all connections.
    unsent: (u64, u64),
    /// Median of the turns that copies have captured.
    captured: f64,
    verdict: Verdict,
}

impl Row {
    /// The row of a case, from all of its runs.
    pub(super) fn of(case: Case, runs: &[Run]) -> Self {
        let of = |copied: bool| {
            runs.iter()
                .filter(move |run| run.case == case && run.copied == copied)
        };
        let compared = |figure: &dyn Fn(&Run) -> f64| {
            let mut sides = [false, true].map(|copied| of(copied).map(figure).collect::<Vec<_>>());
            let [off, on] = &mut sides;
            Compared::of(off, on)
        };
        let summed = |figure: &dyn Fn(&Run) -> u64| {
            let of = |copied| of(copied).map(figure).sum::<u64>();
            (of(false), of(true))
        };
        let (failed, unsent) = (summed(&|run| run.failed), summed(&|run| run.unsent));
        let answered: u64 = of(false).map(|run| run.completed).sum();
        let more_unsent = unsent.1.saturating_sub(unsent.0) as f64;
        let all_left = more_unsent <= answered as f64 * UNSENT_SHARE_MAX;
        let mut captured: Vec<f64> = of(true).map(|run| run.captured as f64).collect();
        let captured = stage::median(&mut captured);
        let (p50, p99) = (compared(&|run| run.p50_us), compared(&|run| run.p99_us));
        let verdict = match [p50, p99] {
            [Some(p50), Some(p99)] if captured > 0.0 => {
                let every = |holds: fn(&Compared) -> bool| [p50, p99].iter().all(holds);
                if failed.1 > failed.0 || !all_left {
                    Verdict::Over
                } else if every(Compared::is_ok) {
                    Verdict::Ok
                } else if every(|compared| compared.is_ok() || compared.is_within_spread()) {
                    Verdict::Unclear
                } else {
                    Verdict::Over
                }
            }
            _ => Verdict::NotShown,
        };
        Self {
            case,
            p50,
            p99,
            failed,
            unsent,
            captured,
            verdict,
        }
    }
}

/// All rows, with a head.
pub(super) fn table(rows: &[Row]) -> String {
    let head = [
        "case", "p50 off", "rounds", "on", "times", "p99 off", "rounds", "on", "times", "failed",
        "unsent", "captured", "verdict",
    ];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        let mut line = vec![row.case.name()];
        for compared in [&row.p50, &row.p99] {
            line.extend(
                compared
                    .as_ref()
                    .map_or(["-"; 4].map(str::to_owned), Compared::cells),
            );
        }
        for (without, with) in [row.failed, row.unsent] {
            line.push(format!("{without}/{with}"));
        }
        line.push(format!("{:.0}", row.captured));
        line.push(row.verdict.word().to_owned());
        cells.push(line);
    }
    stage::table(&cells)
}

#[cfg(test)]
mod tests {
    use super::{Compared, Row, Verdict, table};
    use crate::bench::hurt::case::Case;
    use crate::bench::hurt::run::Run;

    fn run(copied: bool, p50_us: f64, p99_us: f64, failed: u64) -> Run {
        Run {
            copied,
            p50_us,
            p99_us,
            failed,
            completed: 10_000,
            captured: if copied { 100 } else { 0 },
            ..Run::of(Case::Slow, 1)
        }
    }

    fn verdict(runs: &[Run]) -> Verdict {
        Row::of(Case::Slow, runs).verdict
    }

    #[test]
    fn medians_are_compared_and_the_spread_is_that_of_the_rounds_without_a_copy() {
        let compared = Compared::of(&mut [300.0, 100.0, 200.0], &mut [900.0, 250.0, 50.0]);
        assert_eq!(
            compared,
            Some(Compared {
                off_us: 200.0,
                off_spread_us: (100.0, 300.0),
                on_us: 250.0,
                times: 1.25,
            })
        );
    }

    #[test]
    fn what_was_not_measured_is_not_compared() {
        assert_eq!(Compared::of(&mut [], &mut [1.0]), None);
        assert_eq!(Compared::of(&mut [1.0], &mut []), None);
        assert_eq!(Compared::of(&mut [0.0], &mut [1.0]), None);
    }

    #[test]
    fn a_quarter_more_is_ok_and_anything_beyond_is_over() {
        let off = run(false, 100.0, 1000.0, 0);
        assert_eq!(
            verdict(&[off.clone(), run(true, 125.0, 1250.0, 0)]),
            Verdict::Ok
        );
        assert_eq!(
            verdict(&[off.clone(), run(true, 126.0, 1000.0, 0)]),
            Verdict::Over
        );
        assert_eq!(
            verdict(&[off.clone(), run(true, 100.0, 1251.0, 0)]),
            Verdict::Over
        );
        // A request that failed has no latency.
        assert_eq!(verdict(&[off, run(true, 100.0, 1000.0, 1)]), Verdict::Over);
    }

    #[test]
    fn what_the_machine_does_by_itself_is_unclear() {
        let off = [100.0, 200.0, 300.0].map(|p99| run(false, 50.0, p99, 0));
        let with = |p50, p99| {
            let mut runs = off.to_vec();
            runs.push(run(true, p50, p99, 0));
            verdict(&runs)
        };
        assert_eq!(with(50.0, 250.0), Verdict::Ok);
        assert_eq!(with(50.0, 300.0), Verdict::Unclear);
        assert_eq!(with(50.0, 301.0), Verdict::Over);
        assert_eq!(with(70.0, 300.0), Verdict::Over);
    }

    #[test]
    fn requests_that_never_left_are_no_fast_ones() {
        let off = run(false, 100.0, 1000.0, 0);
        let mut on = run(true, 100.0, 1000.0, 0);
        on.unsent = 10;
        assert_eq!(verdict(&[off.clone(), on.clone()]), Verdict::Ok);
        on.unsent = 11;
        assert_eq!(verdict(&[off, on]), Verdict::Over);
    }

    #[test]
    fn a_copy_that_captured_nothing_shows_nothing() {
        let off = run(false, 100.0, 1000.0, 0);
        let mut on = run(true, 100.0, 1000.0, 0);
        on.captured = 0;
        assert_eq!(verdict(&[off.clone(), on]), Verdict::NotShown);
        assert_eq!(verdict(&[off]), Verdict::NotShown);
    }

    #[test]
    fn other_cases_are_other_rows() {
        let runs = [
            run(false, 100.0, 1000.0, 0),
            run(true, 100.0, 1000.0, 0),
            Run {
                case: Case::Dead,
                ..run(true, 900.0, 9000.0, 7)
            },
        ];
        let row = Row::of(Case::Slow, &runs);
        assert_eq!((row.verdict, row.failed), (Verdict::Ok, (0, 0)));
        let text = table(&[row]);
        let line = text.lines().nth(1).unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let row = "slow 100 100-100 100 1.00 1000 1000-1000 1000 1.00 0/0 0/0 100 ok";
        assert_eq!(words.join(" "), row);
    }
}
