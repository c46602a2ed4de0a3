//! What may be copied with `--read-only`: messages all of whose statements are known to read. The session's login asks the target for
//! read-only transactions besides, which is what holds where words lie. Of a connection whose beginning was not seen: messages that name
//! no statement which was prepared before.

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

    /// Whether a whole message may be copied; with `read_only` only where it reads.
    pub(super) fn may_be_copied(&mut self, message: &[u8], read_only: bool) -> bool {
        let mut prepared = Vec::new();
        let safe = self.is_each_safe(message, read_only, &mut prepared);
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

    fn is_each_safe(&self, message: &[u8], read_only: bool, prepared: &mut Vec<u64>) -> bool {
        let (mut left, mut safe) = (message, true);
        while let Some((kind, body)) = take(&mut left) {
            safe &= match kind {
                b'Q' if read_only => body
                    .split_last()
                    .is_some_and(|(_, text)| sql::reads(text, Dialect::Postgres)),
                b'P' => prepares(body, read_only, prepared),
                b'B' => self.binds(body, prepared),
                b'D' if !read_only => self.describes(body, prepared),
                b'E' | b'D' | b'C' | b'S' | b'H' => true,
                _ => !read_only,
            };
        }
        safe
    }

    fn binds(&self, body: &[u8], prepared: &[u64]) -> bool {
        let mut left = body;
        let (Some(_portal), Some(name)) = (string(&mut left), string(&mut left)) else {
            return false;
        };
        self.is_known(name, prepared)
    }

    /// Whether what a Describe names was prepared by what was copied; of a portal its Bind says so.
    fn describes(&self, body: &[u8], prepared: &[u64]) -> bool {
        let Some((b'S', mut left)) = body.split_first().map(|(kind, left)| (*kind, left)) else {
            return true;
        };
        string(&mut left).is_some_and(|name| self.is_known(name, prepared))
    }

    fn is_known(&self, name: &[u8], prepared: &[u64]) -> bool {
        let name = hash(name);
        prepared.contains(&name) || self.copied.contains(&name)
    }
}

fn prepares(body: &[u8], read_only: bool, prepared: &mut Vec<u64>) -> bool {
    let mut left = body;
    let (Some(name), Some(text)) = (string(&mut left), string(&mut left)) else {
        return false;
    };
    prepared.push(hash(name));
    !read_only || sql::reads(text, Dialect::Postgres)
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
