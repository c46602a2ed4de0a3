//! Cues on their way to a worker: packets of a file, each with its time.

use crossbeam_channel::Sender;
use replay::{Cue, Side};
use session::Instant;

/// Most bytes of a batch; one packet more may stand in it.
const BYTES_MAX: usize = 64 << 10;
/// Most cues of a batch.
const CUES_MAX: usize = 256;

/// Cues, in the order in which they are due.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    cues: Vec<Entry>,
    /// The online server's packets are made from what clients acknowledge: there is nothing to compare the target with.
    pub(crate) is_one_sided: bool,
    /// Behind its cues, of which there are none then, the files begin anew: once this worker has brought everything to its end it drops
    /// this, and whoever reads goes on.
    pub(crate) again: Option<Sender<()>>,
}

/// A packet and its times.
#[derive(Clone, Copy, Debug)]
struct Entry {
    due: Instant,
    stamp: Instant,
    side: Side,
    flows_open: u32,
    /// Where its bytes end, which begin where those of the cue before end.
    end: usize,
}

/// A packet that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due<'a> {
    pub(crate) stamp: Instant,
    pub(crate) side: Side,
    /// Connections that the file has open here.
    pub(crate) flows_open: u32,
    pub(crate) packet: &'a [u8],
}

impl Batch {
    /// Adds a cue of a replay that began at `start`.
    pub(crate) fn push(&mut self, start: Instant, cue: &Cue<'_>) {
        let at = |ns| start + std::time::Duration::from_nanos(ns);
        self.bytes.extend_from_slice(cue.packet);
        self.cues.push(Entry {
            due: at(cue.due_ns),
            stamp: at(cue.stamp_ns),
            side: cue.side,
            flows_open: cue.flows_open,
            end: self.bytes.len(),
        });
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.cues.is_empty()
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES_MAX || self.cues.len() >= CUES_MAX
    }

    /// The files begin anew behind it.
    pub(crate) fn of_the_end(again: Sender<()>) -> Self {
        Self {
            again: Some(again),
            ..Self::default()
        }
    }

    /// When its first cue is due.
    pub(crate) fn begins(&self) -> Option<Instant> {
        self.cues.first().map(|cue| cue.due)
    }

    /// Cue number `index`.
    pub(crate) fn get(&self, index: usize) -> Option<Due<'_>> {
        let cue = self.cues.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.cues.get(before)?.end,
            None => 0,
        };
        Some(Due {
            stamp: cue.stamp,
            side: cue.side,
            flows_open: cue.flows_open,
            packet: self.bytes.get(start..cue.end)?,
        })
    }

    /// When cue number `index` is due.
    pub(crate) fn due(&self, index: usize) -> Option<Instant> {
        self.cues.get(index).map(|cue| cue.due)
    }
}
