//! The packets of a file, as a worker takes them: each when it is due, and no more than there is room for.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use replay::Side;
use session::{Engine, Instant};

use super::cues::Batch;
use super::payload::Payload;
use super::{BUDGET, Running, Worker};

/// So many requests more than the file has connections may wait for the target. Of more at a time its queue of new connections would be
/// full, which costs each of them a second.
const REQUESTS_BEHIND_MAX: u64 = 256;
/// Captured bytes that may wait before nothing more is taken, where the memory is not shorter than that.
const BYTES_BEHIND_MAX: u64 = 8 << 20;
/// What has waited for so long, without a byte of it leaving, does not wait for the target but for what the file may never have: a
/// byte before it, or an answer further on. It holds nothing up any more.
const STANDS_STILL: Duration = Duration::from_millis(500);
/// The same of sessions, none of which has ended for so long: the file may never close their connections. From here on the engine's own
/// limit holds, beyond which sessions are shed and counted.
const SESSIONS_STAND_STILL: Duration = Duration::from_secs(5);
/// How often it is looked whether everything of a file is at its end: that is a walk over the sessions.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long the kernel may take to wake a worker up: what is due so soon is waited for awake.
const WAKING_MAX: Duration = Duration::from_micros(100);

/// How long to sleep where something is due after `time`: it is to find the worker awake.
pub(super) const fn without_waking(time: Duration) -> Duration {
    time.saturating_sub(WAKING_MAX)
}

/// A worker's input from the playback.
#[derive(Debug)]
pub(crate) struct Playing {
    batches: Receiver<Batch>,
    is_timed: bool,
    current: Batch,
    next: usize,
    is_over: bool,
    is_one_sided: bool,
    room: Room,
    room_of_sessions: Room,
    room_of_sources: Room,
    payload_bytes_max: u64,
    sessions_max: u64,
    /// Before that the next packet is not taken: it would open a session, and those of this second are spent.
    waits_until: Instant,
    /// Bytes of the clients' packets that were taken.
    client_bytes: u64,
    /// Behind everything that was taken the files begin anew: dropped when that is at its end.
    again: Option<Sender<()>>,
    clients: u64,
    online: u64,
    /// Where some rule has a protocol module.
    pub(super) payload: Option<Payload>,
}

impl Playing {
    /// Takes from `batches` as long as the engine has room: neither bytes nor sessions are to be shed. Their packets are due at times of
    /// their own or, where they are not timed, at once.
    pub(crate) fn new(
        batches: Receiver<Batch>,
        is_timed: bool,
        config: &session::Config,
        payload: Option<Payload>,
    ) -> Self {
        Self {
            batches,
            is_timed,
            current: Batch::default(),
            next: 0,
            is_over: false,
            is_one_sided: false,
            room: Room::new(STANDS_STILL),
            room_of_sessions: Room::new(SESSIONS_STAND_STILL),
            room_of_sources: Room::new(SESSIONS_STAND_STILL),
            payload_bytes_max: config.payload_bytes_max / 2,
            sessions_max: u64::from(config.sessions_max) / 4 * 3,
            waits_until: Instant::default(),
            client_bytes: 0,
            again: None,
            clients: 0,
            online: 0,
            payload,
        }
    }

    /// Hands at most `budget` packets that are due to the engine; returns how many.
    pub(super) fn take(&mut self, engine: &mut Engine, now: Instant, budget: usize) -> usize {
        let mut taken = 0;
        while taken < budget {
            let Some(due) = self.next_due() else { break };
            let Some(cue) = self.current.get(self.next).filter(|_| due <= now) else {
                break;
            };
            let (side, flows_open) = (cue.side, cue.flows_open);
            if !self.is_timed {
                self.waits_until = engine.room_from(now, cue.packet, side == Side::Client);
                if self.waits_until > now {
                    break;
                }
            }
            if !self.has_room(engine, now, flows_open) {
                break;
            }
            let Some(cue) = self.current.get(self.next) else {
                break;
            };
            match side {
                Side::Client => {
                    self.clients += 1;
                    self.client_bytes += cue.packet.len() as u64;
                    engine.on_client_packet(now, cue.stamp, cue.packet);
                }
                Side::Online => {
                    self.online += 1;
                    if let Some(payload) = &mut self.payload {
                        payload.of_online(cue.packet);
                    }
                    engine.on_online_packet(now, cue.stamp, cue.packet);
                }
            }
            self.next += 1;
            taken += 1;
        }
        taken
    }

    /// Whether the engine has room for more. At a time of its own a packet is not to wait behind another connection's bytes, as it would
    /// not in a live run; as fast as can be the target sets the pace, by what it has not acknowledged.
    fn has_room(&mut self, engine: &Engine, now: Instant, flows_open: u32) -> bool {
        let (bytes, sessions) = (engine.payload_bytes(), engine.sessions());
        let most = if self.is_timed {
            self.payload_bytes_max
        } else {
            let size = self.client_bytes.checked_div(self.clients).unwrap_or(0);
            let behind = (u64::from(flows_open) + REQUESTS_BEHIND_MAX) * size;
            behind.min(BYTES_BEHIND_MAX)
        };
        // A port rests for a second after its session: as fast as can be that is waited for.
        let has_no_source = !self.is_timed && !engine.has_free_sources();
        bytes <= self.payload_bytes_max
            && self
                .room_of_sources
                .is_left(now, u64::from(has_no_source), 0)
            && self
                .room_of_sessions
                .is_left(now, sessions, self.sessions_max)
            && self.room.is_left(now, bytes, most)
    }

