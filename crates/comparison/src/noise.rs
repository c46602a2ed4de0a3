//! What is noise: two equal servers differ as well, in clocks, identifiers, the order of what has none.
//!
//! **With a baseline** each place has four numbers: the candidate differed from the online server in `k1` of `n1` responses, the baseline
//! in `k0` of `n0`. That the candidate differs no more often than the baseline is tested by Fisher's exact test, one-sided: given how
//! often both differ together, how likely is it that so many of these fall to the candidate?
//!
//! - *Responses of one moment are not independent*: a cache that is stale for two seconds makes a hundred differences of one cause. So
//!   all four numbers are divided by how many differences there are for each moment that has some (the larger of both sides'), which
//!   makes one of what happened in one moment. A run has 64 to 128 moments ([`crate::moments`]). Where moments with differences follow
//!   each other more often than chance makes them among the moments with responses, with the correlation r, they are divided by
//!   (1 + r) / (1 - r) as well, the variance of a sum of such a series.
//! - *There are many places.* The probability that any place of a run in which nothing has changed is called changed is at most
//!   [`FALSE_ALARM_RATE`]: the level is divided by the number of places that could be called changed at all (Tarone 1990: a place at
//!   which both differ three times cannot, whatever its split). This holds for places that depend upon each other in any way.
//!
//! Servers that are equal in all else are not equal in how often such a place differs: their clocks are ahead by more or less, their
//! caches warmer or colder. So a place is called changed where the candidate besides differs [`TIMES_MIN`] times as often as the
//! baseline, and a [moment](crate::place::Kind::Moment) where [half](MOMENTS_MIN) of the responses are concerned.
//!
//! **Without a baseline** nothing tells noise from a change. A value that differs in nearly all responses ([`ALWAYS`]) is a clock, an
//! identifier, or a change of every response; it is named, and no alarm. What differs more rarely is told with its share, and with the
//! least share that is likely (Clopper and Pearson), by which `--max-difference` judges.
//!
//! The probability is that of one look at the end of a run. Who looks each second, as the live page does, sees more.

mod exact;

use core::time::Duration;

use serde::Serialize;

use crate::arm::Both;
use crate::group::Count;
use crate::moments::Moments;
use crate::place::Kind;

pub(crate) use exact::share_low;

/// At most so many runs in which nothing has changed have an alarm.
pub const FALSE_ALARM_RATE: f64 = 0.05;
/// A value that differs in so large a share of the responses that have it may be a clock or an identifier.
pub const ALWAYS: f64 = 0.98;

/// The candidate differs at least so many times as often as the baseline, where it has changed.
pub const TIMES_MIN: f64 = 3.0;
/// A clock that is ahead or behind is a change where it is so in this share of the responses.
pub const MOMENTS_MIN: f64 = 0.5;

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// The candidate differs more often than the baseline does: an alarm.
    Changed,
    /// There is no baseline, and the candidate differs in some responses.
    Differs,
    /// The baseline does not differ, and the candidate does so rarely that it may be chance.
    CannotTell,
    /// There is no baseline, and the value differs in nearly all responses.
    Always,
    /// The baseline differs as well.
    Noise,
}

impl Says {
    /// All of them, the worst first.
    pub const ALL: [Self; 5] = [
        Self::Changed,
        Self::Differs,
        Self::CannotTell,
        Self::Always,
        Self::Noise,
    ];

    /// In a word or two.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Differs => "differs",
            Self::CannotTell => "cannot tell: so few may be chance",
            Self::Always => "differs always: a clock, an identifier or a change",
            Self::Noise => "noise",
        }
    }
}

/// What was counted at a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    pub(crate) kind: Kind,
    /// How often each arm differs.
    pub(crate) counts: Both<Count>,
    /// Of how many responses.
    pub(crate) of: Both<u64>,
    /// The moments in which there were responses.
    pub(crate) seen: Both<Moments>,
    /// Of the candidate's, how many have the field at all.
    pub(crate) present: u64,
}

/// What a place is, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) says: Says,
    /// With a baseline: how likely it is that a candidate that differs as rarely would differ so often.
    pub(crate) probability: Option<f64>,
}

/// What all places of a run are. They are judged together: the more there are, the more is asked of each.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    /// A smaller probability is an alarm.
    level: f64,
    /// Places that could be called changed.
    tested: usize,
    has_baseline: bool,
    span: Duration,
}

