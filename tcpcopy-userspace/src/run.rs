//! The course of a run: plan, set up, ready, copy, drain, close, detach, tell.
//!
//! | module | holds |
//! |---|---|
//! | [`ending`] | how a run ends, and the exit status of it |
//! | [`crew`] | the workers as the rest of the process sees them |
//! | [`bridge`] | the connections to the intercepts, and whether the path is proven |
//! | [`brake`] | whether copies come back as requests: suspicion, experiment, proof |
//! | [`preparation`] | everything that can be refused before anything is changed |
//! | [`announcement`] | what is said before anything is copied |
//! | [`limits`] | what it needs of the limits of its process |
//! | [`namespace`] | which of it is done inside another network namespace (`--netns`), and what outside |
//! | [`waiting`] | how long it waits until it can copy, and how often it says why not |
//! | [`ways`] | the ways to the targets, as they change |
//! | [`warnings`] | the one door through which a user hears what is wrong |
//! | [`signs`] | what the figures tell of that |
//! | [`emptiness`] | whether packets come and no request |
//! | [`sides`], [`lookout`] | whether anything comes, and from both sides; what it may be where not |
//! | [`devices`] | devices that clients come in by, as they go and are made anew |
//! | [`watch`] | what others change on this host: its addresses, and who has ports of the pool |
//! | [`control`] | what others turn while it goes on |
//! | [`pauses`] | times in which nothing is recorded because nothing could be copied |
//! | [`dry_run`] | the course of a dry run of files, which changes nothing on this host |
//! | [`recorder`] | the course of a recording, which has no target |
//! | [`tapping`] | the file of what is sent and received |
//! | [`replaying`] | the files of a replay, and how far it is |
//! | [`totals`] | everything that was counted and measured so far |
//! | [`telling`] | who is told of the run's figures: files, the metrics address, the closing table |

pub(crate) mod announcement;
mod brake;
mod bridge;
mod contents;
mod control;
mod crew;
mod devices;
mod drain;
mod dry_run;
mod emptiness;
mod ending;
#[cfg(test)]
mod facts;
pub(crate) mod limits;
mod lookout;
pub(crate) mod namespace;
mod pauses;
mod preparation;
mod recorder;
mod replaying;
mod sides;
mod signs;
mod tapping;
mod telling;
mod totals;
mod waiting;
mod warnings;
mod watch;
mod ways;

use std::time::{Duration, Instant, SystemTime};

use host::RouteWatcher;
use host::netns::Outside;
use process::{Printer, rights, signals};
use sd_notify::NotifyState;
use signal_hook::iterator::Signals;
use telemetry::{About, Feedback, Figures, Spread, State};
use tracing::{error, info};

use crate::args::Args;
use crate::clock;
use crate::cpu::Guard;
use crate::loader::{self, Loaded};
use crate::plan::Plan;
use announcement::announce;
use brake::Brake;
use bridge::{Bridge, Proof};
use control::Control;
use crew::Crew;
use devices::Devices;
use emptiness::Emptiness;
use ending::Stop;
pub(crate) use ending::{Ending, Unusable};
use lookout::Lookout;
use pauses::Pauses;
use preparation::prepare;
pub(crate) use preparation::{check_folder, file_names};
pub(crate) use recorder::record;
use replaying::Replaying;
use signs::Signs;
use tapping::Tapping;
use telling::{Phase, Telling};
use totals::others_cpu;
use waiting::Waiting;
use warnings::Warnings;
use watch::Watch;
use ways::Ways;

/// How often the run looks at signals, routes and workers.
const TICK: Duration = Duration::from_millis(100);
/// How often the summary is written, and the machine is looked at.
const SECOND: Duration = Duration::from_secs(1);
/// How long a worker may take to obey.
const OBEY_MAX: Duration = Duration::from_secs(2);

/// Runs to the end.
pub(crate) fn run(args: &Args, printer: &Printer) -> Ending {
    let is_offline = args.is_dry_run_of_files();
    let course = if is_offline { dry_run::course } else { course };
    namespace::run(args, |outside| course(args, printer, outside))
}

