//! A dry run's engine, its made-up target and its file, in a time of their own: that of the files, at whatever pace they are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use recording::{Direction, Tap};
use replay::{Cue, Side};
use session::{Engine, Event, Instant};
use telemetry::{Ledger, WorkerTotals};

use super::Figures;
use crate::bandwidth::Bandwidth;
use crate::clock;
use crate::made_up::MadeUp;
use crate::plan::Plan;
use crate::playback::sink::Sink;

/// At `max` nothing has a time: a packet comes so long after the one before.
const TICK: Duration = Duration::from_micros(1);
/// How long sessions may take to end, at `max`, before they are taken for what files never end.
const SESSIONS_STAND_STILL: Duration = Duration::from_secs(5);
/// How often it is looked whether everything is at its end: that is a walk over the sessions.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Packets that the file holds back at most, before it is written.
const PACKETS_BETWEEN_FLUSHES: u32 = 1024;

/// What a dry run plays on.
pub(super) struct Stage {
    engine: Engine,
    target: MadeUp,
    bandwidth: Bandwidth,
    file: Tap,
    device: u32,
    ledger: Ledger,
    totals: WorkerTotals,
    /// When the files' time began, and what time it is.
    start: Instant,
    now: Instant,
    is_timed: bool,
    patience: Duration,
    sessions_max: u64,
    payload_bytes_max: u64,
    is_to_end: Arc<AtomicBool>,
    /// Packets since the file was written last.
    unflushed: u32,
    failure: Option<String>,
}

impl Stage {
    pub(super) fn new(
        plan: &Plan,
        (mut file, device): (Tap, &str),
        (is_timed, has_reply_limit): (bool, bool),
        is_to_end: Arc<AtomicBool>,
    ) -> Self {
        let now = clock::now();
        let mut config = plan.engine_config(0, clock::unix_nanos());
        if !has_reply_limit {
            // By default it follows from a link, and there is none.
            config.reply_bytes_per_second_max = None;
        }
        let (sessions_max, payload_bytes_max) = (config.sessions_max, config.payload_bytes_max);
        let mut engine = Engine::new(config, now);
        engine.tune(&plan.tuning());
        if plan.is_pool_sticky {
            engine.stick_to_addresses();
        }
        Self {
            target: MadeUp::new(&mut engine, plan.hash_seed),
            engine,
            bandwidth: Bandwidth::new(plan.bits_per_second_max, now),
            device: file.device(device),
            file,
            ledger: Ledger::new(plan.rules.len()),
            totals: WorkerTotals::default(),
            start: now,
            now,
            is_timed,
            patience: plan.response_timeout,
            sessions_max: u64::from(sessions_max) / 4 * 3,
            payload_bytes_max: payload_bytes_max / 2,
            is_to_end,
            unflushed: 0,
            failure: None,
        }
    }

