//! What figures amount to: good, doubtful or bad. Table, page and report take the levels from here.
//!
//! How fast the target is, is the [verdict](crate::verdict)'s to say.

use serde::Serialize;

use crate::figures::grouped;

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Good,
    /// Not known.
    Neutral,
    /// To be looked at.
    Warn,
    /// Not as it should be.
    Bad,
}

/// The levels of what a run found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The share of the requests that the target took.
    pub taken: Level,
    /// Whether copies left soon after their capture.
    pub copy: Level,
    /// Why they did not, where that can be told; empty otherwise.
    pub copy_late_because: String,
    /// Whether the target said the same.
    pub answers: Level,
    /// Whether the counters of kernel and workers add up.
    pub counters: Level,
}

/// The figures that levels follow from. `None` is what is not known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) is_over: bool,
    pub(crate) fidelity: Option<f64>,
    /// Of the lag: measurements, and the 99th percentile in microseconds.
    pub(crate) lags: u64,
    pub(crate) lag_p99_us: u64,
    /// The longest usual response of either server: the 99th percentile to the last byte, in microseconds.
    pub(crate) response_p99_us: u64,
    /// Turns whose responses were compared, of them those that differ, and those whose target said less or nothing.
    pub(crate) compared: u64,
    pub(crate) differing: u64,
    pub(crate) incomplete: u64,
    /// The largest share of a route's answers that differs by contents, beyond noise; 0 where none does.
    pub(crate) contents_differing: f64,
    /// Whether the verdict calls the target slower, in the median to the last byte.
    pub(crate) is_target_slower: bool,
    /// How often `--max-bandwidth` was reached.
    pub(crate) bandwidth_reached: u64,
    /// Rows of counters with a residue; `None` where there are no counters.
    pub(crate) residues: Option<u64>,
}

/// Below these shares of requests taken a run is doubtful, and bad.
const TAKEN_GOOD: f64 = 0.999;
const TAKEN_WARN: f64 = 0.99;
/// Above this share of responses that differ a run is bad; above none at all it is doubtful.
const DIFFERING_WARN: f64 = 0.001;
/// A copy is late that leaves later than this many response times, and later than so many microseconds: a request waits for the
/// response before it by design.
const LATE_RESPONSES: u64 = 10;
const LATE_US: u64 = 100_000;
/// ... and has fallen behind where it is later than this.
const BEHIND_US: u64 = 1_000_000;

impl Findings {
    pub(crate) fn new(numbers: &Numbers) -> Self {
        let copy = copy(numbers);
        Self {
            taken: numbers.fidelity.map_or(Level::Neutral, taken),
            copy,
            copy_late_because: if matches!(copy, Level::Warn | Level::Bad) {
                late_because(numbers)
            } else {
                String::new()
            },
            answers: answers(numbers),
            counters: match numbers.residues {
                None => Level::Neutral,
                Some(0) => Level::Good,
                // While a run goes on a residue is what is under way.
                Some(_) if !numbers.is_over => Level::Warn,
                Some(_) => Level::Bad,
            },
        }
    }
}

fn taken(fidelity: f64) -> Level {
    if fidelity >= TAKEN_GOOD {
        Level::Good
    } else if fidelity >= TAKEN_WARN {
        Level::Warn
    } else {
        Level::Bad
    }
}

fn copy(numbers: &Numbers) -> Level {
    let lag = numbers.lag_p99_us;
    let is_late = lag > LATE_US && lag > LATE_RESPONSES * numbers.response_p99_us;
    match (numbers.lags, is_late) {
        (0, _) => Level::Neutral,
        (_, false) => Level::Good,
        (_, true) if lag > BEHIND_US => Level::Bad,
        (_, true) => Level::Warn,
    }
}

