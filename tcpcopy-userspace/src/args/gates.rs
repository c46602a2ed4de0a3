//! What a run is asked to pass, and how long it may take to begin: the options of scripts.

use std::time::Duration;

use telemetry::{Gates, SlowerMax};

use super::quantity;

/// How long a run with an end may take to become ready, where nobody says.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The limits, of which --strict needs one.
const LIMITS: &str = "limits";

/// Options of scripts.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = super::heading::PASS_OR_FAIL)]
#[command(group = clap::ArgGroup::new(LIMITS).multiple(true).args(["min_fidelity", "max_differing", "max_difference", "max_slower", "max_lag", "min_requests"]))]
pub(crate) struct GateArgs {
    /// Exit with 3 if the target took less than this share of the requests, in percent; with 4 if there is nothing to judge
    ///
    /// Of all requests that were to be copied: those that found no session because of --max-sessions, --max-new-sessions, --max-cpu or
    /// --memory count as not taken. A share that -r takes is all of it. Where nothing was captured, or the run was never ready,
    /// there is nothing to judge: 4.
    #[arg(long, value_name = "PERCENT", value_parser = min_fidelity)]
    min_fidelity: Option<f64>,

    /// Exit with 3 if more than this share of the compared responses differ, in percent
    ///
    /// What is compared: length and reset, and with --sample-bytes what responses begin with.
    #[arg(long, value_name = "PERCENT", value_parser = max_differing)]
    max_differing: Option<f64>,

    /// Exit with 3 if more than this share of a route's responses differs in one field, header or status beyond noise, e.g. 0.1%
    ///
    /// It takes --protocol. Beside a baseline (-x 80-10.0.0.9:80,80-10.0.0.8:80=baseline) what two equal servers say differently as well
    /// is noise; without one clocks and identifiers, which differ always, count for nothing. docs/comparison.md
    #[arg(long, value_name = "PERCENT", value_parser = max_differing)]
    max_difference: Option<f64>,

    /// Exit with 3 if the target is slower than the online server by more than this, e.g. 20% or 5ms
    ///
    /// To the last byte of a response, the network's time taken off, in the median or at the 99th percentile. Where the run
    /// cannot tell the median (too few requests, or too much noise) the exit status is 4, and with --strict 3. A 99th percentile that
    /// cannot be told is named, and fails with --strict alone. Differences under 50 us are not measured.
    #[arg(long, value_name = "PERCENT%|TIME", value_parser = max_slower)]
    max_slower: Option<SlowerMax>,

    /// Exit with 3 if one copy in a hundred left later than this after its original, e.g. 100ms
    ///
    /// A copy that fell behind asks the target at another pace than the clients asked the online server, even if it has made up for
    /// it in the end.
    #[arg(long, value_name = "TIME", value_parser = max_lag)]
    max_lag: Option<Duration>,

    /// Exit with 3 if fewer requests than this were served: so few say nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    min_requests: Option<u64>,

    /// Exit with 3, not with 4, where a limit cannot be judged because the run cannot tell
    #[arg(long, requires = LIMITS)]
    strict: bool,

    /// What the run is called in the closing table and the report, e.g. "nginx 1.27 beside 1.25"
    #[arg(long, value_name = "WORDS", help_heading = super::heading::WHAT_TO_KEEP)]
    title: Option<String>,

    /// Give up with exit status 4 where nothing can be copied after this time [default: 60s with --duration, else never]
    ///
    /// In assistant mode a run begins once its path through intercept is proven; until then the reason is said each 30 s.
    #[arg(long, value_name = "TIME", value_parser = some_time, help_heading = super::heading::WHEN_TO_STOP)]
    ready_timeout: Option<Duration>,
}

impl GateArgs {
    /// The limits.
    pub(crate) fn gates(&self) -> Gates {
        Gates {
            fidelity_min: self.min_fidelity,
            differing_max: self.max_differing,
            difference_max: self.max_difference,
            slower_max: self.max_slower,
            lag_max_us: self
                .max_lag
                .map(|most| u64::try_from(most.as_micros()).unwrap_or(u64::MAX)),
            requests_min: self.min_requests,
            is_strict: self.strict,
        }
    }

    /// What the run is called.
    pub(crate) fn title(&self) -> Option<String> {
        self.title.clone()
    }

    /// How long the run may take to become ready; `None` for any time.
    pub(crate) fn ready_timeout(&self, duration: Option<Duration>) -> Option<Duration> {
        self.ready_timeout.or(duration.map(|_| READY_TIMEOUT))
    }
}

/// A percentage as the share that is nearest to it as it was written: 99.9 / 100 is a little more than 0.999, and a run of a thousand
/// requests that misses one would fail.
fn share_of(percent: f64) -> f64 {
    (percent * 1e8).round() / 1e10
}

/// The least fidelity, as a share.
fn min_fidelity(text: &str) -> Result<f64, String> {
    let percent = quantity::percent(text)?;
    if percent == 0.0 {
        return Err("every run reaches 0 %; write what is to be reached, like 99.9".to_owned());
    }
    if percent <= 1.0 && !text.ends_with('%') {
        return Err(format!(
            "{text} means {text} percent; write {} (or {text}% if that is meant)",
            // As somebody wrote it who had a share in mind.
            (percent * 1e8).round() / 1e6
        ));
    }
    Ok(share_of(percent))
}

