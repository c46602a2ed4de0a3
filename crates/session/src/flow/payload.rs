//! The bytes of a client's stream that a session still has to send, or to send again.

use super::boundaries::Boundaries;
use crate::arena::{Arena, Chain, OverBudget};

/// They, and where they stand in the stream.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    data: Chain,
    /// From here on nothing was dropped; where there are no bytes, the slowest session's place.
    start: u64,
    boundaries: Boundaries,
}

impl Payload {
    /// Nothing is kept before `start`.
    pub(super) fn from_start(start: u64) -> Self {
        Self {
            start,
            ..Self::default()
        }
    }

    /// From here on the stream is kept.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// How many bytes are kept.
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// Bytes from `start` of the stream on, which follow those that are kept.
    #[inline(always)]
    pub(crate) fn append(
        &mut self,
        start: u64,
        bytes: &[u8],
        arena: &mut Arena,
    ) -> Result<(), OverBudget> {
        if self.data.is_empty() {
            self.start = start;
        } else {
            debug_assert_eq!(self.start + self.data.len() as u64, start);
            self.boundaries.push(start);
        }
        arena.append(&mut self.data, bytes)
    }

    /// Where in `offset..end` a segment has to end since one of the client's did; what lies before `sent` was sent before, and may
    /// be cut anywhere.
    pub(crate) fn segment_end(&self, offset: u64, end: u64, sent: u64) -> u64 {
        let boundary = self.boundaries.after(offset.max(sent));
        end.min(boundary.unwrap_or(end))
    }

    /// All of the flow's sessions have sent everything before `offset`.
    pub(crate) fn on_sent(&mut self, offset: u64) {
        self.boundaries.pass(offset);
    }

    /// Copies what stands at `offset` of the stream.
    pub(crate) fn copy_out(&self, arena: &Arena, offset: u64, into: &mut [u8]) {
        debug_assert!(offset >= self.start);
        let at = offset.saturating_sub(self.start) as usize;
        arena.copy_out(&self.data, at, into);
    }

    /// The first bytes of what stands at `offset`, as many as there are and `into` holds.
    pub(crate) fn peek<'a>(&self, arena: &Arena, offset: u64, into: &'a mut [u8]) -> &'a [u8] {
        let at = offset.saturating_sub(self.start) as usize;
        let len = self.data.len().saturating_sub(at).min(into.len());
        arena.copy_out(&self.data, at, &mut into[..len]);
        &into[..len]
    }

    /// What stands before `offset` is needed by nobody any more.
    pub(crate) fn drop_before(&mut self, offset: u64, arena: &mut Arena) {
        if offset <= self.start {
            return;
        }
        if !self.data.is_empty() {
            let passed = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
            arena.drop_front(&mut self.data, passed);
            if self.data.is_empty() {
                self.boundaries.clear();
            } else {
                self.boundaries.pass(offset);
            }
        }
        self.start = offset;
    }
}
