//! What a session sends, segment by segment, straight into the caller's frame.

use wire::tcp::{COPY_MARK, Flags, Header, Options, Timestamps};
use wire::{ethernet, ip, tcp};

use crate::context::Context;
use crate::session::{Offer, Session, State};
use crate::time::Instant;

/// Length of the timestamps option with its padding.
const TIMESTAMPS_LEN: u16 = 12;

impl Session {
    /// The largest payload that fits the route, in bytes, before the target has said what it takes.
    pub(crate) fn segment_max(&self, ctx: &Context<'_>) -> u16 {
        ctx.target.path.mtu(ctx.now) - headers_len(self)
    }

    /// Whether [`Session::transmit`] would write something.
    pub(crate) fn wants_to_send(&self) -> bool {
        match self.state {
            State::SynSent { due } => due,
            State::Parting { .. } => true,
            State::Established | State::Closing { .. } => {
                self.ack_due
                    || self.knocks
                    || self
                        .send
                        .sendable(self.send_limit(), u32::from(self.send.mss()))
                        .is_some()
            }
            State::Detached { .. } | State::Parked | State::Dead(_) | State::Closed => false,
        }
    }

    /// Whether its first SYN is what it wants to send.
    pub(crate) fn is_opening(&self) -> bool {
        self.state == State::SynSent { due: true } && self.send.timeouts == 0
    }

    /// How far may be sent: FIN takes the position after the last byte.
    pub(crate) fn send_limit(&self) -> u64 {
        let limit = match self.state {
            State::Closing { .. } => self.stream_end + 1,
            _ => self.turns.limit(self.stream_end),
        };
        match self.served_end() {
            Some(served) if served < self.stream_end => limit.min(served),
            _ => limit,
        }
    }

    /// Where the bytes end that the online server has acknowledged, where only those may leave.
    fn served_end(&self) -> Option<u64> {
        self.confirmed_only.then(|| {
            let next = self.input.next();
            let unserved = self
                .input
                .acknowledged()
                .map(|served| next.ahead_of(served));
            unserved.map_or(0, |bytes| self.stream_end.saturating_sub(u64::from(bytes)))
        })
    }

    /// Whether the current turn waits for the online server's acknowledgement of its bytes, and for nothing else: a firewall
    /// may have dropped them.
    pub(crate) fn awaits_confirmation(&self) -> bool {
        let served = self.served_end().filter(|served| *served < self.stream_end);
        served.is_some_and(|served| self.send.una() >= served)
    }

    /// Writes the next segment into `frame` and returns the frame's length in bytes.
    pub(crate) fn transmit(&mut self, ctx: &mut Context<'_>, frame: &mut [u8]) -> Option<usize> {
        // Nobody is left to take an answer to a last segment, and a RST has none.
        let asks = !matches!(self.state, State::Parting { .. });
        let sent = match self.state {
            State::SynSent { due: true } => match self.recover_reset.take() {
                Some(seq) => {
                    let header = self.header(seq.raw(), 0, Flags::RST, 0, Options::default());
                    let len = header.payload_offset();
                    frame.get_mut(..len).and_then(|frame| emit(&header, frame))
                }
                None => self.transmit_syn(ctx, frame),
            },
            State::Parting { with, then } => {
                let sent = self.write(self.send.seq_sent().raw(), with, 0, ctx, frame);
                self.settle(then, ctx);
                self.advance(ctx);
                sent
            }
            State::Established | State::Closing { .. } => {
                let data = self.transmit_data(ctx, frame);
                if data.is_none() && self.ack_due {
                    // Nobody answers it: the gate does not wait for that.
                    let sent = self.transmit_ack(ctx, frame);
                    ctx.counters.segments_sent += u64::from(sent.is_some());
                    return sent;
                }
                data.or_else(|| self.transmit_knock(ctx, frame))
            }
            _ => None,
        };
        if sent.is_some() {
            ctx.counters.segments_sent += 1;
            if asks {
                let client = &self.flow.client.addr;
                let is_syn = matches!(self.state, State::SynSent { .. });
                ctx.target.gate.on_asked(client, is_syn, ctx.now);
            }
        }
        sent
    }

    fn transmit_syn(&mut self, ctx: &mut Context<'_>, frame: &mut [u8]) -> Option<usize> {
        self.state = State::SynSent { due: false };
        let Offer {
            mss,
            window_scale,
            sack,
            timestamps,
        } = self.offer;
        let options = Options {
            mss: Some(mss.min(self.segment_max(ctx))),
            window_scale,
            sack_permitted: sack,
            timestamps: timestamps.then(|| Timestamps {
                value: ctx.clock.timestamp(ctx.now),
                echo: 0,
            }),
            ..Options::default()
        };
        let iss = self.send.iss().raw();
        let window = self.syn_window(ctx);
        let header = self.header(iss, 0, Flags::SYN, window, options);
        let len = header.payload_offset();
        ctx.counters.segments_retransmitted += u64::from(self.send.timeouts > 0);
        self.send.on_syn_sent(ctx.now);
        emit(&header, frame.get_mut(..len)?)
    }

