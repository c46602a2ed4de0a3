//! One direction of a network path: loss, duplication, reordering, corruption, delay.

use std::collections::HashMap;

use crate::random::Random;
use crate::stack::{MICROSECOND, MILLISECOND};

/// Most packets of one flow and direction that are lost one after the other. A path that loses more is broken, and
/// what an engine does then (it gives up, and says so) is another test.
const LOST_IN_A_ROW_MAX: u8 = 2;

/// What a path does to packets, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impairment {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) reordering: u64,
    pub(crate) corruption: u64,
    pub(crate) delay: u64,
    pub(crate) jitter: u64,
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
            delay: random.range(1, 20) * MILLISECOND / random.pick(&[1, 20]),
            jitter: random.pick(&[0, 100, 3000]) * MICROSECOND,
            ..Self::default()
        }
    }
}

/// A path in one direction.
#[derive(Debug)]
pub(crate) struct Link {
    impairment: Impairment,
    random: Random,
    /// When the latest packet that was not reordered arrives.
    latest: u64,
    lost_in_a_row: HashMap<Vec<u8>, u8>,
    pub(crate) lost: u64,
}

impl Link {
    pub(crate) fn new(impairment: Impairment, random: &mut Random) -> Self {
        Self {
            impairment,
            random: random.fork(),
            latest: 0,
            lost_in_a_row: HashMap::new(),
            lost: 0,
        }
    }

    /// When, how often and how a packet sent now arrives.
    pub(crate) fn send(&mut self, now: u64, mut packet: Vec<u8>) -> Vec<(u64, Vec<u8>)> {
        let Impairment {
            loss,
            duplication,
            reordering,
            corruption,
            delay,
            jitter,
        } = self.impairment;
        // Addresses and ports: where IPv4 without options has them.
        let lost_in_a_row = self
            .lost_in_a_row
            .entry(packet[12..24].to_vec())
            .or_default();
        if self.random.percent(loss) && *lost_in_a_row < LOST_IN_A_ROW_MAX {
            *lost_in_a_row += 1;
            self.lost += 1;
            return vec![];
        }
        *lost_in_a_row = 0;
        let mut at = now + delay + self.random.range(0, jitter);
        if self.random.percent(reordering) {
            at += self.random.range(0, 2 * delay + 4 * jitter);
        } else {
            at = at.max(self.latest);
            self.latest = at;
        }
        let mut arrivals = Vec::new();
        if self.random.percent(duplication) {
            let again = at + self.random.range(0, delay);
            arrivals.push((again, packet.clone()));
        }
        if packet.len() > 60 && self.random.percent(corruption) {
            let place = self.random.range(50, packet.len() as u64 - 1) as usize;
            packet[place] ^= 0x20;
        }
        arrivals.push((at, packet));
        arrivals
    }
}