    /// When there is something to do again: when the next packet is due and, as fast as can be, a session for it is allowed.
    pub(super) fn next_look(&mut self) -> Option<Instant> {
        let due = self.next_due()?;
        Some(due.max(self.waits_until))
    }

    /// When the next packet is due, as far as it is here.
    fn next_due(&mut self) -> Option<Instant> {
        loop {
            if self.again.is_some() {
                return None;
            }
            if let Some(due) = self.current.due(self.next) {
                return Some(due);
            }
            match self.batches.try_recv() {
                Ok(mut batch) => {
                    self.again = batch.again.take();
                    self.is_one_sided |= batch.is_one_sided;
                    (self.current, self.next) = (batch, 0);
                }
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => {
                    self.is_over = true;
                    return None;
                }
            }
        }
    }

    /// Whether packets are due at times of their own.
    pub(super) const fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// Whether the files have no answer of the online server, so that nothing can be compared.
    pub(super) const fn is_one_sided(&self) -> bool {
        self.is_one_sided
    }

    /// Whether everything of the files was taken.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the files begin anew once everything that was taken is at its end.
    pub(super) const fn begins_anew(&self) -> bool {
        self.again.is_some()
    }

    /// Everything is at its end.
    pub(super) fn go_on(&mut self) {
        self.again = None;
    }

    /// Packets of clients, and of the online server, that were handed on.
    pub(super) const fn taken(&self) -> (u64, u64) {
        (self.clients, self.online)
    }
}

/// Whether the target keeps up. What waits for it is bytes, as many of them as there are requests times the size of one.
#[derive(Debug)]
struct Room {
    patience: Duration,
    /// Bytes that stand still, and wait for something else.
    still: u64,
    /// Since when there is no room, and the fewest bytes that waited since.
    full: Option<(Instant, u64)>,
}

impl Room {
    const fn new(patience: Duration) -> Self {
        Self {
            patience,
            still: 0,
            full: None,
        }
    }

    /// Whether there is room for more where so many bytes wait, and so many may.
    fn is_left(&mut self, now: Instant, bytes: u64, most: u64) -> bool {
        self.still = self.still.min(bytes);
        if bytes - self.still <= most {
            self.full = None;
            return true;
        }
        match self.full {
            Some((since, fewest)) if fewest <= bytes => {
                if now.since(since) < self.patience {
                    return false;
                }
                (self.still, self.full) = (bytes, None);
                true
            }
            _ => {
                self.full = Some((now, bytes));
                false
            }
        }
    }
}

impl Running {
    /// Takes what is due of a file.
    pub(super) fn play(&mut self, now: Instant) -> usize {
        let Worker {
            playing, engine, ..
        } = &mut self.worker;
        let Some(playing) = playing else { return 0 };
        let was_over = playing.is_over();
        let taken = playing.take(engine, now, BUDGET);
        // Who waits for the end of the files is to hear of it, although nothing else has changed.
        self.dirty |= playing.is_over() != was_over;
        (self.totals.replayed_clients, self.totals.replayed_online) = playing.taken();
        if playing.begins_anew() {
            self.bring_to_an_end(now);
        }
        taken
    }

    /// A file is replayed again: first everything of the last time is brought to its end, by and by.
    fn bring_to_an_end(&mut self, now: Instant) {
        let engine = &mut self.worker.engine;
        if !engine.is_draining() {
            engine.stop_capture(now);
            self.ending.0 = now;
        }
        let (since, looked) = self.ending;
        if self.finishing || now.since(looked) < LOOK_EVERY {
            return;
        }
        self.ending.1 = now;
        let is_late = now.since(since) >= self.worker.patience;
        if engine.sessions() == 0 {
            engine.begin_anew();
            if let Some(playing) = &mut self.worker.playing {
                playing.go_on();
            }
        } else if engine.turns_waiting(now) == 0 || is_late {
            self.finishing = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::Instant;

    use super::{Room, STANDS_STILL};

    #[test]
    fn a_target_that_takes_bytes_is_waited_for() {
        let (mut room, mut now) = (Room::new(STANDS_STILL), Instant::default());
        assert!(room.is_left(now, 1000, 1000));
        for waiting in (1001..2000).rev() {
            assert!(!room.is_left(now, waiting, 1000), "{waiting}");
            now += STANDS_STILL / 2;
        }
        assert!(room.is_left(now, 1000, 1000));
    }

    /// Bytes behind a hole that nothing fills would hold a file up until their sessions are given up.
    #[test]
    fn what_stands_still_holds_nothing_up() {
        let (mut room, start) = (Room::new(STANDS_STILL), Instant::default());
        let almost = start + STANDS_STILL - Duration::from_millis(1);
        assert!(!room.is_left(start, 1500, 1000));
        assert!(!room.is_left(almost, 1500, 1000));
        let later = start + STANDS_STILL;
        assert!(room.is_left(later, 1500, 1000));
        assert!(
            room.is_left(later, 2500, 1000),
            "as much as before besides it"
        );
        assert!(!room.is_left(later, 2501, 1000));
        // It has left after all, so it is no excuse any more.
        assert!(room.is_left(later, 10, 1000));
        assert!(!room.is_left(later, 1500, 1000));
    }
}