/// What most of the turns that left late may have waited for.
fn late_because(numbers: &Numbers) -> String {
    let (compared, incomplete) = (numbers.compared, numbers.incomplete);
    if incomplete * 2 > compared && compared > 0 {
        format!(
            "{} of {} responses of the target were shorter than the online server's or missing, and the next request of a connection \
             waits for the rest",
            grouped(incomplete),
            grouped(compared),
        )
    } else if numbers.bandwidth_reached > 0 {
        format!(
            "--max-bandwidth was reached {} times",
            numbers.bandwidth_reached
        )
    } else if numbers.is_target_slower {
        "a connection's next request leaves once the target has answered the one before: a target that is slower than the clients are \
         fast keeps them waiting"
            .to_owned()
    } else {
        String::new()
    }
}

fn answers(numbers: &Numbers) -> Level {
    if numbers.compared == 0 {
        return Level::Neutral;
    }
    let by_length = numbers.differing as f64 / numbers.compared as f64;
    let share = by_length.max(numbers.contents_differing);
    if share == 0.0 {
        Level::Good
    } else if share <= DIFFERING_WARN {
        Level::Warn
    } else {
        Level::Bad
    }
}

#[cfg(test)]
mod tests {
    use super::{Findings, Level, Numbers};

    fn of(numbers: &Numbers) -> Findings {
        Findings::new(numbers)
    }

    #[test]
    fn nothing_is_not_good() {
        let findings = of(&Numbers::default());
        for level in [
            findings.taken,
            findings.copy,
            findings.answers,
            findings.counters,
        ] {
            assert_eq!(level, Level::Neutral);
        }
    }

    #[test]
    fn a_copy_that_waits_for_a_slow_target_is_not_late() {
        let copy = |lag_p99_us, response_p99_us| {
            of(&Numbers {
                lags: 1000,
                lag_p99_us,
                response_p99_us,
                ..Numbers::default()
            })
        };
        assert_eq!(copy(2_200, 160).copy, Level::Good);
        assert_eq!(copy(17_000_000, 2_000_000).copy, Level::Good);
        assert_eq!(copy(500_000, 1_000).copy, Level::Warn);
        let behind = copy(17_300_000, 470);
        assert_eq!(behind.copy, Level::Bad);
        assert_eq!(behind.copy_late_because, "", "nobody knows");
        assert_eq!(copy(2_200, 160).copy_late_because, "");
    }

    #[test]
    fn the_reason_is_what_most_waited_for() {
        let mut numbers = Numbers {
            lags: 1000,
            lag_p99_us: 17_300_000,
            is_target_slower: true,
            ..Numbers::default()
        };
        let because = of(&numbers).copy_late_because;
        assert!(because.contains("keeps them waiting"), "{because}");
        numbers.bandwidth_reached = 4;
        let because = of(&numbers).copy_late_because;
        assert!(
            because.contains("--max-bandwidth was reached 4"),
            "{because}"
        );
        (numbers.compared, numbers.incomplete) = (4391, 4391);
        let because = of(&numbers).copy_late_because;
        assert!(because.contains("4,391 of 4,391 responses"), "{because}");
    }

    #[test]
    fn shares_have_their_limits() {
        let taken = |fidelity| {
            of(&Numbers {
                fidelity: Some(fidelity),
                ..Numbers::default()
            })
            .taken
        };
        assert_eq!(
            [taken(0.999), taken(0.99), taken(0.98)],
            [Level::Good, Level::Warn, Level::Bad]
        );
        let of_contents = of(&Numbers {
            compared: 1000,
            contents_differing: 0.01,
            ..Numbers::default()
        });
        assert_eq!(of_contents.answers, Level::Bad);
        let answers = |differing| {
            of(&Numbers {
                compared: 1000,
                differing,
                ..Numbers::default()
            })
            .answers
        };
        assert_eq!(
            [answers(0), answers(1), answers(2)],
            [Level::Good, Level::Warn, Level::Bad]
        );
        let counters = |is_over, residues| {
            of(&Numbers {
                is_over,
                residues: Some(residues),
                ..Numbers::default()
            })
            .counters
        };
        assert_eq!(
            [counters(true, 0), counters(false, 1), counters(true, 1)],
            [Level::Good, Level::Warn, Level::Bad]
        );
    }
}
