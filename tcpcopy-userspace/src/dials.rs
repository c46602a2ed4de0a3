//! What a user may turn while a run goes on: shares, copies, weights, the rate of new sessions, patience, and whether anything new is
//! copied at all.
//!
//! **Invariant:** what stands here is in range, and follows from the command line until somebody turns it. It changes nothing by itself:
//! [`Dials::tuning`] says it in the words of the engine.

use std::time::Duration;

use session::{RuleTuning, Sample, Tuning};
use wire::flow::{Endpoint, SAMPLE_ALL};

use crate::args::{Args, RuleArg};

/// What one rule may be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RuleDials {
    /// The service; rules of the same one split its connections where they have weights.
    online: Endpoint,
    /// Share of the connections, 0 to 100.
    pub(crate) percent: f64,
    /// Its part among the rules of its service; `None` where each of them takes all that its share says.
    pub(crate) weight: Option<u32>,
    /// Sessions for each connection, at least 1.
    pub(crate) copies: u16,
    /// How long a request waits for a response that the online server gave.
    pub(crate) response_timeout: Duration,
}

/// Everything that may be turned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dials {
    pub(crate) rules: Vec<RuleDials>,
    /// New sessions per second, of the whole run; `None` for no limit.
    pub(crate) rate: Option<u32>,
    /// Nothing new is copied, whatever the shares say.
    pub(crate) is_paused: bool,
}

impl Dials {
    /// As the command line says.
    pub(crate) fn new(args: &Args) -> Self {
        let rule = |rule: &RuleArg| RuleDials {
            online: rule.online,
            percent: rule.options.percent.unwrap_or(args.share),
            weight: rule.options.weight,
            copies: rule.options.copies.unwrap_or(args.copies),
            response_timeout: rule
                .options
                .response_timeout
                .unwrap_or(args.response_timeout),
        };
        Self {
            rules: args.rules.iter().map(rule).collect(),
            rate: args.max_new_sessions,
            is_paused: false,
        }
    }

    /// The most sessions that a connection has by one rule.
    pub(crate) fn copies_max(&self) -> u16 {
        self.rules.iter().map(|it| it.copies).max().unwrap_or(1)
    }

    /// The longest that any request waits.
    pub(crate) fn response_timeout_max(&self) -> Duration {
        let times = self.rules.iter().map(|it| it.response_timeout);
        times.max().unwrap_or_default()
    }

    /// Sets the share of one rule, of which there must be so many, or of all. Rules that split a service have one share together.
    pub(crate) fn set_percent(&mut self, rule: Option<usize>, percent: f64) {
        let split = rule
            .and_then(|rule| self.rules.get(rule))
            .filter(|it| it.weight.is_some())
            .map(|it| it.online);
        for (index, it) in self.rules.iter_mut().enumerate() {
            if rule.is_none_or(|rule| rule == index) || split == Some(it.online) {
                it.percent = percent;
            }
        }
    }

    /// Sets the sessions for each connection by one rule, or by all.
    pub(crate) fn set_copies(&mut self, rule: Option<usize>, copies: u16) {
        for (index, it) in self.rules.iter_mut().enumerate() {
            if rule.is_none_or(|rule| rule == index) {
                it.copies = copies;
            }
        }
    }

    /// The same for the engine of one of so many workers.
    pub(crate) fn tuning(&self, workers: u32, sample_seed: u32) -> Tuning {
        let rules = (0..self.rules.len()).map(|index| self.rule(index));
        Tuning {
            rules: rules.collect(),
            sample_seed,
            sessions_per_second_max: self.rate.map(|rate| rate.div_ceil(workers)),
        }
    }

    fn rule(&self, index: usize) -> RuleTuning {
        let it = &self.rules[index];
        let share = if self.is_paused {
            0.0
        } else {
            it.percent / 100.0
        };
        let (before, own, all) = match it.weight {
            None => (0, 1, 1),
            Some(own) => {
                let is_same = |other: &&RuleDials| other.online == it.online;
                let sum = |rules: &[RuleDials]| {
                    let weights = rules.iter().filter(is_same).filter_map(|it| it.weight);
                    weights.map(u64::from).sum::<u64>()
                };
                (sum(&self.rules[..index]), own.into(), sum(&self.rules))
            }
        };
        let place = |part: u64| place(share * part as f64 / all as f64);
        RuleTuning {
            copies: it.copies,
            sample: Sample {
                from: place(before),
                to: place(before + own),
            },
            response_timeout: it.response_timeout,
        }
    }
}

/// A share of 1 in the scale of [`wire::flow::sampled`].
fn place(share: f64) -> u32 {
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "0 to 2^31, by the range of the share"
    )]
    let place = (share * f64::from(SAMPLE_ALL)).round() as u32;
    place.min(SAMPLE_ALL)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use wire::flow::SAMPLE_ALL;

    use super::Dials;
    use crate::args::Args;

    fn args(line: &str) -> Args {
        Args::try_parse_from(format!("tcpcopy {line}").split(' ')).unwrap()
    }

    fn samples(dials: &Dials) -> Vec<(u32, u32)> {
        let rules = dials.tuning(1, 0).rules;
        rules
            .iter()
            .map(|it| (it.sample.from, it.sample.to))
            .collect()
    }

    #[test]
    fn shares_become_places() {
        for (share, threshold) in [("100", SAMPLE_ALL), ("50", SAMPLE_ALL / 2)] {
            let dials = Dials::new(&args(&format!("-x 80-10.1.0.9:80 -r {share}")));
            assert_eq!(samples(&dials), [(0, threshold)]);
            assert_eq!(dials.tuning(1, 0).threshold(), threshold);
        }
    }

    #[test]
    fn a_rule_goes_by_its_own_options_before_those_of_the_run() {
        let line = "-x 80-10.1.0.9:80/percent=25/copies=3,81-10.1.0.9:81 -r 50 -n 2 --rate 7";
        let dials = Dials::new(&args(line));
        assert_eq!(samples(&dials), [(0, SAMPLE_ALL / 4), (0, SAMPLE_ALL / 2)]);
        assert_eq!((dials.rules[0].copies, dials.rules[1].copies), (3, 2));
        let tuning = dials.tuning(2, 0);
        assert_eq!(tuning.sessions_per_second_max, Some(4));
        assert_eq!(tuning.threshold(), SAMPLE_ALL / 2);
    }

    #[test]
    fn weights_split_a_service_and_leave_others_alone() {
        let line = "-x 80-10.1.0.9:80/weight=3,80-10.1.0.8:80/weight=1,81-10.1.0.9:81 -r 50";
        let mut dials = Dials::new(&args(line));
        let (all, part) = (SAMPLE_ALL / 2, SAMPLE_ALL / 8);
        assert_eq!(samples(&dials), [(0, 3 * part), (3 * part, all), (0, all)]);
        dials.set_percent(Some(1), 100.0);
        assert_eq!(
            samples(&dials)[..2],
            [(0, 6 * part), (6 * part, SAMPLE_ALL)]
        );
        assert_eq!(samples(&dials)[2], (0, all));
        dials.is_paused = true;
        assert_eq!(dials.tuning(1, 0).threshold(), 0);
    }
}
