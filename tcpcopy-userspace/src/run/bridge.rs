//! The connections to the intercepts, and whether the path through them is proven.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use key_file::Watch;
use process::Waker;
use process::confinement::{self, Trade};
use telemetry::{Figures, Mode};
use tracing::{info, warn};
use wire::hash::EndpointHash;

use super::crew::{Crew, give_way};
use super::ending::{Ending, Unusable};
use super::{namespace, signs};
use crate::args::{Args, Priority};
use crate::assistant::Channels;
use crate::assistant::connection::Connection;
use crate::assistant::names::Names;
use crate::assistant::probe::Probes;
use crate::plan::Plan;
use crate::worker::Command;
use crate::worker::announcer::{ANNOUNCEMENTS_MAX, Announcement, Announcer};

/// How long the start waits for the intercepts to say something. One that is not there yet is waited for by the run.
const FIRST_MAX: Duration = Duration::from_secs(3);
/// How often a probe is sent again, at first and at most.
const PROBE_FIRST: Duration = Duration::from_millis(250);
const PROBE_MAX: Duration = Duration::from_secs(5);
/// After so long without an answer it is said what that means.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Whether copies can come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Not yet.
    Open,
    /// A reply came back.
    Proven,
}

/// All connections.
pub(super) struct Bridge {
    addresses: Vec<String>,
    channels: Arc<Channels>,
    probes: Arc<Probes>,
    senders: Vec<(Sender<Announcement>, Arc<Waker>)>,
    threads: Vec<JoinHandle<()>>,
    began: Option<Instant>,
    probed: Instant,
    pause: Duration,
    warned: bool,
    proof: Proof,
}

impl Bridge {
    /// The connections to the intercepts, of a run that has some.
    pub(super) fn of(args: &Args, plan: &Plan, crew: &Crew) -> Result<Option<Self>, Ending> {
        match plan.mode {
            Mode::Direct => Ok(None),
            Mode::Assistant => {
                let start = || Self::start(plan, crew, args.priority);
                Ok(Some(namespace::outside(plan, start)??))
            }
        }
    }

