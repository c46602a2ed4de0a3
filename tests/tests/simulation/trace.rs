//! The trace of a replayed seed, on standard error.

use session::Event;
use wire::segment::Segment;
use wire::tcp::Flags;

use crate::stack::MICROSECOND;

/// Writes a trace, or nothing.
pub(crate) struct Trace {
    on: bool,
}

impl Trace {
    /// On where `SIM_TRACE` is set.
    pub(crate) fn from_environment() -> Self {
        Self {
            on: std::env::var_os("SIM_TRACE").is_some(),
        }
    }

    pub(crate) fn note(&self, now: u64, text: &str) {
        if self.on {
            eprintln!("{:>12} {text}", now / MICROSECOND);
        }
    }

    pub(crate) fn packet(&self, now: u64, place: &str, packet: &[u8]) {
        if !self.on {
            return;
        }
        let Ok(segment) = Segment::parse(packet, 0) else {
            self.note(now, &format!("{place:<17} not a segment"));
            return;
        };
        let flags: String = [
            (Flags::SYN, 'S'),
            (Flags::FIN, 'F'),
            (Flags::RST, 'R'),
            (Flags::PSH, 'P'),
            (Flags::ACK, '.'),
        ]
        .iter()
        .filter(|(flag, _)| segment.flags.contains(*flag))
        .map(|(_, letter)| letter)
        .collect();
        let sack = segment.options(packet).sack;
        self.note(
            now,
            &format!(
                "{place:<17} {} > {} {flags:<3} seq {} len {} ack {} win {} {:?}",
                segment.source.port,
                segment.destination.port,
                segment.seq,
                segment.payload_len,
                segment.ack,
                segment.window,
                sack.as_slice()
            ),
        );
    }

    pub(crate) fn event(&self, now: u64, event: &Event) {
        if self.on {
            self.note(now, &format!("{event:?}"));
        }
    }
}
