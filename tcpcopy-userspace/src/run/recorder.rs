//! The course of a recording: plan, files, programs; then two threads write down what passes, until it ends.
//!
//! | module | holds |
//! |---|---|
//! | [`threads`] | the one that empties the ring, and the one that writes |
//! | [`account`] | what was recorded, as a table and as JSON |
//!
//! A recorder has no engine, no port and no private device: it sends nothing, and may run beside a run.

mod account;
mod threads;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use abi::counter::Counter;
use host::netns::Outside;
use process::{rights, signals};
use recording::{Names, Options, Writer};
use signal_hook::iterator::Signals;
use telemetry::KernelCounters;
use tracing::{info, warn};

use super::devices::Devices;
use super::ending::{Ending, Unusable};
use super::preparation::{file_names, prepare_recorder};
use super::warnings::Warnings;
use super::watch::Watch;
use super::{SECOND, TICK, namespace};
use crate::args::{RecordArgs, Responses};
use crate::clock;
use crate::loader::{self, Loaded};
use crate::plan::Plan;
use account::Account;
use threads::{Shared, Threads};

/// A jump of the wall clock that is said.
const CLOCK_JUMP: Duration = Duration::from_millis(1);

/// Records to the end.
pub(crate) fn record(args: &RecordArgs) -> Ending {
    namespace::run(&args.as_run(), |outside| course(args, outside))
}

fn course(args: &RecordArgs, outside: &Outside) -> Ending {
    let mut signals = match signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            return Unusable::new(format!("cannot listen for signals: {error}"), "host").into();
        }
    };
    let recorder = names(args).and_then(|names| Recorder::start(args, names, outside));
    match recorder {
        Ok(mut recorder) => {
            let failure = recorder.record(&mut signals).err();
            recorder.end(&mut signals, failure)
        }
        Err(ending) => ending,
    }
}

/// What the files are called, where nothing is in their way.
fn names(args: &RecordArgs) -> Result<Names, Ending> {
    let names = file_names(&args.out, args.rotates(), args.force);
    names.map_err(|words| Unusable::new(words, "record-file").into())
}

/// A recording that was started.
struct Recorder<'a> {
    args: &'a RecordArgs,
    plan: Plan,
    // The programs go before the ring does.
    loaded: Loaded,
    threads: Threads,
    shared: Arc<Shared>,
    watch: Watch,
    devices: Devices,
    warnings: Warnings,
    wall_offset_ns: u64,
    began: Instant,
}

impl<'a> Recorder<'a> {
    fn start(args: &'a RecordArgs, names: Names, outside: &Outside) -> Result<Self, Ending> {
        let plan = prepare_recorder(&args.as_run(), args.recording(), outside)?;
        plan.notes.iter().for_each(|note| info!("{note}"));
        let unusable = |error: loader::Error| Unusable::new(&error, error.finding());
        let (mut loaded, ring) = Loaded::of_recorder(&plan).map_err(unusable)?;
        let wall_offset_ns = clock::wall_offset_ns();
        let options = Options {
            names,
            replaces: args.force,
            rotate_bytes: args.rotate_size,
            rotate_every: args.rotate_every,
            masks: args.mask,
            description: description(args).to_owned(),
            wall_offset_ns,
        };
        let watch = Watch::start(&plan).map_err(|error| Unusable::new(error, "host"))?;
        // The file last: where anything else fails there is none, which would be in the way of the next try.
        loaded.attach(&plan).map_err(unusable)?;
        let writer = Writer::open(options).map_err(|e| Unusable::new(e, "record-file"))?;
        let shared = Arc::<Shared>::default();
        let threads = Threads::start(ring, writer, &shared, args.priority, plan.fixed.ring_len)
            .map_err(|error| Unusable::new(error, "cannot-set-up"))?;
        announce(args, &plan);
        rights::keep_only(rights::ATTACH);
        Ok(Self {
            args,
            devices: Devices::new(&plan),
            plan,
            loaded,
            threads,
            shared,
            watch,
            warnings: Warnings::default(),
            wall_offset_ns,
            began: Instant::now(),
        })
    }

