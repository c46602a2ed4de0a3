//! Whether what a target sends answers the turn that it is taken for.
//!
//! A turn that is released before its response is known to be complete leaves a doubt: the rest may come later, and would be
//! taken for the response to the next turn. Until it is known better, turns are not compared (*unpaired*).

/// What a doubt comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Why {
    /// A turn was released without an answer.
    #[default]
    TimedOut,
    /// A turn was released on a guess: by a silence, or because its response ended like others of any length, and exactly what it
    /// lacked came next.
    Guess,
}

/// The doubt about the turns to come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Doubt {
    /// So many bytes may still come that answer turns before; there is no doubt where it is none.
    pub(crate) owed: u32,
    /// For so many more turns the target's silence is waited for, to find out whether they do.
    pub(crate) checks: u8,
    pub(crate) why: Why,
}

impl Doubt {
    /// Whether there is one.
    pub(crate) fn is_open(self) -> bool {
        self.owed > 0
    }

    /// After a response that has ended `missing` bytes before the online server's.
    pub(crate) fn about(missing: u32, why: Why) -> Self {
        Self {
            owed: missing,
            checks: 1,
            why,
        }
    }

    /// A turn was released that has `owed` bytes of its response still to come, for all that is known; so may be those of
    /// turns before it.
    pub(crate) fn grow(&mut self, owed: u32, checks: u8) {
        *self = Self {
            owed: self.owed.saturating_add(owed),
            checks: self.checks.max(checks),
            why: Why::TimedOut,
        };
    }

    /// Bytes have come that answer no turn but those before.
    pub(crate) fn pay(&mut self, bytes: u32) {
        self.owed = self.owed.saturating_sub(bytes);
        if self.owed == 0 {
            *self = Self::default();
        }
    }

    /// How many bytes more than its own a turn has to see before it is answered without a doubt, where that is waited for.
    pub(crate) fn waited_for(self) -> u64 {
        if self.checks > 0 {
            u64::from(self.owed)
        } else {
            0
        }
    }
}
