//! A worker: one pinned thread with one ring, one port and one shard of the sessions.
//!
//! One loop: records, reports, timeouts, transmit, kick. Nothing is logged or allocated per packet. What the rest of
//! the process wants to know it reads from a [`slot::Slot`]; what it wants done it sends as a [`Command`].
//!
//! | module | holds |
//! |---|---|
//! | [`intake`], [`ring`], [`merge`], [`duplicates`] | records and frames, in one order, each packet once |
//! | [`cues`], [`playing`] | packets of a file, each when it is due |
//! | [`departures`] | frames that leave |
//! | [`events`] | what the engine tells of its sessions and turns |
//! | [`figures`], [`payload`], [`slot`] | what the worker counts, and where it leaves it |
//! | [`tap`] | what is sent and received, for the file of `--tap` |
//! | [`handle`], [`command`], [`link`] | how others reach the worker |
//! | [`announcer`], [`leases`] | who is told of its sessions: `intercept`, and the programs |
//! | [`pace`], [`sleeping`], [`pausing`] | when it sleeps, and when nothing is recorded for it |

pub(crate) mod announcer;
mod command;
pub(crate) mod comparing;
pub(crate) mod cues;
mod departures;
pub(crate) mod duplicates;
mod events;
mod figures;
pub(crate) mod handle;
pub(crate) mod intake;
pub(crate) mod leases;
mod leaving;
pub(crate) mod link;
mod merge;
mod pace;
pub(crate) mod pausing;
pub(crate) mod payload;
pub(crate) mod playing;
mod ring;
mod sleeping;
pub(crate) mod slot;
pub(crate) mod tap;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use port::Port;
use protocol::Mask;
use session::{Engine, Instant};
use telemetry::{Differences, Ledger, Recorder, WorkerTotals};

use crate::bandwidth::Bandwidth;
use crate::clock;
use crate::made_up::MadeUp;
use announcer::Announcer;
pub(crate) use command::{Command, Error};
use comparing::Comparing;
use figures::{IfRead, InFlight};
use handle::Inbox;
use intake::Intake;
use leases::Leases;
use pace::{Company, Pace, Pause};
use pausing::Pausing;
use payload::Payload;
use playing::Playing;
use slot::Shared;
use tap::Tap;

/// Most records, reports or frames per round of the loop, so that none of them starves the others.
const BUDGET: usize = 256;
/// How often a worker that has news publishes them.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
/// How often a worker tells what it counted of echoes while somebody watches.
const TALLY_EVERY: Duration = Duration::from_millis(1);
/// How long timeouts wait for a backlog of records to be taken.
const BACKLOG_MAX: Duration = Duration::from_secs(1);
/// How often a worker looks for free frames where it has none left.
const STARVED_NAP: Duration = Duration::from_millis(1);
/// How long after the capture of a turn's first byte it may leave before the worker spins to catch up.
const BEHIND_MIN: Duration = Duration::from_millis(5);
/// How often a worker tries again to announce what a connection's queue had no room for.
const ANNOUNCE_AGAIN: Duration = Duration::from_millis(20);
/// How long a worker catches up at the end of capture before it says that it has obeyed.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// Everything that a worker owns.
pub(crate) struct Worker {
    pub(crate) engine: Engine,
    pub(crate) intake: Intake,
    /// The packets of a file, of a replay.
    pub(crate) playing: Option<Playing>,
    pub(crate) port: Port,
    pub(crate) leases: Leases,
    pub(crate) pausing: Pausing,
    pub(crate) inbox: Inbox,
    /// Assistant mode: where sessions are announced.
    pub(crate) announcer: Option<Announcer>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) rules: usize,
    /// Payload bytes of each response that are kept (`--sample-bytes`).
    pub(crate) sample_bytes: u8,
    /// Values that are never kept of them (`--mask`).
    pub(crate) mask: Mask,
    /// Assistant mode: what came of the responses that a protocol module reads.
    pub(crate) payload: Option<Payload>,
    /// Both servers' answers beside each other, where they are compared by their contents.
    pub(crate) comparing: Option<Comparing>,
    /// Longest frame that the private device carries, Ethernet header included, in bytes.
    pub(crate) frame_len_max: usize,
    /// How long a session may take to end once nothing more is captured.
    pub(crate) patience: Duration,
    /// How fast frames may leave.
    pub(crate) bandwidth: Bandwidth,
    /// Where what is sent and received is kept (`--tap`).
    pub(crate) tap: Option<Tap>,
    /// The target of a dry run: nothing is sent then.
    pub(crate) made_up: Option<MadeUp>,
}

