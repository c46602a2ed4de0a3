//! The online server's side of a file that has only the clients': what clients acknowledge, somebody has sent.
//!
//! The packets that are made here have headers alone, as records of a live run do, and no more truth in them than the
//! acknowledgements they are made from: when a client had a response, not when the server gave it. So nothing is compared with them.

use wire::flow::FlowKey;
use wire::segment::Segment;
use wire::seq::{ClientSeq, OnlineSeq};
use wire::tcp::{Flags, Header, Options};
use wire::{ethernet, ip};

use crate::flows::Flow;

/// Most payload bytes of one such packet.
const PAYLOAD_MAX: u32 = 32_768;
/// Most packets that are made from one acknowledgement: 64 MiB at a time, more than any window.
const PACKETS_MAX: usize = 2048;
/// An acknowledgement that is further ahead is taken for a new beginning, not for a response of gigabytes.
const AHEAD_MAX: u32 = 1 << 26;

/// Gives `put` what the online server must have sent before its client sent `segment`.
pub(crate) fn before(
    flow: &mut Flow,
    key: &FlowKey,
    segment: &Segment,
    mut put: impl FnMut(&[u8]),
) {
    if !segment.flags.contains(Flags::ACK) {
        return;
    }
    let seen = OnlineSeq::new(segment.ack);
    let asked = flow.client_next.unwrap_or(ClientSeq::new(segment.seq));
    let known = match flow.online_next {
        Some(next) if seen.ahead_of(next) <= AHEAD_MAX => next,
        // The handshake: a client that acknowledges something has been answered.
        None if flow.client_next.is_some() => {
            let isn = OnlineSeq::new(segment.ack.wrapping_sub(1));
            put(&packet(key, isn, asked, Flags::SYN.with(Flags::ACK), 0));
            seen
        }
        _ => seen,
    };
    let (mut next, mut left) = (known, seen.ahead_of(known));
    for _ in 0..PACKETS_MAX {
        if left == 0 {
            break;
        }
        let len = left.min(PAYLOAD_MAX);
        put(&packet(key, next, asked, Flags::ACK.with(Flags::PSH), len));
        (next, left) = (next + len, left - len);
    }
    flow.online_next = Some(seen.max(known));
}

/// Gives `put` the acknowledgement of all that a client has said.
pub(crate) fn acknowledgement(flow: &Flow, key: &FlowKey, mut put: impl FnMut(&[u8])) {
    if let (Some(next), Some(asked)) = (flow.online_next, flow.client_next) {
        put(&packet(key, next, asked, Flags::ACK, 0));
    }
}

/// A packet of the online server, as far as a record of one goes: it says that it has so much payload.
fn packet(
    key: &FlowKey,
    seq: OnlineSeq,
    ack: ClientSeq,
    flags: Flags,
    payload_len: u32,
) -> Vec<u8> {
    let header = Header {
        source: key.server,
        destination: key.client,
        seq: seq.raw(),
        ack: ack.raw(),
        flags,
        window: u16::MAX,
        urgent: 0,
        options: Options::default(),
    };
    let mut frame = vec![0; header.payload_offset()];
    // It is as long as the headers, which is all that is asked of it.
    let _ = header.emit(&mut frame);
    let mut packet = frame.split_off(ethernet::HEADER_LEN);
    lengthen(&mut packet, payload_len);
    packet
}

/// Has an IP header say that so many more bytes follow. What IP cannot say stays as it is.
pub(crate) fn lengthen(packet: &mut [u8], bytes: u32) {
    let at = match packet.first() {
        Some(first) if first >> 4 == 4 => 2..4,
        _ => 4..6,
    };
    debug_assert!(packet.len() >= ip::V4_HEADER_LEN, "a packet has a header");
    let Some(field) = packet
        .get_mut(at)
        .and_then(|field| field.first_chunk_mut::<2>())
    else {
        return;
    };
    let len = u32::from(u16::from_be_bytes(*field)).saturating_add(bytes);
    *field = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
}