/// A run, in the network namespace that it works in.
fn course(args: &Args, printer: &Printer, outside: &Outside) -> Ending {
    let mut signals = match signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            return Unusable::new(format!("cannot listen for signals: {error}"), "host").into();
        }
    };
    // Files are outside too.
    let replaying = match outside.run(|| Replaying::open(args)) {
        Ok(Ok(replaying)) => replaying,
        Ok(Err(unusable)) => return unusable.into(),
        Err(error) => return Unusable::new(error, "no-namespace").into(),
    };
    let plan = match prepare(args, outside) {
        Ok(plan) => plan,
        Err(unusable) => return unusable.into(),
    };
    // Whoever asks for metrics is outside, and so is whoever writes.
    let telling = match outside.run(|| Telling::start(args, printer)) {
        Ok(Ok(telling)) => telling,
        Ok(Err(unusable)) => return unusable.into(),
        Err(error) => return Unusable::new(error, "no-namespace").into(),
    };
    let tapping = match outside.run(|| Tapping::open(args)) {
        Ok(Ok(tapping)) => tapping,
        Ok(Err(unusable)) => return unusable.into(),
        Err(error) => return Unusable::new(error, "no-namespace").into(),
    };
    let control = match Control::open(args, outside) {
        Ok(control) => control,
        Err(unusable) => return unusable.into(),
    };
    let mut run = match Run::start(args, &plan, (telling, control), (replaying, tapping)) {
        Ok(run) => run,
        Err(ending) => return ending,
    };
    let stop = run.copy(&mut signals);
    run.end(&mut signals, stop)
}

/// A run that was started.
struct Run<'a> {
    args: &'a Args,
    plan: &'a Plan,
    // The programs go before the workers' rings and ports do.
    loaded: Loaded,
    crew: Crew,
    bridge: Option<Bridge>,
    replaying: Option<Replaying>,
    tapping: Tapping,
    routes: RouteWatcher,
    watch: Watch,
    pauses: Pauses,
    control: Control,
    guard: Option<Guard>,
    warnings: Warnings,
    signs: Signs,
    lookout: Lookout,
    emptiness: Emptiness,
    devices: Devices,
    brake: Brake,
    feedback: Option<Feedback>,
    telling: Telling,
    spread: Spread,
    state: State,
    about: About,
    started: SystemTime,
    /// When it was ready, if ever.
    ready: Option<SystemTime>,
    /// When capture ended.
    drained: Option<Instant>,
    began: Instant,
    is_ready: bool,
    waiting: Waiting,
    told: Instant,
    ways: Ways,
    route_changes: u64,
    /// CPU time of all threads but the workers, as last asked.
    cpu_of_others: Figures<f64>,
}

impl<'a> Run<'a> {
    /// Sets everything up and attaches.
    fn start(
        args: &'a Args,
        plan: &'a Plan,
        (mut telling, control): (Telling, Control),
        (mut replaying, mut tapping): (Option<Replaying>, Tapping),
    ) -> Result<Self, Ending> {
        plan.notes.iter().for_each(|note| info!("{note}"));
        let mut crew = Crew::new(plan).map_err(|error| Unusable::new(error, "cannot-set-up"))?;
        // The intercepts first: what another version answers must not cost anybody anything.
        let bridge = Bridge::of(args, plan, &crew)?;
        let unusable = |error: loader::Error| Unusable::new(&error, error.finding());
        let (mut loaded, parts) = Loaded::new(plan).map_err(unusable)?;
        let targets = plan.egress.iter().map(|(target, _)| *target).collect();
        let routes = RouteWatcher::start(targets).map_err(|error| Unusable::new(error, "host"))?;
        let watch = Watch::start(plan).map_err(|error| Unusable::new(error, "host"))?;
        let pauses = Pauses::new(loaded.paused(), plan.workers);
        let sources = (bridge.as_ref(), replaying.as_mut());
        namespace::outside(plan, || {
            let taps = tapping.start(plan)?;
            crew.start(plan, parts, sources, taps, args.priority)
        })?
        .map_err(|error| Unusable::new(error, "cannot-set-up"))?;
        loaded.attach(plan).map_err(unusable)?;
        telling.watch(loaded.program_ids());
        let mut warnings = Warnings::default();
        announce(args, plan, &mut warnings);
        tapping.keep();
        let now = Instant::now();
        let run = Self {
            args,
            plan,
            loaded,
            crew,
            bridge,
            replaying,
            tapping,
            routes,
            watch,
            pauses,
            control,
            guard: args.max_cpu.map(Guard::new),
            warnings,
            signs: Signs::new(plan),
            lookout: Lookout::new(plan),
            emptiness: Emptiness::default(),
            devices: Devices::new(plan),
            brake: Brake::new(plan.seed, clock::now()),
            feedback: None,
            telling,
            spread: Spread::new(),
            state: State::Starting,
            about: totals::about(args, plan),
            started: SystemTime::now(),
            ready: None,
            drained: None,
            began: now,
            is_ready: false,
            waiting: Waiting::new(args.gates.ready_timeout(args.duration)),
            told: now,
            ways: Ways::new(&plan.egress),
            route_changes: 0,
            cpu_of_others: Figures::new(),
        };
        let goes_elsewhere = plan.outside.is_elsewhere();
        rights::keep_only(rights::of_run(args.listen.is_some(), goes_elsewhere));
        run.telling.first(run.totals(), run.surroundings());
        Ok(run)
    }

