//! Packets and capture files, made byte by byte: no tool is needed, and each byte is known.

use std::io::Cursor;
use std::path::Path;

use capture::{Counts, Files, LinkType, Packet, Sum, UnwrapCounts, Unwrapper};
use wire::flow::{Addr, Endpoint};
use wire::tcp::{Flags, Header, Options};

/// A packet that came out of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) at_ns: u64,
    pub(crate) network: u32,
    pub(crate) interface: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) missing: u32,
    pub(crate) sum: Sum,
}

impl Taken {
    fn of(packet: &Packet<'_>) -> Self {
        Self {
            at_ns: packet.at_ns,
            network: packet.network,
            interface: packet.interface,
            bytes: packet.bytes.to_vec(),
            missing: packet.missing,
            sum: packet.sum,
        }
    }
}

/// All packets of a file, and what was counted on the way.
pub(crate) fn take(file: &[u8]) -> (Vec<Taken>, Counts, UnwrapCounts) {
    let reader = Box::new(Cursor::new(file.to_vec()));
    let mut files = Files::of_reader(Path::new("made"), reader).expect("a capture file");
    take_all(&mut files)
}

/// All packets of files that are open.
pub(crate) fn take_all(files: &mut Files) -> (Vec<Taken>, Counts, UnwrapCounts) {
    let (mut unwrapper, mut taken) = (Unwrapper::new(), Vec::new());
    while let Some(frame) = files.next().expect("a file that can be read") {
        unwrapper.unwrap(&frame, &mut |packet| taken.push(Taken::of(&packet)));
    }
    (taken, files.counts().clone(), *unwrapper.counts())
}

/// An IPv4 packet of a client, with this payload.
pub(crate) fn segment(seq: u32, payload: &[u8]) -> Vec<u8> {
    segment_of(
        Endpoint::new(Addr::v4([10, 0, 0, 2]), 40_000),
        Endpoint::new(Addr::v4([10, 0, 1, 1]), 8080),
        seq,
        Flags::ACK.with(Flags::PSH),
        payload,
    )
}

/// The same over IPv6.
pub(crate) fn segment_v6(seq: u32, payload: &[u8]) -> Vec<u8> {
    let addr = |last| Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    segment_of(
        Endpoint::new(addr(2), 40_000),
        Endpoint::new(addr(1), 8080),
        seq,
        Flags::ACK.with(Flags::PSH),
        payload,
    )
}

/// Any segment, from its IP header on.
pub(crate) fn segment_of(
    source: Endpoint,
    destination: Endpoint,
    seq: u32,
    flags: Flags,
    payload: &[u8],
) -> Vec<u8> {
    let header = Header {
        source,
        destination,
        seq,
        ack: 7,
        flags,
        window: 500,
        urgent: 0,
        options: Options::default(),
    };
    let at = header.payload_offset();
    let mut frame = vec![0; at + payload.len()];
    frame[at..].copy_from_slice(payload);
    assert!(header.emit(&mut frame));
    frame.split_off(wire::ethernet::HEADER_LEN)
}

/// Ethernet around anything.
pub(crate) fn ethernet(kind: u16, inner: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(kind.to_be_bytes());
    frame.extend(inner);
    frame
}

/// A form of pcap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    magic: u32,
    is_big_endian: bool,
    unit_ns: u64,
    around: usize,
}

impl Form {
    pub(crate) const MICROSECONDS: Self = Self::of(0xa1b2_c3d4, false);
    pub(crate) const NANOSECONDS: Self = Self::of(0xa1b2_3c4d, false);
    pub(crate) const MODIFIED: Self = Self::of(0xa1b2_cd34, false);

    const fn of(magic: u32, is_big_endian: bool) -> Self {
        Self {
            magic,
            is_big_endian,
            unit_ns: if magic == 0xa1b2_3c4d { 1 } else { 1000 },
            around: if magic == 0xa1b2_cd34 { 8 } else { 0 },
        }
    }

    pub(crate) const fn big_endian(self) -> Self {
        Self {
            is_big_endian: true,
            ..self
        }
    }

