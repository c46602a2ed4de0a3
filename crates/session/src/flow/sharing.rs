//! Until when a flow keeps what it has captured: for the slowest of its sessions.
//!
//! Each session says from where on it needs the stream. Those that need the first byte that is kept are counted, so that an
//! acknowledgement costs the same however many there are: only when the last of these *laggards* has passed are all of them
//! asked.

use super::Flow;
use crate::arena::Arena;
use crate::id::SessionId;

impl Flow {
    /// A session has sent everything before `offset` of the stream.
    pub(crate) fn on_sent(&mut self, offset: u64) {
        if self.sessions == 1 {
            self.payload.on_sent(offset);
        }
    }

    /// Another session copies it, of which nothing has been sent yet.
    pub(crate) fn add(&mut self, id: SessionId) {
        self.head = Some(id);
        self.sessions += 1;
        self.laggards += 1;
    }

    /// A session that needed the stream from `old` on needs it only from `new` on, and the turns from number `front` on.
    /// Returns whether what is kept may be of use to nobody any more, so that all the sessions have to be asked: see
    /// [`Flow::keep`].
    #[inline]
    pub(crate) fn pass(&mut self, old: u64, new: u64, front: u64, arena: &mut Arena) -> bool {
        debug_assert!(old <= new && new <= self.end(), "{old}..{new}");
        if self.sessions == 1 {
            if new > old {
                self.payload.drop_before(new, arena);
            }
            self.captured.forget_before(front, arena);
        } else if old <= self.payload.start() && new > old {
            self.laggards -= 1;
            return self.laggards == 0;
        }
        false
    }

    /// The `laggards` slowest of its sessions need the stream from `from` on, and the slowest the turns from number `front` on.
    pub(crate) fn keep(&mut self, from: u64, front: u64, laggards: u32, arena: &mut Arena) {
        self.laggards = laggards;
        self.payload.drop_before(from, arena);
        self.captured.forget_before(front, arena);
    }

    /// A session is gone, which needed the stream from `from` on. Returns as [`Flow::pass`] does.
    pub(crate) fn leave(&mut self, from: u64) -> bool {
        self.sessions -= 1;
        if self.sessions > 0 {
            self.stream.note_left();
        }
        self.laggards -= u32::from(from <= self.payload.start());
        self.laggards == 0
    }

    /// Bytes of it that are in no turn, to be counted now that a session leaves: with the last of them, for all that it has had, since
    /// some may have come when others had left.
    pub(crate) fn unordered_bytes_at_leave(&self) -> u64 {
        if self.sessions > 1 {
            return 0;
        }
        let held = self.reading.as_ref().map_or(0, |it| it.held_len());
        self.stream.unordered_bytes_of_all(held)
    }

    /// Nobody needs it any more.
    pub(crate) fn clear(&mut self, arena: &mut Arena) {
        self.stream.clear(arena);
        self.payload.drop_before(self.end(), arena);
        self.captured.clear(arena);
    }
}