    /// Records until a signal or the end of `--duration`.
    ///
    /// # Errors
    ///
    /// Where a thread has ended before.
    fn record(&mut self, signals: &mut Signals) -> Result<(), ()> {
        let mut told = Instant::now();
        loop {
            if signals.pending().next().is_some() {
                return Ok(());
            }
            let duration = self.args.duration;
            if duration.is_some_and(|duration| self.began.elapsed() >= duration) {
                return Ok(());
            }
            if self.threads.have_failed() {
                return Err(());
            }
            std::thread::sleep(TICK);
            self.watch
                .look_at_services(&self.plan, &mut self.loaded, &mut self.warnings);
            self.devices
                .look(&self.plan, &mut self.loaded, &mut self.warnings);
            if told.elapsed() >= SECOND {
                told = Instant::now();
                self.look_at_losses();
            }
        }
    }

    /// Tells the writer, for its statistics, and the user, once, what is lost.
    fn look_at_losses(&self) -> Option<KernelCounters> {
        let counters = self.loaded.counters().ok()?;
        let lost = lost(&counters);
        if self.shared.lost.swap(lost, Ordering::Relaxed) == 0 && lost > 0 {
            warn!(
                finding = "records-lost",
                "NOT EVERYTHING IS RECORDED: {lost} packet(s) so far found the ring full: what writes the file gets too little of its \
                 processor, or the disk is too slow; .pcapng.zst writes less, and so do --responses headers and fewer services"
            );
        }
        Some(counters)
    }

    /// Detaches, lets the threads write what is there, and tells what was recorded.
    fn end(mut self, signals: &mut Signals, failed: Option<()>) -> Ending {
        let lasted = self.began.elapsed();
        self.loaded.detach();
        let counters = self.look_at_losses();
        let Some(written) = self.threads.finish(signals) else {
            return Ending::Failed(
                "the file was not ended: a second signal came; what was written before is readable"
                    .to_owned(),
            );
        };
        if let Err(error) = self.loaded.remove() {
            warn!(finding = error.finding(), "{error}");
        }
        let moved_ns = clock::wall_offset_ns()
            .cast_signed()
            .wrapping_sub(self.wall_offset_ns.cast_signed());
        if u128::from(moved_ns.unsigned_abs()) >= CLOCK_JUMP.as_nanos() {
            warn!(
                finding = "clock-moved",
                "the wall clock was set or slewed by {:.3} ms while this was recorded; the file's times are those of the clock at the start, \
                 and the time between two packets is right",
                moved_ns as f64 / 1e6
            );
        }
        let account = Account {
            written: written.written,
            lost: self.shared.lost.load(Ordering::Relaxed),
            lasted,
            clock_moved_ns: moved_ns,
            counters,
            duplicates: self.shared.duplicates.load(Ordering::Relaxed),
        };
        account.tell(self.args.json);
        if let Some(words) = written.failure {
            return Ending::Failed(words);
        }
        if failed.is_some() {
            return Ending::Failed("a thread of the recorder ended before its time".to_owned());
        }
        if account.packets() == 0 {
            return Ending::Unrecorded(account.why_nothing());
        }
        Ending::Done
    }
}

/// Packets that found the ring full.
fn lost(counters: &KernelCounters) -> u64 {
    counters.get(Counter::CaptureRingFull) + counters.get(Counter::ObserveRingFull)
}

/// What is kept, as the file says it of each device.
const fn description(args: &RecordArgs) -> &'static str {
    match args.responses {
        Responses::Headers => {
            "clients' packets whole but for bare acknowledgements, the server's as headers; made-up Ethernet addresses"
        }
        Responses::Whole => {
            "clients' packets whole but for bare acknowledgements, the server's whole; made-up Ethernet addresses"
        }
    }
}

fn announce(args: &RecordArgs, plan: &Plan) {
    let responses = match args.responses {
        Responses::Headers => "answers as headers",
        Responses::Whole => "answers whole",
    };
    let secrets = if args.mask {
        "values of Authorization, Cookie and Set-Cookie overwritten"
    } else {
        "with all that clients send (--mask overwrites well-known secrets)"
    };
    info!("recording  {}, {responses}", plan.rule_names.join(", "));
    info!("on         {}", plan.named_devices().join(", "));
    info!("into       {}, {secrets}", args.out.display());
    for unheard in &plan.unheard {
        warn!(finding = "unheard", "{unheard}");
    }
    plan.heard_on_loopback
        .iter()
        .for_each(|words| info!("{words}"));
}
