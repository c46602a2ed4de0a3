//! A target that is made up: it accepts every connection, acknowledges every byte, and answers as long as it is told to.
//!
//! For a dry run: what would be sent to a target depends on what that answers, and there is none. Sans-IO: packets of sessions in,
//! packets of the target out, from their IP header to the end of their TCP header. What their payload would be nobody has said, so it
//! is missing, and they say how long it is.
//!
//! It loses nothing, reorders nothing and is never slow: no bytes are kept, and nothing is ever sent again.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use wire::ethernet;
use wire::flow::FlowKey;
use wire::hash::FlowHash;
use wire::ip::V6_HEADER_LEN;
use wire::segment::Segment;
use wire::tcp::{Flags, HEADER_LEN, Header, OPTIONS_LEN_MAX, Options, Timestamps};

/// The largest segment that it takes, in bytes.
const MSS: u16 = 1460;
/// The same where a session says nothing of its own (RFC 9293 section 3.7.1).
const MSS_UNSAID: u16 = 536;
/// By how much its window is scaled where sessions scale theirs.
const WINDOW_SCALE: u8 = 7;
/// Its window, which never closes.
const WINDOW: u16 = u16::MAX;
/// How far the initial sequence numbers of two connections are apart.
const ISN_STEP: u32 = 64_000;
/// The most that one packet can take: IPv6, TCP with options, and payload.
const FRAME_MAX: usize =
    ethernet::HEADER_LEN + V6_HEADER_LEN + HEADER_LEN + OPTIONS_LEN_MAX + MSS as usize;

/// The target.
#[derive(Debug)]
pub struct Obliging {
    peers: HashMap<FlowKey, Peer, FlowHash>,
    isn: u32,
    frame: Vec<u8>,
}

/// A connection with a session.
#[derive(Clone, Copy, Debug)]
struct Peer {
    /// The next byte of the session.
    next_in: u32,
    /// Its own next byte.
    next_out: u32,
    /// Up to where the session lets it send.
    allowed: u32,
    scale: u8,
    mss: u16,
    /// What the session's latest timestamp was, where there are any.
    stamp: Option<u32>,
    life: Life,
    /// Whether the session has ended its side.
    has_heard_fin: bool,
    /// Whether something is to be acknowledged.
    owes_ack: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// SYN and SYN-ACK.
    Opening,
    Open,
    /// Its own FIN was sent.
    Closed,
}

impl Obliging {
    /// Without a connection; `seed` is the key of its table.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            peers: HashMap::with_hasher(FlowHash::new(seed)),
            isn: 0,
            frame: vec![0; FRAME_MAX],
        }
    }

    /// A session's packet arrives, from its IP header on, at `now_ms` of any clock. What cannot wait is given to `send`. Returns the
    /// connection that [`Obliging::settle`] is to be called for, if there is one.
    pub fn on_packet(
        &mut self,
        now_ms: u32,
        packet: &[u8],
        send: &mut dyn FnMut(&[u8]),
    ) -> Option<FlowKey> {
        let segment = Segment::parse(packet, 0).ok()?;
        let flow = FlowKey {
            client: segment.source,
            server: segment.destination,
        };
        let options = segment.options(packet);
        if segment.flags.contains(Flags::RST) {
            self.peers.remove(&flow);
            return None;
        }
        if segment.flags.contains(Flags::SYN) {
            self.isn = self.isn.wrapping_add(ISN_STEP);
            let peer = Peer::accepted(&segment, &options, self.isn);
            self.peers.insert(flow, peer);
            let syn_ack = peer.syn_ack(&flow, now_ms);
            emit(&mut self.frame, &syn_ack, 0, send);
            return None;
        }
        let Entry::Occupied(mut entry) = self.peers.entry(flow) else {
            return None;
        };
        let peer = entry.get_mut();
        peer.take(&segment, &options);
        let was_heard = segment.ack == peer.next_out;
        if peer.life == Life::Closed && was_heard && peer.has_heard_fin {
            let last = peer
                .owes_ack
                .then(|| peer.header(&flow, now_ms, Flags::ACK));
            entry.remove();
            if let Some(last) = last {
                emit(&mut self.frame, &last, 0, send);
            }
            return None;
        }
        Some(flow)
    }

    /// Sends to a session so many `bytes` of response, as far as it lets them come, and ends the connection behind them where that is
    /// to be; acknowledges what it has got.
    pub fn settle(
        &mut self,
        now_ms: u32,
        flow: &FlowKey,
        (bytes, closes): (u32, bool),
        send: &mut dyn FnMut(&[u8]),
    ) {
        let Some(peer) = self.peers.get_mut(flow) else {
            return;
        };
        if peer.life == Life::Open {
            let room = peer.allowed.wrapping_sub(peer.next_out);
            let mut left = bytes.min(if room.cast_signed() > 0 { room } else { 0 });
            let ends = closes && left == bytes;
            while left > 0 {
                let len = left.min(peer.mss.into());
                left -= len;
                let flags = if left == 0 { Flags::PSH } else { Flags(0) };
                let header = peer.header(flow, now_ms, flags.with(Flags::ACK));
                emit(&mut self.frame, &header, len as usize, send);
                peer.next_out = peer.next_out.wrapping_add(len);
                peer.owes_ack = false;
            }
            if ends {
                peer.close(flow, now_ms, &mut self.frame, send);
            }
        }
        if peer.owes_ack {
            peer.owes_ack = false;
            let header = peer.header(flow, now_ms, Flags::ACK);
            emit(&mut self.frame, &header, 0, send);
        }
    }

    /// Connections at this moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.peers.len()
    }
}

