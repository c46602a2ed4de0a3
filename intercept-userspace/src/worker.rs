//! One worker per rx queue: takes packets from its AF_XDP socket, makes reports of them, routes them.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::record::frame_stamp_ns;
use channel::Report;
use host::clock;
use nix::poll::PollTimeout;
use port::{Port, Statistics};
use process::Processor;
use wire::ethernet;
use wire::flow::FlowKey;
use wire::segment::Segment;

use crate::error::Failed;
use crate::outlets::{Outlets, Routed};
use crate::pace::{NAP, Next, Pace};
use crate::router::Router;
use crate::stop::{Stopped, Woken};

/// Packets per turn of the loop: between turns connections that came and went are noticed and batches leave.
const BUDGET: usize = 256;
/// How long a sleeping worker keeps a batch back for a writer that is behind, in milliseconds.
const HOLD_MS: u16 = 1;

/// How often a worker that is awake asks the kernel what was lost.
const LOOK_EVERY_NS: u64 = 1_000_000_000;

/// What a worker counts; read by others while it runs.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Packets taken from the socket.
    pub(crate) packets: AtomicU64,
    /// ... that are no whole TCP segment.
    pub(crate) malformed: AtomicU64,
    /// ... reported to the connection that announced the flow.
    pub(crate) owned: AtomicU64,
    /// ... reported to all that subscribed to the target, for nobody had announced the flow.
    pub(crate) unannounced: AtomicU64,
    /// ... swallowed: nobody subscribed to the target.
    pub(crate) unsubscribed: AtomicU64,
    /// Packets that the kernel lost because the socket's ring was full, as of up to [`LOOK_EVERY_NS`] ago.
    pub(crate) lost_ring_full: AtomicU64,
    /// ... because no frame was free, or the packet was too long for one.
    pub(crate) lost_no_frame: AtomicU64,
}

/// A worker before it runs.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) interface: String,
    pub(crate) queue: u32,
    pub(crate) port: Port,
    pub(crate) processor: Option<Processor>,
    pub(crate) router: Arc<Router>,
    pub(crate) counts: Arc<Counts>,
}

/// Counts of one turn of the loop.
#[derive(Debug, Default)]
struct Turn {
    malformed: u64,
    owned: u64,
    unannounced: u64,
    unsubscribed: u64,
}

impl Worker {
    /// Works until told to stop; then takes what is left, and gives the socket's own counters.
    pub(crate) fn run(mut self, stopped: &Stopped) -> Result<Option<Statistics>, Failed> {
        if let Some(Err(error)) = self.processor.map(Processor::pin_this_thread) {
            tracing::warn!(
                finding = "not-pinned",
                "the worker of queue {}: {error}",
                self.queue
            );
        }
        let mut outlets = Outlets::new(Arc::clone(&self.router));
        let mut pace = Pace::default();
        let mut looked_ns = 0;
        while !stopped.is_stopped() {
            let now_ns = clock::now_ns();
            let taken = self.turn(&mut outlets);
            if now_ns.saturating_sub(looked_ns) >= LOOK_EVERY_NS {
                looked_ns = now_ns;
                self.look();
            }
            let held = outlets.flush(false);
            match pace.next(now_ns, taken, taken >= BUDGET) {
                Next::Again => {}
                Next::Spin => std::hint::spin_loop(),
                Next::Yield => std::thread::yield_now(),
                Next::Nap => std::thread::sleep(NAP),
                Next::Sleep => {
                    let timeout = if held {
                        PollTimeout::from(HOLD_MS)
                    } else {
                        PollTimeout::NONE
                    };
                    match self.sleep(stopped, timeout)? {
                        Woken::Stopped => break,
                        Woken::Timeout => _ = outlets.flush(true),
                        Woken::Readable | Woken::Broken => {}
                    }
                }
            }
        }
        // The program is detached by now, so this ends.
        while self.turn(&mut outlets) > 0 {}
        outlets.flush(true);
        Ok(self.port.statistics().ok())
    }

