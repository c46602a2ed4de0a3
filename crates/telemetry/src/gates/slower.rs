//! How much slower the target may be: the gate that can be in doubt.
//!
//! It asks the [verdict](crate::verdict), to the last byte, for median and 99th percentile. What the verdict calls slower fails
//! where the difference is larger than the limit. What it calls no difference passes, unless what was measured is larger than the
//! limit: then the noise hides it. What it cannot tell, the gate cannot tell either, but where even the worst that is possible is
//! within the limit.
//!
//! The slowest hundredth of fast servers takes minutes to be told. So where the median can be told and passes, a 99th percentile that
//! cannot puts the gate in doubt only where that was asked for (`--strict`); otherwise the gate passes and says so.

use super::{Answer, Facts, Gate, limit};
use crate::verdict::measured::Quantile;
use crate::verdict::settling::what_would_tell;
use crate::verdict::{ACCURACY_US, End, Finding, Says};

/// The limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SlowerMax {
    /// A share of the online server's time, so that 0.2 allows 120 % of it.
    Share(f64),
    /// A time in microseconds.
    Micros(u64),
}

impl SlowerMax {
    /// In microseconds, beside a time of the online server.
    fn beside(self, online_us: u64) -> f64 {
        match self {
            Self::Share(share) => online_us as f64 * share,
            Self::Micros(micros) => micros as f64,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Share(share) => format!("<= +{}", limit(share)),
            Self::Micros(micros) => format!("<= +{} ms", micros as f64 / 1000.0),
        }
    }
}

pub(super) fn judge(most: SlowerMax, is_strict: bool, facts: &Facts<'_>) -> Gate {
    let online = &facts.latency.online.last;
    let last = &facts.verdict.last;
    let parts = [
        (Quantile::P50, &last.p50, online.p50),
        (Quantile::P99, &last.p99, online.p99),
    ]
    .map(|(quantile, finding, online)| (answer(most, finding, online), quantile, finding, online));
    let worst = [Answer::Failed, Answer::CannotTell]
        .into_iter()
        .find_map(|wanted| parts.iter().find(|(answer, ..)| *answer == wanted));
    // Where all is well the slowest hundredth is what is nearest to the limit.
    let &nearest = worst.unwrap_or(&parts[1]);
    let (judged, quantile, finding, online_us) = nearest;
    let is_named_only = parts[0].0 == Answer::Ok && judged == Answer::CannotTell && !is_strict;
    let decided = if is_named_only { parts[0] } else { nearest };
    let why = if judged == Answer::CannotTell {
        let wanted = what_would_tell(facts.measured, End::Last, quantile, |finding| {
            answer(most, finding, online_us) != Answer::CannotTell
        });
        let hidden = if finding.says == Says::NoDifference {
            ", the noise is larger than what is asked"
        } else {
            ""
        };
        format!("{} cannot tell{hidden}: {wanted}", name(quantile))
    } else {
        String::new()
    };
    Gate {
        gate: "max_slower",
        result: decided.0,
        wanted: most.words(),
        found: if facts.latency.online.last.count == 0 {
            "-".to_owned()
        } else {
            let (_, quantile, finding, online) = decided;
            format!("{} {}", name(quantile), found(finding.difference, online))
        },
        why,
    }
}

fn answer(most: SlowerMax, finding: &Finding, online_us: u64) -> Answer {
    // What cannot be measured is not asked.
    let most = most.beside(online_us).max(ACCURACY_US as f64);
    let (measured, high) = (finding.difference as f64, finding.high.map(|n| n as f64));
    match finding.says {
        Says::Faster => Answer::Ok,
        Says::Slower if measured > most => Answer::Failed,
        Says::Slower => Answer::Ok,
        Says::NoDifference if measured <= most => Answer::Ok,
        Says::CannotTell if high.is_some_and(|high| high <= most) => Answer::Ok,
        Says::NoDifference | Says::CannotTell => Answer::CannotTell,
    }
}

const fn name(quantile: Quantile) -> &'static str {
    match quantile {
        Quantile::P50 => "median",
        Quantile::P99 => "p99",
    }
}

fn found(difference: i64, online_us: u64) -> String {
    let millis = difference as f64 / 1000.0;
    if online_us == 0 {
        return format!("{millis:+.3} ms");
    }
    let percent = difference as f64 / online_us as f64 * 100.0;
    format!("{millis:+.3} ms ({percent:+.1} %)")
}

#[cfg(test)]
mod tests {
    use super::{Answer, SlowerMax, answer};
    use crate::verdict::{Finding, Says};

    /// Of an online server that takes 4 ms.
    fn of(most: SlowerMax, says: Says, difference: i64, high: Option<i64>) -> Answer {
        let finding = Finding {
            says,
            difference,
            low: None,
            high,
            would_tell: None,
        };
        answer(most, &finding, 4_000)
    }

    #[test]
    fn the_word_of_the_verdict_decides() {
        let fifth = SlowerMax::Share(0.2);
        assert_eq!(of(fifth, Says::Slower, 1_200, None), Answer::Failed);
        assert_eq!(of(fifth, Says::Slower, 700, None), Answer::Ok);
        assert_eq!(of(fifth, Says::Faster, -700, Some(-500)), Answer::Ok);
        assert_eq!(of(fifth, Says::NoDifference, 100, Some(3_000)), Answer::Ok);
        let hidden = of(fifth, Says::NoDifference, 1_200, Some(3_000));
        assert_eq!(hidden, Answer::CannotTell);
        assert_eq!(of(fifth, Says::CannotTell, 0, None), Answer::CannotTell);
        assert_eq!(of(fifth, Says::CannotTell, 0, Some(799)), Answer::Ok);
    }

    #[test]
    fn what_cannot_be_measured_is_not_asked() {
        let tiny = SlowerMax::Micros(1);
        assert_eq!(of(tiny, Says::NoDifference, 50, Some(80)), Answer::Ok);
        let measured = of(tiny, Says::NoDifference, 51, Some(80));
        assert_eq!(measured, Answer::CannotTell);
        assert_eq!(of(tiny, Says::Slower, 60, None), Answer::Failed);
    }
}
