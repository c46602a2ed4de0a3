//! One direction of a network path: loss, duplication, reordering, corruption, delay, a narrow pipe, other segments.

use std::collections::HashMap;

use crate::packet;
use crate::random::Random;
use crate::stack::{MICROSECOND, MILLISECOND, SECOND};

/// Most packets of one flow and direction that are lost one after the other. A path that loses more is broken, and
/// what an engine does then (it gives up, and says so) is another test.
const LOST_IN_A_ROW_MAX: u8 = 2;

/// A pipe of limited width: bytes per second, and bytes that may wait before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pipe {
    pub(crate) rate: u64,
    pub(crate) queue: u64,
}

/// What a path does to packets, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Impairment {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) reordering: u64,
    pub(crate) corruption: u64,
    /// Packets that something on the way cuts in two.
    pub(crate) splitting: u64,
    pub(crate) delay: u64,
    pub(crate) jitter: u64,
    pub(crate) pipe: Option<Pipe>,
}

impl Impairment {
    /// A path without faults.
    pub(crate) fn clean(random: &mut Random) -> Self {
        Self {
            delay: random.range(10, 2000) * MICROSECOND,
            jitter: random.pick(&[0, 20, 500]) * MICROSECOND,
            ..Self::default()
        }
    }

    /// A path with up to `loss_max` percent of loss, and the rest of what networks do.
    pub(crate) fn faulty(random: &mut Random, loss_max: u64) -> Self {
        Self {
            loss: if random.percent(70) {
                random.range(1, loss_max)
            } else {
                0
            },
            duplication: random.pick(&[0, 0, 1, 10]),
            reordering: random.pick(&[0, 0, 2, 20]),
            corruption: random.pick(&[0, 0, 0, 3]),
            splitting: 0,
            delay: random.range(1, 20) * MILLISECOND / random.pick(&[1, 20]),
            jitter: random.pick(&[0, 100, 3000]) * MICROSECOND,
            pipe: random.percent(10).then(|| Pipe {
                rate: random.pick(&[50_000, 1_000_000]),
                queue: random.pick(&[15_000, 100_000]),
            }),
        }
    }

    /// Whether packets may get lost, or come otherwise than they were sent.
    pub(crate) fn is_faulty(&self) -> bool {
        self.loss + self.reordering + self.corruption + self.duplication > 0 || self.pipe.is_some()
    }

    /// Whether a packet may not arrive.
    pub(crate) fn loses(&self) -> bool {
        self.loss + self.corruption > 0 || self.pipe.is_some()
    }
}

/// What happened to packets on a path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) taken: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupted: u64,
    pub(crate) split: u64,
    pub(crate) overflowed: u64,
}

/// A path in one direction.
#[derive(Debug)]
pub(crate) struct Link {
    impairment: Impairment,
    random: Random,
    /// Whether only payload is corrupted, because headers are believed where it ends.
    spares_headers: bool,
    /// When the latest packet that was not reordered arrives.
    latest: u64,
    /// When the pipe will have taken all that waits.
    busy_until: u64,
    lost_in_a_row: HashMap<[u8; 36], u8>,
    pub(crate) done: Done,
}

impl Link {
    pub(crate) fn new(impairment: Impairment, spares_headers: bool, random: &mut Random) -> Self {
        Self {
            impairment,
            random: random.fork(),
            spares_headers,
            latest: 0,
            busy_until: 0,
            lost_in_a_row: HashMap::new(),
            done: Done::default(),
        }
    }

    /// Nothing is wrong with it any more.
    pub(crate) fn calm(&mut self) {
        self.impairment = Impairment {
            delay: self.impairment.delay,
            jitter: self.impairment.jitter,
            ..Impairment::default()
        };
    }

    /// When, how often and how a packet sent now arrives.
    pub(crate) fn send(&mut self, now: u64, packet: Vec<u8>) -> Vec<(u64, Vec<u8>)> {
        self.done.taken += 1;
        if self.random.percent(self.impairment.splitting)
            && let Some((first, second)) = packet::split(&packet, self.random.next())
        {
            self.done.split += 1;
            let mut arrivals = self.send_one(now, first);
            arrivals.extend(self.send_one(now, second));
            return arrivals;
        }
        self.send_one(now, packet)
    }

    fn send_one(&mut self, now: u64, mut packet: Vec<u8>) -> Vec<(u64, Vec<u8>)> {
        let Impairment {
            loss,
            duplication,
            reordering,
            corruption,
            delay,
            jitter,
            pipe,
            ..
        } = self.impairment;
        let Some(entered) = self.enter(now, packet.len(), pipe) else {
            self.done.overflowed += 1;
            return vec![];
        };
        let flow = packet::ends(&packet);
        let lost_in_a_row = self.lost_in_a_row.entry(flow).or_default();
        if self.random.percent(loss) && *lost_in_a_row < LOST_IN_A_ROW_MAX {
            *lost_in_a_row += 1;
            self.done.lost += 1;
            return vec![];
        }
        let corrupts = self.random.percent(corruption) && *lost_in_a_row < LOST_IN_A_ROW_MAX;
        *lost_in_a_row = if corrupts { *lost_in_a_row + 1 } else { 0 };
        let mut at = entered + delay + self.random.range(0, jitter);
        if self.random.percent(reordering) {
            self.done.reordered += 1;
            at += self.random.range(0, 2 * delay + 4 * jitter);
        } else {
            at = at.max(self.latest);
            self.latest = at;
        }
        let mut arrivals = Vec::new();
        if self.random.percent(duplication) {
            self.done.duplicated += 1;
            let again = at + self.random.range(0, delay);
            arrivals.push((again, packet.clone()));
        }
        if corrupts {
            self.done.corrupted += 1;
            let from = if self.spares_headers {
                packet::payload_offset(&packet)
            } else {
                0
            };
            if from >= packet.len() {
                return arrivals;
            }
            let place = self.random.range(from as u64, packet.len() as u64 - 1) as usize;
            let bit = 1 << self.random.range(0, 7);
            packet[place] ^= bit;
            if packet::looks_offloaded(&packet) {
                // One in 65,536 looks as if its checksum had been left to the device, and would be believed.
                packet[place] ^= bit;
            }
        }
        arrivals.push((at, packet));
        arrivals
    }

    /// When a packet has passed the pipe, or `None` where too many wait before it.
    fn enter(&mut self, now: u64, len: usize, pipe: Option<Pipe>) -> Option<u64> {
        let Some(Pipe { rate, queue }) = pipe else {
            return Some(now);
        };
        let begins = self.busy_until.max(now);
        if (begins - now) * rate / SECOND > queue {
            return None;
        }
        self.busy_until = begins + len as u64 * SECOND / rate;
        Some(self.busy_until)
    }
}
