//! Keys by which statements of PostgreSQL are cancelled: the online server's of a client's connection, and the target's of its copy.
//!
//! A connection that cancels has another port than the one whose statement it cancels, and so may be another worker's: the keys are those of all
//! workers of a rule.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::opening::CancelKey;

/// Most connections of a rule whose keys are known; of more the oldest are forgotten. Some 100 bytes each.
pub const CANCELS_MAX: usize = 1 << 16;

/// The keys of one rule's sessions.
#[derive(Debug, Default)]
pub struct Cancels(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    target_of: HashMap<CancelKey, CancelKey>,
    /// The online server's, the oldest first.
    order: VecDeque<CancelKey>,
}

impl Cancels {
    /// A session of a client's connection with the key `online` has the key `target`. Returns whether an older one was forgotten for it.
    pub fn learn(&self, online: CancelKey, target: CancelKey) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.target_of.insert(online.clone(), target).is_some() {
            // It has logged in once more.
            return false;
        }
        known.order.push_back(online);
        if known.order.len() <= CANCELS_MAX {
            return false;
        }
        let oldest = known.order.pop_front();
        oldest.is_some_and(|oldest| known.target_of.remove(&oldest).is_some())
    }

    /// The target's key of the session whose client has this one.
    #[must_use]
    pub fn target_of(&self, online: &CancelKey) -> Option<CancelKey> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.target_of.get(online).cloned()
    }
}

/// What rules ask for is compared, and not what their sessions have come to know.
impl PartialEq for Cancels {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Cancels {}

#[cfg(test)]
mod tests {
    use super::{CANCELS_MAX, Cancels};
    use crate::opening::CancelKey;

    fn key(process: u32) -> CancelKey {
        let body = [process.to_be_bytes(), [7; 4]].concat();
        CancelKey::parse(&body).expect("a key")
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let cancels = Cancels::default();
        for process in 0..CANCELS_MAX as u32 {
            assert!(!cancels.learn(key(process), key(process + 1)));
        }
        assert!(!cancels.learn(key(0), key(5)));
        assert_eq!(cancels.target_of(&key(0)), Some(key(5)));
        assert!(cancels.learn(key(u32::MAX), key(6)));
        assert_eq!(cancels.target_of(&key(0)), None);
        assert_eq!(cancels.target_of(&key(1)), Some(key(2)));
        assert_eq!(cancels.target_of(&key(u32::MAX)), Some(key(6)));
    }
}
