//! A captured packet, written once and renumbered for each use, its checksum always right.

use wire::flow::Addr;
use wire::flow::Endpoint;
use wire::tcp::{Flags, Header, Options, Timestamps};

/// Where the fields stand in an IPv4 packet: total length, source and destination address, and the TCP header.
const TOTAL_LEN: usize = 2;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;
const TCP: usize = 20;

/// An IPv4 TCP segment with the options of a Linux peer.
pub(crate) struct Packet {
    syn: Vec<u8>,
    /// Without payload.
    bare: Vec<u8>,
    /// With payload, as far as there is any in a record.
    full: Vec<u8>,
}

impl Packet {
    /// A packet with this payload in its record, where it has any.
    pub(crate) fn new(payload: &[u8]) -> Self {
        Self {
            syn: written(Flags::SYN, b""),
            bare: written(Flags::ACK, b""),
            full: written(Flags::ACK, payload),
        }
    }

    /// The record of a segment. The payload of a response that nobody reads counts in its lengths and is not in it.
    pub(crate) fn with(
        &mut self,
        source: Endpoint,
        destination: Endpoint,
        seq: u32,
        ack: u32,
        flags: Flags,
        len: u32,
    ) -> &[u8] {
        let syn = flags.contains(Flags::SYN);
        let packet = match len {
            _ if syn => &mut self.syn,
            0 => &mut self.bare,
            _ => &mut self.full,
        };
        let headers_len = TCP as u32 + u32::from(packet[TCP + 12] >> 4) * 4;
        packet[TOTAL_LEN..TOTAL_LEN + 2]
            .copy_from_slice(&((headers_len + len) as u16).to_be_bytes());
        put(packet, SOURCE, &source.addr.v4_octets());
        put(packet, DESTINATION, &destination.addr.v4_octets());
        put(packet, TCP, &source.port.to_be_bytes());
        put(packet, TCP + 2, &destination.port.to_be_bytes());
        put(packet, TCP + 4, &seq.to_be_bytes());
        put(packet, TCP + 8, &ack.to_be_bytes());
        let offset = packet[TCP + 12];
        put(packet, TCP + 12, &[offset, flags.0]);
        packet
    }
}

/// Writes a field of the TCP header, or an address, and updates TCP's checksum (RFC 1624).
fn put(packet: &mut [u8], at: usize, bytes: &[u8]) {
    let [high, low] = [packet[TCP + 16], packet[TCP + 17]];
    let mut sum = u32::from(!u16::from_be_bytes([high, low]));
    for (word, new) in packet[at..]
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(bytes.as_chunks::<2>().0)
    {
        sum += u32::from(!u16::from_be_bytes(*word)) + u32::from(u16::from_be_bytes(*new));
        *word = *new;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[TCP + 16..TCP + 18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

fn written(flags: Flags, payload: &[u8]) -> Vec<u8> {
    let syn = flags.contains(Flags::SYN);
    let any = Endpoint::new(Addr::v4([10, 0, 0, 1]), 1);
    let header = Header {
        source: any,
        destination: any,
        seq: 0,
        ack: 0,
        flags,
        window: 500,
        urgent: 0,
        options: Options {
            mss: syn.then_some(1460),
            window_scale: syn.then_some(7),
            sack_permitted: syn,
            timestamps: Some(Timestamps { value: 1, echo: 1 }),
            ..Options::default()
        },
    };
    let at = header.payload_offset();
    let mut frame = vec![0; at];
    frame.extend_from_slice(payload);
    assert!(
        header.emit(&mut frame),
        "a frame of this length can be written"
    );
    frame.split_off(14)
}