impl Judge {
    pub(crate) fn new<'a>(
        evidence: impl Iterator<Item = &'a Evidence>,
        has_baseline: bool,
        span: Duration,
    ) -> Self {
        let mut judge = Self {
            level: FALSE_ALARM_RATE,
            tested: 0,
            has_baseline,
            span,
        };
        if has_baseline {
            let least = evidence.map(|evidence| judge.table(evidence).least());
            let least: Vec<f64> = least.filter(|least| *least < FALSE_ALARM_RATE).collect();
            judge.tested = tested(least);
        } else {
            let differs = |evidence: &&Evidence| says_alone(evidence) == Says::Differs;
            judge.tested = evidence.filter(differs).count();
        }
        judge.level = FALSE_ALARM_RATE / judge.tested.max(1) as f64;
        judge
    }

    pub(crate) fn level(&self) -> f64 {
        self.level
    }

    pub(crate) fn tested(&self) -> usize {
        self.tested
    }

    /// What a place is; the candidate differs there, or the baseline does.
    pub(crate) fn judge(&self, evidence: &Evidence) -> Finding {
        if !self.has_baseline {
            return Finding {
                says: says_alone(evidence),
                probability: None,
            };
        }
        let probability = self.table(evidence).probability();
        let says = if probability <= self.level && is_more_than_noise(evidence) {
            Says::Changed
        } else if evidence.counts[1].responses > 0 {
            Says::Noise
        } else {
            Says::CannotTell
        };
        Finding {
            says,
            probability: Some(probability),
        }
    }

    /// The four numbers, where what happened in one moment is one.
    fn table(&self, evidence: &Evidence) -> exact::Table {
        // How many responses weigh as much as one of independent ones, as a fraction: those of a moment, and of moments in a row.
        let dense = [0, 1].map(|arm| {
            let count = evidence.counts[arm];
            let among = count.moments.among(evidence.seen[arm], self.span);
            let (moments, likeness) = (u64::from(among.count.max(1)), among.likeness());
            let (alone, alike) = (1000 - likeness, 1000 + likeness);
            let responses = u128::from(count.responses) * u128::from(alike);
            (responses, u128::from(moments * alone))
        });
        let [(k1, m1), (k0, m0)] = dense;
        let (weight, unit) = if k1 * m0 >= k0 * m1 {
            (k1, m1)
        } else {
            (k0, m0)
        };
        let (weight, unit) = if weight > unit {
            (weight, unit)
        } else {
            (1, 1)
        };
        let scaled = |count: u64| u128::from(count) * unit;
        let narrow = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        let floor = |count| narrow(scaled(count) / weight);
        let ceil = |count| narrow(scaled(count).div_ceil(weight));
        let [target, baseline] = evidence.counts.map(|count| count.responses);
        // Rounded so that chance looks a little more likely than it is.
        exact::Table {
            differing: [floor(target), ceil(baseline)],
            of: [ceil(evidence.of[0]), floor(evidence.of[1])],
        }
    }
}

/// Whether the candidate differs so much more often than the baseline that no two equal servers would.
fn is_more_than_noise(evidence: &Evidence) -> bool {
    let share = |arm: usize| {
        let of = evidence.of[arm].max(1);
        evidence.counts[arm].responses as f64 / of as f64
    };
    let least = if evidence.kind == Kind::Moment {
        MOMENTS_MIN
    } else {
        0.0
    };
    share(0) >= share(1) * TIMES_MIN && share(0) >= least
}

fn says_alone(evidence: &Evidence) -> Says {
    let differing = evidence.counts[0].responses as f64;
    let of = evidence.present.max(1) as f64;
    if evidence.kind == Kind::Moment && differing / of < MOMENTS_MIN {
        return Says::Noise;
    }
    if evidence.kind.is_of_values() && differing / of >= ALWAYS {
        Says::Always
    } else {
        Says::Differs
    }
}

/// How many places the level is divided by: the least number that is no less than that of the places which reach the level that is
/// divided by it. These are the least probabilities that each place could have.
fn tested(mut least: Vec<f64>) -> usize {
    least.sort_by(f64::total_cmp);
    (1..=least.len())
        .find(|number| {
            let level = FALSE_ALARM_RATE / *number as f64;
            least.partition_point(|least| *least <= level) <= *number
        })
        .unwrap_or(least.len())
}

#[cfg(test)]
mod tests;