/// State of the loop.
struct Running {
    worker: Worker,
    ledger: Ledger,
    latency: Recorder,
    differences: Differences,
    totals: WorkerTotals,
    pace: Pace,
    published: Instant,
    handed_over: Instant,
    /// When echoes were told last, and up to when everything had been counted then.
    tallied: (Instant, Instant),
    /// When nothing was left to take, last.
    drained: Instant,
    /// When the first of the replies came that were taken since frames were sent last.
    replied: Option<Instant>,
    dirty: bool,
    /// When the last round began, where it found work and its end was not seen yet.
    round: Option<Instant>,
    probes: Vec<Vec<u8>>,
    leaving: bool,
    /// Whether sessions are to be ended.
    finishing: bool,
    /// When what was taken of a file began to be brought to its end, and when it was looked last whether it is.
    ending: (Instant, Instant),
    /// Copies under way, as last counted.
    in_flight: InFlight,
    /// Assistant mode: what was last seen of the way that reports take.
    link: link::Seen,
    /// Commands taken so far.
    obeyed: u64,
}

impl Worker {
    /// Runs until [`Command::Leave`].
    ///
    /// # Errors
    ///
    /// Where the port or the thread's own sleep fails; the programs are still attached then.
    pub(crate) fn run(self) -> Result<(), Error> {
        let now = clock::now();
        let company = match self.playing {
            Some(_) => Company::Nobody,
            None => Company::OnlineServer,
        };
        let mut running = Running {
            ledger: self.ledger(),
            differences: Differences::sampling(self.sample_bytes, &self.mask),
            worker: self,
            latency: Recorder::new(),
            totals: WorkerTotals::default(),
            pace: Pace::new(now, company),
            published: now,
            handed_over: now,
            tallied: (now, now),
            drained: now,
            replied: None,
            dirty: true,
            round: None,
            probes: Vec::new(),
            leaving: false,
            finishing: false,
            ending: (now, now),
            in_flight: InFlight::new(now),
            link: link::Seen::default(),
            obeyed: 0,
        };
        let playing = running.worker.playing.as_ref();
        if playing.is_some_and(|playing| !playing.is_timed()) {
            running.latency.has_no_pace();
        }
        while !running.leaving {
            running.round()?;
        }
        running.take_the_rest();
        running.publish(clock::now(), IfRead::Wait);
        if let Some(tap) = &mut running.worker.tap {
            tap.hand_over();
        }
        Ok(())
    }
}

impl Worker {
    /// Nothing counted yet; a baseline counts for itself alone.
    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::new(self.rules);
        if let Some(comparing) = &self.comparing {
            comparing
                .baselines()
                .for_each(|rule| ledger.set_aside(rule));
        }
        ledger
    }
}

impl Running {
    /// One round of the loop, and a pause if there was nothing to do.
    fn round(&mut self) -> Result<(), Error> {
        let now = clock::now();
        self.end_round(now);
        let mut work = self.obey(now)?;
        let (records, drained) = {
            let Worker {
                engine,
                intake,
                port,
                tap,
                ..
            } = &mut self.worker;
            intake.records(engine, port, tap.as_mut(), now, BUDGET)
        };
        work += records;
        if self.worker.intake.take_bulk() {
            self.pace.urgent(now);
        }
        self.replied = self.worker.intake.take_replied();
        work += self.take_reports(now);
        work += self.play(now);
        work += self.finish_some(now);
        work += self.expire(now, drained && self.worker.inbox.reports.is_empty());
        work += self.drain_events(now);
        work += self.transmit()?;
        if let Some(tap) = &mut self.worker.tap {
            tap.look(now);
        }
        self.worker.leases.expire(now);
        if let Some(announcer) = &mut self.worker.announcer
            && announcer.is_behind()
        {
            announcer.flush();
        }
        let Worker {
            pausing, engine, ..
        } = &mut self.worker;
        pausing.look(now, engine);
        if work > 0 {
            self.dirty = true;
            self.round = Some(now);
        }
        let (tallied, seen) = self.tallied;
        if seen < self.worker.engine.watch_end() && now.since(tallied) >= TALLY_EVERY {
            self.tell_echoes(now);
        }
        // Whoever gave a command waits for the figures after it.
        let obeyed = self.worker.shared.obeyed.load(Ordering::Relaxed) != self.obeyed;
        if obeyed || self.dirty && now.since(self.published) >= PUBLISH_EVERY {
            self.publish(now, IfRead::Later);
        }
        let pause = self.pace.after(now, work);
        self.end_round_before(pause);
        match pause {
            Pause::None => {}
            // Frames come back without waking anybody up, and segments may wait for them.
            Pause::Sleep(..) if self.worker.port.tx_free() == 0 => std::thread::sleep(STARVED_NAP),
            Pause::Yield => std::thread::yield_now(),
            Pause::Nap(time) => std::thread::sleep(self.until_due(now, time)),
            Pause::Sleep(until, time) => self.sleep(now, until, time)?,
        }
        Ok(())
    }

