//! Runs of which every fact is known, made without a network.

use std::time::{Duration, SystemTime};

use session::{Counters, Outcome, Prefix, Response, RuleId, Samples, TurnEnded};
use telemetry::{
    About, Differences, Figures, Gates, KernelCounters, Latency, Ledger, Mode, Recorder, RunTotals,
    SlowerMax, Spread, State, Summary, Warnings, WorkerTotals,
};

/// Stretches of a run: the noise is estimated from them.
const STRETCHES: u32 = 10;

/// What all runs of the sheet are asked.
pub(in crate::run) const GATES: Gates = Gates {
    fidelity_min: Some(0.999),
    differing_max: Some(0.001),
    difference_max: None,
    slower_max: Some(SlowerMax::Share(0.2)),
    lag_max_us: None,
    requests_min: Some(100),
    is_strict: false,
};

/// A run of a sheet.
pub(in crate::run) struct Fact {
    pub(in crate::run) totals: RunTotals,
    recorder: Recorder,
}

/// A turn that both servers answered.
#[derive(Clone, Copy)]
pub(in crate::run) struct Answered {
    pub(in crate::run) online: Duration,
    pub(in crate::run) target: Duration,
    pub(in crate::run) lag: Duration,
    /// Of the target's response; the online server's has 100.
    pub(in crate::run) bytes: u64,
}

impl Default for Answered {
    fn default() -> Self {
        Self {
            online: Duration::from_millis(4),
            target: Duration::from_millis(4),
            lag: Duration::from_micros(60),
            bytes: 100,
        }
    }
}

impl Fact {
    /// A run that ended, of one rule, in which nothing happened.
    pub(in crate::run) fn new(gates: Gates) -> Self {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        Self {
            totals: RunTotals {
                mode: Mode::Direct,
                state: State::Ended,
                about: About {
                    is_dry_run: false,
                    title: None,
                    speed: None,
                    host: "online".to_owned(),
                    kernel_release: "6.12.0".to_owned(),
                    options: vec!["-x".to_owned(), "80-192.0.2.9:80".to_owned()],
                    seed: 42,
                    gates,
                },
                started: began,
                ready: Some(began),
                ended: Some(began + Duration::from_secs(25)),
                drain: Duration::from_secs(10),
                duration: Duration::from_secs(25),
                rules: vec!["port 80 -> 192.0.2.9:80".to_owned()],
                ledger: Ledger::new(1),
                turns_open: 0,
                sessions_open: 0,
                budget: Figures::new(),
                latency: Latency::new(),
                spread: Spread::new(),
                differences: Differences::default(),
                engine: Counters::default(),
                workers: WorkerTotals::default(),
                kernel: KernelCounters::default(),
                cpu_seconds: Figures::new(),
                notes: Figures::new(),
                warnings: Warnings::default(),
                changes: telemetry::Changes::default(),
                feedback: None,
                replay: None,
                comparison: None,
                tap: None,
            },
            recorder: Recorder::new(),
        }
    }

    /// Adds turns that both servers answered, spread evenly over the run.
    pub(in crate::run) fn answered(mut self, turns: u32, how: Answered) -> Self {
        for _ in 0..STRETCHES {
            for number in 0..turns / STRETCHES {
                // Not all alike: a quantile is then no step.
                let more = Duration::from_micros(u64::from(number % 100));
                let response = |time: Duration, bytes| {
                    Some(Response {
                        first: time + more,
                        last: time + more,
                        bytes,
                    })
                };
                self.record(&TurnEnded {
                    bytes: 10,
                    bytes_acknowledged: 10,
                    paired: true,
                    online: response(how.online, 100),
                    target: response(how.target, how.bytes),
                    lag: how.lag,
                    round_trip: Some(Duration::ZERO),
                    ..TurnEnded::unseen(RuleId(0), Outcome::Answered)
                });
            }
            self.recorder.drain_into(&mut self.totals.latency);
            self.totals.spread.look(&self.totals.latency);
        }
        self
    }

    /// Adds turns that ended otherwise.
    pub(in crate::run) fn ended(mut self, turns: u32, outcome: Outcome) -> Self {
        for _ in 0..turns {
            self.record(&TurnEnded {
                bytes: 10,
                ..TurnEnded::unseen(RuleId(0), outcome)
            });
        }
        self
    }

    /// Adds turns that the online server answered with 200, and the target with 500 in as many bytes; both beginnings are known.
    pub(in crate::run) fn failed(mut self, turns: u32) -> Self {
        let prefix = |said: &[u8]| Prefix {
            bytes: said.to_vec(),
            whole: true,
        };
        let response = Some(Response {
            first: Answered::default().online,
            last: Answered::default().online,
            bytes: 100,
        });
        let mut differences = Differences::sampling(16, &protocol::Mask::default());
        for _ in 0..turns {
            let turn = TurnEnded {
                bytes: 10,
                paired: true,
                online: response,
                target: response,
                lag: Answered::default().lag,
                round_trip: Some(Duration::ZERO),
                samples: Some(Box::new(Samples {
                    online: prefix(b"HTTP/1.1 200 OK"),
                    target: prefix(b"HTTP/1.1 500 In"),
                })),
                ..TurnEnded::unseen(RuleId(0), Outcome::Answered)
            };
            self.totals.ledger.record(&turn);
            differences.record(&turn, || SystemTime::UNIX_EPOCH);
            self.recorder.record(&turn);
        }
        self.recorder.drain_into(&mut self.totals.latency);
        self.totals.differences.add(&differences);
        self
    }

    /// Changes what else is known of it.
    pub(in crate::run) fn with(mut self, change: impl FnOnce(&mut RunTotals)) -> Self {
        change(&mut self.totals);
        self
    }

    pub(in crate::run) fn summary(&self) -> Summary {
        Summary::new(&self.totals)
    }

    fn record(&mut self, turn: &TurnEnded) {
        self.totals.ledger.record(turn);
        self.totals
            .differences
            .record(turn, || SystemTime::UNIX_EPOCH);
        self.recorder.record(turn);
    }
}
