//! A line per second for who watches a run: what happened since the line before.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::latency::{Latency, Series};
use crate::replay::Replay;
use crate::totals::RunTotals;

/// Lines between two headings.
const LINES: u32 = 20;
/// What is told of times: both servers' first byte, the target's without the path, and our own lag.
const SERIES: [Series; 3] = [Series::OnlineFirst, Series::TargetFirstNet, Series::Lag];

/// What the line before knew.
#[derive(Debug)]
pub struct Progress {
    at: Duration,
    turns: u64,
    /// Of a replay.
    packets: u64,
    times: [Histogram<u64>; SERIES.len()],
    lines: u32,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Before the first line.
    #[must_use]
    pub fn new() -> Self {
        let none = Latency::new();
        Self {
            at: Duration::ZERO,
            turns: 0,
            packets: 0,
            times: SERIES.map(|series| none.series(series).clone()),
            lines: 0,
        }
    }

    /// The line for now, with its newline, and every now and then a heading before it.
    pub fn line(&mut self, totals: &RunTotals) -> String {
        let mut text = String::new();
        if self.lines.is_multiple_of(LINES) {
            text.push_str(match totals.replay {
                None => {
                    "    time    turns/s  fidelity  sessions   online p50/p99   target p50/p99     lag p99\n"
                }
                Some(_) => {
                    "    time      read      left packets/s requests/s fidelity sessions target p50/p99     lag p99\n"
                }
            });
        }
        self.lines = self.lines.wrapping_add(1);
        let tally = totals.ledger.total();
        let turns = tally.captured();
        // The clock begins anew when the run becomes ready.
        let time = totals.duration.checked_sub(self.at).unwrap_or_default();
        let rate = turns.saturating_sub(self.turns) as f64 / time.as_secs_f64().max(1e-3);
        let times = self.times_since(&totals.latency);
        let [online, target, lag] = times.map(|times| times.filter(|times| !times.is_empty()));
        let at = clock(totals.duration);
        let fidelity = totals.fidelity().map_or_else(|| "-".to_owned(), percent);
        let sessions = totals.sessions_open;
        let (online, target) = (both(online.as_ref()), both(target.as_ref()));
        let lag = lag.as_ref();
        let lag = lag.map_or_else(|| "-".to_owned(), |times| millis(times, 0.99) + " ms");
        let _ = match &totals.replay {
            None => writeln!(
                text,
                "{at:>8} {rate:>10.0} {fidelity:>9} {sessions:>9} {online:>16} {target:>16} {lag:>11}"
            ),
            // What the online server took is in the files, and no news.
            Some(replay) => {
                let packets = replay.packets.saturating_sub(self.packets) as f64;
                let packets = packets / time.as_secs_f64().max(1e-3);
                let (read, left) = (read(replay), replay.left());
                let left = left.map_or_else(|| "-".to_owned(), clock);
                writeln!(
                    text,
                    "{at:>8} {read:>9} {left:>9} {packets:>9.0} {rate:>10.0} {fidelity:>8} {sessions:>8} {target:>14} {lag:>11}"
                )
            }
        };
        (self.at, self.turns) = (totals.duration, turns);
        self.packets = totals.replay.as_ref().map_or(0, |replay| replay.packets);
        text
    }

    /// What was measured since the line before; `None` where that cannot be told.
    fn times_since(&mut self, latency: &Latency) -> [Option<Histogram<u64>>; SERIES.len()] {
        core::array::from_fn(|index| {
            let all = latency.series(SERIES[index]);
            let mut since = all.clone();
            let told = since.subtract(&self.times[index]).is_ok();
            self.times[index].clone_from(all);
            told.then_some(since)
        })
    }
}

/// How much of the files is read, and which one is being read where there are several.
fn read(replay: &Replay) -> String {
    let part = match replay.bytes_total {
        Some(total) => format!("{}%", replay.bytes.min(total) * 100 / total.max(1)),
        None => format!("{}M", replay.bytes >> 20),
    };
    if replay.files > 1 {
        format!("{part} {}/{}", replay.file, replay.files)
    } else {
        part
    }
}

