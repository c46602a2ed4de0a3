//! TCP (RFC 9293): flags, options (RFC 7323, 2018), and the header of a segment that is to be sent.

use crate::checksum::Sum;
use crate::flow::Endpoint;
use crate::multipath::{self, Multipath};
use crate::{ethernet, ip};

/// Length of a TCP header without options, in bytes.
pub const HEADER_LEN: usize = 20;
/// The most that options can take, in bytes.
pub const OPTIONS_LEN_MAX: usize = 40;
/// The most blocks that a SACK option can hold.
pub const SACK_BLOCKS_MAX: usize = 4;

/// What every copy carries in its urgent pointer, with URG clear.
///
/// `capture` never records a segment so marked: two copiers facing each other would otherwise feed on each other
/// for ever. The field is only to be interpreted where URG is set (RFC 9293 section 3.1), costs no byte, is the
/// same for IPv4 and IPv6, and does not keep GRO from merging segments. Real stacks leave it zero.
pub const COPY_MARK: u16 = 0x7463;

/// Whether a copier made a segment with this urgent pointer and these control bits: see [`COPY_MARK`].
#[inline(always)]
#[must_use]
pub const fn is_copy(urgent: u16, flags: Flags) -> bool {
    urgent == COPY_MARK && !flags.intersects(Flags::URG)
}

/// The control bits of a TCP header that we know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x20);

    /// Whether all bits of `other` are set.
    #[inline(always)]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    #[inline(always)]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether they are those of a bare acknowledgement, where there is no payload: none of SYN, FIN, RST.
    #[inline(always)]
    #[must_use]
    pub const fn are_bare(self) -> bool {
        !self.intersects(Self::SYN.with(Self::FIN).with(Self::RST))
    }

    /// The bits of both.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// TSval and TSecr (RFC 7323 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// The sender's clock.
    pub value: u32,
    /// The echo of the receiver's.
    pub echo: u32,
}

/// The blocks of a SACK option (RFC 2018 section 3): left and right edge, raw sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [(u32, u32); SACK_BLOCKS_MAX],
    len: u8,
}

impl SackBlocks {
    /// Adds a block; one more than fits is left out, as a sender short of option space would.
    pub fn push(&mut self, left: u32, right: u32) {
        if let Some(slot) = self.blocks.get_mut(usize::from(self.len)) {
            *slot = (left, right);
            self.len += 1;
        }
    }

    /// The blocks, in the order of the option.
    #[must_use]
    pub fn as_slice(&self) -> &[(u32, u32)] {
        self.blocks.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Leaves out all blocks after the first `count`.
    pub fn truncate(&mut self, count: u8) {
        self.len = self.len.min(count);
    }
}

/// The options of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size, in bytes (SYN only).
    pub mss: Option<u16>,
    /// Window scale shift, 0 to 14 (SYN only); larger ones are read as 14 (RFC 7323 section 2.3).
    pub window_scale: Option<u8>,
    /// Whether SACK is permitted (SYN only).
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// Selective acknowledgements.
    pub sack: SackBlocks,
    /// What it says of Multipath TCP. Read only: no session has further paths.
    pub multipath: Option<Multipath>,
}

impl Options {
    /// Reads the options area of a header. Whatever follows an option that lies about its length is ignored.
    #[must_use]
    pub fn parse(mut area: &[u8]) -> Self {
        let mut options = Self::default();
        // As nearly every segment has them (RFC 7323 appendix A).
        if let [1, 1, 8, 10, body @ ..] = area
            && body.len() == 8
        {
            options.read(8, body);
            return options;
        }
        loop {
            match area {
                [] | [0, ..] => return options,
                [1, rest @ ..] => area = rest,
                [kind, len, ..] => {
                    let Some(body) = area.get(2..usize::from(*len)) else {
                        return options;
                    };
                    options.read(*kind, body);
                    area = area.get(usize::from(*len)..).unwrap_or_default();
                }
                [_] => return options,
            }
        }
    }

