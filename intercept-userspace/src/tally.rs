//! What all connections together did, those that ended included: totals that only grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::connection::{Connection, Totals};

/// Totals over connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Connections accepted.
    pub(crate) connections: u64,
    /// Connections that were closed for others, or at once because their address came too often.
    pub(crate) turned_away: u64,
    /// Reports written to sockets.
    pub(crate) written: u64,
    /// Reports dropped because a connection's queue was full.
    pub(crate) lost: u64,
    /// Reports that left out payload that was asked for, because much waited already.
    pub(crate) cut: u64,
    /// The same, because the packet was longer than a frame of the socket.
    pub(crate) too_long: u64,
    /// Bytes written to sockets.
    pub(crate) bytes: u64,
    /// Writes to sockets.
    pub(crate) writes: u64,
    /// Flows that were announced.
    pub(crate) flows: u64,
    /// ... of which not taken.
    pub(crate) flows_refused: u64,
}

impl Sums {
    fn add(&mut self, totals: &Totals) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.written += load(&totals.written);
        self.lost += load(&totals.lost);
        self.cut += load(&totals.cut);
        self.too_long += load(&totals.too_long);
        self.bytes += load(&totals.bytes);
        self.writes += load(&totals.writes);
        self.flows += load(&totals.flows);
        self.flows_refused += load(&totals.flows_refused);
    }
}

/// Who is connected, and what the others left.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    live: Vec<Arc<Connection>>,
    past: Sums,
}

impl Tally {
    /// A connection was accepted.
    pub(crate) fn arrive(&self, connection: Arc<Connection>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.past.connections += 1;
        state.live.push(connection);
    }

    /// A connection was closed for another, or because its address came too often.
    pub(crate) fn turn_away(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.past.turned_away += 1;
    }

    /// A connection ended.
    pub(crate) fn depart(&self, connection: &Arc<Connection>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { live, past } = &mut *state;
        live.retain(|known| {
            let stays = !Arc::ptr_eq(known, connection);
            if !stays {
                past.add(&known.totals);
            }
            stays
        });
    }

    /// All of them up to now.
    pub(crate) fn sums(&self) -> Sums {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = state.past;
        for connection in &state.live {
            sums.add(&connection.totals);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::Tally;
    use crate::connection::Connection;

    #[test]
    fn what_a_connection_did_stays_when_it_has_gone() {
        let tally = Tally::default();
        let (one, _peer_one, _) = Connection::for_test();
        let (two, _peer_two, _) = Connection::for_test();
        for connection in [&one, &two] {
            tally.arrive(Arc::clone(connection));
            connection.totals.written.fetch_add(5, Ordering::Relaxed);
        }
        let before = tally.sums();
        assert_eq!((before.connections, before.written), (2, 10));
        tally.depart(&one);
        tally.depart(&one);
        assert_eq!(tally.sums(), before);
        two.totals.lost.fetch_add(1, Ordering::Relaxed);
        assert_eq!(tally.sums().lost, 1);
    }
}