    fn word(self, word: u32) -> [u8; 4] {
        if self.is_big_endian {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    }
}

/// A pcap file of records: time in nanoseconds, bytes, length on the wire.
pub(crate) fn classic(form: Form, link: LinkType, records: &[(u64, &[u8], u32)]) -> Vec<u8> {
    let mut file = Vec::new();
    // Version 2.4, whose two halves change places with the byte order.
    let version = if form.is_big_endian {
        0x0002_0004
    } else {
        0x0004_0002
    };
    for word in [form.magic, version, 0, 0, 262_144, link.0] {
        file.extend(form.word(word));
    }
    for (at_ns, bytes, wire_len) in records {
        let (seconds, rest) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
        let fraction = (rest / form.unit_ns) as u32;
        for word in [seconds as u32, fraction, bytes.len() as u32, *wire_len] {
            file.extend(form.word(word));
        }
        file.extend(vec![0xee; form.around]);
        file.extend(*bytes);
    }
    file
}

/// A pcapng file in the making.
#[derive(Debug)]
pub(crate) struct Blocks {
    is_big_endian: bool,
    bytes: Vec<u8>,
}

impl Blocks {
    /// One that begins with a section header.
    pub(crate) fn new(is_big_endian: bool) -> Self {
        let mut body = Vec::new();
        let blocks = Self::bare(is_big_endian);
        body.extend(blocks.word(0x1a2b_3c4d));
        body.extend(blocks.half(1));
        body.extend(blocks.half(0));
        body.extend([0xff; 8]);
        blocks.block(0x0a0d_0d0a, &body)
    }

    /// Blocks that go on with a section.
    pub(crate) fn bare(is_big_endian: bool) -> Self {
        Self {
            is_big_endian,
            bytes: Vec::new(),
        }
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.bytes
    }

    fn word(&self, word: u32) -> [u8; 4] {
        if self.is_big_endian {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    }

    fn half(&self, half: u16) -> [u8; 2] {
        if self.is_big_endian {
            half.to_be_bytes()
        } else {
            half.to_le_bytes()
        }
    }

    /// Any block; its body is filled up to four bytes.
    pub(crate) fn block(mut self, kind: u32, body: &[u8]) -> Self {
        let padding = body.len().next_multiple_of(4) - body.len();
        let len = (body.len() + padding + 12) as u32;
        for word in [kind, len] {
            let word = self.word(word);
            self.bytes.extend(word);
        }
        self.bytes.extend(body);
        self.bytes.extend(vec![0; padding]);
        let word = self.word(len);
        self.bytes.extend(word);
        self
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = self.half(code).to_vec();
        option.extend(self.half(value.len() as u16));
        option.extend(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn number(&self, code: u16, value: i64) -> Vec<u8> {
        let value = if self.is_big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        };
        self.option(code, &value)
    }

    pub(crate) fn interface(
        self,
        link: LinkType,
        resolution: Option<u8>,
        offset_s: Option<i64>,
    ) -> Self {
        let mut body = self.half(link.0 as u16).to_vec();
        body.extend([0; 6]);
        if let Some(resolution) = resolution {
            body.extend(self.option(9, &[resolution]));
        }
        if let Some(offset) = offset_s {
            body.extend(self.number(14, offset));
        }
        body.extend([0; 4]);
        self.block(1, &body)
    }

    pub(crate) fn statistics(self, interface: u32, lost: i64) -> Self {
        let mut body = self.word(interface).to_vec();
        body.extend([0; 8]);
        body.extend(self.number(5, lost));
        body.extend([0; 4]);
        self.block(5, &body)
    }

    /// An enhanced packet block.
    pub(crate) fn packet(
        self,
        interface: u32,
        ticks: u64,
        bytes: &[u8],
        comment: Option<&str>,
    ) -> Self {
        let len = bytes.len() as u32;
        let mut body = Vec::new();
        for word in [interface, (ticks >> 32) as u32, ticks as u32, len, len] {
            body.extend(self.word(word));
        }
        body.extend(bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        if let Some(comment) = comment {
            body.extend(self.option(1, comment.as_bytes()));
            body.extend([0; 4]);
        }
        self.block(6, &body)
    }

    /// A packet block of the first drafts.
    pub(crate) fn old(self, interface: u16, ticks: u64, bytes: &[u8]) -> Self {
        let len = bytes.len() as u32;
        let mut body = self.half(interface).to_vec();
        body.extend(self.half(0));
        for word in [(ticks >> 32) as u32, ticks as u32, len, len] {
            body.extend(self.word(word));
        }
        body.extend(bytes);
        self.block(2, &body)
    }

    /// A simple packet block, of a packet that perhaps was longer.
    pub(crate) fn simple(self, bytes: &[u8], wire_len: Option<u32>) -> Self {
        let mut body = self.word(wire_len.unwrap_or(bytes.len() as u32)).to_vec();
        body.extend(bytes);
        self.block(3, &body)
    }
}
