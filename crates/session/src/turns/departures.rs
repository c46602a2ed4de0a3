//! When the turns of a session have left: nearly always only the front has.

use std::collections::VecDeque;

use crate::time::Instant;

/// When a turn has left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Departed {
    /// Its first byte.
    pub(super) first: Option<Instant>,
    /// Its last byte, as far as it was captured then.
    pub(super) last: Option<Instant>,
}

/// When turns have left, from the front on.
#[derive(Debug, Default)]
pub(super) struct Departures {
    front: Departed,
    /// Those behind the front, where turns do not wait.
    #[expect(
        clippy::box_collection,
        reason = "hardly any session has some, and a pointer is all that the others hold"
    )]
    behind: Option<Box<VecDeque<Departed>>>,
}

impl Departures {
    /// Of the turn that is `index` places behind the front bytes were sent; `whole` says that its last were.
    pub(super) fn on_sent(&mut self, index: usize, whole: bool, now: Instant) {
        let departed = match index.checked_sub(1) {
            None => &mut self.front,
            Some(index) => {
                let behind = self.behind.get_or_insert_default();
                if behind.len() <= index {
                    behind.resize(index + 1, Departed::default());
                }
                &mut behind[index]
            }
        };
        departed.first.get_or_insert(now);
        if whole {
            departed.last = Some(now);
        }
    }

    /// The client has added to a turn.
    pub(super) fn on_grown(&mut self, index: usize) {
        match index.checked_sub(1) {
            None => self.front.last = None,
            Some(index) => {
                let behind = self.behind.as_mut();
                if let Some(departed) = behind.and_then(|behind| behind.get_mut(index)) {
                    departed.last = None;
                }
            }
        }
    }

    /// When the last byte of the front left.
    pub(super) fn front_last(&self) -> Option<Instant> {
        self.front.last
    }

    /// Whether a byte of the front has left.
    pub(super) fn has_begun(&self) -> bool {
        self.front.first.is_some()
    }

    /// The front has ended.
    pub(super) fn pass(&mut self) -> Departed {
        let next = match &mut self.behind {
            None => Departed::default(),
            Some(behind) => {
                let next = behind.pop_front().unwrap_or_default();
                if behind.is_empty() {
                    self.behind = None;
                }
                next
            }
        };
        core::mem::replace(&mut self.front, next)
    }

    /// The front's, where no other has left.
    pub(super) fn only(&self) -> Option<Departed> {
        self.behind.is_none().then_some(self.front)
    }
}

impl From<Departed> for Departures {
    fn from(front: Departed) -> Self {
        Self {
            front,
            behind: None,
        }
    }
}
