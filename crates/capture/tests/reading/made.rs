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
