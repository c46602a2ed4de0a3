//! The thread that writes to one tcpcopy: many reports per write.

use std::io::{self, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use channel::{SILENCE_MAX, encode};
use crossbeam_channel::Receiver;

use crate::connection::{Connection, Outgoing};

/// What waits is put together up to this length, in bytes, and written at once.
const WRITE_LEN: usize = 65_536;

/// Writes until the connection ends. A peer that takes nothing for [`SILENCE_MAX`] is closed; after a goodbye its reader
/// closes.
pub(crate) fn run(connection: &Arc<Connection>, queue: &Receiver<Outgoing>) {
    if let Err(error) = write_all(connection, queue) {
        tracing::debug!(peer = %connection.peer, "cannot write to it: {error}");
        connection.close();
    }
}

fn write_all(connection: &Connection, queue: &Receiver<Outgoing>) -> io::Result<()> {
    let mut stream = &connection.stream;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let mut bytes = Vec::new();
    while let Ok(first) = queue.recv() {
        let (mut reports, mut next, mut ended) = (0, Some(first), false);
        while let Some(outgoing) = next {
            match outgoing {
                Outgoing::Reports { frame, count } => {
                    bytes.extend_from_slice(&frame);
                    reports += u64::from(count);
                }
                Outgoing::Control(frames) => bytes.extend_from_slice(&frames),
                Outgoing::End => ended = true,
            }
            next = if ended || bytes.len() >= WRITE_LEN {
                None
            } else {
                queue.try_recv().ok()
            };
        }
        let lost = connection.take_untold();
        if lost > 0 {
            encode::lost(&mut bytes, lost);
        }
        stream.write_all(&bytes)?;
        let totals = &connection.totals;
        totals.written.fetch_add(reports, Ordering::Relaxed);
        totals.writes.fetch_add(1, Ordering::Relaxed);
        totals
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        bytes.clear();
        if ended {
            return stream.shutdown(Shutdown::Write);
        }
    }
    Ok(())
}
