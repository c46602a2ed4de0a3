//! The segments of a connection, written straight into the caller's frame.

use wire::plain::{self, Plain};
use wire::tcp::{COPY_MARK, Flags, Header, Options, Timestamps};
use wire::{ethernet, ip, tcp};

use super::{Connection, Offer, Phase, Reach, Surroundings};
use crate::event::Counters;

/// Length of the timestamps option with its padding.
pub(super) const TIMESTAMPS_LEN: u16 = 12;

/// The bytes that a connection sends.
pub(crate) trait Payload {
    /// Where a segment from `offset` to at most `end` is to end: segments keep the pieces that their bytes came in.
    fn segment_end(&self, offset: u64, end: u64) -> u64;

    /// Copies the bytes from `offset` on into all of `into`.
    fn copy_out(&self, offset: u64, into: &mut [u8]);
}

/// What a segment is to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The beginning of a connection, or the end of one that a run before left behind.
    Syn,
    /// Data, a FIN or a probe: the target answers it.
    Question,
    /// A mere acknowledgement.
    Acknowledgement,
    /// The last segment of a connection that is left.
    Last,
}

/// A segment that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Length of its frame, in bytes.
    pub(crate) frame_len: usize,
    pub(crate) kind: Kind,
    /// What of the stream was sent for the first time, from the first offset to before the second, FIN included. Nothing where
    /// both are the same; the second is where the segment ends in any case.
    pub(crate) new: (u64, u64),
}

impl Sent {
    fn without_data(frame_len: usize, kind: Kind) -> Self {
        Self {
            frame_len,
            kind,
            new: (0, 0),
        }
    }
}

impl Connection {
    /// Writes the next segment into `frame`.
    pub(crate) fn transmit(
        &mut self,
        around: &Surroundings,
        reach: Reach,
        payload: &impl Payload,
        counters: &mut Counters,
        frame: &mut [u8],
    ) -> Option<Sent> {
        let sent = match self.phase {
            Phase::SynSent { due: true } => {
                let len = match self.recover_reset.take() {
                    Some(seq) => {
                        let header = self.header(seq.raw(), 0, Flags::RST, 0, Options::default());
                        emit(&header, 0, frame)
                    }
                    None => self.transmit_syn(around, counters, frame),
                };
                len.map(|len| Sent::without_data(len, Kind::Syn))
            }
            Phase::Leaving(with) => self
                .write(self.send.seq_sent().raw(), with, 0, around, frame)
                .map(|len| Sent::without_data(len, Kind::Last)),
            Phase::Synchronized => self
                .transmit_data(around, reach, payload, counters, frame)
                .or_else(|| self.transmit_acknowledgement(around, frame))
                .or_else(|| self.transmit_knock(around, frame)),
            Phase::Closed | Phase::SynSent { due: false } => None,
        };
        counters.segments_sent += u64::from(sent.is_some());
        sent
    }

    fn transmit_syn(
        &mut self,
        around: &Surroundings,
        counters: &mut Counters,
        frame: &mut [u8],
    ) -> Option<usize> {
        self.phase = Phase::SynSent { due: false };
        let Offer {
            mss,
            window_scale,
            sack,
            timestamps,
        } = self.offer;
        let options = Options {
            mss: Some(mss.min(self.segment_max(around.mtu))),
            window_scale,
            sack_permitted: sack,
            timestamps: timestamps.then_some(Timestamps {
                value: around.timestamp,
                echo: 0,
            }),
            ..Options::default()
        };
        let iss = self.send.iss().raw();
        let window = u16::try_from(self.receive.window()).unwrap_or(u16::MAX);
        let header = self.header(iss, 0, Flags::SYN, window, options);
        counters.segments_retransmitted += u64::from(self.send.timeouts > 0);
        self.send.on_syn_sent(around.now);
        emit(&header, 0, frame)
    }

    fn transmit_data(
        &mut self,
        around: &Surroundings,
        reach: Reach,
        payload: &impl Payload,
        counters: &mut Counters,
        frame: &mut [u8],
    ) -> Option<Sent> {
        let Reach { limit, stream_end } = reach;
        if self.send.is_done(limit) {
            return None;
        }
        let options = self.options(around);
        let options_len = options_len(options.as_ref());
        let overhead = ethernet::HEADER_LEN
            + ip::emitted_len(&self.local.server.addr)
            + tcp::HEADER_LEN
            + options_len;
        let room = frame.len().checked_sub(overhead)?;
        // The MSS counts no options (RFC 6691), and the route may have become narrower since the handshake.
        let fits = (usize::from(around.mtu) + ethernet::HEADER_LEN).saturating_sub(overhead);
        let announced = usize::from(self.send.mss()).saturating_sub(options_len);
        let max = room.min(fits).min(announced.max(1));
        let (offset, positions) = self.send.sendable(limit, max as u32)?;
        let end = payload.segment_end(offset, offset + u64::from(positions));
        let positions = (end - offset) as u32;
        if positions == 0 {
            return None;
        }
        let fin = end > stream_end;
        let len = positions as usize - usize::from(fin);
        let mut flags = Flags::ACK;
        if fin {
            flags = flags.with(Flags::FIN);
        }
        if len > 0 && end >= limit.min(stream_end) {
            flags = flags.with(Flags::PSH);
        }
        payload.copy_out(offset, frame.get_mut(overhead..overhead + len)?);
        let new = self.send.on_sent(offset, positions, around.now);
        counters.segments_retransmitted += u64::from(new > offset);
        counters.bytes_sent += end.min(stream_end).saturating_sub(new);
        let seq = self.send.seq(offset).raw();
        let frame_len = self.write_with(seq, flags, len, options, around, frame)?;
        Some(Sent {
            frame_len,
            kind: Kind::Question,
            new: (new, end),
        })
    }

