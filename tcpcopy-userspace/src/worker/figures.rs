//! What a worker counts, left where others can read it.

use std::sync::atomic::Ordering;
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

use session::{Engine, Instant};

use super::Running;
use super::pace::Pause;
use super::payload::Bytes;
use super::playing::Playing;
use crate::clock;

/// How often the measured times are handed over: they are some hundred KiB. Twice in a second, so that who looks once a
/// second always finds some.
const HAND_OVER_EVERY: Duration = Duration::from_millis(500);
/// How long sessions are not counted again, for each of them: nobody needs the count but an experiment of the brake, and a million
/// of them, ten times in a second, would take a tenth of a processor.
const COUNT_EVERY: Duration = Duration::from_micros(500);

/// What a worker does that is about to leave its figures while somebody reads the last ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfRead {
    /// It goes on, and leaves them a tenth of a second later, or after its next round where somebody waits for them: it has packets to
    /// look at, and whoever reads may have lost its processor in the middle of it.
    Later,
    /// It waits until they are read.
    Wait,
}

/// Sessions whose target has been asked and has not answered yet.
#[derive(Debug)]
pub(super) struct InFlight {
    sessions: u64,
    counted: Instant,
    /// Whether somebody waits for them to become few.
    is_followed: bool,
}

impl InFlight {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            sessions: 0,
            counted: now,
            is_followed: false,
        }
    }

    /// How many there are; while nobody experiments, as of up to [`COUNT_EVERY`] ago for each session.
    fn count(&mut self, now: Instant, engine: &Engine) -> u64 {
        let sessions = u32::try_from(engine.sessions()).unwrap_or(u32::MAX);
        let is_watched = self.is_followed || now <= engine.watch_end();
        if is_watched || now.since(self.counted) >= COUNT_EVERY.saturating_mul(sessions) {
            self.counted = now;
            self.sessions = engine.in_flight();
        }
        self.sessions
    }
}

impl Running {
    /// Few connections are opened for the time being, until what is under way has become little.
    pub(super) fn throttle(&mut self, now: Instant, interval: Option<Duration>) {
        self.in_flight.is_followed = interval.is_some();
        self.worker.engine.throttle(now, interval);
    }

    /// The round that found work, if there was one, has ended. Where the next one follows at once, its beginning is that: a worker
    /// that is busy reads no clock for it.
    pub(super) fn end_round(&mut self, now: Instant) {
        if let Some(began) = self.round.take() {
            self.latency.record_round(now.since(began));
        }
    }

    /// Where the next round does not follow at once, the pause is no part of this one.
    pub(super) fn end_round_before(&mut self, pause: Pause) {
        if pause != Pause::None && self.round.is_some() {
            self.end_round(clock::now());
        }
    }

    pub(super) fn tell_echoes(&mut self, now: Instant) {
        let mut tally = self
            .worker
            .shared
            .tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.worker.engine.tally(self.drained, &mut tally);
        self.tallied = (now, tally.seen);
    }

    /// What came of responses, from wherever it came.
    fn sum_payload(&mut self) {
        let playing = self.worker.playing.as_ref();
        let all = [
            self.worker.intake.payload(),
            playing.and_then(|playing| playing.payload.as_ref()),
            self.worker.payload.as_ref(),
        ];
        let (mut online, mut target) = (Bytes::default(), Bytes::default());
        for payload in all.into_iter().flatten() {
            online = online.and(payload.online);
            target = target.and(payload.target);
        }
        self.totals.online_payload_seen = online.seen;
        self.totals.online_payload_missing = online.missing;
        self.totals.target_payload_seen = target.seen;
        self.totals.target_payload_missing = target.missing;
    }

    /// Leaves the figures where others can read them.
    pub(super) fn publish(&mut self, now: Instant, if_read: IfRead) {
        self.published = now;
        self.tell_echoes(now);
        let obeyed = self.worker.shared.obeyed.load(Ordering::Relaxed) != self.obeyed;
        self.sum_payload();
        let engine = &self.worker.engine;
        let port = &mut self.worker.port;
        // Only the kernel's own counters can fail to be read; what the port counted itself is there without them.
        let statistics = port.statistics().unwrap_or_default();
        self.totals.records_broken = self.worker.intake.broken();
        (self.totals.duplicate_clients, self.totals.duplicate_online) =
            self.worker.intake.duplicates();
        self.totals.frames_sent = statistics.queued + self.totals.made_up_frames;
        self.totals.frames_waiting = u64::from(port.tx_waiting());
        self.totals.frames_dropped = statistics.tx_dropped + statistics.tx_invalid;
        // One that found no frame in the fill ring is among those dropped.
        self.totals.frames_lost = statistics.rx_ring_full + statistics.rx_dropped;
        // Walks over the sessions, before anybody waits for the lock. What a drain waits for is of interest in a drain only.
        let in_flight = self.in_flight.count(now, engine);
        let turns_waiting = if engine.is_draining() {
            engine.turns_waiting(now)
        } else {
            engine.turns_open()
        };
        let hands_over = obeyed || now.since(self.handed_over) >= HAND_OVER_EVERY;
        if hands_over && let Some(comparing) = &mut self.worker.comparing {
            comparing.hand_over(if_read);
        }
        let slot = &self.worker.shared.slot;
        let mut slot = match slot.try_lock() {
            Err(TryLockError::WouldBlock) => match if_read {
                IfRead::Later => return,
                IfRead::Wait => slot.lock().unwrap_or_else(PoisonError::into_inner),
            },
            Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
            Ok(slot) => slot,
        };
        self.dirty = false;
        slot.ledger.clone_from(&self.ledger);
        if hands_over {
            self.handed_over = now;
            self.latency.drain_into(&mut slot.latency);
            slot.differences.clone_from(&self.differences);
        }
        slot.counters = *engine.counters();
        slot.sights.copy_from_slice(&engine.sights());
        slot.totals = self.totals;
        slot.port = statistics;
        slot.bandwidth_reached = self.worker.bandwidth.reached();
        slot.is_played = self.worker.playing.as_ref().is_none_or(Playing::is_over);
        slot.sessions = engine.sessions();
        slot.flows_outside_sample = engine.flows_outside_sample();
        slot.turns_open = engine.turns_open();
        slot.in_flight = in_flight;
        slot.turns_waiting = turns_waiting;
        slot.payload_bytes = engine.payload_bytes();
        slot.cpu = clock::thread_cpu();
        drop(slot);
        self.worker
            .shared
            .obeyed
            .store(self.obeyed, Ordering::Release);
    }
}
