//! The summary of a run: what happened to every turn, and whether the counters agree.
//!
//! It is written while the run goes on as well ([`crate::writer`]), so that a killed run leaves one behind.

use serde::{Serialize, Serializer};

use crate::change::Change;
use crate::differences::DifferencesSummary;
use crate::feedback::Feedback;
use crate::figures::Figures;
use crate::findings::{Findings, Numbers};
use crate::gates::{Facts, Gate, Passage, passage};
use crate::kernel::Reconciliation;
use crate::latency::{Curves, LatencySummary};
use crate::left_out;
use crate::moment::rfc3339;
use crate::nothing;
use crate::replay::Replay;
use crate::samples::SamplesSummary;
use crate::tap::Tap;
use crate::totals::{CLOCK_ERROR, Mode, RunTotals, State};
use crate::verdict::measured::Measured;
use crate::verdict::{Says, Verdict};
use crate::warning::Warning;

/// The form of the JSON that `tcpcopy report` and the live page read. It grows by 1 where a key changes its meaning or
/// goes; a new key changes nothing.
pub const FORMAT: u64 = 2;

/// One rule's share of the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct RuleSummary {
    /// The rule as the start printed it.
    pub rule: String,
    /// Turns.
    pub ledger: Figures,
    /// Client bytes.
    pub bytes: Figures,
    /// See [`crate::fidelity`]; `null` as well where several rules share what a budget left out.
    pub fidelity: Option<f64>,
}

/// The summary, key by key.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// See [`FORMAT`].
    pub format: u64,
    /// The program's version.
    pub version: String,
    /// Where the run stands.
    pub state: State,
    /// When the run was started: RFC 3339, UTC.
    pub started: String,
    /// When it was ready, and copying began; `null` where it never was.
    pub ready: Option<String>,
    /// When it was over; `null` while it goes on, and where it was killed.
    pub ended: Option<String>,
    /// What the user calls the run (`--title`).
    pub title: Option<String>,
    /// How fast files are replayed (`--speed`); nothing where clients are copied live.
    pub speed: Option<String>,
    /// Whether nothing was sent (`--dry-run`): the target is made up, and says as much as the online server.
    pub dry_run: bool,
    /// How far the files are read; nothing where clients are copied live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// The name of the host.
    pub host: String,
    /// The kernel's release.
    pub kernel_release: String,
    /// The command line after the program's name.
    pub options: Vec<String>,
    /// What everything random followed from: with the same one a run takes the same flows again.
    ///
    /// As text: it has more digits than most readers of JSON keep of a number.
    pub seed: String,
    /// `direct` or `assistant`.
    pub mode: Mode,
    /// Time from `ready` until capture ended, or until this summary.
    pub capture_seconds: f64,
    /// Time since capture ended, in which open turns may still end.
    pub drain_seconds: f64,
    /// Turns: `captured` and each outcome.
    pub ledger: Figures,
    /// See [`crate::fidelity`]: 0 to 1, `null` where there is nothing to judge.
    pub fidelity: Option<f64>,
    /// Why there is nothing to judge; `null` where there is something.
    pub nothing_to_judge: Option<&'static str>,
    /// What was asked of the run, and what came of it; empty where nothing was asked.
    pub gates: Vec<Gate>,
    /// Whether a gate that cannot be judged has failed.
    #[serde(skip)]
    is_strict: bool,
    /// What was not copied and is no turn of the ledger: see [`left_out::LeftOut`].
    pub left_out: Figures,
    /// Turns whose target answered and then closed or reset the connection where the online server went on.
    pub target_closes: u64,
    /// Client bytes: `captured` and each outcome, of turns that ended.
    pub bytes: Figures,
    /// The same, rule by rule.
    pub rules: Vec<RuleSummary>,
    /// Response times and our own lag, in microseconds.
    pub latency_us: LatencySummary,
    /// Whether the target is slower or faster, and how sure that is, in microseconds.
    pub verdict: Verdict,
    /// The percentile curve of each series that was measured: points of percentile, microseconds and count so far.
    ///
    /// Left out of the lines that `--json` prints while the run goes on.
    #[serde(rename = "curves_us", skip_serializing_if = "Option::is_none")]
    pub curves: Option<Figures<Curves>>,
    /// What all of it amounts to.
    pub findings: Findings,
    /// Turns whose responses differed, by how; `compared` are all that were compared.
    pub differences: DifferencesSummary,
    /// What responses begin with; only with `--sample-bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<SamplesSummary>,
    /// What responses say, by route and field; only where flows have a protocol module and responses were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<comparison::Report>,
    /// Every hook's counters and every equation, each with its `residue`. While the run goes on a residue is what is
    /// under way between a program and a worker; at the end it is a bug or a loss.
    #[serde(rename = "hooks", serialize_with = "reconciliation_rows")]
    pub kernel: Reconciliation,
    /// What the engines counted of sessions, and `open`: those at this moment.
    pub sessions: Figures,
    /// What all workers together may take, and hold at this moment: captured bytes that wait, sessions.
    pub budget: Figures,
    /// What else the engines counted.
    pub engine: Figures,
    /// CPU time of each thread, by name, and their `total`.
    pub cpu_seconds: Figures<f64>,
    /// Times that the run itself had to pause or lost something.
    pub incidents: Figures,
    /// How far the estimates of the assistants' clocks may be off, in microseconds; `null` where none is used.
    pub clock_error_us: Option<u64>,
    /// What is in the file of `--tap`; only with that option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tap: Option<Tap>,
    /// What the user was told of while the run went on, oldest first.
    pub warnings: Vec<Warning>,
    /// Warnings that the list has no room for.
    #[serde(skip_serializing_if = "is_zero")]
    pub warnings_unlisted: u64,
    /// What was turned while the run went on (`tcpcopy ctl`), oldest first.
    pub changes: Vec<Change>,
    /// Older changes that the list has no room for.
    #[serde(skip_serializing_if = "is_zero")]
    pub changes_unlisted: u64,
    /// The loop that ended the run: copies caused requests to the online service.
    #[serde(rename = "loop", skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn reconciliation_rows<S: Serializer>(
    kernel: &Reconciliation,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    kernel.rows().serialize(serializer)
}