    /// Writes an acknowledgement, if one is due.
    pub(crate) fn transmit_acknowledgement(
        &mut self,
        around: &Surroundings,
        frame: &mut [u8],
    ) -> Option<Sent> {
        if !self.ack_due {
            return None;
        }
        let seq = self.send.seq(self.send.nxt()).raw();
        let len = self.write(seq, Flags::ACK, 0, around, frame)?;
        Some(Sent::without_data(len, Kind::Acknowledgement))
    }

    /// A keep-alive probe, right behind the handshake: it stands one before what the target expects, which every TCP answers
    /// (RFC 9293 section 3.8.4) and no application reads.
    fn transmit_knock(&mut self, around: &Surroundings, frame: &mut [u8]) -> Option<Sent> {
        if !core::mem::take(&mut self.knocks) {
            return None;
        }
        let before = self.send.seq(self.send.una()).raw().wrapping_sub(1);
        let len = self.write(before, Flags::ACK, 0, around, frame)?;
        Some(Sent::without_data(len, Kind::Question))
    }

    /// Writes `len` zeros that stand before everything that the target expects: it acknowledges them, and no application reads
    /// them. Returns the frame's length.
    pub(crate) fn transmit_old(
        &mut self,
        len: u16,
        around: &Surroundings,
        frame: &mut [u8],
    ) -> Option<usize> {
        let options = self.options(around);
        let overhead = ethernet::HEADER_LEN
            + ip::emitted_len(&self.local.server.addr)
            + tcp::HEADER_LEN
            + options_len(options.as_ref());
        let payload = frame.get_mut(overhead..overhead + usize::from(len))?;
        payload.fill(0);
        let before = self
            .send
            .seq(self.send.una())
            .raw()
            .wrapping_sub(len.into());
        self.write_with(before, Flags::ACK, len.into(), options, around, frame)
    }

    fn write(
        &mut self,
        seq: u32,
        flags: Flags,
        len: usize,
        around: &Surroundings,
        frame: &mut [u8],
    ) -> Option<usize> {
        let options = self.options(around);
        self.write_with(seq, flags, len, options, around, frame)
    }

    /// Writes the headers of a segment whose `len` bytes of payload stand in the frame already.
    #[inline(always)]
    fn write_with(
        &mut self,
        seq: u32,
        flags: Flags,
        len: usize,
        options: Option<Options>,
        around: &Surroundings,
        frame: &mut [u8],
    ) -> Option<usize> {
        let window = self.receive.open(around.allowance);
        let ack = self.receive.nxt();
        (self.ack_due, self.ack_at) = (false, None);
        self.receive.acknowledged = ack;
        if let Some(options) = options {
            let header = self.header(seq, ack.raw(), flags, window, options);
            return emit(&header, len, frame);
        }
        let header = Plain {
            flow: &self.local,
            seq,
            ack: ack.raw(),
            flags,
            window,
            urgent: COPY_MARK,
            timestamps: self.timestamps(around),
        };
        let len = plain::HEADERS_LEN + len;
        header.emit(frame.get_mut(..len)?).then_some(len)
    }

    fn timestamps(&self, around: &Surroundings) -> Timestamps {
        Timestamps {
            value: around.timestamp,
            echo: self.receive.timestamp,
        }
    }

    /// The options of a segment; `None` where it is a [`Plain`] one.
    #[inline(always)]
    fn options(&self, around: &Surroundings) -> Option<Options> {
        let tells_hole = self.sack && self.receive.has_hole();
        let is_plain = self.timestamps && self.local.server.addr.is_v4() && !tells_hole;
        (!is_plain).then(|| self.other_options(around, tells_hole))
    }

    #[inline(never)]
    fn other_options(&self, around: &Surroundings, tells_hole: bool) -> Options {
        let timestamps = self.timestamps.then(|| self.timestamps(around));
        let sack = if tells_hole {
            self.receive
                .sack_blocks(if self.timestamps { 3 } else { 4 })
        } else {
            Default::default()
        };
        Options {
            timestamps,
            sack,
            ..Options::default()
        }
    }

    fn header(&self, seq: u32, ack: u32, flags: Flags, window: u16, options: Options) -> Header {
        Header {
            source: self.local.client,
            destination: self.local.server,
            seq,
            ack,
            flags,
            window,
            urgent: COPY_MARK,
            options,
        }
    }
}

/// How long the options of a segment are, in bytes; `None` is a [`Plain`] one.
#[inline(always)]
fn options_len(options: Option<&Options>) -> usize {
    options.map_or(TIMESTAMPS_LEN.into(), Options::emitted_len)
}

/// Writes the headers before `len` bytes of payload; returns the frame's length, or `None` where it does not fit.
#[inline(always)]
fn emit(header: &Header, len: usize, frame: &mut [u8]) -> Option<usize> {
    let len = header.payload_offset() + len;
    header.emit(frame.get_mut(..len)?).then_some(len)
}

const _: () = assert!(TIMESTAMPS_LEN as usize + 4 + 3 * 8 == tcp::OPTIONS_LEN_MAX);
