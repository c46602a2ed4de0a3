//! Frames that leave: what the engine has to send, as far as frames are free.

use super::{BUDGET, Error, Running, Worker};
use crate::clock;

/// Frames that are written before the kernel is told: as many as it takes at a time.
const KICK_FRAMES: usize = 32;
impl Running {
    /// Sends what the engine has to send, a batch at a time, as far as frames are free.
    pub(super) fn transmit(&mut self) -> Result<usize, Error> {
        self.worker.port.reap();
        let mut sent = 0;
        while sent < BUDGET {
            let queued = self.queue();
            if queued > 0 {
                // A session may have opened while its first segment was being written; its port must be leased, and it must be
                // announced, before that leaves.
                self.drain_events(clock::now());
                if let Some(announcer) = &mut self.worker.announcer {
                    announcer.flush();
                }
                if let Some(replied) = self.replied.take() {
                    self.latency.record_reaction(clock::now().since(replied));
                }
            }
            // Also where nothing was queued: the kernel may have left frames behind the last time.
            if queued > 0 || self.worker.port.needs_kick() {
                self.worker.port.kick()?;
            }
            sent += queued;
            if queued < KICK_FRAMES {
                break;
            }
        }
        Ok(sent)
    }

    /// Writes up to [`KICK_FRAMES`] frames; they leave with the next kick.
    fn queue(&mut self) -> usize {
        let Self {
            worker:
                Worker {
                    engine,
                    port,
                    frame_len_max,
                    bandwidth,
                    tap,
                    ..
                },
            probes,
            ..
        } = self;
        port.transmit_with(KICK_FRAMES, |frame| {
            if let Some(probe) = probes.pop() {
                let to = frame.get_mut(..probe.len())?;
                to.copy_from_slice(&probe);
                if let Some(tap) = tap {
                    tap.sent(clock::now(), &probe);
                }
                return Some(probe.len());
            }
            let len = frame.len().min(*frame_len_max);
            // A clock of its own for each: the target's time begins with its transmission.
            let now = clock::now();
            if bandwidth.closed_until(now).is_some() {
                return None;
            }
            let len = engine.poll_transmit(now, &mut frame[..len])?;
            bandwidth.spend(now, len);
            // Whatever is written here is put into the ring.
            if let Some(tap) = tap {
                tap.sent(now, &frame[..len]);
            }
            Some(len)
        })
    }
}
