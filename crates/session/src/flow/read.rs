//! A flow that a protocol module reads: what it is told besides.

use std::sync::Arc;

use protocol::{Module, Opening};
use wire::segment::Segment;
use wire::seq::OnlineSeq;
use wire::tcp::Flags;

use super::reading::Reading;
use super::taking::Taker;
use super::{Flow, News, Room};
use crate::config::Config;
use crate::running::LastAnswer;
use crate::time::Instant;

/// How far a flow's client has come, for whoever takes the flow up again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// What it had seen of the online server's bytes when it spoke last.
    pub(crate) cause: OnlineSeq,
    /// How that was answered, which says whether the next may be a request.
    pub(crate) answer: LastAnswer,
    /// Whether it has said nothing.
    pub(crate) unbegun: bool,
}

impl Flow {
    /// A protocol module reads the flow, of which nothing was told yet. With an opening its beginning was not seen: its next byte begins a
    /// message, and its sessions log in so.
    pub(crate) fn read_by(
        &mut self,
        module: &Arc<Module>,
        opening: Option<Opening>,
        config: &Config,
    ) {
        let online = self.captured.online_end();
        let reading = match &opening {
            Some(opening) => Reading::unseen(module.clone(), online, opening, config),
            None => Reading::new(module.clone(), online, config),
        };
        let logs_in = module.logs_in() || opening.is_some();
        let digests = config.digests.as_ref();
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

    /// A segment of the online server. Returns the turn whose response begins with its first new byte: its number, and where it starts.
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
        let begins = reading.answers_at(self.captured.online_end()).filter(|it| {
            self.captured
                .get(*it)
                .is_some_and(|it| it.online.bytes == 0)
        });
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
        let number = begins?;
        Some((number, self.captured.get(number)?.start))
    }

    /// How many messages the client had seen answered when it ended its side; `None` where that is unknown.
    pub(crate) fn seen_at_end(&mut self) -> Option<u64> {
        let cause = self.stream.end()?.cause?;
        Some(self.reading.as_mut()?.seen_by(cause, &self.captured))
    }

    /// How far its client has come.
    pub(crate) fn place(&self) -> Place {
        let read = self.reading.as_ref().and_then(|it| it.place());
        read.unwrap_or_else(|| {
            let latest = self.captured.latest();
            Place {
                cause: self.captured.last_cause(),
                answer: latest.map_or(LastAnswer::None, |it| LastAnswer::of(it.online.bytes)),
                unbegun: self.captured.count() == 0,
            }
        })
    }

    /// A client has reset its connection that a module reads.
    pub(super) fn read_reset(&mut self, cause: OnlineSeq, room: &mut Room<'_>) {
        let Some(reading) = self.reading.as_mut() else {
            return;
        };
        let mut taker = Taker {
            captured: &mut self.captured,
            payload: &mut self.payload,
            from_start: false,
            news: News::default(),
        };
        reading.on_client_reset(cause, &mut taker);
        reading.count(room.counters);
    }
}
