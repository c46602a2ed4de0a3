//! What would settle a comparison that cannot tell: how many requests, and how long they take at this run's rate.
//!
//! The run's own times are taken for the distribution they come from, and its noise for the noise of any such run. With k times the
//! requests the interval reaches over a share of the ranks that is the square root of k smaller, and Student's t falls as stretches
//! are added. The smallest k with which the same rule would tell, and some more, is the answer. It is an estimate: it rests on the few
//! slow requests that were seen.

use core::fmt::{self, Display, Formatter};
use core::time::Duration;

use serde::Serialize;

use super::measured::{Longer, Measured, Quantile, whole_turns};
use super::{End, Finding};
use crate::figures::grouped;

/// What takes longer is not worth a figure, in seconds.
const SECONDS_MAX: f64 = 86_400.0;
/// What is promised, beside the smallest run that would tell where the distribution is as it was seen: half of such runs would see
/// another one that is less fit.
const MARGIN: f64 = 1.5;
/// Halvings of the ratio in which the smallest run is looked for: closer than a hundredth, and promised to two digits.
const HALVINGS: u32 = 10;

/// Why a comparison cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// No response of both servers was measured.
    NothingMeasured,
    /// There are too few requests, even if nothing but chance moved their times.
    TooFewRequests,
    /// So many requests would do, but their times vary from one stretch of the run to the next.
    Noise,
    /// Times do not vary, they go: a longer run only has more of that.
    Drift,
}

/// What would settle a comparison that cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "Written")]
pub struct WouldTell {
    /// Why it cannot tell.
    pub because: Because,
    /// Some so many compared requests would tell; `None` where that would take more than a day, or more of them do not help.
    pub turns: Option<u64>,
    /// So long do they take at this run's rate, in seconds.
    pub seconds: Option<u64>,
    turns_so_far: u64,
    captured_for: Duration,
}

/// As it stands in the summary.
#[derive(Serialize)]
struct Written {
    because: Because,
    turns: Option<u64>,
    seconds: Option<u64>,
    words: String,
}

impl From<WouldTell> for Written {
    fn from(it: WouldTell) -> Self {
        Self {
            because: it.because,
            turns: it.turns,
            seconds: it.seconds,
            words: it.to_string(),
        }
    }
}

impl Display for WouldTell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let so_far = format!(
            "{} requests in {}",
            grouped(self.turns_so_far),
            duration(self.captured_for.as_secs_f64())
        );
        match (self.because, self.turns.zip(self.seconds)) {
            (Because::NothingMeasured, _) => {
                f.write_str("no response of both servers was measured")
            }
            (Because::Drift, _) => write!(
                f,
                "times rose or fell during the run ({so_far}), so a longer one would not tell: an even load would"
            ),
            (Because::TooFewRequests, Some((turns, seconds))) => write!(
                f,
                "{so_far}; some {} would tell ({} at this rate)",
                grouped(turns),
                duration(seconds as f64)
            ),
            (Because::TooFewRequests, None) => write!(
                f,
                "{so_far}; at this rate enough of them take more than a day"
            ),
            (Because::Noise, Some((turns, seconds))) => write!(
                f,
                "times vary from second to second ({so_far}); a quieter machine or some {} would tell ({} at this rate)",
                grouped(turns),
                duration(seconds as f64)
            ),
            (Because::Noise, None) => write!(
                f,
                "times vary too much from second to second ({so_far}): a quieter machine would tell, a day of this would not"
            ),
        }
    }
}

/// What would let `tells` say yes to the difference of a quantile of both servers, which it does not for what was measured.
pub(crate) fn what_would_tell(
    measured: &Measured<'_>,
    end: End,
    quantile: Quantile,
    tells: impl Fn(&Finding) -> bool,
) -> WouldTell {
    let (online, target) = end.places();
    let would_tell = |longer| {
        tells(&Finding::new(
            &measured.interval_of(longer, online, quantile),
            &measured.interval_of(longer, target, quantile),
        ))
    };
    let (turns, seconds) = (measured.turns(), measured.captured_for().as_secs_f64());
    let mut answer = WouldTell {
        because: Because::NothingMeasured,
        turns: None,
        seconds: None,
        turns_so_far: turns,
        captured_for: measured.captured_for(),
    };
    if turns == 0 || seconds <= 0.0 {
        return answer;
    }
    let noise = [online, target].map(|place| measured.noise(place, quantile));
    let is_calm_enough = would_tell(Longer {
        scale: 1.0,
        is_calm: true,
    });
    answer.because = if noise.iter().flatten().any(|noise| noise.drifts) {
        Because::Drift
    } else if is_calm_enough && noise.iter().all(Option::is_some) {
        Because::Noise
    } else {
        Because::TooFewRequests
    };
    if answer.because == Because::Drift {
        return answer;
    }
    let longest = SECONDS_MAX / seconds / MARGIN;
    let scale = smallest(longest, |scale| {
        would_tell(Longer {
            scale,
            is_calm: false,
        })
    });
    if let Some(scale) = scale {
        let enough = rounded(turns as f64 * scale * MARGIN);
        answer.turns = Some(whole_turns(enough));
        answer.seconds = Some(whole_turns((seconds * enough / turns as f64).ceil()));
    }
    answer
}

/// The smallest of the scales from 1 to `longest` that does, `None` where none does; what does, does so from there on.
fn smallest(longest: f64, does: impl Fn(f64) -> bool) -> Option<f64> {
    let (mut low, mut high) = (1.0, 2.0);
    while !does(high) {
        if high >= longest {
            return None;
        }
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if does(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    (high <= longest).then_some(high)
}

/// Up to two digits.
fn rounded(turns: f64) -> f64 {
    let unit = 10f64.powf((turns.log10().floor() - 1.0).max(0.0));
    (turns / unit).ceil() * unit
}

/// In words: `15 s`, `3 min`, `2.5 h`.
fn duration(seconds: f64) -> String {
    match seconds {
        ..1.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", (seconds / 60.0).ceil()),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests;
