//! What was turned while a run went on, by whom and when: without it nobody could tell afterwards why half of the requests are missing.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde::Serialize;

use crate::moment::rfc3339;

/// Most changes that are listed; the oldest are left out then, and counted.
pub const CHANGES_MAX: usize = 256;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When it was made: RFC 3339, UTC.
    pub at: String,
    /// What was changed: `percent`, `copies`, `max-new-sessions`, `paused`, ...
    pub what: &'static str,
    /// The rule that it concerns; nothing where it is about the whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// As it was before.
    pub from: String,
    /// As it is from then on.
    pub to: String,
    /// Who asked for it.
    pub by: String,
}

/// All changes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    list: VecDeque<Change>,
    unlisted: u64,
}

impl Changes {
    /// Adds one that was made at this time.
    pub fn push(&mut self, at: SystemTime, change: Change) {
        if self.list.len() >= CHANGES_MAX {
            self.list.pop_front();
            self.unlisted += 1;
        }
        let at = rfc3339(at);
        self.list.push_back(Change { at, ..change });
    }

    /// Those that are listed, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Change> {
        self.list.iter().cloned().collect()
    }

    /// How many older ones the list has no room for.
    #[must_use]
    pub const fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.list.len() as u64 + self.unlisted
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::{CHANGES_MAX, Change, Changes};

    #[test]
    fn the_latest_are_listed_and_the_others_counted() {
        let mut changes = Changes::default();
        for percent in 0..CHANGES_MAX + 3 {
            let change = Change {
                at: String::new(),
                what: "percent",
                rule: None,
                from: "100".to_owned(),
                to: percent.to_string(),
                by: "a test".to_owned(),
            };
            changes.push(SystemTime::UNIX_EPOCH, change);
        }
        let list = changes.list();
        assert_eq!((list.len(), changes.unlisted()), (CHANGES_MAX, 3));
        assert_eq!(
            (&*list[0].to, &*list[0].at),
            ("3", "1970-01-01T00:00:00.000Z")
        );
        assert_eq!(changes.count(), CHANGES_MAX as u64 + 3);
    }
}
