//! What may be copied with `--read-only`: messages all of whose statements are known to read. The session's login asks the target for
//! read-only transactions besides, which is what holds where words lie.

use core::hash::{Hash as _, Hasher as _};
use std::collections::HashSet;
use std::hash::DefaultHasher;

use super::super::startup::string;
use super::STATEMENTS_MAX;
use crate::sql::{self, Dialect};

/// Judges messages, and remembers which prepared statements were copied.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Hashes of the names of statements that the target has as well. Two names with one hash lead to an error of the target, no more.
    copied: HashSet<u64>,
}

impl Judge {
    /// Nothing is known of what was prepared in a message that was not judged: names that it used are forgotten.
    pub(super) fn forget(&mut self) {
        self.copied.clear();
    }

    /// Whether a whole message may be copied.
    pub(super) fn is_safe(&mut self, message: &[u8]) -> bool {
        let mut prepared = Vec::new();
        let safe = self.is_each_safe(message, &mut prepared);
        if safe {
            prepared.truncate(STATEMENTS_MAX.saturating_sub(self.copied.len()));
            self.copied.extend(prepared);
        } else {
            // At the online server these names mean another statement from now on.
            for name in prepared {
                self.copied.remove(&name);
            }
        }
        safe
    }

    fn is_each_safe(&self, message: &[u8], prepared: &mut Vec<u64>) -> bool {
        let (mut left, mut safe) = (message, true);
        while let Some((kind, body)) = take(&mut left) {
            safe &= match kind {
                b'Q' => body
                    .split_last()
                    .is_some_and(|(_, text)| sql::reads(text, Dialect::Postgres)),
                b'P' => self.prepares(body, prepared),
                b'B' => self.binds(body, prepared),
                b'E' | b'D' | b'C' | b'S' | b'H' => true,
                _ => false,
            };
        }
        safe
    }

    fn prepares(&self, body: &[u8], prepared: &mut Vec<u64>) -> bool {
        let mut left = body;
        let (Some(name), Some(text)) = (string(&mut left), string(&mut left)) else {
            return false;
        };
        prepared.push(hash(name));
        sql::reads(text, Dialect::Postgres)
    }

    fn binds(&self, body: &[u8], prepared: &[u64]) -> bool {
        let mut left = body;
        let (Some(_portal), Some(name)) = (string(&mut left), string(&mut left)) else {
            return false;
        };
        let name = hash(name);
        prepared.contains(&name) || self.copied.contains(&name)
    }
}

/// Takes a message of the protocol off.
fn take<'a>(left: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (kind, rest) = left.split_first()?;
    let length = u32::from_be_bytes(*rest.first_chunk::<4>()?);
    let len = usize::try_from(length).ok()?;
    let body = rest.get(4..len)?;
    *left = &rest[len..];
    Some((*kind, body))
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
