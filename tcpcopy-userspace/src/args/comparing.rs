//! The comparison of responses by their contents, for the flows of protocol modules.

use comparison::{Arm, Template};
use protocol::digest::Headers;

use super::{Args, RuleArg};

/// Most routes that may be given.
const ROUTES_MAX: usize = comparison::route::template::TEMPLATES_MAX;

/// How responses are compared by their contents.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = super::heading::WHAT_TO_KEEP)]
pub(crate) struct ComparisonOptions {
    /// Do not compare responses by their contents
    ///
    /// With --protocol status, headers and body of both servers' responses are compared, of JSON field by field, and what differs is
    /// told by route: in the summary, the table and the report. Hashes are kept for that, and no value. It costs a look at each byte of
    /// both servers' responses (docs/comparison.md).
    #[arg(long)]
    no_compare: bool,

    /// Group requests by this route: /users/*/orders, or /static/** for all below it; may be said several times
    ///
    /// Without a route that fits, routes are learned: /users/123 is /users/*.
    #[arg(long, value_name = "PATH", conflicts_with = "no_compare")]
    route: Vec<Template>,

    /// Compare these headers of responses instead of those that two equal servers have alike: content-type,location,...
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = header, conflicts_with = "no_compare")]
    compare_header: Vec<String>,
}

/// A name of a header.
fn header(text: &str) -> Result<String, String> {
    Headers::new([text])
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// What is to be compared, and how.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The headers that are compared.
    pub(crate) headers: Headers,
    /// The routes that are given.
    pub(crate) routes: Vec<Template>,
    /// Whose responses those to each rule's requests are, in the order of the rules.
    pub(crate) arms: Vec<Arm>,
}

impl Args {
    /// What is to be compared by its contents, if anything is.
    pub(crate) fn comparison(&self) -> Option<Wanted> {
        let has_module = self.rules.iter().any(|it| self.module_of(it).is_some());
        if !has_module || self.comparing.no_compare || self.tap.is_dry_run() {
            return None;
        }
        Some(Wanted {
            headers: self.headers().unwrap_or_default(),
            routes: self.comparing.route.clone(),
            arms: self.rules.iter().map(arm).collect(),
        })
    }

    fn headers(&self) -> Result<Headers, String> {
        let names = &self.comparing.compare_header;
        if names.is_empty() {
            return Ok(Headers::default());
        }
        Headers::new(names.iter().map(String::as_str)).map_err(|error| error.to_string())
    }

    /// What is asked of the comparison and does not fit together.
    pub(super) fn contradiction_of_comparison(&self) -> Option<String> {
        let asks = !self.comparing.route.is_empty() || !self.comparing.compare_header.is_empty();
        let has_module = self.rules.iter().any(|it| self.module_of(it).is_some());
        if asks && !has_module {
            return Some(
                "--route and --compare-header are about what a protocol module reads: say which with --protocol auto, or --protocol \
                 http1"
                    .to_owned(),
            );
        }
        if self.comparing.route.len() > ROUTES_MAX {
            return Some(format!("at most {ROUTES_MAX} routes can be given"));
        }
        if let Err(words) = self.headers() {
            return Some(words);
        }
        let baselines = self.rules.iter().filter(|rule| rule.is_baseline());
        baselines.into_iter().find_map(|rule| self.misplaced(rule))
    }

    /// Why a rule cannot be a baseline.
    fn misplaced(&self, rule: &RuleArg) -> Option<String> {
        let of_service = || self.rules.iter().filter(|it| it.online == rule.online);
        if of_service().all(RuleArg::is_baseline) {
            return Some(format!(
                "{rule} is a baseline beside no target: add a rule of the same service for the build that is tested"
            ));
        }
        if of_service().filter(|it| it.is_baseline()).count() > 1 {
            return Some(format!(
                "{rule} is not the only baseline of its service, and one is what a target is compared beside"
            ));
        }
        if rule.options.weight.is_some() {
            return Some(format!(
                "{rule} is a baseline: it gets the same requests as the target, and weight= splits them"
            ));
        }
        if self.module_of(rule).is_none() || self.comparing.no_compare {
            return Some(format!(
                "{rule} is a baseline, beside which responses are compared by their contents: that takes --protocol, and no \
                 --no-compare"
            ));
        }
        None
    }
}

/// Whose responses those to a rule's requests are.
fn arm(rule: &RuleArg) -> Arm {
    if rule.is_baseline() {
        Arm::Baseline
    } else {
        Arm::Target
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use comparison::Arm;

    use super::Args;

    fn args(line: &str) -> Args {
        Args::try_parse_from(line.split(' ')).expect(line)
    }

    #[test]
    fn a_baseline_is_said_behind_its_target() {
        for line in [
            "tcpcopy --protocol http1 -x 80-10.0.0.9:80,80-10.0.0.8:80=baseline",
            "tcpcopy --protocol http1 -x 80-10.0.0.9:80,80-10.0.0.8:80/role=baseline",
        ] {
            let args = args(line);
            assert_eq!(args.contradiction_of_comparison(), None);
            let wanted = args.comparison().expect("it is compared");
            assert_eq!(wanted.arms, [Arm::Target, Arm::Baseline]);
        }
        assert!(args("tcpcopy -x 80-10.0.0.9:80").comparison().is_none());
        let none = args("tcpcopy -x 80-10.0.0.9:80 --protocol http1 --no-compare");
        assert!(none.comparison().is_none());
    }

    #[test]
    fn what_does_not_fit_together_has_words() {
        for (line, words) in [
            (
                "tcpcopy -x 80-10.0.0.9:80 --route /a/*",
                "say which with --protocol",
            ),
            (
                "tcpcopy -x 80-10.0.0.9:80=baseline --protocol http1",
                "beside no target",
            ),
            (
                "tcpcopy -x 80-10.0.0.9:80,80-10.0.0.8:80=baseline,80-10.0.0.7:80=baseline --protocol http1",
                "not the only baseline",
            ),
            (
                "tcpcopy -x 80-10.0.0.9:80/weight=1,80-10.0.0.8:80=baseline/weight=1 --protocol http1",
                "weight= splits",
            ),
            (
                "tcpcopy -x 80-10.0.0.9:80,80-10.0.0.8:80=baseline",
                "takes --protocol",
            ),
        ] {
            let said = args(line).contradiction_of_comparison().expect(line);
            assert!(said.contains(words), "{line}: {said}");
        }
        for (option, words) in [
            ("--route=users", "begins with a slash"),
            ("--compare-header=a:b", "is no name of a header"),
        ] {
            let line = ["tcpcopy", "-x", "80-10.0.0.9:80", option];
            let refused = Args::try_parse_from(line).expect_err(option).to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
