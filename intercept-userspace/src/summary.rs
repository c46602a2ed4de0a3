//! The closing table.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::counter::Counter;
use port::Statistics;

use crate::connection::Totals;
use crate::server::Departures;
use crate::worker::Counts;

/// One queue's numbers.
#[derive(Debug)]
pub(crate) struct Queue<'a> {
    pub(crate) queue: u32,
    pub(crate) counts: &'a Counts,
    pub(crate) port: Option<Statistics>,
}

/// Everything that a run counted, as a table.
pub(crate) fn table(
    kernel: &[(Counter, u64)],
    queues: &[Queue<'_>],
    departures: &Departures,
) -> String {
    let mut text = String::from("sink (kernel)\n");
    for (counter, value) in kernel {
        line(&mut text, counter.verdict(), *value);
    }
    let mut received = 0;
    let mut dropped = 0;
    for Queue {
        queue,
        counts,
        port,
    } in queues
    {
        let _ = writeln!(text, "queue {queue}");
        received += load(&counts.packets);
        line(&mut text, "packets", load(&counts.packets));
        line(&mut text, "reported to the announcer", load(&counts.owned));
        line(
            &mut text,
            "reported to all subscribers",
            load(&counts.unannounced),
        );
        line(
            &mut text,
            "swallowed, nobody subscribed",
            load(&counts.unsubscribed),
        );
        line(&mut text, "malformed", load(&counts.malformed));
        if let Some(port) = port {
            dropped += port.rx_ring_full + port.rx_dropped;
            line(&mut text, "lost, ring full", port.rx_ring_full);
            line(
                &mut text,
                "lost, no frame free or too long",
                port.rx_dropped,
            );
        }
    }
    let delivered = kernel
        .iter()
        .find(|(counter, _)| *counter == Counter::SinkDelivered)
        .map_or(0, |(_, value)| *value);
    if delivered != received + dropped {
        let _ = writeln!(
            text,
            "residue: sink delivered {delivered}, workers received {received} and lost {dropped}"
        );
    }
    connections(&mut text, departures);
    text
}

fn connections(text: &mut String, departures: &Departures) {
    if departures.strangers > 0 {
        let _ = writeln!(
            text,
            "connections that never subscribed: {}",
            departures.strangers
        );
    }
    if departures.latest.is_empty() {
        text.push_str("no tcpcopy subscribed\n");
        return;
    }
    let _ = writeln!(
        text,
        "{:<28} {:>12} {:>10} {:>10} {:>10} {:>10}  ended",
        "tcpcopy", "reports", "lost", "unsent", "writes", "flows"
    );
    if departures.earlier > 0 {
        let _ = writeln!(text, "({} earlier ones are not shown)", departures.earlier);
    }
    for departed in &departures.latest {
        let Totals {
            routed,
            lost,
            written,
            writes,
            flows,
            ..
        } = &departed.connection.totals;
        let unsent = load(routed).saturating_sub(load(lost) + load(written));
        let _ = writeln!(
            text,
            "{:<28} {:>12} {:>10} {:>10} {:>10} {:>10}  {}",
            departed.connection.peer.to_string(),
            load(written),
            load(lost),
            unsent,
            load(writes),
            load(flows),
            departed.why
        );
    }
}

fn line(text: &mut String, name: &str, value: u64) {
    let _ = writeln!(text, "  {name:<30} {value:>14}");
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