    fn read(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (2, [a, b]) => self.mss = Some(u16::from_be_bytes([*a, *b])),
            (3, [shift]) => self.window_scale = Some((*shift).min(14)),
            (4, []) => self.sack_permitted = true,
            (5, blocks) => {
                for block in blocks.as_chunks::<8>().0 {
                    let [a, b, c, d, e, f, g, h] = *block;
                    self.sack.push(
                        u32::from_be_bytes([a, b, c, d]),
                        u32::from_be_bytes([e, f, g, h]),
                    );
                }
            }
            (8, [a, b, c, d, e, f, g, h]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([*a, *b, *c, *d]),
                    echo: u32::from_be_bytes([*e, *f, *g, *h]),
                });
            }
            // A segment may have two: what says more of it counts.
            (multipath::KIND, body) => self.multipath = Multipath::parse(body).or(self.multipath),
            _ => {}
        }
    }

    /// Length of the options area that [`Options::emit`] writes: a multiple of 4, in bytes.
    #[inline(always)]
    #[must_use]
    pub fn emitted_len(&self) -> usize {
        let sack = self.sack.as_slice().len();
        let mut len = 0;
        len += if self.mss.is_some() { 4 } else { 0 };
        len += if self.window_scale.is_some() { 4 } else { 0 };
        len += match (self.sack_permitted, self.timestamps.is_some()) {
            // SACK permitted takes the place of the padding before timestamps, as in Linux.
            (_, true) => 12,
            (true, false) => 4,
            (false, false) => 0,
        };
        len + if sack > 0 { 4 + 8 * sack } else { 0 }
    }

    /// Writes the options into `area` of [`Options::emitted_len`] bytes, and adds them to `sum`.
    #[inline(always)]
    fn emit(&self, area: &mut [u8], mut sum: Sum) -> Sum {
        if let Some(timestamps) = self.timestamps
            && let Ok(area) = <&mut [u8; 12]>::try_from(&mut *area)
        {
            // Nothing besides, as in nearly every segment.
            let before = if self.sack_permitted { 0x0402 } else { 0x0101 };
            let words = [before << 16 | 0x080a, timestamps.value, timestamps.echo];
            for (bytes, word) in area.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                *bytes = word.to_be_bytes();
                sum = sum.double_word(word);
            }
            return sum;
        }
        if area.is_empty() {
            return sum;
        }
        self.emit_all(area);
        sum.bytes(area)
    }

    #[inline(never)]
    fn emit_all(&self, area: &mut [u8]) {
        let mut out = Writer { area };
        if let Some(mss) = self.mss {
            out.put(&[2, 4]);
            out.put(&mss.to_be_bytes());
        }
        match (self.sack_permitted, self.timestamps) {
            (permitted, Some(Timestamps { value, echo })) => {
                let before = if permitted { [4, 2] } else { [1, 1] };
                let mut area = [before[0], before[1], 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
                area[4..8].copy_from_slice(&value.to_be_bytes());
                area[8..].copy_from_slice(&echo.to_be_bytes());
                out.put(&area);
            }
            (true, None) => out.put(&[1, 1, 4, 2]),
            (false, None) => {}
        }
        if let Some(shift) = self.window_scale {
            out.put(&[1, 3, 3, shift]);
        }
        let blocks = self.sack.as_slice();
        if !blocks.is_empty() {
            out.put(&[1, 1, 5, 2 + 8 * blocks.len() as u8]);
            for (left, right) in blocks {
                out.put(&left.to_be_bytes());
                out.put(&right.to_be_bytes());
            }
        }
    }
}

/// Writes forward; what does not fit is left out, which [`Options::emitted_len`] makes impossible.
struct Writer<'a> {
    area: &'a mut [u8],
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let area = core::mem::take(&mut self.area);
        if let Some((head, tail)) = area.split_at_mut_checked(bytes.len()) {
            head.copy_from_slice(bytes);
            self.area = tail;
        }
    }
}

/// The header of a segment that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where it comes from.
    pub source: Endpoint,
    /// Where it goes.
    pub destination: Endpoint,
    /// Sequence number of the first byte (or of SYN).
    pub seq: u32,
    /// Acknowledgement number; significant where `flags` has ACK.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// The window field, already scaled.
    pub window: u16,
    /// The urgent pointer; [`COPY_MARK`] in all that a session sends.
    pub urgent: u16,
    /// Options.
    pub options: Options,
}

impl Header {
    /// Where the payload of the frame starts: Ethernet, IP, TCP and options, in bytes.
    #[inline(always)]
    #[must_use]
    pub fn payload_offset(&self) -> usize {
        ethernet::HEADER_LEN
            + ip::emitted_len(&self.destination.addr)
            + HEADER_LEN
            + self.options.emitted_len()
    }