    /// Has the engine do what is due, once everything was taken that had arrived: a worker that had to wait for its
    /// processor would otherwise take replies that lie before it for lost, and send again what was answered long ago.
    fn expire(&mut self, now: Instant, drained: bool) -> usize {
        let due = self
            .worker
            .engine
            .next_timeout()
            .is_some_and(|due| due <= now);
        if drained {
            self.drained = now;
        }
        if !due || !drained && now.since(self.drained) < BACKLOG_MAX {
            return 0;
        }
        self.worker.engine.on_timeout(now);
        1
    }

    fn obey(&mut self, now: Instant) -> Result<usize, Error> {
        let mut obeyed = 0;
        for is_up in self.worker.shared.link.news(&mut self.link) {
            self.worker.engine.on_channel(now, is_up);
            obeyed += 1;
        }
        while let Ok(command) = self.worker.inbox.commands.try_recv() {
            obeyed += 1;
            self.obeyed += 1;
            let engine = &mut self.worker.engine;
            match command {
                Command::Route(target, mtu) => engine.on_route(now, target, mtu),
                Command::Admit(admit) => {
                    engine.admit(admit);
                    self.worker.pausing.admit(admit);
                }
                Command::Tune(tuning) => engine.tune(&tuning),
                Command::Exclude(ports) => engine.exclude_ports(&ports),
                Command::Watch(watch) => engine.watch(now, watch),
                Command::EndHold => engine.end_hold(now),
                Command::Throttle(interval) => self.throttle(now, interval),
                Command::StopCapture => {
                    engine.stop_capture(now);
                    self.catch_up()?;
                }
                Command::Finish => {
                    self.finishing = true;
                    // Resets are small, and a target that does not hear them keeps dead connections.
                    self.worker.bandwidth.lift();
                }
                Command::Taken(flows) => {
                    flows.iter().for_each(|flow| engine.on_taken(now, flow));
                }
                Command::Send(frame) => self.probes.push(frame),
                Command::Leave => self.leaving = true,
            }
        }
        Ok(obeyed)
    }

    /// Takes what has gathered in the ring: who asks whether turns wait must not be told of an empty engine and a full
    /// ring.
    fn catch_up(&mut self) -> Result<(), Error> {
        let began = clock::now();
        loop {
            let now = clock::now();
            let Worker {
                engine,
                intake,
                port,
                tap,
                ..
            } = &mut self.worker;
            let (_, drained) = intake.records(engine, port, tap.as_mut(), now, BUDGET);
            self.take_reports(now);
            self.drain_events(now);
            self.transmit()?;
            if drained || now.since(began) >= CATCH_UP_MAX {
                return Ok(());
            }
        }
    }

    fn take_reports(&mut self, now: Instant) -> usize {
        let mut taken = 0;
        while taken < BUDGET {
            let Ok(batch) = self.worker.inbox.reports.try_recv() else {
                break;
            };
            for (stamp_ns, segment) in batch.segments() {
                let stamp = Instant::from_nanos(stamp_ns);
                self.replied.get_or_insert(stamp);
                // Not when `intercept` saw it, which is an estimate, and may lie before what it answers was sent.
                if let Some(tap) = &mut self.worker.tap {
                    tap.received(now, segment);
                }
                if let Some(payload) = &mut self.worker.payload {
                    payload.of_target(segment);
                }
                self.worker.engine.on_target_packet(now, stamp, segment);
                taken += 1;
                self.totals.reports += 1;
            }
        }
        taken
    }
}