impl Peer {
    fn accepted(syn: &Segment, options: &Options, isn: u32) -> Self {
        // The window of a SYN is never scaled.
        let allowed = isn.wrapping_add(1).wrapping_add(syn.window.into());
        Self {
            next_in: syn.seq.wrapping_add(1),
            next_out: isn.wrapping_add(1),
            allowed,
            scale: options.window_scale.unwrap_or(0),
            mss: options.mss.unwrap_or(MSS_UNSAID).clamp(1, MSS),
            stamp: options.timestamps.map(|it| it.value),
            life: Life::Opening,
            has_heard_fin: false,
            owes_ack: false,
        }
    }

    fn syn_ack(&self, flow: &FlowKey, now_ms: u32) -> Header {
        let mut header = self.header(flow, now_ms, Flags::SYN.with(Flags::ACK));
        header.seq = self.next_out.wrapping_sub(1);
        header.options.mss = Some(MSS);
        header.options.window_scale = (self.scale > 0).then_some(WINDOW_SCALE);
        header
    }

    /// Takes what a segment brings. Nothing is lost on its way, so what does not begin where the last one ended is known.
    fn take(&mut self, segment: &Segment, options: &Options) {
        if self.life == Life::Opening {
            self.life = Life::Open;
        }
        if self.stamp.is_some() {
            self.stamp = options.timestamps.map(|it| it.value).or(self.stamp);
        }
        let window = u32::from(segment.window) << self.scale.min(14);
        self.allowed = segment.ack.wrapping_add(window);
        let len = segment.sequence_len();
        if len > 0 {
            if segment.seq == self.next_in {
                self.next_in = self.next_in.wrapping_add(len);
                self.has_heard_fin |= segment.flags.contains(Flags::FIN);
            }
            self.owes_ack = true;
        }
    }

    /// Ends its own side.
    fn close(
        &mut self,
        flow: &FlowKey,
        now_ms: u32,
        frame: &mut [u8],
        send: &mut dyn FnMut(&[u8]),
    ) {
        let header = self.header(flow, now_ms, Flags::FIN.with(Flags::ACK));
        emit(frame, &header, 0, send);
        self.next_out = self.next_out.wrapping_add(1);
        (self.life, self.owes_ack) = (Life::Closed, false);
    }

    fn header(&self, flow: &FlowKey, now_ms: u32, flags: Flags) -> Header {
        let timestamps = self.stamp.map(|echo| Timestamps {
            value: now_ms,
            echo,
        });
        Header {
            source: flow.server,
            destination: flow.client,
            seq: self.next_out,
            ack: self.next_in,
            flags,
            window: WINDOW,
            urgent: 0,
            options: Options {
                timestamps,
                ..Options::default()
            },
        }
    }
}

/// Gives `send` the headers of a packet with so many bytes of payload.
fn emit(frame: &mut [u8], header: &Header, len: usize, send: &mut dyn FnMut(&[u8])) {
    let at = header.payload_offset();
    let Some(frame) = frame.get_mut(..at + len) else {
        return;
    };
    // What stands there is left of another packet's headers.
    frame[at..].fill(0);
    if header.emit(frame) {
        send(&frame[ethernet::HEADER_LEN..at]);
    }
}

#[cfg(test)]
mod tests;