    /// Copies until a signal, the end of `--duration`, a failure or a loop.
    fn copy(&mut self, signals: &mut Signals) -> Stop {
        loop {
            self.become_ready();
            if signals.pending().next().is_some() {
                info!(
                    "stopping: capture ends, up to {:?} for open requests; a second signal ends at once",
                    self.args.drain
                );
                return Stop::Asked;
            }
            if self.control.stops() {
                return Stop::Asked;
            }
            let until = self.args.duration.filter(|_| self.is_ready);
            if until.is_some_and(|duration| self.began.elapsed() >= duration) {
                return Stop::Asked;
            }
            if let Some(failure) = self.crew.failure() {
                return Stop::Failed(failure);
            }
            let files = self.replaying.as_ref();
            if files.is_some_and(Replaying::are_read) && self.crew.have_played() {
                return Stop::Played;
            }
            if let Some(reason) = self.gives_up() {
                return Stop::NeverReady(reason);
            }
            self.tick(self.brake.patience(TICK));
            // What files have does not come back.
            if self.is_ready
                && self.replaying.is_none()
                && let Some(feedback) = self.brake.look(&self.crew, self.plan, clock::now())
            {
                error!(finding = "loop", "{}", brake::words(&feedback));
                self.feedback = Some(feedback);
                return Stop::Loop;
            }
        }
    }

    /// Follows routes for `time`, and does what is due once a second.
    fn tick(&mut self, time: Duration) {
        if let Ok(change) = self.routes.changes().recv_timeout(time) {
            self.follow(&change);
        }
        self.watch
            .look(self.plan, &mut self.loaded, &self.crew, &mut self.warnings);
        self.look_at_devices();
        self.obey_others();
        if self.told.elapsed() >= SECOND {
            if let Some(replaying) = self.replaying.as_mut().filter(|_| self.is_ready) {
                replaying.look(self.began.elapsed());
            }
            // Not from now on: seconds must not grow by the tick.
            self.retry_ways();
            self.told += SECOND;
            if self.told.elapsed() >= SECOND {
                self.told = Instant::now();
            }
            self.spare_the_machine();
            self.cpu_of_others = others_cpu();
            let mut totals = self.totals();
            self.pauses.second(&totals.kernel, &mut self.warnings);
            self.spread.look(&totals.latency);
            totals.spread.clone_from(&self.spread);
            self.look_out(&totals);
            self.tapping.look(&mut self.warnings);
            totals.warnings = self.warnings.list();
            let surroundings = self.surroundings();
            self.telling.second(totals, surroundings);
        }
    }

    /// Attaches to devices that were made anew; while one is missing the run is not ready.
    fn look_at_devices(&mut self) {
        let was_missing = self.devices.is_missing();
        self.devices
            .look(self.plan, &mut self.loaded, &mut self.warnings);
        if self.devices.is_missing() != was_missing && self.state == State::Copying {
            self.telling.enter(self.phase());
        }
    }

    /// How far a run is that copies.
    fn phase(&self) -> Phase {
        if self.devices.is_missing() {
            Phase::Impaired
        } else {
            Phase::Ready
        }
    }

    /// Says `ready` once everything is attached and, in assistant mode, the path is proven.
    fn become_ready(&mut self) {
        if let Some(bridge) = &mut self.bridge {
            let proof = bridge.prove(&self.crew);
            if bridge.needs_a_client() {
                self.start_reading();
            }
            if self.is_ready || proof != Proof::Proven {
                return;
            }
        }
        if !self.is_ready {
            self.is_ready = true;
            self.state = State::Copying;
            self.began = Instant::now();
            self.ready = Some(SystemTime::now());
            self.telling.enter(self.phase());
            info!("ready      (Ctrl-C stops)");
            self.start_reading();
            namespace::notify(&self.plan.outside, NotifyState::Ready);
        }
    }

    /// Has the files of a replay read, if that has not begun.
    fn start_reading(&mut self) {
        if let Some(replaying) = &mut self.replaying {
            replaying.start(self.args, self.plan, self.crew.handles());
        }
    }
}
