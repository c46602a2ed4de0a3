//! The workers as the rest of the process sees them: queues to give commands through, figures to read, threads to join.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use process::Processor;
use process::confinement::{self, Trade};
use session::{Engine, RuleId, Sight, Tally};
use telemetry::Figures;
use tracing::{debug, warn};

use super::bridge::Bridge;
use super::contents::Contents;
use super::replaying::Replaying;
use crate::args::{Capture, Priority};
use crate::bandwidth::Bandwidth;
use crate::loader::Parts;
use crate::made_up::MadeUp;
use crate::plan::Plan;
use crate::worker::comparing::Comparing;
use crate::worker::handle::{Inbox, WorkerHandle};
use crate::worker::intake::Intake;
use crate::worker::pausing::Pausing;
use crate::worker::payload::Payload;
use crate::worker::playing::Playing;
use crate::worker::slot::{Slot, Unproven};
use crate::worker::tap::Tap;
use crate::worker::{self, Command, Worker};
use crate::{clock, cpu};

/// Names of the workers' threads begin with this.
pub(super) const WORKER_NAME: &str = "worker-";

/// All workers.
pub(super) struct Crew {
    handles: Vec<WorkerHandle>,
    inboxes: Vec<Inbox>,
    threads: Vec<JoinHandle<Result<(), worker::Error>>>,
    rules: usize,
    /// What all workers have counted of responses' contents, where they are compared.
    contents: Option<Contents>,
}

impl Crew {
    /// Queues and slots; no thread yet.
    ///
    /// # Errors
    ///
    /// Where the process has no file descriptor left.
    pub(super) fn new(plan: &Plan) -> io::Result<Self> {
        let rules = plan.rules.len();
        let (mut handles, mut inboxes) = (Vec::new(), Vec::new());
        for _ in 0..plan.workers {
            let (handle, inbox) = WorkerHandle::new(rules)?;
            handles.push(handle);
            inboxes.push(inbox);
        }
        Ok(Self {
            handles,
            inboxes,
            threads: Vec::new(),
            rules,
            contents: plan.comparing.is_some().then(Contents::default),
        })
    }

    /// How to reach each worker.
    pub(super) fn handles(&self) -> &[WorkerHandle] {
        &self.handles
    }

    /// Starts the threads, each on a processor of its own as far as there are any.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread.
    pub(super) fn start(
        &mut self,
        plan: &Plan,
        parts: Parts,
        (bridge, files): (Option<&Bridge>, Option<&mut Replaying>),
        taps: Vec<Tap>,
        priority: Priority,
    ) -> io::Result<()> {
        let mut taps = taps.into_iter();
        let mut processors = Processor::from_the_last().fuse();
        let unix_nanos = clock::unix_nanos();
        let inboxes = std::mem::take(&mut self.inboxes);
        // At a given speed packets are to leave in time; as fast as can be whoever has work is to have a processor.
        let is_timed = files.as_ref().is_some_and(|files| files.are_timed());
        if is_timed {
            leave_processors(plan.workers);
        }
        let batches = files.map_or_else(Vec::new, |it| it.queues(plan.workers));
        let mut batches = batches.into_iter();
        say_of_pages(&parts);
        let frame_len_max = parts.frame_len_max;
        for (index, (parts, inbox)) in (0u32..).zip(parts.workers.into_iter().zip(inboxes)) {
            let Some(handle) = self.handles.get(index as usize) else {
                break;
            };
            let config = plan.engine_config(index, unix_nanos);
            let payload = Payload::of(plan);
            let play = |batches| Playing::new(batches, is_timed, &config, payload.clone());
            let playing = batches.next().map(play);
            let (engine, made_up) = engine_of(plan, config, bridge.is_some());
            let worker = Worker {
                engine,
                intake: Intake::new(
                    parts.ring,
                    parts.sleeping,
                    index as usize,
                    plan.capture == Capture::AfXdp,
                    payload.clone(),
                ),
                playing,
                port: parts.port,
                leases: parts.leases,
                pausing: Pausing::new(parts.switch, plan.response_timeout),
                inbox,
                announcer: bridge.map(Bridge::announcer),
                shared: Arc::clone(&handle.shared),
                rules: self.rules,
                sample_bytes: plan.sample_bytes,
                mask: plan.mask.clone(),
                payload,
                comparing: self.comparing(plan),
                frame_len_max,
                patience: plan.response_timeout,
                bandwidth: Bandwidth::new(plan.worker_bits_per_second(), clock::now()),
                made_up,
                tap: taps.next(),
            };
            let processor = processors.next().flatten();
            let thread = thread::Builder::new()
                .name(format!("{WORKER_NAME}{index}"))
                .spawn(move || {
                    pin(processor);
                    give_way(priority);
                    confinement::confine(Trade::Works);
                    worker.run()
                })?;
            self.threads.push(thread);
        }
        Ok(())
    }

    /// A worker's part of the comparison.
    fn comparing(&self, plan: &Plan) -> Option<Comparing> {
        let (wanted, contents) = (plan.comparing.as_ref()?, self.contents.as_ref()?);
        Some(Comparing::new(wanted, contents.tally(), clock::now()))
    }

    /// What responses say differently, where they are compared by their contents; `is_over` once nothing more comes.
    pub(super) fn comparison(&self, is_over: bool) -> Option<comparison::Report> {
        Some(self.contents.as_ref()?.report(is_over))
    }

    /// Gives every worker a command.
    pub(super) fn command(&self, make: &dyn Fn() -> Command) {
        for handle in &self.handles {
            handle.command(make());
        }
    }

