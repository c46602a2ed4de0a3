//! The threads of a run: started together, and the first that fails ends it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use port::{Port, Statistics};
use process::confinement::{self, Trade};
use process::{Processor, rights};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::error::Failed;
use crate::router::Router;
use crate::sink::OwnAddresses;
use crate::stop::Stopped;
use crate::worker::{Counts, Worker};

/// What threads are started with.
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) interface: String,
    /// The first word on how the run ends: a signal or a failure. Later ones are not heard.
    outcome: Sender<Result<(), Failed>>,
}

/// A worker that runs.
#[derive(Debug)]
pub(crate) struct Running {
    queue: u32,
    counts: Arc<Counts>,
    thread: JoinHandle<Option<Statistics>>,
}

/// What is left of a worker.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) queue: u32,
    pub(crate) counts: Arc<Counts>,
    pub(crate) port: Option<Statistics>,
}

impl Running {
    /// Its queue and what it counts.
    pub(crate) fn counts(&self) -> (u32, Arc<Counts>) {
        (self.queue, Arc::clone(&self.counts))
    }

    /// Waits for the worker, which was told to stop.
    pub(crate) fn finish(self) -> Finished {
        Finished {
            queue: self.queue,
            counts: self.counts,
            port: self.thread.join().unwrap_or(None),
        }
    }
}

impl Team {
    /// Nobody yet; and where the outcome of the run arrives.
    pub(crate) fn new(interface: String) -> (Self, Receiver<Result<(), Failed>>) {
        let (outcome, ended) = bounded(1);
        (Self { interface, outcome }, ended)
    }

    /// A worker per port, each on a CPU of its own as long as there are enough.
    pub(crate) fn start_workers(
        &self,
        ports: Vec<Port>,
        router: &Arc<Router>,
        stopped: &Stopped,
    ) -> Result<Vec<Running>, Failed> {
        let mut processors = Processor::from_the_last().fuse();
        let start = |(port, queue): (Port, u32)| {
            let counts = Arc::new(Counts::default());
            let worker = Worker {
                interface: self.interface.clone(),
                queue,
                port,
                processor: processors.next().flatten(),
                router: Arc::clone(router),
                counts: Arc::clone(&counts),
            };
            let stopped = stopped.clone();
            Ok(Running {
                queue,
                counts,
                thread: self.start("worker", move || {
                    confinement::confine(Trade::Works);
                    worker.run(&stopped)
                })?,
            })
        };
        ports.into_iter().zip(0..).map(start).collect()
    }

    /// The thread that keeps the map of own addresses true, until the watcher that gives the changes is dropped.
    pub(crate) fn start_follower(
        &self,
        changes: Receiver<Vec<IpAddr>>,
        mut own: OwnAddresses,
    ) -> Result<JoinHandle<()>, Failed> {
        self.start("own-addresses", move || {
            rights::keep_only(rights::MAPS);
            for addresses in changes {
                let addresses = BTreeSet::from_iter(addresses);
                match own.set(&addresses) {
                    Ok(false) => {}
                    Ok(true) => tracing::info!("this host's addresses are now {addresses:?}"),
                    Err(error) => tracing::error!(
                        finding = "sink-unreachable",
                        "cannot tell `sink` of this host's new addresses: {error}; what targets send to them is consumed"
                    ),
                }
            }
            Ok(())
        })
    }

    /// The thread that waits for signals: the first ends the run, the second the process.
    pub(crate) fn watch(&self, mut signals: Signals) -> Result<(), Failed> {
        let outcome = self.outcome.clone();
        self.start("signals", move || {
            rights::keep_only(rights::NOTHING);
            let mut first = true;
            for signal in signals.forever() {
                if first {
                    let _ = outcome.try_send(Ok(()));
                } else if process::signals::hurries(signal) {
                    let _ = emulate_default_handler(signal);
                }
                first = false;
            }
            Ok(())
        })
        .map(drop)
    }

    /// A thread whose failure, or panic, ends the run.
    pub(crate) fn start<T: Send + Default + 'static>(
        &self,
        name: &'static str,
        body: impl FnOnce() -> Result<T, Failed> + Send + 'static,
    ) -> Result<JoinHandle<T>, Failed> {
        let outcome = self.outcome.clone();
        Builder::new()
            .name(name.into())
            .spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(body));
                result
                    .unwrap_or_else(|_| Err(Failed::Panicked(name)))
                    .unwrap_or_else(|failed| {
                        let _ = outcome.try_send(Err(failed));
                        T::default()
                    })
            })
            .map_err(Failed::Thread)
    }
}