    fn transmit_data(&mut self, ctx: &mut Context<'_>, frame: &mut [u8]) -> Option<usize> {
        if self.send.is_done(self.send_limit()) {
            return None;
        }
        let options = self.options(ctx);
        let overhead = ethernet::HEADER_LEN
            + ip::emitted_len(&self.local.server.addr)
            + tcp::HEADER_LEN
            + options.emitted_len();
        let room = frame.len().checked_sub(overhead)?;
        // The MSS counts no options (RFC 6691), and the route may have become narrower since the handshake.
        let mtu = usize::from(ctx.target.path.mtu(ctx.now));
        let fits = (mtu + ethernet::HEADER_LEN).saturating_sub(overhead);
        let announced = usize::from(self.send.mss()).saturating_sub(options.emitted_len());
        let max = room.min(fits).min(announced.max(1));
        let limit = self.send_limit();
        let (offset, positions) = self.send.sendable(limit, max as u32)?;
        let end = offset + u64::from(positions);
        let end = end.min(self.boundaries.after(offset).unwrap_or(end));
        let positions = (end - offset) as u32;
        let fin = end > self.stream_end;
        let len = positions as usize - usize::from(fin);
        if positions == 0 {
            return None;
        }
        let mut flags = Flags::ACK;
        if fin {
            flags = flags.with(Flags::FIN);
        }
        if len > 0 && end >= limit.min(self.stream_end) {
            flags = flags.with(Flags::PSH);
        }
        let payload = frame.get_mut(overhead..overhead + len)?;
        ctx.arena
            .copy_out(&self.data, (offset - self.data_start) as usize, payload);
        let new = self.send.on_sent(offset, positions, ctx.now);
        self.boundaries.pass(end);
        if new > offset {
            ctx.counters.segments_retransmitted += 1;
        }
        if new < end {
            ctx.counters.bytes_sent += end.min(self.stream_end).saturating_sub(new);
            self.turns.on_sent(new, end, ctx.now);
        }
        let seq = self.send.seq(offset).raw();
        self.write_with(seq, flags, len, options, ctx, frame)
    }

    fn transmit_ack(&mut self, ctx: &mut Context<'_>, frame: &mut [u8]) -> Option<usize> {
        if !self.ack_due {
            return None;
        }
        self.write(
            self.send.seq(self.send.nxt()).raw(),
            Flags::ACK,
            0,
            ctx,
            frame,
        )
    }

    /// A keep-alive probe, right behind the handshake: it stands one before what the target expects, which every TCP answers
    /// (RFC 9293 section 3.8.4) and no application reads.
    fn transmit_knock(&mut self, ctx: &mut Context<'_>, frame: &mut [u8]) -> Option<usize> {
        if !core::mem::take(&mut self.knocks) {
            return None;
        }
        let before = self.send.seq(self.send.una()).raw().wrapping_sub(1);
        self.write(before, Flags::ACK, 0, ctx, frame)
    }

    fn write(
        &mut self,
        seq: u32,
        flags: Flags,
        len: usize,
        ctx: &mut Context<'_>,
        frame: &mut [u8],
    ) -> Option<usize> {
        let options = self.options(ctx);
        self.write_with(seq, flags, len, options, ctx, frame)
    }

    fn write_with(
        &mut self,
        seq: u32,
        flags: Flags,
        len: usize,
        options: Options,
        ctx: &mut Context<'_>,
        frame: &mut [u8],
    ) -> Option<usize> {
        let window = self.window(ctx);
        let header = self.header(seq, self.receive.nxt().raw(), flags, window, options);
        (self.ack_due, self.ack_at) = (false, None);
        self.receive.acknowledged = self.receive.nxt();
        let len = header.payload_offset() + len;
        emit(&header, frame.get_mut(..len)?)
    }

    fn options(&self, ctx: &Context<'_>) -> Options {
        let timestamps = self.timestamps.then(|| Timestamps {
            value: ctx.clock.timestamp(ctx.now),
            echo: self.receive.timestamp,
        });
        let sack = if self.sack {
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

    /// The earliest time at which something is due.
    pub(crate) fn deadline(&self, idle_timeout: core::time::Duration) -> Instant {
        let earlier = |at: Instant, other: Option<Instant>| other.map_or(at, |other| other.min(at));
        let at = earlier(self.active_at + idle_timeout, self.send.timer_at());
        let at = earlier(at, self.release_at);
        let at = earlier(at, self.ack_at);
        let at = earlier(at, self.gap_at);
        let at = earlier(at, self.pacing.due());
        earlier(at, self.closed_at())
    }
}

/// IP and TCP headers without options, in bytes.
pub(crate) fn headers_len(session: &Session) -> u16 {
    if session.local.server.addr.is_v4() {
        40
    } else {
        60
    }
}

fn emit(header: &Header, frame: &mut [u8]) -> Option<usize> {
    let len = frame.len();
    header.emit(frame).then_some(len)
}

const _: () = assert!(TIMESTAMPS_LEN as usize + 4 + 3 * 8 == tcp::OPTIONS_LEN_MAX);
