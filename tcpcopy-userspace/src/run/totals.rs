//! Everything that a run has counted and measured so far, added up for who is told.

use std::env;
use std::time::{Duration, SystemTime};

use telemetry::{About, Figures, KernelCounters, RunTotals, State};
use tracing::warn;

use super::bridge::Bridge;
use super::telling::Surroundings;
use super::{Run, crew};
use crate::args::{Args, FileArgs};
use crate::cpu;
use crate::plan::Plan;

impl Run<'_> {
    /// Everything that was counted and measured so far.
    pub(super) fn totals(&self) -> RunTotals {
        let slot = self.crew.totals();
        let kernel = self.loaded.counters().unwrap_or_else(|cause| {
            warn!(finding = "counters-unread", "{cause}");
            KernelCounters::default()
        });
        let mut notes = Figures::new();
        notes.push("route_changes", self.route_changes);
        notes.push(
            "max_cpu_pauses",
            self.guard.as_ref().map_or(0, |guard| guard.pauses),
        );
        self.pauses.notes(&mut notes);
        self.watch.notes(&mut notes);
        if let Some((times, seconds)) = self.loaded.missed() {
            notes.push("deadlines_missed", times);
            notes.push("deadlines_missed_seconds", seconds);
        }
        self.devices.notes(&mut notes);
        if let Some(bridge) = &self.bridge {
            bridge.notes(&mut notes);
        }
        if self.plan.bits_per_second_max.is_some() {
            notes.push("max_bandwidth_reached", slot.bandwidth_reached);
        }
        self.brake.notes(&mut notes);
        if let Some(replaying) = &self.replaying {
            replaying.notes(&mut notes);
        }
        notes.push("tx_no_memory", slot.port.kicks_no_memory);
        notes.push("rx_ring_full", slot.port.rx_ring_full);
        notes.push("rx_dropped", slot.port.rx_dropped);
        let duration = self.began.elapsed();
        RunTotals {
            mode: self.plan.mode,
            state: self.state,
            started: self.started,
            about: self.about.clone(),
            ready: self.ready,
            ended: (self.state == State::Ended).then(SystemTime::now),
            drain: self.drained.map_or(Duration::ZERO, |since| since.elapsed()),
            duration,
            rules: self.plan.rule_names.clone(),
            ledger: slot.ledger,
            turns_open: slot.turns_open,
            sessions_open: slot.sessions,
            budget: [
                ("payload_bytes", slot.payload_bytes),
                ("payload_bytes_max", self.plan.payload_bytes_max),
                ("sessions_max", self.plan.sessions_max.into()),
            ]
            .into_iter()
            .collect(),
            latency: slot.latency,
            spread: self.spread.clone(),
            differences: slot.differences,
            engine: slot.counters,
            workers: slot.totals,
            kernel,
            cpu_seconds: self.cpu_seconds(),
            notes,
            warnings: self.warnings.list(),
            changes: self.control.changes().clone(),
            feedback: self.feedback.clone(),
            replay: self.replaying.as_ref().map(|it| it.progress(duration)),
            comparison: self.crew.comparison(self.state == State::Ended),
            tap: self.tapping.figures(),
        }
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        let channels = self.bridge.as_ref().map(Bridge::connected);
        Surroundings {
            channels: channels.unwrap_or_default(),
        }
    }

    /// Of the workers as they say themselves, for theirs ends with the thread; of the others as the kernel says.
    fn cpu_seconds(&self) -> Figures<f64> {
        let mut figures = self.crew.cpu_seconds();
        for (name, seconds) in self.cpu_of_others.iter() {
            figures.push(name, *seconds);
        }
        figures
    }
}

/// What is known of a run before it begins.
pub(super) fn about(args: &Args, plan: &Plan) -> About {
    About {
        title: args.gates.title(),
        speed: args.replay.as_ref().map(FileArgs::speed_word),
        is_dry_run: args.tap.is_dry_run(),
        host: host::kernel::node_name(),
        kernel_release: host::kernel::release(),
        options: env::args().skip(1).collect(),
        seed: plan.seed,
        gates: args.gates.gates(),
    }
}

/// CPU time of all threads but the workers.
pub(super) fn others_cpu() -> Figures<f64> {
    let threads = cpu::threads();
    let others = threads
        .iter()
        .filter(|(name, _)| !name.starts_with(crew::WORKER_NAME));
    others
        .map(|(name, seconds)| (name.to_owned(), *seconds))
        .collect()
}
