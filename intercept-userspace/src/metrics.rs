//! What is shown at `--listen`: the figures of this moment for Prometheus, and whether replies are consumed.
//!
//! The main thread reads counters once a second and publishes them; a scrape touches no worker and no connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abi::counter::Counter;
use exporter::routes::PROMETHEUS;
use exporter::{Access, BindError, Board, Bound, Phase, Place, Routes, Server};
use exposition::Families;
use host::run_time::{RunTime, Runs};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::router::{FLOWS_MAX, Router};
use crate::sink::Sink;
use crate::tally::{Sums, Tally};
use crate::worker::Counts;

/// What is asked once a second.
pub(crate) struct Sources<'a> {
    pub(crate) sink: &'a Sink,
    pub(crate) workers: &'a [(u32, Arc<Counts>)],
    pub(crate) router: &'a Router,
    pub(crate) tally: &'a Tally,
}

/// The server at the metrics address, and what it shows.
pub(crate) struct Metrics {
    board: Arc<Board<Snapshot>>,
    run_time: Option<RunTime>,
    began: Instant,
    _server: Server,
}

/// One moment.
#[derive(Debug, Default)]
struct Snapshot {
    running: Duration,
    cpu: Duration,
    kernel: Vec<(Counter, u64)>,
    queues: Vec<Queue>,
    sums: Sums,
    subscribers: u64,
    flows: u64,
    programs: Vec<(&'static str, Runs)>,
}

/// One worker's counts.
#[derive(Debug, Default)]
struct Queue {
    name: String,
    packets: u64,
    results: [(&'static str, u64); 4],
    lost: [(&'static str, u64); 2],
}

impl Metrics {
    /// Listens, and answers from now on; nothing is ready yet.
    pub(crate) fn start(place: &Place, access: Access) -> Result<Self, BindError> {
        let board = Board::new();
        board.publish(Snapshot::default());
        let routes =
            Routes::new(&board).from_board("/metrics", PROMETHEUS, &board, |phase, snapshot| {
                snapshot.families(phase == Phase::Ready).text().into_bytes()
            });
        let server = Bound::bind(place)?.serve(routes, access)?;
        Ok(Self {
            board,
            run_time: None,
            began: Instant::now(),
            _server: server,
        })
    }

    /// From here on this program's run time is measured now and then.
    pub(crate) fn watch(&mut self, program: Option<(&'static str, u32)>) {
        self.run_time = Some(RunTime::new(program));
    }

    /// How far the run is now.
    pub(crate) fn enter(&self, phase: Phase) {
        self.board.enter(phase);
    }

    /// Reads everything and shows it.
    pub(crate) fn second(&mut self, sources: &Sources<'_>) {
        if let Some(Err(cause)) = self.run_time.as_mut().map(RunTime::second) {
            tracing::info!("no cost of the program in the metrics: {cause}");
            self.run_time = None;
        }
        let cpu = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
            (usage.user_time() + usage.system_time()).num_microseconds()
        });
        let snapshot = Snapshot {
            running: self.began.elapsed(),
            cpu: Duration::from_micros(u64::try_from(cpu).unwrap_or(0)),
            kernel: sources.sink.counters().unwrap_or_default(),
            queues: sources.workers.iter().map(Queue::read).collect(),
            sums: sources.tally.sums(),
            subscribers: sources.router.subscribers().len() as u64,
            flows: sources.router.flows(),
            programs: self.run_time.iter().flat_map(RunTime::programs).collect(),
        };
        self.board.publish(snapshot);
    }
}

impl Queue {
    fn read((queue, counts): &(u32, Arc<Counts>)) -> Self {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            name: queue.to_string(),
            packets: load(&counts.packets),
            results: [
                ("owner", load(&counts.owned)),
                ("subscribers", load(&counts.unannounced)),
                ("nobody", load(&counts.unsubscribed)),
                ("malformed", load(&counts.malformed)),
            ],
            lost: [
                ("ring_full", load(&counts.lost_ring_full)),
                ("no_frame", load(&counts.lost_no_frame)),
            ],
        }
    }
}

impl Snapshot {
    fn families(&self, is_ready: bool) -> Families {
        let mut families = Families::new();
        families
            .gauge(
                "intercept_build_info",
                "1, with the version of the program.",
            )
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        families
            .gauge(
                "intercept_ready",
                "1 while replies are consumed and tcpcopy can connect.",
            )
            .count(&[], u64::from(is_ready));
        families
            .gauge("intercept_run_duration_seconds", "Time since the start.")
            .sample(&[], self.running.as_secs_f64());
        self.packets(&mut families);
        self.connections(&mut families);
        self.costs(&mut families);
        families
    }

    fn packets(&self, families: &mut Families) {
        let mut packets = families.counter(
            "intercept_packets_total",
            "Packets that the program counted, by verdict; `matched` are those delivered and those without a socket.",
        );
        for (counter, n) in &self.kernel {
            packets.count(&[("verdict", counter.verdict())], *n);
        }
        let mut taken = families.counter(
            "intercept_replies_total",
            "Replies that a worker took, by queue and by who was told: the connection that announced the flow, all that \
             subscribed to the target, nobody; or it was malformed.",
        );
        for queue in &self.queues {
            for (result, n) in queue.results {
                taken.count(&[("queue", &queue.name), ("result", result)], n);
            }
        }
        let mut lost = families.counter(
            "intercept_replies_lost_total",
            "Replies that were delivered to a socket and lost there, by queue and reason.",
        );
        for queue in &self.queues {
            for (reason, n) in queue.lost {
                lost.count(&[("queue", &queue.name), ("reason", reason)], n);
            }
        }
        let delivered = self
            .kernel
            .iter()
            .find(|(c, _)| *c == Counter::SinkDelivered);
        let delivered = delivered.map_or(0, |(_, n)| *n);
        let told = |queue: &Queue| queue.packets + queue.lost.iter().map(|(_, n)| n).sum::<u64>();
        let accounted: u64 = self.queues.iter().map(told).sum();
        families
            .gauge(
                "intercept_residue",
                "Packets delivered less those that workers took or lost. While the run goes on it is what is under way; it \
                 must not grow.",
            )
            .sample(&[], delivered as f64 - accounted as f64);
    }

    fn connections(&self, families: &mut Families) {
        let sums = &self.sums;
        families
            .gauge("intercept_subscribers", "tcpcopy that are subscribed now.")
            .count(&[], self.subscribers);
        families
            .counter(
                "intercept_connections_total",
                "Connections accepted, strangers included.",
            )
            .count(&[], sums.connections);
        families
            .counter(
                "intercept_connections_turned_away_total",
                "Connections closed at once, or before they had subscribed, because there were too many like them.",
            )
            .count(&[], sums.turned_away);
        let mut reports = families.counter(
            "intercept_reports_total",
            "Reports for all subscribers: written to a connection, or lost because one took them too slowly.",
        );
        reports.count(&[("result", "written")], sums.written);
        reports.count(&[("result", "lost")], sums.lost);
        let mut cut = families.counter(
            "intercept_reports_cut_total",
            "Reports without payload that was asked for: much waited for that connection already, or the packet was longer than a \
             frame of the socket.",
        );
        cut.count(&[("reason", "behind")], sums.cut);
        cut.count(&[("reason", "too_long")], sums.too_long);
        families
            .counter(
                "intercept_channel_bytes_total",
                "Bytes written to connections.",
            )
            .count(&[], sums.bytes);
        families
            .counter(
                "intercept_channel_writes_total",
                "Writes to connections: reports per write tell how well batches fill.",
            )
            .count(&[], sums.writes);
        families
            .gauge("intercept_flows", "Flows that are announced now.")
            .count(&[], self.flows);
        families
            .gauge("intercept_flows_max", "Most flows that can be announced.")
            .count(&[], FLOWS_MAX);
        let mut flows = families.counter(
            "intercept_flows_total",
            "Flows that were announced, and how many of them were refused.",
        );
        flows.count(&[("event", "announced")], sums.flows);
        flows.count(&[("event", "refused")], sums.flows_refused);
    }

    fn costs(&self, families: &mut Families) {
        families
            .counter(
                "intercept_cpu_seconds_total",
                "CPU time of this process. What the program takes is charged to whoever receives.",
            )
            .sample(&[], self.cpu.as_secs_f64());
        let mut runs = families.counter(
            "intercept_program_runs_total",
            "Runs of the program within windows of one second in every ten; outside of them nothing is counted.",
        );
        for (program, measured) in &self.programs {
            runs.count(&[("program", program)], measured.count);
        }
        let mut time = families.counter(
            "intercept_program_run_seconds_total",
            "How long the runs of intercept_program_runs_total took: divide by them for the cost of a packet.",
        );
        for (program, measured) in &self.programs {
            time.sample(&[("program", program)], measured.nanos as f64 / 1e9);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use abi::counter::Counter;
    use host::run_time::Runs;

    use super::{Queue, Snapshot};
    use crate::worker::Counts;

    fn snapshot() -> Snapshot {
        Snapshot {
            kernel: vec![(Counter::SinkMatched, 7), (Counter::SinkDelivered, 6)],
            queues: vec![Queue::read(&(0, Arc::<Counts>::default()))],
            programs: vec![(
                "sink",
                Runs {
                    count: 7,
                    nanos: 700,
                },
            )],
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_was_delivered_and_not_taken_is_the_residue() {
        let mut snapshot = snapshot();
        assert!(
            snapshot
                .families(true)
                .text()
                .contains("\nintercept_residue 6\n")
        );
        snapshot.queues[0].packets = 4;
        snapshot.queues[0].lost[1].1 = 2;
        let text = snapshot.families(false).text();
        for line in [
            "intercept_residue 0",
            "intercept_ready 0",
            r#"intercept_packets_total{verdict="matched"} 7"#,
            r#"intercept_replies_lost_total{queue="0",reason="no_frame"} 2"#,
            r#"intercept_program_run_seconds_total{program="sink"} 0.0000007"#,
        ] {
            assert!(
                text.contains(&format!("\n{line}\n")),
                "{line} is missing in {text}"
            );
        }
    }

    /// The page for readers lists every metric with its type and labels, and no other.
    #[test]
    fn the_documentation_is_of_these_metrics() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let page = fs::read_to_string(path).expect(path);
        let disagreements = snapshot().families(true).disagreements(&page, "intercept_");
        assert!(
            disagreements.is_empty(),
            "docs/metrics.md: {disagreements:#?}"
        );
    }
}