fn clock(time: Duration) -> String {
    let seconds = (time + Duration::from_millis(500)).as_secs();
    format!(
        "{}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn both(times: Option<&Histogram<u64>>) -> String {
    times.map_or_else(
        || "-".to_owned(),
        |times| format!("{}/{}", millis(times, 0.5), millis(times, 0.99)),
    )
}

/// A quantile in milliseconds, in a width that fits its size.
fn millis(times: &Histogram<u64>, quantile: f64) -> String {
    let millis = times.value_at_quantile(quantile) as f64 / 1000.0;
    let digits = match millis {
        ..10.0 => 3,
        10.0..1000.0 => 1,
        _ => 0,
    };
    format!("{millis:.digits$}")
}

/// A share in percent, rounded down: what is not whole never reads 100.
fn percent(share: f64) -> String {
    format!("{:.3}%", (share * 100_000.0).floor() / 1000.0)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use session::{Outcome, Response, RuleId, TurnEnded};

    use super::{LINES, Progress};
    use crate::Replay;
    use crate::latency::Recorder;
    use crate::metrics::tests::totals;

    fn turn(outcome: Outcome, micros: u64) -> TurnEnded {
        let response = |micros| {
            let time = Duration::from_micros(micros);
            Some(Response {
                first: time,
                last: time,
                bytes: 1,
            })
        };
        TurnEnded {
            rule: RuleId(0),
            outcome,
            bytes: 1,
            bytes_acknowledged: 1,
            paired: true,
            online: response(micros),
            target: response(2 * micros),
            lag: Duration::from_micros(40),
            online_reset: false,
            paced: false,
            round_trip: None,
            samples: None,
        }
    }

    #[test]
    fn each_line_tells_of_its_own_second() {
        let (mut run, mut progress) = (totals(), Progress::new());
        let mut recorder = Recorder::new();
        run.duration = Duration::from_secs(3600);
        progress.line(&run);
        let mut lines = Vec::new();
        for (second, outcome, micros) in [(1, Outcome::Answered, 1000), (2, Outcome::Reset, 20_000)]
        {
            for _ in 0..second * 10 {
                run.ledger.record(&turn(outcome, micros));
                recorder.record(&turn(outcome, micros));
            }
            recorder.drain_into(&mut run.latency);
            run.duration += Duration::from_secs(1);
            lines.push(progress.line(&run));
        }
        run.duration += Duration::from_secs(1);
        lines.push(progress.line(&run));
        let words: Vec<Vec<&str>> = lines
            .iter()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let sessions = run.sessions_open.to_string();
        assert_eq!(
            words,
            [
                [
                    "1:00:01",
                    "10",
                    "100.000%",
                    &sessions,
                    "1.000/1.000",
                    "2.000/2.000",
                    "0.040",
                    "ms"
                ]
                .as_slice(),
                &[
                    "1:00:02",
                    "20",
                    "33.333%",
                    &sessions,
                    "20.0/20.0",
                    "40.0/40.0",
                    "0.040",
                    "ms"
                ],
                &["1:00:03", "0", "33.333%", &sessions, "-", "-", "-"],
            ]
        );
        let width = |line: &str| line.trim_end().chars().count();
        assert!(lines.iter().all(|line| width(line) <= 90), "{lines:?}");
    }

    #[test]
    fn a_replay_says_how_far_it_is() {
        let (mut run, mut progress) = (totals(), Progress::new());
        let half = crate::replay::tests::replay();
        run.duration = Duration::from_secs(20);
        run.replay = Some(half.clone().expect_end(run.duration));
        let first = progress.line(&run);
        let (heading, _) = first.split_once('\n').unwrap();
        run.duration += Duration::from_secs(1);
        run.replay = Some(Replay {
            packets: 4123,
            bytes_total: None,
            files: 1,
            ..half
        });
        let second = progress.line(&run);
        let sessions = run.sessions_open.to_string();
        let words = |line: &str| -> Vec<String> {
            let last = line.lines().last().unwrap_or_default();
            last.split_whitespace().map(str::to_owned).collect()
        };
        assert_eq!(
            words(&first)[..4],
            ["0:00:20", "25%", "2/3", "0:01:00"],
            "{first}"
        );
        assert_eq!(
            words(&second),
            ["0:00:21", "3M", "-", "123", "0", "-", &sessions, "-", "-"],
            "{second}"
        );
        let width = |line: &str| line.trim_end().chars().count();
        assert!(first.lines().all(|line| width(line) <= 94), "{first}");
        assert_eq!(width(heading), 94, "the columns stand under their heads");
    }

    #[test]
    fn the_heading_comes_back() {
        let (run, mut progress) = (totals(), Progress::new());
        let headings = (0..2 * LINES).filter(|_| progress.line(&run).lines().count() == 2);
        assert_eq!(headings.count(), 2);
    }
}