    /// Waits until every worker has published what came of its commands, or `longest` is over.
    pub(super) fn wait_obeyed(&self, longest: Duration) {
        let until = Instant::now() + longest;
        while !self.have_obeyed() && Instant::now() < until && self.failure().is_none() {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether every worker has published what came of its commands.
    pub(super) fn have_obeyed(&self) -> bool {
        let obeyed = |handle: &WorkerHandle| {
            handle.shared.obeyed.load(Ordering::Acquire) >= handle.given.load(Ordering::Acquire)
        };
        self.handles.iter().all(obeyed)
    }

    /// Each worker's figures, one at a time.
    fn slots(&self) -> impl Iterator<Item = MutexGuard<'_, Slot>> {
        let slots = self.handles.iter().map(|handle| handle.shared.slot.lock());
        slots.map(|slot| slot.unwrap_or_else(PoisonError::into_inner))
    }

    /// The figures of all workers.
    pub(super) fn totals(&self) -> Slot {
        let mut totals = Slot::new(self.rules);
        self.slots().for_each(|slot| totals.add(&slot));
        totals
    }

    /// One figure of all workers, where the others are not asked for.
    pub(super) fn sum(&self, figure: impl Fn(&Slot) -> u64) -> u64 {
        self.slots().map(|slot| figure(&slot)).sum()
    }

    /// Whether every worker has taken everything of the files.
    pub(super) fn have_played(&self) -> bool {
        self.slots().all(|slot| slot.is_played)
    }

    /// What all workers have seen of each rule's service.
    pub(super) fn sights(&self) -> Vec<Sight> {
        let mut sights = vec![Sight::default(); self.rules];
        for slot in self.slots() {
            for (all, one) in sights.iter_mut().zip(&slot.sights) {
                all.add(one);
            }
        }
        sights
    }

    /// Logins that have failed, of which the workers have left word since the last time.
    pub(super) fn take_logins_failed(&self) -> Vec<(RuleId, String)> {
        let shared = self.handles.iter().map(|handle| &handle.shared);
        shared
            .flat_map(|shared| shared.take_logins_failed())
            .collect()
    }

    /// Clients whose copies wait, of which the workers have left word since the last time.
    pub(super) fn take_unproven(&self) -> Vec<Unproven> {
        let shared = self.handles.iter().map(|handle| &handle.shared);
        shared.flat_map(|shared| shared.take_unproven()).collect()
    }

    /// What each worker counted of echoes.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let tally = |handle: &WorkerHandle| {
            let tally = handle.shared.tally.lock();
            tally.unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.handles.iter().map(tally).collect()
    }

    /// Sessions whose target has been asked and has not answered yet.
    pub(super) fn in_flight(&self) -> u64 {
        self.sum(|slot| slot.in_flight)
    }

    /// CPU time of each worker.
    pub(super) fn cpu_seconds(&self) -> Figures<f64> {
        let slots = self.slots().enumerate();
        slots
            .map(|(index, slot)| (format!("{WORKER_NAME}{index}"), cpu::seconds(slot.cpu)))
            .collect()
    }

    /// Says whether a worker ended that should not have.
    pub(super) fn failure(&self) -> Option<String> {
        let index = self.threads.iter().position(JoinHandle::is_finished)?;
        Some(format!("worker {index} ended"))
    }

    /// Has every worker take what is left in its ring, and end; says what a failed one said.
    pub(super) fn leave(&mut self) -> Option<String> {
        self.command(&|| Command::Leave);
        let mut failure = None;
        for (index, thread) in self.threads.drain(..).enumerate() {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failure = Some(error.to_string()),
                Err(_) => {
                    let words = "panicked: a bug, please report what it printed";
                    failure = Some(format!("worker {index} {words}"));
                }
            }
        }
        failure
    }
}

/// The engine of a worker, and the target that it has in a dry run.
fn engine_of(plan: &Plan, config: session::Config, has_bridge: bool) -> (Engine, Option<MadeUp>) {
    let mut engine = Engine::new(config, clock::now());
    engine.tune(&plan.tuning());
    if plan.is_pool_sticky {
        engine.stick_to_addresses();
    }
    engine.sample_responses(plan.sample_bytes.into());
    if has_bridge {
        // Until the connections stand, of which the worker hears at its first turn.
        engine.on_channel(clock::now(), false);
    }
    let made_up = { plan.is_dry_run }.then(|| MadeUp::new(&mut engine, plan.hash_seed));
    (engine, made_up)
}

/// Has all other threads run where no worker does.
fn leave_processors(workers: u32) {
    if let Err(error) = process::processor::leave_to_workers(workers as usize) {
        debug!("threads may run where workers do, which makes departures late: {error}");
    }
}

/// Lets the online server's threads go before the calling one.
pub(super) fn give_way(priority: Priority) {
    if priority == Priority::Low
        && let Err(error) = process::priority::yield_to_others()
    {
        warn!(
            finding = "no-priority",
            "a thread keeps its priority, for the kernel refuses to make it nice: {error}"
        );
    }
}

/// Says where frames lie in pages that cost a little.
fn say_of_pages(parts: &Parts) {
    if !parts.workers.iter().all(|part| part.port.huge_pages()) {
        debug!(
            "using normal pages, no huge pages are free (slightly slower; `sysctl -w vm.nr_hugepages=N` before the start avoids it)"
        );
    }
}

/// Pins the thread. A processor that was taken away is no reason not to run.
fn pin(processor: Option<Processor>) {
    if let Some(Err(error)) = processor.map(Processor::pin_this_thread) {
        warn!(finding = "not-pinned", "a worker: {error}");
    }
}
