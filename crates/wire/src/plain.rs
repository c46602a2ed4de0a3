//! The header of a plain segment: over IPv4, with timestamps and no other option, as nearly every segment is that is sent. It is
//! written at one go, its sum taken from the words as they are written; [`crate::tcp::Header`] writes any other.

use crate::checksum::Sum;
use crate::ethernet;
use crate::flow::FlowKey;
use crate::ip::{PROTOCOL_TCP, TTL, V4_DONT_FRAGMENT, V4_HEADER_LEN};
use crate::tcp::{self, Flags, Timestamps};

/// Length of the TCP header with its options, in bytes.
const TCP_LEN: usize = tcp::HEADER_LEN + 12;
/// Length of all headers, Ethernet's included, in bytes: where the payload starts.
pub const HEADERS_LEN: usize = ethernet::HEADER_LEN + V4_HEADER_LEN + TCP_LEN;

/// A plain segment, but for its payload.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// From the sender, which is the client of its connection, to the server: both IPv4.
    pub flow: &'a FlowKey,
    /// Sequence number of the first byte.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// The window field, already scaled.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// Timestamps.
    pub timestamps: Timestamps,
}

impl Plain<'_> {
    /// Completes a frame whose payload already stands at [`HEADERS_LEN`] up to its end: writes the Ethernet, IP and TCP
    /// headers and all checksums.
    ///
    /// Returns `false` and leaves the frame unfinished where it is too short for the headers or too long for IP.
    #[inline(always)]
    #[must_use]
    pub fn emit(&self, frame: &mut [u8]) -> bool {
        let Some((headers, payload)) = frame.split_first_chunk_mut::<HEADERS_LEN>() else {
            return false;
        };
        let Ok(total_len) = u16::try_from(V4_HEADER_LEN + TCP_LEN + payload.len()) else {
            return false;
        };
        let (client, server) = (&self.flow.client, &self.flow.server);
        let addresses = Sum::default().v4(&client.addr).v4(&server.addr);
        let network = [
            0x4500_0000 | u32::from(total_len),
            u32::from(V4_DONT_FRAGMENT) << 8,
            u32::from(TTL) << 24 | u32::from(PROTOCOL_TCP) << 16,
        ];
        let mut sum = addresses;
        for word in network {
            sum = sum.double_word(word);
        }
        let control = (TCP_LEN as u32 / 4) << 28 | u32::from(self.flags.0) << 16;
        let transport = [
            u32::from(client.port) << 16 | u32::from(server.port),
            self.seq,
            self.ack,
            control | u32::from(self.window),
            u32::from(self.urgent),
            0x0101_080a,
            self.timestamps.value,
            self.timestamps.echo,
        ];
        let tcp_len = total_len - V4_HEADER_LEN as u16;
        let mut tcp_sum = addresses.word(u16::from(PROTOCOL_TCP)).word(tcp_len);
        for word in transport {
            tcp_sum = tcp_sum.double_word(word);
        }
        if !payload.is_empty() {
            tcp_sum = tcp_sum.bytes(payload);
        }
        let Some((link, packet)) = headers.split_first_chunk_mut() else {
            return false;
        };
        ethernet::emit(link, ethernet::IPV4);
        let words = packet.as_chunks_mut::<4>().0;
        let [a, b, c] = network;
        let client = u32::from_be_bytes(client.addr.v4_octets());
        let server = u32::from_be_bytes(server.addr.v4_octets());
        let network = [a, b, c | u32::from(sum.finish()), client, server];
        let [ports, seq, ack, control, urgent, option, value, echo] = transport;
        let urgent = u32::from(tcp_sum.finish()) << 16 | urgent;
        let transport = [ports, seq, ack, control, urgent, option, value, echo];
        for (bytes, word) in words.iter_mut().zip(network.into_iter().chain(transport)) {
            *bytes = word.to_be_bytes();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADERS_LEN, Plain};
    use crate::flow::{Addr, Endpoint, FlowKey};
    use crate::tcp::{Flags, Header, Options, Timestamps};

    /// Against the header that can be any.
    #[test]
    fn a_plain_segment_is_as_any_other() {
        let flow = FlowKey {
            client: Endpoint::new(Addr::v4([10, 0, 255, 1]), 54_321),
            server: Endpoint::new(Addr::v4([192, 0, 2, 254]), 80),
        };
        for (seq, len) in [(0, 0), (u32::MAX, 1), (0x8765_4321, 1448), (7, 200)] {
            let plain = Plain {
                flow: &flow,
                seq,
                ack: seq.wrapping_mul(31),
                flags: Flags::ACK.with(Flags::PSH),
                window: 0xfedc,
                urgent: 0x7463,
                timestamps: Timestamps {
                    value: seq ^ 0xff00_ff00,
                    echo: 3,
                },
            };
            let header = Header {
                source: flow.client,
                destination: flow.server,
                seq: plain.seq,
                ack: plain.ack,
                flags: plain.flags,
                window: plain.window,
                urgent: plain.urgent,
                options: Options {
                    timestamps: Some(plain.timestamps),
                    ..Options::default()
                },
            };
            let mut any = [0x5a; HEADERS_LEN + 1448];
            let mut written = any;
            assert_eq!(header.payload_offset(), HEADERS_LEN);
            assert!(header.emit(&mut any[..HEADERS_LEN + len]));
            assert!(plain.emit(&mut written[..HEADERS_LEN + len]));
            assert_eq!(any, written, "{len} bytes from {seq:#x} on");
        }
        let plain = Plain {
            flow: &flow,
            seq: 0,
            ack: 0,
            flags: Flags::ACK,
            window: 0,
            urgent: 0,
            timestamps: Timestamps { value: 0, echo: 0 },
        };
        assert!(!plain.emit(&mut [0; HEADERS_LEN - 1]));
        assert!(!plain.emit(&mut std::vec![0; 70_000]));
    }
}