    /// Brings everything to its end, and ends the file.
    ///
    /// # Errors
    ///
    /// Where the file could not be written, in words.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        self.end_sessions();
        self.flush_file();
        if self.failure.is_none()
            && let Err(error) = self.file.finish()
        {
            self.failure = Some(error.to_string());
        }
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Has the engine do what is due before a time, and makes it that time.
    fn pass(&mut self, until: Instant) {
        while let Some(due) = self.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.engine.on_timeout(self.now);
            self.exchange();
        }
        self.now = self.now.max(until);
    }

    /// When something is due besides packets of the files.
    fn next_due(&self) -> Option<Instant> {
        let dues = [
            self.engine.next_timeout(),
            self.bandwidth.closed_until(self.now),
        ];
        dues.into_iter().flatten().min()
    }

    /// Sessions and the target say what they have to say.
    fn exchange(&mut self) {
        let Self {
            engine,
            target,
            bandwidth,
            file,
            device,
            ledger,
            totals,
            now,
            ..
        } = self;
        let stamp_ns = now.as_nanos();
        loop {
            let sent =
                target.exchange(engine, *now, (bandwidth, usize::MAX), &mut |way, packet| {
                    file.take(*device, way, stamp_ns, packet);
                    totals.made_up_replies += u64::from(way == Direction::Received);
                });
            totals.made_up_frames += sent as u64;
            totals.frames_sent += sent as u64;
            let mut events = 0;
            while let Some(event) = engine.poll_event() {
                events += 1;
                match event {
                    Event::OnlineSent { flow } => target.owes(flow),
                    Event::MissedBytes { rule, bytes } => ledger.record_missed(rule, bytes),
                    Event::TurnEnded(mut turn) => {
                        // The target has answered what the online server did.
                        turn.paired = false;
                        ledger.record(&turn);
                    }
                    Event::SessionOpened { .. }
                    | Event::SessionClosed { .. }
                    | Event::LoginFailed { .. }
                    | Event::Compared(_)
                    | Event::PathUnproven { .. } => {}
                }
            }
            if sent == 0 && events == 0 {
                return;
            }
        }
    }

    /// At `max` new connections wait for others to end, as they do for a target.
    fn make_room(&mut self) {
        let until = self.now + SESSIONS_STAND_STILL;
        let is_full = |it: &Self| {
            it.engine.sessions() >= it.sessions_max
                || it.engine.payload_bytes() >= it.payload_bytes_max
                || !it.engine.has_free_sources()
        };
        while is_full(self) {
            let Some(due) = self.next_due().filter(|due| *due <= until) else {
                return;
            };
            self.pass(due);
        }
    }

    /// Lets what waits be answered, and ends the rest.
    fn end_sessions(&mut self) {
        self.engine.stop_capture(self.now);
        self.exchange();
        let until = self.now + self.patience;
        while self.engine.turns_waiting(self.now) > 0 && self.now < until {
            let next = self.next_due().unwrap_or(until);
            self.pass(next.max(self.now + LOOK_EVERY).min(until));
        }
        self.engine.finish(self.now);
        self.exchange();
    }

    fn flush_file(&mut self) {
        self.unflushed = 0;
        if self.failure.is_none()
            && let Err(error) = self.file.settle()
        {
            self.failure = Some(error.to_string());
        }
    }

    /// What was counted so far.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            ledger: self.ledger.clone(),
            engine: *self.engine.counters(),
            workers: self.totals,
            turns_open: self.engine.turns_open(),
            sessions_open: self.engine.sessions(),
            payload_bytes: self.engine.payload_bytes(),
            tapped: self.file.so_far(),
        }
    }
}

impl Sink for Stage {
    fn begin(&mut self) {
        self.start = self.now;
    }

    fn now_ns(&self) -> u64 {
        self.now.as_nanos() - self.start.as_nanos()
    }

    fn take(&mut self, cue: &Cue<'_>) {
        let at = |ns| self.start + Duration::from_nanos(ns);
        let (due, stamp) = (at(cue.due_ns), at(cue.stamp_ns));
        if self.is_timed {
            self.pass(due);
        } else {
            self.make_room();
            let is_client = cue.side == Side::Client;
            let from = self.engine.room_from(self.now, cue.packet, is_client);
            self.pass(from.max(self.now + TICK));
        }
        match cue.side {
            Side::Client => {
                self.totals.replayed_clients += 1;
                self.engine.on_client_packet(self.now, stamp, cue.packet);
            }
            Side::Online => {
                self.totals.replayed_online += 1;
                self.engine.on_online_packet(self.now, stamp, cue.packet);
            }
        }
        self.exchange();
        self.unflushed += 1;
        if self.unflushed >= PACKETS_BETWEEN_FLUSHES {
            self.flush_file();
        }
    }

    /// Nothing is compared in any case.
    fn has_one_side(&mut self) {}

    fn flush(&mut self) {}

    fn has_waited(&mut self) -> bool {
        false
    }

    fn goes_on(&mut self) -> bool {
        self.failure.is_none() && !self.is_to_end.load(Ordering::Relaxed)
    }

    fn come_to_an_end(&mut self) -> bool {
        self.end_sessions();
        // What lingers after its end, as connections do.
        while self.engine.sessions() > 0
            && let Some(due) = self.next_due()
        {
            self.pass(due);
        }
        self.engine.begin_anew();
        self.goes_on()
    }
}
