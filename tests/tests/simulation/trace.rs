//! The trace of a seed: all of it on standard error where a seed is replayed, its end where a failure is told.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use session::Event;
use wire::segment::Segment;
use wire::tcp::Flags;

use crate::stack::MICROSECOND;

/// Lines of a trace that are kept.
const KEPT: usize = 60;

/// What becomes of a trace.
#[derive(Clone, Debug)]
pub(crate) enum Trace {
    Nothing,
    Printed,
    /// The last lines are kept.
    Kept(Rc<RefCell<VecDeque<String>>>),
}

impl Trace {
    /// A trace whose last lines are kept.
    pub(crate) fn kept() -> Self {
        Self::Kept(Rc::default())
    }

    /// The lines that were kept.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Kept(lines) => lines.borrow().iter().cloned().collect(),
            _ => vec![],
        }
    }

    fn is_on(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    pub(crate) fn note(&self, now: u64, text: &str) {
        let line = || format!("{:>12} {text}", now / MICROSECOND);
        match self {
            Self::Nothing => {}
            Self::Printed => eprintln!("{}", line()),
            Self::Kept(lines) => {
                let mut lines = lines.borrow_mut();
                lines.push_back(line());
                if lines.len() > KEPT {
                    lines.pop_front();
                }
            }
        }
    }

    pub(crate) fn packet(&self, now: u64, place: &str, packet: &[u8]) {
        if !self.is_on() {
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
        if self.is_on() {
            self.note(now, &format!("{event:?}"));
        }
    }
}
