//! What a rule says for itself, where it is not to be as all others: `80-10.0.0.9:80/percent=10/copies=2`.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum as _;

use super::super::module::ProtocolArg;
use super::super::{JoinArg, quantity};
use super::RuleArg;

/// The most copies of a flow.
pub(crate) const COPIES_MAX: u16 = 1000;
/// The largest weight.
const WEIGHT_MAX: u32 = 1_000_000;

/// What a rule says for itself; what it does not say is as the run's options say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RuleOptions {
    /// Share of the connections, in percent, above 0.
    pub(crate) percent: Option<f64>,
    /// Sessions for each connection, at least 1.
    pub(crate) copies: Option<u16>,
    /// The rule's part among those of the same service, at least 1: each connection goes to one of them.
    pub(crate) weight: Option<u32>,
    /// Which connections are joined.
    pub(crate) join: Option<JoinArg>,
    /// How long a request waits for a response.
    pub(crate) response_timeout: Option<Duration>,
    /// Which module reads its requests and responses.
    pub(crate) protocol: Option<ProtocolArg>,
    /// What its target is.
    pub(crate) role: Option<Role>,
}

/// What a rule's target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The build that is tested.
    Target,
    /// A server that runs what the online server runs, beside which the other rule's target is compared.
    Baseline,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "target" => Ok(Self::Target),
            "baseline" => Ok(Self::Baseline),
            _ => Err("write target or baseline".to_owned()),
        }
    }
}

impl RuleOptions {
    /// Their names, as they are written.
    pub(crate) const NAMES: [&str; 7] = [
        "percent",
        "copies",
        "weight",
        "join",
        "response-timeout",
        "protocol",
        "role",
    ];

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "percent" => self.percent = Some(quantity::share(value)?),
            "copies" => self.copies = Some(quantity::within(1, COPIES_MAX)(value)?),
            "weight" => self.weight = Some(quantity::within(1, WEIGHT_MAX)(value)?),
            "join" => {
                let refused = |_| "write standalone, always or never".to_owned();
                self.join = Some(JoinArg::from_str(value, false).map_err(refused)?);
            }
            "protocol" => self.protocol = Some(value.parse()?),
            "role" => self.role = Some(value.parse()?),
            "response-timeout" => self.response_timeout = Some(quantity::time(value)?),
            _ => {
                return Err(format!(
                    "a rule has no such option; it has {}",
                    Self::NAMES.join(", ")
                ));
            }
        }
        Ok(())
    }
}

impl FromStr for RuleOptions {
    type Err = String;

    /// From `percent=10/copies=2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let mut named: Vec<&str> = Vec::new();
        for option in text.split('/') {
            let (name, value) = option.split_once('=').ok_or_else(|| {
                format!("{option:?}: an option of a rule is NAME=VALUE, like percent=10")
            })?;
            if named.contains(&name) {
                return Err(format!("{name} is said twice"));
            }
            named.push(name);
            let said = |words| format!("{option}: {words}");
            options.set(name, value).map_err(said)?;
        }
        Ok(options)
    }
}

/// What rules say for themselves and does not fit together.
pub(crate) fn contradiction(rules: &[RuleArg]) -> Option<String> {
    rules.iter().find_map(|rule| {
        let others = rules.iter().filter(|other| other.online == rule.online);
        let mut others = others.map(|other| other.options);
        let options = rule.options;
        options.weight?;
        if others.clone().any(|it| it.weight.is_none()) {
            return Some(format!(
                "rule {rule} has a weight, and another of the same service has none: give each of them one, or none at all"
            ));
        }
        others.any(|it| it.percent != options.percent).then(|| {
            format!("rule {rule} splits its service with others by weight, so all of them have the same percent")
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::RuleArg;
    use super::contradiction;
    use crate::args::JoinArg;

    #[test]
    fn a_rule_says_for_itself_what_is_not_as_with_all_others() {
        let rule: RuleArg =
            "80-10.0.0.2:81/percent=12.5/copies=2/weight=3/join=never/response-timeout=5s"
                .parse()
                .unwrap();
        let options = rule.options;
        assert_eq!(rule.to_string(), "port 80 -> 10.0.0.2:81");
        assert_eq!((options.percent, options.copies), (Some(12.5), Some(2)));
        assert_eq!(
            (options.weight, options.join),
            (Some(3), Some(JoinArg::Never))
        );
        assert_eq!(options.response_timeout, Some(Duration::from_secs(5)));
        let plain: RuleArg = "80-10.0.0.2:81".parse().unwrap();
        assert_eq!(plain.options, super::RuleOptions::default());
    }

    #[test]
    fn each_mistake_has_its_words() {
        for (options, words) in [
            ("percent", "is NAME=VALUE"),
            ("percent=0", "above 0"),
            ("percent=101", "up to 100"),
            ("copies=0", "write 1 to 1000"),
            ("weight=0", "write 1 to 1000000"),
            ("join=now", "standalone, always or never"),
            ("response-timeout=5", "its unit"),
            ("pool=10.0.0.0/24", "no such option"),
            ("protocol=h2", "write one of none, auto"),
            ("role=twin", "write target or baseline"),
            ("copies=1/copies=2", "copies is said twice"),
            ("", "is NAME=VALUE"),
        ] {
            let text = format!("80-10.0.0.2:81/{options}");
            let refusal = text.parse::<RuleArg>().unwrap_err();
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }

    #[test]
    fn what_does_not_fit_together_has_words() {
        for (line, words) in [
            (
                "-x 80-10.1.0.9:80/weight=3,80-10.1.0.8:80",
                "another of the same service has none",
            ),
            (
                "-x 80-10.1.0.9:80/weight=3,80-10.1.0.8:80/weight=1/percent=5",
                "all of them have the same percent",
            ),
        ] {
            let said = contradiction(&rules(line)).expect(line);
            assert!(said.contains(words), "{said}");
        }
        let fits = rules("-x 80-10.1.0.9:80/weight=3,80-10.1.0.8:80/weight=1,81-10.1.0.8:80");
        assert_eq!(contradiction(&fits), None);
    }

    fn rules(line: &str) -> Vec<RuleArg> {
        let rules = line.trim_start_matches("-x ").split(',');
        rules.map(|rule| rule.parse().unwrap()).collect()
    }
}
