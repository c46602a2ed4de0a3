//! The turns of a flow as one of its sessions sees them: from the first on that has not ended for it.

use wire::seq::OnlineSeq;

use super::captured::Captured;
use super::turn::Turn;
use super::unasked::Signs;

/// The turns that one session has still to play.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue<'a> {
    captured: &'a Captured,
    front: u64,
}

impl<'a> Queue<'a> {
    /// Those of `captured` from number `front` on.
    #[inline]
    pub(super) fn of(captured: &'a Captured, front: u64) -> Self {
        Self { captured, front }
    }

    pub(crate) fn len(self) -> usize {
        self.captured.count().saturating_sub(self.front) as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub(crate) fn front(self) -> Option<&'a Turn> {
        self.get(0)
    }

    pub(crate) fn get(self, index: usize) -> Option<&'a Turn> {
        self.captured.get(self.front + index as u64)
    }

    /// Where the client's stream ends.
    pub(crate) fn end(self) -> u64 {
        self.captured.end()
    }

    /// Where the online server's bytes end, as far as they were seen.
    pub(crate) fn online_end(self) -> OnlineSeq {
        self.captured.online_end()
    }

    /// Whether the online server had spoken before the client's first byte.
    pub(crate) fn is_greeted(self) -> bool {
        self.captured.is_greeted()
    }

    /// Whether the online server has spoken without having been asked.
    pub(crate) fn is_unprompted(self) -> bool {
        self.captured.is_unprompted()
    }

    /// Whether either side speaks unasked.
    pub(crate) fn signs(self) -> Signs {
        self.captured.signs()
    }

    /// The front has ended.
    pub(crate) fn pass(&mut self) {
        self.front += 1;
    }
}
