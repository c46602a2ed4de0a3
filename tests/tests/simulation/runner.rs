//! Runs one seed or many, on all cores, and tells what failed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::shrink;
use crate::tally::Tally;
use crate::trace::Trace;
use crate::world::{World, plan_of};

/// Seeds of an ordinary run.
const SEEDS: u64 = 6000;
/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(20);
/// Failures that are told in full; of others only the seeds.
const TOLD_MAX: usize = 50;

thread_local! {
    /// What the latest panic of this thread said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("SIM_ variables are numbers"))
}

/// Runs one seed with a plan. The error is what was not true.
pub(crate) fn run(seed: u64, plan: &Plan, trace: &Trace) -> Result<Tally, String> {
    let (plan, trace) = (plan.clone(), trace.clone());
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, plan, trace);
        world.run();
        Tally::of(&world)
    }));
    result.map_err(|_| SAID.take())
}

/// Keeps what panics say, instead of a backtrace for each.
fn keep_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()));
        let said = info.payload_as_str().unwrap_or("panicked");
        SAID.set(format!("{said} ({})", place.unwrap_or_default()));
    }));
}

/// Runs the seed of `SIM_SEED`, perhaps reduced by `SIM_REDUCE`, as a trace with `SIM_TRACE`.
pub(crate) fn replay(seed: u64) {
    let mut plan = plan_of(seed).1;
    for step in std::env::var("SIM_REDUCE").unwrap_or_default().split('.') {
        if let Ok(step) = step.parse::<usize>() {
            plan = shrink::candidates(&plan).swap_remove(step).1;
        }
    }
    let trace = if std::env::var_os("SIM_TRACE").is_some() {
        eprintln!("{plan:#?}");
        Trace::Printed
    } else {
        Trace::Nothing
    };
    let mut world = World::new(seed, plan, trace);
    world.run();
    eprintln!("{}", Tally::of(&world));
}

/// What all threads of a run share.
struct Run {
    next: AtomicU64,
    done: AtomicU64,
    end: u64,
    until: Option<Instant>,
    tally: Mutex<Tally>,
    failed: Mutex<BTreeMap<u64, String>>,
}

impl Run {
    fn work(&self) {
        let mut tally = Tally::default();
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end || self.until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            match run(seed, &plan_of(seed).1, &Trace::Nothing) {
                Ok(of_seed) => tally.add(&of_seed),
                Err(said) => {
                    eprintln!("seed {seed} failed: {said}");
                    let mut failed = self.failed.lock().expect("no panic holds it");
                    failed.insert(seed, said);
                }
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        self.tally.lock().expect("no panic holds it").add(&tally);
    }

    fn report_progress(&self, begin: Instant, last: &mut Instant) {
        if last.elapsed() < PROGRESS {
            return;
        }
        *last = Instant::now();
        let done = self.done.load(Ordering::Relaxed);
        let failed = self.failed.lock().expect("no panic holds it").len();
        let rate = done as f64 / begin.elapsed().as_secs_f64();
        eprintln!("{done} seeds, {rate:.0} per second, {failed} failed");
    }
}

/// Runs the seeds that the environment asks for.
pub(crate) fn run_many() {
    let from = number("SIM_FROM").unwrap_or(0);
    let begin = Instant::now();
    let minutes = number("SIM_MINUTES").map(|minutes| begin + Duration::from_secs(60 * minutes));
    let seeds = number("SIM_SEEDS").unwrap_or(if minutes.is_some() { u64::MAX } else { SEEDS });
    let threads = number("SIM_THREADS").map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        |threads| threads as usize,
    );
    let run = Run {
        next: AtomicU64::new(from),
        done: AtomicU64::new(0),
        end: from.saturating_add(seeds),
        until: minutes,
        tally: Mutex::default(),
        failed: Mutex::default(),
    };
    keep_panics();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| scope.spawn(|| run.work()))
            .collect();
        let mut last = begin;
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            run.report_progress(begin, &mut last);
        }
    });
    let failed = run.failed.into_inner().expect("no panic holds it");
    let tally = run.tally.into_inner().expect("no panic holds it");
    let (done, took) = (run.done.into_inner(), begin.elapsed().as_secs_f64());
    eprintln!("{tally}");
    let rate = done as f64 / took;
    eprintln!("{done} seeds from {from} in {took:.1} s, {rate:.0} per second");
    tell_failures(&failed);
    let _ = std::panic::take_hook();
    assert!(failed.is_empty(), "{} of {done} seeds failed", failed.len());
    tally.assert_that_pairs_are_true();
    if from == 0 && done >= SEEDS {
        tally.assert_that_everything_occurred();
    }
}

/// Lists what failed, and reduces the first of it.
fn tell_failures(failed: &BTreeMap<u64, String>) {
    for (seed, said) in failed.iter().take(TOLD_MAX) {
        eprintln!("seed {seed}: {said}");
    }
    if failed.len() > TOLD_MAX {
        let seeds: Vec<_> = failed.keys().skip(TOLD_MAX).collect();
        eprintln!("and seeds {seeds:?}");
    }
    if let Some((&seed, said)) = failed.first_key_value() {
        shrink::tell(seed, said);
    }
}
