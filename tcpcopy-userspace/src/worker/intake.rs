//! What comes into a worker: the records of its ring, and with `--capture af-xdp` the clients' packets of its port,
//! merged by their stamps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use abi::maps::{ASLEEP, ASLEEP_UNTIL_REPLY, AWAKE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use port::Port;
use process::Waker;
use ring::Entries;
use session::{Engine, Instant};
use wire::ethernet;
use words::Words;

use super::merge::Merge;
use super::payload::Payload;
use super::ring::Ring;
use super::tap::Tap;
use crate::clock;

/// A stamp in a frame that is further away from now than this is none: `steer` could not write it.
const STAMP_AGE_MAX: Duration = Duration::from_secs(10);
/// The longest sleep while records wait for frames.
const HELD_SLEEP: Duration = Duration::from_millis(5);

/// Which records end a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Any.
    Record,
    /// A target's reply.
    Reply,
}

/// A worker's inputs from the kernel.
pub(crate) struct Intake {
    ring: Ring,
    /// Word `index` tells the programs whether this worker sleeps.
    sleeping: Arc<Words>,
    index: usize,
    /// Where clients' packets come from the port.
    merge: Option<Merge>,
}

impl Intake {
    /// Clients' packets come `from_port`, or like all others from the ring; `payload` counts those of responses.
    pub(crate) fn new(
        ring: Entries,
        sleeping: Arc<Words>,
        index: usize,
        from_port: bool,
        payload: Option<Payload>,
    ) -> Self {
        Self {
            ring: Ring::new(ring, payload),
            sleeping,
            index,
            merge: from_port.then(|| Merge::new(clock::now())),
        }
    }

    /// Ring entries that made no sense.
    pub(crate) const fn broken(&self) -> u64 {
        self.ring.broken()
    }

    /// Records of packets that another device had shown, of clients and of the online server.
    pub(crate) const fn duplicates(&self) -> (u64, u64) {
        self.ring.duplicates()
    }

    /// What came of the responses that a protocol module reads.
    pub(crate) const fn payload(&self) -> Option<&Payload> {
        self.ring.payload()
    }

    /// Whether part of a long response came since this was last asked.
    pub(crate) fn take_bulk(&mut self) -> bool {
        self.ring.take_bulk()
    }

    /// When the first of the replies came that were taken since this was last asked.
    pub(crate) fn take_replied(&mut self) -> Option<Instant> {
        self.ring.take_replied()
    }

    /// Hands up to `budget` records (and as many frames) to the engine; returns how many, and whether there are no more.
    pub(crate) fn records(
        &mut self,
        engine: &mut Engine,
        port: &mut Port,
        tap: Option<&mut Tap>,
        now: Instant,
        budget: usize,
    ) -> (usize, bool) {
        let Some(merge) = &mut self.merge else {
            let taken = self.ring.take(engine, None, tap, now, budget);
            return (taken, taken < budget);
        };
        let (mut work, drained) = frames(engine, &mut self.ring, merge, port, tap, now, budget);
        // What stands in the port still is neither here nor lost.
        while drained && let Some(held) = merge.ripe(now) {
            engine.on_online_packet(now, held.stamp, held.headers());
            work += 1;
        }
        (work, drained)
    }

    /// Everything that is left, without waiting for anything.
    pub(crate) fn rest(
        &mut self,
        engine: &mut Engine,
        port: &mut Port,
        tap: Option<&mut Tap>,
        now: Instant,
    ) -> usize {
        let Some(merge) = &mut self.merge else {
            return self.ring.take(engine, None, tap, now, usize::MAX);
        };
        let (mut work, _) = frames(engine, &mut self.ring, merge, port, tap, now, usize::MAX);
        while let Some(held) = merge.before(now) {
            engine.on_online_packet(now, held.stamp, held.headers());
            work += 1;
        }
        work
    }