    /// Connects, and waits a moment for what the intercepts say.
    ///
    /// # Errors
    ///
    /// In words, where one of them can never be used: another version, another program, a target that it does not serve.
    pub(super) fn start(plan: &Plan, crew: &Crew, priority: Priority) -> Result<Self, Unusable> {
        let channels = Arc::new(Channels::new(
            crew.handles().to_vec(),
            EndpointHash::new(plan.hash_seed),
            plan.intercepts.len(),
        ));
        let probes = Arc::new(Probes::new(plan.probes.iter().copied()));
        let names = Names::start().map_err(|error| Unusable::new(error, "cannot-set-up"))?;
        let keys = plan.key_file.as_deref().map(Watch::start).transpose();
        let keys = keys.map_err(|error| Unusable::new(error, "key-file"))?;
        let (mut senders, mut threads, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        for (index, address) in plan.intercepts.iter().enumerate() {
            let (sender, announcements) = bounded(ANNOUNCEMENTS_MAX);
            let (first, heard) = bounded(1);
            let waker =
                Arc::new(Waker::new().map_err(|error| Unusable::new(error, "cannot-set-up"))?);
            let connection = Connection {
                index,
                address: address.clone(),
                names: names.clone(),
                is_insecure: plan.is_insecure,
                keys: keys.clone(),
                targets: plan.targets(),
                whole: plan.whole_targets().into_iter().collect(),
                refused: HashSet::new(),
                sources: plan.ranges(),
                payload_max: plan.sample_bytes,
                announcements,
                waker: Arc::clone(&waker),
                channels: Arc::clone(&channels),
                probes: Arc::clone(&probes),
                first,
                // Probes are not announced: tcpcopy with the same pool probe from the same sources, and an answer that is nobody's
                // goes to all.
                flows: HashSet::new(),
            };
            let name = format!("channel-{index}");
            let thread = thread::Builder::new().name(name).spawn(move || {
                give_way(priority);
                confinement::confine(Trade::Connects);
                connection.run();
            });
            threads.push(thread.map_err(|error| Unusable::new(error, "cannot-set-up"))?);
            senders.push((sender, waker));
            firsts.push(heard);
        }
        let mut bridge = Self {
            addresses: plan.intercepts.clone(),
            channels,
            probes,
            senders,
            threads,
            began: None,
            probed: Instant::now(),
            pause: Duration::ZERO,
            warned: false,
            proof: Proof::Open,
        };
        let until = Instant::now() + FIRST_MAX;
        for heard in firsts {
            if let Ok(Err(failure)) = heard.recv_deadline(until)
                && failure.is_permanent()
            {
                bridge.end();
                return Err(Unusable::new(&failure, failure.finding()));
            }
        }
        Ok(bridge)
    }

    /// Whether a connection stands.
    pub(super) fn is_up(&self) -> bool {
        self.channels.is_up()
    }

    /// Each intercept by its address, and whether the connection to it stands.
    pub(super) fn connected(&self) -> Vec<(String, bool)> {
        let addresses = self.addresses.iter().cloned();
        addresses.zip(self.channels.up()).collect()
    }

    /// A worker's way to announce its sessions.
    pub(super) fn announcer(&self) -> Announcer {
        Announcer::new(
            self.senders.clone(),
            Arc::clone(&self.channels.announcements_late),
        )
    }

    /// Why nothing can be copied yet, in words and by the doctor's name for it.
    pub(super) fn why_not(&self) -> String {
        match self.channels.complaint() {
            Some(words) if words.is_empty() => {
                let addresses = self.addresses.join(", ");
                format!(
                    "the connection to intercept ({addresses}) does not stand yet [intercept-absent]"
                )
            }
            Some(words) => format!("{words} [intercept-absent]"),
            None => {
                let open = self.probes.verdicts();
                let open = open.iter().filter(|verdict| !verdict.proven);
                let targets: Vec<String> = open.map(|verdict| verdict.target.to_string()).collect();
                format!(
                    "no answer of {} to a probe has come back through intercept [path-unproven]",
                    targets.join(", ")
                )
            }
        }
    }

    /// Whether the probes came back in vain, so that it takes a session of a client to prove the path.
    pub(super) const fn needs_a_client(&self) -> bool {
        self.warned
    }

    /// Sends probes where they are due, and says how things stand.
    pub(super) fn prove(&mut self, crew: &Crew) -> Proof {
        if self.proof == Proof::Proven {
            // The other probes of a target may be answered late.
            self.send(crew, false);
            return self.proof;
        }
        if !self.is_up() {
            return self.proof;
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        let verdicts = self.probes.verdicts();
        // A session of ours that was answered proves the path as well as a probe does; reports alone may be somebody else's.
        let answered = crew.sum(|slot| slot.counters.paths_proven) > 0;
        let proven = verdicts.iter().filter(|verdict| verdict.proven).count();
        let patient = began.elapsed() < PROBE_PATIENCE;
        // One dead target must not keep the others from being copied.
        let is_proven = answered || (proven > 0 && (proven == verdicts.len() || !patient));
        let due = !is_proven && self.probed.elapsed() >= self.pause;
        if due {
            self.probed = Instant::now();
            self.pause = (self.pause * 2).clamp(PROBE_FIRST, PROBE_MAX);
        }
        self.send(crew, due);
        if is_proven {
            self.proof = Proof::Proven;
            self.say_proven();
            return self.proof;
        }
        if !patient && !self.warned {
            self.warned = true;
            for verdict in verdicts.iter().filter(|verdict| !verdict.proven) {
                if verdict.is_one_sided {
                    warn!(
                        finding = "one-sided",
                        "nothing is copied yet. {}",
                        signs::one_sided(verdict.target)
                    );
                    continue;
                }
                let sources: Vec<_> = verdict
                    .sources
                    .iter()
                    .map(|source| source.addr.to_string())
                    .collect();
                warn!(
                    finding = "reply-lost",
                    "no answer of {target} to a probe came back through intercept in 2 s (from {sources}), so nothing is \
                     copied yet. Either the target does not answer, or its routes to the clients do not lead to the \
                     assistant (ask there: `ip route get CLIENT`), or intercept does not watch the interface that they \
                     come in by. Still trying; the first client's own session is tried as well, alone",
                    target = verdict.target,
                    sources = sources.join(", "),
                );
            }
        }
        Proof::Open
    }

    fn send(&self, crew: &Crew, repeats: bool) {
        for frame in self.probes.frames(repeats) {
            if let Some(worker) = crew.handles().first() {
                worker.command(Command::Send(frame));
            }
        }
    }

    fn say_proven(&self) {
        for verdict in self.probes.verdicts() {
            match (verdict.proven, verdict.refused) {
                (true, false) => info!(
                    "path proven: {} answered a probe through intercept",
                    verdict.target
                ),
                (true, true) => warn!(
                    finding = "target-port-closed",
                    "path proven, but {} refused the probe: nobody listens there, or a firewall refuses",
                    verdict.target
                ),
                (false, _) => warn!(
                    finding = "target-silent",
                    "{} has not answered a probe; its first session is tried alone", verdict.target
                ),
            }
        }
    }

    /// Adds what was lost on the way.
    pub(super) fn notes(&self, notes: &mut Figures) {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        notes.push("clock_error_us", count(&self.channels.clock_error_us));
        notes.push("channel_lost", count(&self.channels.lost));
        notes.push(
            "reports_lost_at_intercept",
            count(&self.channels.reports_lost_there),
        );
        notes.push("reports_lost_here", count(&self.channels.reports_lost_here));
        notes.push(
            "announcements_late",
            count(&self.channels.announcements_late),
        );
    }

    /// Ends the connections; reports that were taken are with their workers then.
    pub(super) fn end(&mut self) {
        self.probes.end();
        self.channels.end();
        for (_, waker) in &self.senders {
            waker.wake();
        }
        for thread in self.threads.drain(..) {
            // A connection's thread has nothing to say.
            let _ = thread.join();
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.end();
    }
}