/// The largest share that may differ.
fn max_differing(text: &str) -> Result<f64, String> {
    let percent = quantity::percent(text)?;
    if percent >= 100.0 {
        return Err("no run differs in more than all responses; write less than 100".to_owned());
    }
    Ok(share_of(percent))
}

/// How much slower the target may be.
fn max_slower(text: &str) -> Result<SlowerMax, String> {
    const FORM: &str =
        "write a share of the online server's time or a time, like 20%, 5ms or 500us";
    let most = if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().map_err(|_| FORM)?;
        if !percent.is_finite() || percent < 0.0 {
            return Err(FORM.to_owned());
        }
        SlowerMax::Share(share_of(percent))
    } else if let Some(micros) = text.strip_suffix("us") {
        SlowerMax::Micros(micros.parse().map_err(|_| FORM)?)
    } else {
        let time = quantity::duration(text).map_err(|_| FORM)?;
        SlowerMax::Micros(u64::try_from(time.as_micros()).map_err(|_| FORM)?)
    };
    match most {
        SlowerMax::Micros(0) | SlowerMax::Share(0.0) => {
            Err("no run can tell a difference of nothing; write 50us or more".to_owned())
        }
        most => Ok(most),
    }
}

/// A time that is not 0.
fn max_lag(text: &str) -> Result<Duration, String> {
    match quantity::duration(text)? {
        Duration::ZERO => {
            Err("every copy leaves later than its original; write 1ms or more".to_owned())
        }
        time => Ok(time),
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    match quantity::duration(text)? {
        Duration::ZERO => Err("no run is ready in no time; write 1s or more".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use telemetry::SlowerMax;

    use crate::args::Args;

    fn parse(more: &str) -> Result<Args, String> {
        let line = format!("tcpcopy -x 80-10.0.0.2:80 {more}");
        let parsed = Args::try_parse_from(line.split_whitespace());
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_read() {
        let line =
            "--min-fidelity 99.9 --max-differing 0.1 --max-slower 20% --min-requests 1000 --strict";
        let gates = parse(line).unwrap().gates.gates();
        assert_eq!(gates.fidelity_min, Some(0.999));
        assert_eq!(gates.differing_max, Some(0.001));
        assert_eq!(gates.slower_max, Some(SlowerMax::Share(0.2)));
        assert_eq!((gates.requests_min, gates.is_strict), (Some(1000), true));
        for (text, micros) in [("5ms", 5_000), ("500us", 500), ("1s", 1_000_000)] {
            let gates = parse(&format!("--max-slower {text}"))
                .unwrap()
                .gates
                .gates();
            assert_eq!(gates.slower_max, Some(SlowerMax::Micros(micros)), "{text}");
        }
        let gates = parse("--max-lag 100ms").unwrap().gates.gates();
        assert_eq!(gates.lag_max_us, Some(100_000));
        let exact = parse("--min-fidelity 0.5%").unwrap().gates.gates();
        assert_eq!(exact.fidelity_min, Some(0.005));
        assert!(parse("--max-differing 0").is_ok());
        let difference = parse("--max-difference 0.1% --strict").unwrap();
        assert_eq!(difference.gates.gates().difference_max, Some(0.001));
        assert!(!parse("").unwrap().gates.gates().is_any());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        for (line, words) in [
            (
                "--min-fidelity 0.999",
                "0.999 means 0.999 percent; write 99.9 (or 0.999% if that is meant)",
            ),
            (
                "--min-fidelity 1",
                "1 means 1 percent; write 100 (or 1% if that is meant)",
            ),
            ("--min-fidelity 0", "every run reaches 0 %"),
            ("--min-fidelity 0%", "every run reaches 0 %"),
            ("--min-fidelity 101", "from 0 to 100"),
            ("--min-fidelity NaN", "from 0 to 100"),
            ("--max-differing 100", "write less than 100"),
            ("--max-difference 100%", "write less than 100"),
            ("--max-slower 20", "like 20%, 5ms or 500us"),
            ("--max-slower inf%", "like 20%, 5ms or 500us"),
            ("--max-slower -5%", ""),
            ("--max-slower 0%", "write 50us or more"),
            ("--max-slower 0ms", "write 50us or more"),
            ("--min-requests 0", ""),
            ("--max-lag 0s", "write 1ms or more"),
            ("--strict", "required"),
            ("--ready-timeout 0s", "write 1s or more"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn a_run_that_has_an_end_does_not_wait_for_ever_to_begin() {
        let timeout = |line: &str| {
            let args = parse(line).unwrap();
            args.gates.ready_timeout(args.duration)
        };
        assert_eq!(timeout(""), None);
        assert_eq!(timeout("--duration 10s"), Some(Duration::from_secs(60)));
        let asked = timeout("--duration 10s --ready-timeout 5s");
        assert_eq!(asked, Some(Duration::from_secs(5)));
        assert_eq!(timeout("--ready-timeout 5s"), Some(Duration::from_secs(5)));
    }
}
