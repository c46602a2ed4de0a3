//! The thread that writes to one tcpcopy: many reports per write.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;

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
    let stream = &connection.stream;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let mut bytes = Vec::new();
    while let Ok(first) = queue.recv() {
        let (mut items, mut reports, mut ended) = (0, 0, false);
        let mut clear = None;
        let mut next = Some(first);
        while let Some(outgoing) = next {
            match outgoing {
                Outgoing::Clear(bytes, sealer) => {
                    clear = Some((bytes, sealer));
                    break;
                }
                Outgoing::Reports { frame, count } => {
                    bytes.extend_from_slice(&frame);
                    connection.taken(&frame);
                    reports += u64::from(count);
                }
                Outgoing::Control(frames) => bytes.extend_from_slice(&frames),
                Outgoing::Rest => {}
                Outgoing::End => ended = true,
            }
            items += 1;
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
        connection.write(&bytes, reports, items)?;
        bytes.clear();
        if let Some((bytes, sealer)) = clear {
            connection.write_clear(&bytes, sealer)?;
        }
        if ended {
            return stream.shutdown(Shutdown::Write);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    use channel::{Decoder, Report, ToTcpcopy};
    use wire::flow::{Addr, Endpoint, FlowKey};

    use crate::connection::{Connection, Outgoing};
    use crate::outlets::Outlets;
    use crate::router::{Opened, Router, Wanted};

    /// Reads until the end; gives how many reports came and how many were told to be lost.
    fn read(mut peer: &TcpStream) -> (u64, u64) {
        let (mut decoder, mut reports, mut lost) = (Decoder::new(), 0, 0);
        loop {
            match std::io::Read::read(&mut peer, decoder.space()) {
                Ok(len @ 1..) => decoder.filled(len),
                _ => return (reports, lost),
            }
            while let Some(frame) = decoder.next_frame().expect("valid") {
                match ToTcpcopy::parse(frame).expect("valid") {
                    ToTcpcopy::Reports(batch) => reports += batch.iter().count() as u64,
                    ToTcpcopy::Lost { count } => lost += count,
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Routes reports of 50 flows for `time`, or once to a peer that reads only then; gives how many, how many came, how many were told lost, and how long it
    /// took.
    fn carry(time: Duration, turn: u64) -> (u64, u64, u64, Duration) {
        let target = Endpoint::new(Addr::v4([192, 0, 2, 1]), 80);
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = listener.local_addr().expect("bound");
        let peer = TcpStream::connect(addr).expect("loopback");
        let (stream, _) = listener.accept().expect("it connected");
        let (connection, queue) = Connection::new(addr, stream);
        let router = Arc::new(Router::new([target]));
        let wanted = Wanted {
            targets: HashSet::from([target]),
            ..Wanted::default()
        };
        let id = router.subscribe(wanted, &connection, || ()).expect("taken");
        let flows: Vec<FlowKey> = (0..50)
            .map(|port| FlowKey {
                client: Endpoint::new(Addr::v4([10, 0, 0, 7]), port),
                server: target,
            })
            .collect();
        let opened = |flow: &FlowKey| router.open(*flow, id) == Opened::Ours;
        assert!(flows.iter().all(opened));
        let writing = Arc::clone(&connection);
        let writer = std::thread::spawn(move || super::run(&writing, &queue));
        let (go, gone) = std::sync::mpsc::channel();
        if !time.is_zero() {
            go.send(()).expect("it waits");
        }
        let reader = std::thread::spawn(move || gone.recv().map(|()| read(&peer)));

        let mut outlets = Outlets::new(router);
        outlets.refresh();
        let (start, mut routed) = (Instant::now(), 0u64);
        while start.elapsed() < time || routed == 0 {
            for flow in flows.iter().cycle().take(turn as usize) {
                outlets.route(
                    flow,
                    &Report {
                        stamp_ns: routed,
                        packet_len: 1500,
                        headers: &[7; 52],
                        payload: &[],
                    },
                );
                routed += 1;
            }
            outlets.flush(false);
        }
        outlets.flush(true);
        let _ = go.send(());
        // A message makes the writer tell what was lost.
        connection.control(Outgoing::Control(Vec::new()));
        connection.leave();
        writer.join().expect("no panic");
        let took = start.elapsed();
        let (came, lost) = reader.join().expect("no panic").expect("it was told to go");
        assert_eq!(lost, connection.totals.lost.load(Ordering::Relaxed));
        (routed, came, lost, took)
    }

    #[test]
    fn every_report_comes_or_is_told_lost() {
        let (routed, came, lost, _) = carry(Duration::from_millis(200), 64);
        assert!(came > 0);
        assert_eq!(routed, came + lost);
    }

    #[test]
    fn a_peer_that_does_not_read_loses_reports_and_is_told() {
        let (routed, came, lost, _) = carry(Duration::ZERO, 1_000_000);
        assert!(lost > 0, "the queue and the socket hold less than that");
        assert_eq!(routed, came + lost);
    }
}