    /// Tells the programs that the worker sleeps, looks once more, and sleeps for at most `time`, or until a record
    /// (`until`), a frame or the waker. With `pending` there is something already.
    pub(crate) fn sleep(
        &mut self,
        port: &Port,
        waker: &Waker,
        until: Until,
        time: Duration,
        pending: bool,
    ) -> io::Result<()> {
        self.tell(match until {
            Until::Record => ASLEEP,
            Until::Reply => ASLEEP_UNTIL_REPLY,
        });
        // The program submits its record before it reads the slot; here the slot is written before the ring is read.
        fence(Ordering::SeqCst);
        // What is held waits for frames, which end the sleep, or for them to be lost.
        let time = match &self.merge {
            Some(merge) if !merge.is_empty() => time.min(HELD_SLEEP),
            _ => time,
        };
        let slept = if pending {
            Ok(())
        } else {
            self.poll(port, waker, time)
        };
        self.tell(AWAKE);
        slept
    }

    /// Waits for a record, a frame or the waker, where there is no record.
    fn poll(&mut self, port: &Port, waker: &Waker, time: Duration) -> io::Result<()> {
        if !self.ring.is_empty()? {
            return Ok(());
        }
        let mut fds = [
            PollFd::new(self.ring.fd(), PollFlags::POLLIN),
            PollFd::new(waker.fd(), PollFlags::POLLIN),
            PollFd::new(port.fd(), PollFlags::POLLIN),
        ];
        // Without rx frames the port's socket would report nothing but errors.
        let used = if self.merge.is_some() { 3 } else { 2 };
        match ppoll(&mut fds[..used], Some(TimeSpec::from_duration(time)), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn tell(&self, asleep: u64) {
        if let Some(word) = self.sleeping.get(self.index) {
            word.store(asleep, Ordering::Relaxed);
        }
    }
}

/// The ring, and clients' packets from the port, each after the records that are older; returns how many, and whether
/// the port has no more.
fn frames(
    engine: &mut Engine,
    ring: &mut Ring,
    merge: &mut Merge,
    port: &mut Port,
    mut tap: Option<&mut Tap>,
    now: Instant,
    budget: usize,
) -> (usize, bool) {
    let mut read = clock::now();
    let mut records = ring.take(engine, Some(merge), tap.as_deref_mut(), now, usize::MAX);
    let frames = port.receive_with(budget, |frame| {
        let stamp = stamp_of(frame, now);
        if stamp >= read {
            // Records that are older than this frame may have been written since the ring was read.
            read = clock::now();
            records += ring.take(engine, Some(merge), tap.as_deref_mut(), now, usize::MAX);
        }
        while let Some(held) = merge.before(stamp) {
            engine.on_online_packet(now, held.stamp, held.headers());
        }
        merge.saw(stamp);
        let packet = frame.get(ethernet::HEADER_LEN..).unwrap_or_default();
        engine.on_client_packet(now, stamp, packet);
    });
    (records + frames, frames < budget)
}

/// The stamp that `steer` wrote in the place of the MAC addresses, or now where there is none. A frame may be younger than
/// `now`: it came since.
fn stamp_of(frame: &[u8], now: Instant) -> Instant {
    let Some(bytes) = frame.first_chunk::<8>() else {
        return now;
    };
    let stamp = Instant::from_nanos(u64::from_ne_bytes(*bytes));
    if stamp.since(now).max(now.since(stamp)) > STAMP_AGE_MAX {
        now
    } else {
        stamp
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::Instant;

    use super::stamp_of;

    #[test]
    fn a_stamp_that_cannot_be_is_now() {
        let now = Instant::from_nanos(50_000_000_000);
        let earlier = now - Duration::from_millis(3);
        assert_eq!(stamp_of(&earlier.as_nanos().to_ne_bytes(), now), earlier);
        assert_eq!(stamp_of(&[0; 60], now), now);
        assert_eq!(stamp_of(&[0xff; 60], now), now);
        assert_eq!(stamp_of(&[1], now), now);
    }
}
