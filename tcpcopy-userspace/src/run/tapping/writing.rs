//! The thread that writes the file of `--tap`. Nobody waits for it: where it does not keep up, workers find no memory and count.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use abi::record::KIND_CLIENT;
use crossbeam_channel::RecvTimeoutError;
use recording::{Direction, Tapped};
use telemetry::Mode;

use crate::worker::tap::{Batch, Drain, Lost};

/// How often what nothing older can come before is written. What is held still is moved then, so not more often.
const FLUSH_EVERY: Duration = Duration::from_millis(250);
/// After so long without a packet everything is written that is there.
const SILENCE: Duration = Duration::from_millis(500);
/// What replies come by in assistant mode.
const INTERCEPT: &str = "intercept";

/// What the thread and the rest of the process tell each other.
#[derive(Debug)]
pub(super) struct Shared {
    /// What is missing in the file.
    pub(super) lost: Arc<Lost>,
    /// The device to each of the targets, in the order of `lost`.
    pub(super) devices: Mutex<Vec<String>>,
    /// What was written.
    tapped: Mutex<Tapped>,
    /// Why nothing more is written.
    pub(super) failure: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(lost: &Arc<Lost>, devices: Vec<String>) -> Self {
        Self {
            lost: Arc::clone(lost),
            devices: Mutex::new(devices),
            tapped: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// What was written so far.
    pub(super) fn tapped(&self) -> Tapped {
        *self.tapped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, tapped: Tapped) {
        *self.tapped.lock().unwrap_or_else(PoisonError::into_inner) = tapped;
    }
}

/// The thread.
pub(super) struct Writing {
    tap: recording::Tap,
    drain: Drain,
    mode: Mode,
    shared: Arc<Shared>,
    /// The number of the device to each target, and how many packets to or from each were known to be missing.
    devices: Vec<(u32, u64)>,
}

impl Writing {
    pub(super) fn new(tap: recording::Tap, drain: Drain, mode: Mode, shared: &Arc<Shared>) -> Self {
        Self {
            tap,
            drain,
            mode,
            shared: Arc::clone(shared),
            devices: Vec::new(),
        }
    }

    /// Writes until all workers have ended, or it fails; then it lets go what they still hand over.
    pub(super) fn run(mut self) {
        if let Err(error) = self.write() {
            self.shared.tell(self.tap.so_far());
            // Of packets that were taken nobody knows any more which target's they were.
            self.shared.lost.add(0, self.tap.unwritten());
            let failure = self.shared.failure.lock();
            *failure.unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            self.drain.close();
            while let Ok(batch) = self.drain.batches().recv() {
                self.shared.lost.count_all(&batch);
            }
        }
    }

    fn write(&mut self) -> Result<(), recording::Error> {
        let (mut flushed, mut heard) = (Instant::now(), Instant::now());
        self.look_at_devices();
        loop {
            let now = match self.drain.batches().recv_timeout(FLUSH_EVERY) {
                Ok(batch) => {
                    self.take(batch);
                    heard = Instant::now();
                    heard
                }
                Err(RecvTimeoutError::Timeout) => Instant::now(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if now - heard >= SILENCE {
                self.tap.settle()?;
            } else if self.tap.is_full() || now - flushed >= FLUSH_EVERY {
                flushed = now;
                self.tap.flush()?;
                self.look_at_devices();
            }
            self.shared.tell(self.tap.so_far());
        }
        self.look_at_devices();
        self.tap.finish()?;
        self.shared.tell(self.tap.so_far());
        Ok(())
    }

    fn take(&mut self, batch: Batch) {
        for (header, packet) in batch.packets() {
            let is_sent = header.kind == KIND_CLIENT;
            let (device, direction) = if is_sent || self.mode == Mode::Direct {
                let target = self.shared.lost.target_of(header.kind, packet);
                let device = self.devices.get(target).map_or(0, |(device, _)| *device);
                let direction = if is_sent {
                    Direction::Sent
                } else {
                    Direction::Received
                };
                (device, direction)
            } else {
                (self.tap.device(INTERCEPT), Direction::Received)
            };
            self.tap.take(device, direction, header.stamp_ns, packet);
        }
        self.drain.give_back(batch);
    }

    /// By which devices targets are reached now, and what is missing meanwhile.
    fn look_at_devices(&mut self) {
        let names = self.shared.devices.lock();
        let names = names.unwrap_or_else(PoisonError::into_inner);
        self.devices.resize(names.len(), (0, 0));
        let lost = self.shared.lost.of_targets();
        for ((device, known), (name, lost)) in self.devices.iter_mut().zip(names.iter().zip(lost)) {
            *device = self.tap.device(name);
            self.tap.dropped(*device, lost - *known);
            *known = lost;
        }
    }
}
