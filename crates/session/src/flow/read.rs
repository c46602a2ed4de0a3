//! A flow that a protocol module reads: what it is told besides.

use std::sync::Arc;

use protocol::{Digests, Module, Opening};
use wire::segment::Segment;
use wire::seq::OnlineSeq;
use wire::tcp::Flags;

use super::reading::Reading;
use super::taking::Taker;
use super::{Flow, News, Room};
use crate::time::Instant;

impl Flow {
    /// A protocol module reads the flow, of which nothing was told yet; where there are `digests`, responses are compared. With an opening
    /// its beginning was not seen: its next byte begins a message, and its sessions log in so.
    pub(crate) fn read_by(
        &mut self,
        module: &Arc<Module>,
        opening: Option<Opening>,
        digests: Option<&Arc<Digests>>,
    ) {
        let online = self.captured.online_end();
        let reading = match &opening {
            Some(opening) => Reading::unseen(module.clone(), online, opening, digests),
            None => Reading::new(module.clone(), online, digests),
        };
        let logs_in = module.logs_in() || opening.is_some();
        self.captured.read_messages(logs_in, digests);
        if let Some(opening) = opening {
            self.captured.messages_mut().open(0, opening);
        }
        self.reading = Some(Box::new(reading));
    }

    /// Whether a protocol module reads the flow, or did until it left.
    pub(crate) fn is_read(&self) -> bool {
        self.reading.is_some()
    }

    /// Whether turns are messages, and what the online server says is read.
    #[inline]
    pub(super) fn is_told(&self) -> bool {
        self.reading.as_ref().is_some_and(|it| it.is_told())
    }

    /// A segment of the online server. Returns the turn that its first bytes answer: its number, and where it starts.
    #[cold]
    #[inline(never)]
    pub(super) fn read_online(
        &mut self,
        seq: OnlineSeq,
        (segment, packet): (&Segment, &[u8]),
        len: u32,
        stamp: Instant,
        room: &mut Room<'_>,
    ) -> Option<(u64, u64)> {
        let reading = self.reading.as_mut()?;
        let answers = reading.answers();
        let bytes = segment.payload(packet).unwrap_or_default();
        let mut taker = Taker {
            captured: &mut self.captured,
            payload: &mut self.payload,
            from_start: false,
            news: News::default(),
        };
        reading.on_online((seq, len), bytes, stamp, room.arena, &mut taker);
        if segment.flags.contains(Flags::FIN) {
            reading.on_online_end(seq + len, stamp, room.arena, &mut taker);
        }
        reading.count(room.counters);
        self.captured.on_online_end(seq + len);
        let number = answers?;
        Some((number, self.captured.get(number)?.start))
    }

    /// How many messages the client had seen answered when it ended its side; `None` where that is unknown.
    pub(crate) fn seen_at_end(&mut self) -> Option<u64> {
        let cause = self.stream.end()?.cause?;
        Some(self.reading.as_mut()?.seen_by(cause))
    }
}