/// How far the assistants' clocks may be off, where one is estimated.
fn clock_error_us(run: &RunTotals) -> Option<u64> {
    let micros = run.notes.get(CLOCK_ERROR).copied();
    micros.filter(|micros| *micros > 0)
}

/// CPU time by thread, and their total.
fn cpu_seconds(run: &RunTotals) -> Figures<f64> {
    let mut cpu_seconds = run.cpu_seconds.clone();
    cpu_seconds.push(
        "total",
        run.cpu_seconds.iter().map(|(_, seconds)| seconds).sum(),
    );
    cpu_seconds
}

/// What responses began with, where that was asked for.
fn samples(run: &RunTotals) -> Option<SamplesSummary> {
    let beginnings = run.differences.beginnings()?;
    Some(beginnings.summary(&run.rules))
}

/// Each rule's share of the ledger.
fn rules(run: &RunTotals) -> Vec<RuleSummary> {
    run.rules
        .iter()
        .zip(run.ledger.rules())
        .zip(run.fidelity_of_rules())
        .map(|((rule, tally), fidelity)| RuleSummary {
            rule: rule.clone(),
            ledger: tally.turn_figures(),
            bytes: tally.byte_figures(),
            fidelity,
        })
        .collect()
}

/// The figures that findings follow from.
fn numbers(
    run: &RunTotals,
    latency: &LatencySummary,
    kernel: &Reconciliation,
    verdict: &Verdict,
) -> Numbers {
    let differences = run.differences.summary();
    let largest = run.comparison.as_ref().and_then(|it| it.largest.as_ref());
    let kind = |name| differences.kinds.get(name).copied().unwrap_or_default();
    Numbers {
        is_over: run.state == State::Ended,
        fidelity: run.fidelity(),
        lags: latency.lag.count,
        lag_p99_us: latency.lag.p99,
        response_p99_us: latency.online.last.p99.max(latency.target.last.p99),
        compared: differences.compared,
        differing: differences.differing,
        is_target_slower: verdict.last.p50.says == Says::Slower,
        contents_differing: largest.map_or(0.0, |it| it.share),
        incomplete: kind("target_shorter") + kind("target_silent"),
        bandwidth_reached: run
            .notes
            .get("max_bandwidth_reached")
            .copied()
            .unwrap_or_default(),
        residues: Some(kernel.residues().count() as u64),
    }
}

