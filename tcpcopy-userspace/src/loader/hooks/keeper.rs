//! Keeps what outlives this process from doing harm: renews the programs' deadline, and has a janitor at hand.
//!
//! A thread of its own does both, so that nothing that a run waits for can stop them. What it does not do is to judge whether
//! the run is well: a worker that is stuck fills its ring and is noticed elsewhere.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use process::rights;
use tracing::warn;
use words::Words;

use super::janitor::{Janitor, Thing};
use crate::clock;

/// How long the programs do their work without a word of ours: longer than a debugger or a suspended machine usually takes,
/// for what a target answers past it would reach this host's own TCP, which resets those connections.
const DEADLINE: Duration = Duration::from_secs(8);
/// How often it is renewed, and the janitor looked after.
const RENEW_EVERY: Duration = Duration::from_millis(500);
/// How many janitors may end before their time until none is started any more.
const JANITORS_MAX: u32 = 5;

/// The deadline and the janitor of a run.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

struct Shared {
    deadline: Words,
    charge: Mutex<Charge>,
    missed: AtomicU64,
    missed_seconds: AtomicU64,
}

/// What the janitor has to know, and who it is.
struct Charge {
    janitor: Option<Janitor>,
    /// As many as there are hooks in use, and the private device.
    things: Vec<Thing>,
    started: u32,
}

impl Keeper {
    /// Begins, with the private device of this index, where there is one.
    pub(super) fn start(deadline: Words, device: Option<u32>) -> io::Result<Self> {
        let mut janitor = Janitor::start()?;
        let things: Vec<Thing> = device.map(Thing::Device).into_iter().collect();
        janitor.tell(&things)?;
        let shared = Arc::new(Shared {
            deadline,
            charge: Mutex::new(Charge {
                janitor: Some(janitor),
                things,
                started: 1,
            }),
            missed: AtomicU64::new(0),
            missed_seconds: AtomicU64::new(0),
        });
        shared.renew();
        let (stop, stopped) = bounded::<()>(1);
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || {
                // The janitor that it may have to start begins with it.
                rights::keep_only(rights::REMOVE);
                while stopped.recv_timeout(RENEW_EVERY) == Err(RecvTimeoutError::Timeout) {
                    of_thread.look_for_a_gap();
                    of_thread.renew();
                    of_thread.charge().look_after();
                }
            })?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some((stop, thread))),
        })
    }

    /// Tells the janitor of something that is about to be in the kernel.
    pub(super) fn tell(&self, thing: &Thing) {
        let mut charge = self.shared.charge();
        charge.things.push(thing.clone());
        charge.pass_on(std::slice::from_ref(thing));
    }

    /// It is not there any more. The janitor need not hear of it: it removes nothing that is not what it was told of.
    pub(super) fn forget(&self, thing: &Thing) {
        self.shared.charge().things.retain(|known| known != thing);
    }

    /// How often the deadline was missed, and for how many seconds altogether.
    pub(super) fn missed(&self) -> (u64, u64) {
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        (read(&self.shared.missed), read(&self.shared.missed_seconds))
    }

    /// Lets the janitor go, for nothing is left.
    pub(super) fn end(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((stop, thread)) = thread {
            drop(stop);
            // It has nothing to say.
            let _ = thread.join();
        }
        if let Some(janitor) = self.shared.charge().janitor.take() {
            janitor.dismiss();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn charge(&self) -> MutexGuard<'_, Charge> {
        self.charge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self) {
        if let Some(word) = self.deadline.get(0) {
            let until = clock::now() + DEADLINE;
            word.store(until.as_nanos(), Ordering::SeqCst);
        }
    }

    /// Says so where the programs let everything pass for a while.
    fn look_for_a_gap(&self) {
        let Some(word) = self.deadline.get(0) else {
            return;
        };
        let late = clock::now()
            .as_nanos()
            .saturating_sub(word.load(Ordering::SeqCst));
        if late == 0 {
            return;
        }
        let gap = Duration::from_nanos(late);
        self.missed.fetch_add(1, Ordering::Relaxed);
        self.missed_seconds
            .fetch_add(gap.as_secs().max(1), Ordering::Relaxed);
        warn!(
            finding = "stood-still",
            "this process stood still for more than {DEADLINE:?} (stopped, or the machine suspended?): for {gap:.1?} the programs let every packet \
             pass, and nothing was recorded; what passed is counted as `abandoned`"
        );
    }
}

impl Charge {
    /// Another janitor where the old one is gone.
    fn look_after(&mut self) {
        if let Some(janitor) = &mut self.janitor {
            let Some(ended) = janitor.ended() else {
                return;
            };
            self.janitor = None;
            let words = if self.started < JANITORS_MAX {
                "another one is started".to_owned()
            } else {
                format!(
                    "no other one is started after {JANITORS_MAX}, and if this process is killed now, its filters stay until the next start"
                )
            };
            warn!(
                finding = "no-janitor",
                "the janitor, who removes filters should this process be killed, ended ({ended}); {words}"
            );
        }
        if self.started >= JANITORS_MAX {
            return;
        }
        self.started += 1;
        match Janitor::start() {
            Ok(janitor) => {
                self.janitor = Some(janitor);
                self.pass_on(&self.things.clone());
            }
            Err(error) => warn!(
                finding = "no-janitor",
                "no janitor can be started ({} of {JANITORS_MAX} times): {error}", self.started
            ),
        }
    }

    fn pass_on(&mut self, things: &[Thing]) {
        if let Some(janitor) = &mut self.janitor {
            // One that is gone is missed soon, and its successor is told everything.
            let _ = janitor.tell(things);
        }
    }
}
