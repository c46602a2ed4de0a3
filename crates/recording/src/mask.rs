//! Well-known secrets of HTTP/1, overwritten before anything is written: the values of four headers become stars, as many as they
//! had bytes, so that lengths and sequence numbers stay as they were.
//!
//! A value may be split anywhere, so what was read so far is remembered for each direction of each connection. Where bytes are
//! missing before a packet (it came too early, it was lost, or the connection is older than the recording), what may be the rest of
//! a value is overwritten too: rather a header too many than a secret that stands in the file.
//!
//! | module | holds |
//! |---|---|
//! | [`scanner`] | lines and heads, byte by byte |
//!
//! **Bounded:** [`FLOWS_MAX`] directions, twice; [`RANGES_MAX`] places of each are remembered for what is sent again.

mod scanner;

use std::collections::{HashMap, VecDeque};

use wire::flow::Endpoint;
use wire::segment::Segment;
use wire::tcp::Flags;

use crate::packet::sum_again;
use scanner::{Scanner, overwrite};

/// Directions that are remembered since the last change of generations, of which there are two.
const FLOWS_MAX: usize = 32_768;
/// Overwritten places of a direction that are remembered.
const RANGES_MAX: usize = 32;

/// What is remembered of all connections.
#[derive(Debug, Default)]
pub struct Mask {
    young: HashMap<(Endpoint, Endpoint), Direction>,
    old: HashMap<(Endpoint, Endpoint), Direction>,
    values: u64,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Direction {
    /// Sequence number of the first byte that was not read yet, and of the first since which none is missing.
    read: Option<(u32, u32)>,
    scanner: Scanner,
    /// What was overwritten, oldest first: from, and up to.
    overwritten: VecDeque<(u32, u32)>,
}

impl Mask {
    /// How many values were overwritten; one that comes in several packets counts in each.
    #[must_use]
    pub const fn values(&self) -> u64 {
        self.values
    }

    /// Overwrites what is secret in a packet, which begins with its IP header, and makes its checksum right then.
    pub fn apply(&mut self, packet: &mut [u8]) {
        let Ok(segment) = Segment::parse(&*packet, 0) else {
            return;
        };
        let direction = self.direction(&segment);
        let begins = segment.flags.contains(Flags::SYN);
        let seq = segment.seq.wrapping_add(u32::from(begins));
        if begins {
            *direction = Direction {
                read: Some((seq, seq)),
                ..Direction::default()
            };
        }
        let Some(payload) = packet.get_mut(usize::from(segment.payload_offset)..) else {
            return;
        };
        let len = payload.len().min(segment.payload_len.into());
        let (payload, _) = payload.split_at_mut(len);
        if payload.is_empty() {
            return;
        }
        let values = direction.overwrite(seq, payload);
        if values > 0 {
            self.values += values;
            sum_again(&segment, packet);
        }
    }

    fn direction(&mut self, segment: &Segment) -> &mut Direction {
        if self.young.len() >= FLOWS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        let key = (segment.source, segment.destination);
        let old = &mut self.old;
        self.young
            .entry(key)
            .or_insert_with(|| old.remove(&key).unwrap_or_default())
    }
}

impl Direction {
    /// Overwrites secrets in these bytes; returns how many.
    fn overwrite(&mut self, seq: u32, payload: &mut [u8]) -> u64 {
        let Some((next, whole_from)) = self.read else {
            return self.read_cold(seq, payload);
        };
        let ahead = seq.wrapping_sub(next).cast_signed();
        if ahead > 0 {
            return self.read_cold(seq, payload);
        }
        let known = payload.len().min(ahead.unsigned_abs() as usize);
        let (again, new) = payload.split_at_mut(known);
        let mut values = 0;
        if !again.is_empty() {
            values += self.overwrite_again(seq, again, whole_from);
        }
        if !new.is_empty() {
            values += self.read_on(next, new);
        }
        values
    }

    /// What follows what was read.
    fn read_on(&mut self, seq: u32, new: &mut [u8]) -> u64 {
        let mut values = 0;
        let places = self.scanner.scan(new);
        for place in places {
            self.remember(seq, &place);
            values += 1;
        }
        if let Some((next, _)) = &mut self.read {
            *next = seq.wrapping_add(len_of(new));
        }
        values
    }

    /// What has a hole before it.
    fn read_cold(&mut self, seq: u32, payload: &mut [u8]) -> u64 {
        self.read = Some((seq, seq));
        self.overwritten.clear();
        let rest = self.scanner.resume(payload);
        let mut values = 0;
        if rest > 0 {
            self.remember(seq, &(0..rest));
            values += 1;
        }
        let (_, payload) = payload.split_at_mut(rest);
        values + self.read_on(seq.wrapping_add(rest as u32), payload)
    }

    /// What is sent again, or comes late.
    fn overwrite_again(&self, seq: u32, again: &mut [u8], whole_from: u32) -> u64 {
        let mut values = 0;
        let before = whole_from.wrapping_sub(seq).cast_signed();
        let before = again.len().min(usize::try_from(before).unwrap_or(0));
        if before > 0 {
            // Nobody has read it, or it was forgotten. A head may have been there, whatever came behind it.
            let mut scanner = Scanner::in_head();
            let (late, _) = again.split_at_mut(before);
            let rest = scanner.resume(late);
            let (_, late) = late.split_at_mut(rest);
            values += u64::from(rest > 0) + scanner.scan(late).len() as u64;
        }
        for (from, to) in &self.overwritten {
            let from = from.wrapping_sub(seq).cast_signed();
            let to = to.wrapping_sub(seq).cast_signed();
            let from = usize::try_from(from).unwrap_or(0).min(again.len());
            let to = usize::try_from(to).unwrap_or(0).min(again.len());
            if let Some(secret) = again.get_mut(from..to)
                && !secret.is_empty()
            {
                overwrite(secret);
                values += 1;
            }
        }
        values
    }

    fn remember(&mut self, seq: u32, place: &std::ops::Range<usize>) {
        let from = seq.wrapping_add(place.start as u32);
        let to = seq.wrapping_add(place.end as u32);
        if self.overwritten.len() == RANGES_MAX
            && let Some((_, end)) = self.overwritten.pop_front()
            && let Some((_, whole_from)) = &mut self.read
        {
            *whole_from = end;
        }
        self.overwritten.push_back((from, to));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a packet has at most 65,535 bytes"
)]
const fn len_of(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

#[cfg(test)]
mod tests;
