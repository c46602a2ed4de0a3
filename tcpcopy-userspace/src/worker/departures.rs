//! Frames that leave: what the engine has to send, as far as frames are free.

use recording::Direction;

use super::{BUDGET, Error, Running, Worker};
use crate::clock;

/// Frames that are written before the kernel is told: as many as it takes at a time.
const KICK_FRAMES: usize = 32;
impl Running {
    /// Sends what the engine has to send, a batch at a time, as far as frames are free.
    pub(super) fn transmit(&mut self) -> Result<usize, Error> {
        if self.worker.made_up.is_some() {
            return Ok(self.exchange());
        }
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

    /// In a dry run nothing leaves: the target that is made up takes it, and answers.
    fn exchange(&mut self) -> usize {
        let now = clock::now();
        let Worker {
            engine,
            bandwidth,
            tap,
            made_up,
            ..
        } = &mut self.worker;
        let Some(target) = made_up else { return 0 };
        let replies = &mut self.totals.made_up_replies;
        let frames = target.exchange(engine, now, (bandwidth, BUDGET), &mut |way, packet| {
            *replies += u64::from(way == Direction::Received);
            if let Some(tap) = tap {
                match way {
                    Direction::Sent => tap.would_be_sent(now, packet),
                    Direction::Received => tap.received(now, packet),
                }
            }
        });
        self.totals.made_up_frames += frames as u64;
        frames + self.drain_events(now)
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
