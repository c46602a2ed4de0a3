//! The connections that are being followed: as many as memory is set aside for, the ones that were heard of last.
//!
//! They stand in two tables. Who is heard of moves to the new one; when that is full, what is left in the old one has been silent
//! for longest, and is counted as it is.

use std::collections::HashMap;

use wire::flow::Endpoint;

use super::connection::Connection;

/// Connections that are followed at a time, at most: some 50 MB.
pub(super) const CONNECTIONS_MAX: usize = 1 << 17;

/// What a connection is known by: its network, and its ends in the order of their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) network: u32,
    pub(super) ends: [Endpoint; 2],
}

impl Key {
    /// The key of a packet, and which of the ends has sent it.
    pub(super) fn of(network: u32, source: Endpoint, destination: Endpoint) -> (Self, usize) {
        let order = |end: &Endpoint| (*end.addr.octets(), end.port);
        if order(&source) <= order(&destination) {
            let ends = [source, destination];
            (Self { network, ends }, 0)
        } else {
            let ends = [destination, source];
            (Self { network, ends }, 1)
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    new: HashMap<Key, Connection>,
    old: HashMap<Key, Connection>,
}

impl Connections {
    /// The connection of this key, if it is followed.
    pub(super) fn get(&mut self, key: &Key) -> Option<&mut Connection> {
        if !self.new.contains_key(key) {
            let found = self.old.remove(key)?;
            self.new.insert(*key, found);
        }
        self.new.get_mut(key)
    }

    /// Whether there is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.new.len() >= CONNECTIONS_MAX / 2
    }

    /// Makes room: gives what has been silent for longest.
    pub(super) fn make_room(&mut self) -> impl Iterator<Item = (Key, Connection)> {
        std::mem::replace(&mut self.old, std::mem::take(&mut self.new)).into_iter()
    }

    /// Begins to follow a connection; gives the one of the same key that ends with that.
    pub(super) fn begin(&mut self, key: Key) -> Option<Connection> {
        let before = self.old.remove(&key);
        self.new.insert(key, Connection::default()).or(before)
    }

    /// All that is followed.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Key, Connection)> {
        let (new, old) = (std::mem::take(&mut self.new), std::mem::take(&mut self.old));
        new.into_iter().chain(old)
    }
}
