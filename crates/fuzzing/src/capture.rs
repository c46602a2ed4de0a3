//! Capture files against anything: whatever a file holds, what is handed out is well-formed, and no more than the file has.

use std::io::Cursor;
use std::path::Path;

use capture::{Files, Frame, LinkType, Packet, Place, Unwrapper};
use wire::checksum::{Verdict, judge};
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;

/// Frames of a file that are looked at: a few bytes of a compressed one are millions.
const FRAMES_MAX: u64 = 20_000;
/// The longest packet that a field of IP can describe, in bytes.
const PACKET_BYTES_MAX: usize = 65_535;
/// What headers may add, in bytes: once for each packet that a frame becomes.
const HEADERS_BYTES_MAX: usize = 200;
/// Link types whose headers are known, and one that is not.
const LINKS: [LinkType; 11] = [
    LinkType::ETHERNET,
    LinkType::RAW,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::RAW_12,
    LinkType::RAW_14,
    LinkType(105),
];

/// Reads one input as a file, and as frames of each link type.
///
/// # Panics
///
/// Where something is handed out that is not as promised.
pub fn run(data: &[u8]) {
    file(data);
    if let [first, frames @ ..] = data {
        self::frames(LINKS[usize::from(*first) % LINKS.len()], frames);
    }
}

fn file(data: &[u8]) {
    let reader = Box::new(Cursor::new(data.to_vec()));
    let mut files = match Files::of_reader(Path::new("input"), reader) {
        Ok(files) => files,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            return;
        }
    };
    let mut checked = Checked::default();
    let mut place = None;
    while files.counts().frames < FRAMES_MAX {
        let Some(frame) = files.next().expect("memory can be read") else {
            break;
        };
        assert!(frame.bytes.len() <= capture::RECORD_BYTES_MAX + (256 << 10));
        assert!(frame.wire_len as usize >= frame.bytes.len());
        let here = (frame.place.number, frame.place.offset);
        assert!(place < Some(here), "{place:?} and then {here:?}");
        place = Some(here);
        checked.unwrap(&frame);
    }
    let counts = files.counts();
    assert_eq!(counts.frames, checked.unwrapper.counts().frames);
    assert!(counts.notes().len() as u64 + counts.notes_left_out >= counts.torn + counts.damaged);
    checked.balance();
}

/// Reads bytes as frames: two of length before each.
fn frames(link: LinkType, mut data: &[u8]) {
    let mut checked = Checked::default();
    let mut number = 0;
    while let [high, low, rest @ ..] = data {
        let len = usize::from(u16::from_be_bytes([high & 0x0f, *low])).min(rest.len());
        let (bytes, behind) = rest.split_at(len);
        data = behind;
        number += 1;
        checked.unwrap(&Frame {
            // The time jumps now and then, beyond what fragments wait.
            at_ns: number * 1_000_000_000 * u64::from(high >> 7),
            link,
            interface: 0,
            bytes,
            // Some say that they were longer.
            wire_len: len as u32 + u32::from(high >> 4 & 7) * 40_000,
            place: Place {
                file: 0,
                number,
                offset: 0,
            },
        });
    }
    checked.balance();
}

#[derive(Default)]
struct Checked {
    unwrapper: Unwrapper,
    bytes_in: usize,
    bytes_out: usize,
}

impl Checked {
    fn unwrap(&mut self, frame: &Frame<'_>) {
        let before = *self.unwrapper.counts();
        let mut out = 0;
        self.unwrapper.unwrap(frame, &mut |packet| {
            assert_sound(&packet);
            assert_eq!(packet.at_ns, frame.at_ns);
            out += packet.bytes.len();
        });
        self.bytes_in += frame.bytes.len() + HEADERS_BYTES_MAX + frame.bytes.len() / 64;
        self.bytes_out += out;
        let packets = self.unwrapper.counts().packets - before.packets;
        assert!(packets <= 1, "a frame of {packets} packets");
        assert_eq!(packets == 0, out == 0);
    }

    /// No byte is handed out that no frame had, and each frame ends somewhere.
    fn balance(&self) {
        assert!(self.bytes_out <= self.bytes_in);
        let counts = self.unwrapper.counts();
        let ended = counts.packets
            + counts.not_ip
            + counts.udp
            + counts.icmp
            + counts.other_protocol
            + counts.malformed
            + counts.header_cut
            + counts.too_deep;
        assert_eq!(ended + counts.fragments, counts.frames + counts.joined);
        assert!(counts.fragments_left + counts.joined <= counts.fragments);
    }
}

fn assert_sound(packet: &Packet<'_>) {
    assert!(packet.bytes.len() <= PACKET_BYTES_MAX);
    let read = Segment::parse(packet.bytes, 0).expect("a whole segment");
    let tcp = read.tcp(packet.bytes).expect("all of it");
    let len = usize::from(read.tcp_offset) + tcp.len();
    assert_eq!(len, packet.bytes.len(), "bytes behind the packet");
    let verdict = judge(&read.source.addr, &read.destination.addr, PROTOCOL_TCP, tcp);
    assert_ne!(verdict, Verdict::Corrupt);
}