    /// Completes a frame whose payload already stands at [`Header::payload_offset`] up to its end: writes the
    /// Ethernet, IP and TCP headers and all checksums.
    ///
    /// Returns `false` and leaves the frame unfinished where it is too short for the headers or too long for IP.
    #[inline(always)]
    #[must_use]
    pub fn emit(&self, frame: &mut [u8]) -> bool {
        let v4 = self.destination.addr.is_v4();
        let ip_len = if v4 {
            ip::V4_HEADER_LEN
        } else {
            ip::V6_HEADER_LEN
        };
        let Some((link, packet)) = frame.split_first_chunk_mut::<{ ethernet::HEADER_LEN }>() else {
            return false;
        };
        let Some((network, tcp)) = packet.split_at_mut_checked(ip_len) else {
            return false;
        };
        let header_len = HEADER_LEN + self.options.emitted_len();
        let Ok(tcp_len) = u16::try_from(tcp.len()) else {
            return false;
        };
        if tcp.len() < header_len || tcp_len > u16::MAX - ip::V6_HEADER_LEN as u16 {
            return false;
        }
        let Some((fixed, rest)) = tcp.split_first_chunk_mut::<HEADER_LEN>() else {
            return false;
        };
        ethernet::emit(link, if v4 { ethernet::IPV4 } else { ethernet::IPV6 });
        let addresses = ip::emit_of(
            v4,
            network,
            &self.source.addr,
            &self.destination.addr,
            ip::PROTOCOL_TCP,
            tcp_len,
        );
        let control = ((header_len / 4) as u32) << 28 | u32::from(self.flags.0) << 16;
        let words = [
            u32::from(self.source.port) << 16 | u32::from(self.destination.port),
            self.seq,
            self.ack,
            control | u32::from(self.window),
            u32::from(self.urgent),
        ];
        let mut sum = addresses.word(u16::from(ip::PROTOCOL_TCP)).word(tcp_len);
        for (bytes, word) in fixed.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_be_bytes();
            sum = sum.double_word(word);
        }
        let (options, payload) = rest.split_at_mut(header_len - HEADER_LEN);
        sum = self.options.emit(options, sum);
        if !payload.is_empty() {
            sum = sum.bytes(payload);
        }
        let checksum = sum.finish();
        fixed[16..18].copy_from_slice(&checksum.to_be_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Flags, Header, Options, SackBlocks, Timestamps};
    use crate::checksum::{Verdict, judge};
    use crate::flow::{Addr, Endpoint};
    use crate::ip::PROTOCOL_TCP;
    use crate::segment::Segment;
    use std::vec;

    fn header(options: Options) -> Header {
        Header {
            source: Endpoint::new(Addr::v4([10, 0, 0, 1]), 10_000),
            destination: Endpoint::new(Addr::v4([10, 0, 0, 2]), 80),
            seq: 0xffff_fff0,
            ack: 17,
            flags: Flags::ACK.with(Flags::PSH),
            window: 512,
            urgent: super::COPY_MARK,
            options,
        }
    }

    fn all_options() -> [Options; 4] {
        let mut sack = SackBlocks::default();
        sack.push(1, 2);
        sack.push(5, 9);
        let timestamps = Some(Timestamps {
            value: 0x0102_0304,
            echo: 5,
        });
        [
            Options::default(),
            Options {
                mss: Some(1460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamps,
                ..Options::default()
            },
            Options {
                mss: Some(536),
                sack_permitted: true,
                ..Options::default()
            },
            Options {
                timestamps,
                sack,
                ..Options::default()
            },
        ]
    }

    #[test]
    fn a_frame_that_is_emitted_is_parsed_and_valid() {
        for options in all_options() {
            for v6 in [false, true] {
                let mut header = header(options);
                if v6 {
                    header.source.addr = Addr::v6([0xfd; 16]);
                    header.destination.addr = Addr::v6([0xfe; 16]);
                }
                let at = header.payload_offset();
                let mut frame = vec![0u8; at + 5];
                frame[at..].copy_from_slice(b"hello");
                assert!(header.emit(&mut frame));
                let packet = &frame[14..];
                let segment = Segment::parse(packet, 0).expect("our own segment");
                assert_eq!(segment.seq, header.seq);
                assert_eq!(segment.urgent, super::COPY_MARK);
                assert_eq!(segment.payload(packet), Some(&b"hello"[..]));
                assert_eq!(segment.options(packet), options);
                let tcp = &packet[usize::from(segment.tcp_offset)..];
                let (a, b) = (header.source.addr, header.destination.addr);
                assert_eq!(judge(&a, &b, PROTOCOL_TCP, tcp), Verdict::Valid);
            }
        }
    }

    #[test]
    fn options_that_lie_end_the_reading() {
        assert_eq!(Options::parse(&[2, 4, 5]), Options::default());
        assert_eq!(Options::parse(&[2, 0, 5, 6]), Options::default());
        assert_eq!(Options::parse(&[2]), Options::default());
        assert_eq!(Options::parse(&[1, 1, 2, 4, 1, 2, 3, 1]).mss, Some(0x0102));
        assert_eq!(Options::parse(&[3, 3, 200]).window_scale, Some(14));
    }
}