/// What the engines counted: of sessions, with those that are open, and the rest.
fn counted(run: &RunTotals) -> (Figures, Figures) {
    let mut sessions: Figures = std::iter::once(("open", run.sessions_open)).collect();
    let mut engine = Figures::new();
    for (name, count) in run.engine.iter() {
        match name.strip_prefix("sessions_") {
            Some(name) => sessions.push(name, count),
            // These stand among what was left out.
            None if name.starts_with(left_out::PREFIX) => {}
            None => engine.push(name, count),
        }
    }
    (sessions, engine)
}

/// The ledger of all rules, with what is open still.
fn with_open(run: &RunTotals) -> crate::ledger::Tally {
    let mut total = run.ledger.total();
    total.add_open(run.turns_open);
    total
}

impl Summary {
    /// Adds up a run.
    #[must_use]
    pub fn new(run: &RunTotals) -> Self {
        let total = with_open(run);
        let (sessions, engine) = counted(run);
        let latency_us = run.latency.summary();
        let captured_for = run.duration.saturating_sub(run.drain);
        let measured = Measured::new(&run.latency, &run.spread, captured_for);
        let verdict = Verdict::new(&measured);
        let kernel = Reconciliation::new(&run.kernel, &run.engine, &run.workers);
        let findings = Findings::new(&numbers(run, &latency_us, &kernel, &verdict));
        let mut summary = Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: run.state,
            started: rfc3339(run.started),
            ready: run.ready.map(rfc3339),
            ended: run.ended.map(rfc3339),
            title: run.about.title.clone(),
            speed: run.about.speed.clone(),
            dry_run: run.about.is_dry_run,
            replay: run.replay.clone(),
            host: run.about.host.clone(),
            kernel_release: run.about.kernel_release.clone(),
            options: run.about.options.clone(),
            seed: run.about.seed.to_string(),
            mode: run.mode,
            capture_seconds: captured_for.as_secs_f64(),
            drain_seconds: run.drain.as_secs_f64(),
            ledger: total.turn_figures(),
            fidelity: run.fidelity(),
            nothing_to_judge: nothing::why(run),
            gates: Vec::new(),
            is_strict: run.about.gates.is_strict,
            left_out: run.left_out().figures(),
            target_closes: run.engine.target_closes,
            bytes: total.byte_figures(),
            rules: rules(run),
            latency_us,
            verdict,
            curves: Some(run.latency.curves()),
            differences: run.differences.summary(),
            samples: samples(run),
            comparison: run.comparison.clone(),
            findings,
            kernel,
            sessions,
            budget: run.budget.clone(),
            engine,
            cpu_seconds: cpu_seconds(run),
            incidents: run.incidents(),
            clock_error_us: clock_error_us(run),
            tap: run.tap.clone(),
            warnings: run.warnings.list(),
            warnings_unlisted: run.warnings.unlisted(),
            changes: run.changes.list(),
            changes_unlisted: run.changes.unlisted(),
            feedback: run.feedback.clone(),
        };
        summary.gates = run.about.gates.judge(&Facts {
            fidelity: summary.fidelity,
            is_nothing: summary.nothing_to_judge.is_some(),
            served: summary.served(),
            left_out: &summary.left_out,
            differences: &summary.differences,
            comparison: summary.comparison.as_ref(),
            latency: &summary.latency_us,
            verdict: &summary.verdict,
            measured: &measured,
        });
        summary
    }

    /// Turns that the target had a chance to take.
    #[must_use]
    pub fn served(&self) -> u64 {
        let turns = |name| self.ledger.get(name).copied().unwrap_or_default();
        turns("captured") - turns("unserved") - turns("filtered")
    }

    /// What came of all gates together.
    #[must_use]
    pub fn passage(&self) -> Passage {
        passage(&self.gates, self.is_strict, self.fidelity.is_none())
    }

    /// The same without the payload of responses, for readers whom nobody has asked who they are.
    #[must_use]
    pub fn without_payload(mut self) -> Self {
        if let Some(samples) = &mut self.samples {
            samples.differing_unlisted += samples.differing.len() as u64;
            samples.differing.clear();
        }
        self
    }

    /// The summary as JSON for people and machines, with a newline at its end.
    ///
    /// # Errors
    ///
    /// None that is known: every key is text, every value a number, a text or a list of them.
    pub fn json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// The same without the curves, for who gets one each second.
    #[must_use]
    pub fn without_curves(mut self) -> Self {
        self.curves = None;
        self
    }

    /// The same on a line of its own, with a newline at its end.
    ///
    /// # Errors
    ///
    /// As [`Summary::json`].
    pub fn json_line(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use session::{Counters, Outcome, RuleId, TurnEnded};

    use super::Summary;
    use crate::{
        Figures, KernelCounters, Latency, Ledger, Mode, RunTotals, Spread, State, WorkerTotals,
    };

    fn run() -> RunTotals {
        let mut ledger = Ledger::new(1);
        ledger.record(&TurnEnded {
            rule: RuleId(0),
            outcome: Outcome::Answered,
            bytes: 100,
            bytes_acknowledged: 100,
            paired: false,
            online: None,
            target: None,
            lag: Duration::from_micros(40),
            online_reset: false,
            paced: false,
            round_trip: None,
            samples: None,
        });
        RunTotals {
            mode: Mode::Assistant,
            state: State::Copying,
            started: SystemTime::UNIX_EPOCH,
            about: crate::About::default(),
            ready: Some(std::time::SystemTime::UNIX_EPOCH),
            ended: None,
            drain: Duration::ZERO,
            duration: Duration::from_millis(2500),
            rules: vec!["a to b".to_owned()],
            ledger,
            turns_open: 1,
            sessions_open: 1,
            budget: [("payload_bytes_max", 1 << 20)].into_iter().collect(),
            latency: Latency::new(),
            spread: Spread::new(),
            differences: crate::Differences::default(),
            engine: Counters {
                sessions_opened: 3,
                ..Counters::default()
            },
            workers: WorkerTotals::default(),
            kernel: KernelCounters::default(),
            cpu_seconds: [("worker-0", 0.5), ("main", 0.25)].into_iter().collect(),
            notes: Figures::new(),
            warnings: crate::Warnings::default(),
            changes: crate::Changes::default(),
            feedback: None,
            replay: None,
            comparison: None,
            tap: None,
        }
    }

    #[test]
    fn a_tap_is_told_where_there_is_one() {
        let json = |run: &RunTotals| serde_json::to_value(Summary::new(run)).unwrap();
        let mut run = run();
        assert!(json(&run).get("tap").is_none());
        assert!(json(&run)["incidents"].get("tap_dropped").is_none());
        run.tap = Some(crate::Tap {
            file: "t.pcapng".to_owned(),
            sent_packets: 4,
            dropped_packets: 2,
            ..crate::Tap::default()
        });
        let told = json(&run);
        assert_eq!(told["tap"]["sent_packets"], 4);
        assert_eq!(told["incidents"]["tap_dropped"], 2);
    }

    #[test]
    fn the_keys_of_the_contract_are_there() {
        let json = serde_json::to_value(Summary::new(&run())).unwrap();
        for key in [
            "format",
            "version",
            "state",
            "started",
            "verdict",
            "curves_us",
            "mode",
            "capture_seconds",
            "drain_seconds",
            "findings",
            "ledger",
            "fidelity",
            "left_out",
            "target_closes",
            "warnings",
            "bytes",
            "hooks",
            "sessions",
            "cpu_seconds",
        ] {
            assert!(json.get(key).is_some(), "{key} is missing in {json}");
        }
        assert_eq!(json["mode"], "assistant");
        assert_eq!(
            (&json["state"], &json["started"]),
            (&"copying".into(), &"1970-01-01T00:00:00Z".into())
        );
        assert_eq!(
            json["verdict"]["first_byte"]["p50"]["verdict"],
            "cannot_tell"
        );
        assert_eq!(json["ledger"]["captured"], 2);
        assert_eq!(json["ledger"]["pending"], 1);
        assert_eq!(json["fidelity"], 1.0, "what is open has not failed");
        assert_eq!(json["sessions"]["opened"], 3);
        assert_eq!(json["budget"]["payload_bytes_max"], 1 << 20);
        assert_eq!(json["cpu_seconds"]["total"], 0.75);
        assert_eq!(json["hooks"]["capture"]["residue"], 0);
        for outcome in Outcome::ALL {
            assert!(json["ledger"].get(outcome.name()).is_some());
        }
    }
}