    /// Takes up to [`BUDGET`] packets; gives how many.
    fn turn(&mut self, outlets: &mut Outlets) -> usize {
        outlets.refresh();
        let mut turn = Turn::default();
        let taken = self
            .port
            .receive_with(BUDGET, |frame| turn.take(frame, outlets));
        if taken > 0 {
            let Counts {
                packets,
                malformed,
                owned,
                unannounced,
                unsubscribed,
                ..
            } = &*self.counts;
            packets.fetch_add(taken as u64, Ordering::Relaxed);
            malformed.fetch_add(turn.malformed, Ordering::Relaxed);
            owned.fetch_add(turn.owned, Ordering::Relaxed);
            unannounced.fetch_add(turn.unannounced, Ordering::Relaxed);
            unsubscribed.fetch_add(turn.unsubscribed, Ordering::Relaxed);
        }
        taken
    }

    /// Asks the kernel what was lost before it reached us.
    fn look(&self) {
        if let Ok(statistics) = self.port.statistics() {
            let Counts {
                lost_ring_full,
                lost_no_frame,
                ..
            } = &*self.counts;
            lost_ring_full.store(statistics.rx_ring_full, Ordering::Relaxed);
            lost_no_frame.store(statistics.rx_dropped, Ordering::Relaxed);
        }
    }

    fn sleep(&self, stopped: &Stopped, timeout: PollTimeout) -> Result<Woken, Failed> {
        match stopped.wait(self.port.as_fd(), timeout) {
            Ok(Woken::Broken) => Err(Failed::InterfaceGone {
                interface: self.interface.clone(),
                queue: self.queue,
            }),
            Ok(woken) => Ok(woken),
            Err(errno) => Err(Failed::Poll {
                queue: self.queue,
                cause: errno.into(),
            }),
        }
    }
}

impl Turn {
    fn take(&mut self, frame: &[u8], outlets: &mut Outlets) {
        let Some((flow, report)) = report(frame) else {
            self.malformed += 1;
            return;
        };
        match outlets.route(&flow, &report) {
            Routed::Owner => self.owned += 1,
            Routed::Subscribers => self.unannounced += 1,
            Routed::Nobody => self.unsubscribed += 1,
        }
    }
}

/// The session that a frame belongs to, and the report of it; `None` for what is no whole TCP segment, which `sink`
/// does not hand over.
fn report(frame: &[u8]) -> Option<(FlowKey, Report<'_>)> {
    let packet = frame.get(ethernet::HEADER_LEN..)?;
    let segment = Segment::parse(packet, 0).ok()?;
    let payload_at = usize::from(segment.payload_offset);
    let payload_end = (payload_at + usize::from(segment.payload_len)).min(packet.len());
    let report = Report {
        stamp_ns: frame_stamp_ns(frame)?,
        packet_len: u32::from(segment.payload_offset) + u32::from(segment.payload_len),
        headers: packet.get(..payload_at)?,
        // What `sink` left of it, for those who ask for it. Padding of a short frame is none.
        payload: packet.get(payload_at..payload_end)?,
    };
    let flow = FlowKey {
        client: segment.destination,
        server: segment.source,
    };
    Some((flow, report))
}

#[cfg(test)]
mod tests {
    use wire::flow::{Addr, Endpoint};
    use wire::tcp::{Flags, Header, Options, Timestamps};

    use super::report;

    #[test]
    fn a_report_has_the_headers_and_the_length_and_as_much_payload_as_there_is() {
        let header = Header {
            source: Endpoint::new(Addr::v4([192, 0, 2, 1]), 80),
            destination: Endpoint::new(Addr::v4([10, 0, 0, 7]), 4711),
            seq: 1,
            ack: 2,
            flags: Flags::ACK,
            window: 3,
            urgent: 0,
            options: Options {
                timestamps: Some(Timestamps { value: 1, echo: 2 }),
                ..Options::default()
            },
        };
        let at = header.payload_offset();
        let mut frame = vec![0; at + 100];
        assert!(header.emit(&mut frame));
        frame.extend_from_slice(b"padding");
        frame[..8].copy_from_slice(&17u64.to_ne_bytes());
        let (flow, report) = report(&frame).unwrap();
        assert_eq!(
            (flow.client, flow.server),
            (header.destination, header.source)
        );
        assert_eq!((report.stamp_ns, report.packet_len), (17, 152));
        assert_eq!(report.headers, &frame[14..at]);
        assert_eq!(report.payload, &frame[at..at + 100]);
        for left in [0, 1, 64] {
            let (_, report) = super::report(&frame[..at + left]).unwrap();
            assert_eq!((report.packet_len, report.payload.len()), (152, left));
        }
        assert!(super::report(&frame[..at - 1]).is_none());
        assert!(super::report(&frame[..13]).is_none());
    }
}
