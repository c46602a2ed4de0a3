//! What may change while an engine runs: which flows are copied, how often, how fast new ones begin, and how long they wait.
//!
//! A change concerns flows that begin after it. A session that has begun goes on as it is, but for the response timeout, which it looks up
//! whenever it needs it.

use core::time::Duration;

use wire::flow::SAMPLE_ALL;

use crate::config::Config;

/// Which of all flows a rule takes: those whose place ([`wire::flow::sample_place`]) lies from `from` up to, and not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The first place, 0 to [`SAMPLE_ALL`].
    pub from: u32,
    /// The place behind the last one, 0 to [`SAMPLE_ALL`].
    pub to: u32,
}

impl Sample {
    /// Every flow.
    pub const ALL: Self = Self {
        from: 0,
        to: SAMPLE_ALL,
    };

    pub(crate) const fn contains(self, place: u32) -> bool {
        self.from <= place && place < self.to
    }
}

/// The same of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleTuning {
    /// Sessions per flow, at least 1; more than one needs [`crate::Source::Pool`].
    pub copies: u16,
    /// Which flows it takes.
    pub sample: Sample,
    /// How long a turn waits for a response that the online server gave.
    pub response_timeout: Duration,
}

/// What may change while an engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Of each rule, in the order of [`Config::rules`]; of a rule that has none here nothing changes.
    pub rules: Vec<RuleTuning>,
    /// The seed of the places of flows.
    pub sample_seed: u32,
    /// Most new sessions per second; `None` for no limit.
    pub sessions_per_second_max: Option<u32>,
}

impl Tuning {
    /// How an engine begins that is told nothing else.
    pub(crate) fn of(config: &Config) -> Self {
        let rule = RuleTuning {
            copies: config.copies,
            sample: Sample::ALL,
            response_timeout: config.response_timeout,
        };
        Self {
            rules: vec![rule; config.rules.len()],
            sample_seed: 0,
            sessions_per_second_max: config.sessions_per_second_max,
        }
    }

    /// The place behind the last flow that any rule takes: the threshold of [`wire::flow::sampled`] that lets all of them through.
    #[must_use]
    pub fn threshold(&self) -> u32 {
        let ends = self.rules.iter().filter(|it| it.sample.from < it.sample.to);
        ends.map(|it| it.sample.to).max().unwrap_or(0)
    }
}
