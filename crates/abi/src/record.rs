//! A record: what a program puts into a worker's ring buffer.
//!
//! A [`RecordHeader`], then the packet from its IP header on: all of it for a client's packet, the headers alone
//! for an online response or a reply, and with `--sample-bytes` the first bytes of its payload. Where a rule has a protocol
//! module its responses are recorded whole as well, super-packets among them. A ring entry is as long as
//! its size class, so the packet's captured length is a field. A report of `intercept` carries the same bytes over the
//! channel.

/// Header of a record. The captured bytes follow it directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RecordHeader {
    /// `bpf_ktime_get_ns` in the hook: nanoseconds of `CLOCK_MONOTONIC`.
    pub stamp_ns: u64,
    /// One of the `KIND_` constants.
    pub kind: u32,
    /// Bytes of the packet that follow, from the IP header on.
    pub captured_len: u32,
    /// The interface that the packet was seen on: a packet that two devices show is copied once.
    pub ifindex: u32,
    /// Size of the segments that the packet was merged from or will be cut into, in bytes of payload; 0 where it
    /// is one segment. Of a [`KIND_CLONE`]: see [`RecordHeader::frames`].
    pub gso_size: u32,
}

/// Length of a [`RecordHeader`], in bytes.
pub const RECORD_HEADER_LEN: usize = 24;

const _: () = assert!(size_of::<RecordHeader>() == RECORD_HEADER_LEN);

/// A client's packet on its way to the online server, whole.
pub const KIND_CLIENT: u32 = 1;
/// The headers of an online server's segment on its way to a client, or all of it.
pub const KIND_ONLINE: u32 = 2;
/// The headers of a target's reply, or all of it.
pub const KIND_REPLY: u32 = 3;
/// An ICMP "too big" about one of our segments, as far as [`wire::icmp::TOO_BIG_LEN_MAX`].
pub const KIND_TOO_BIG: u32 = 4;
/// No packet: one was cloned towards the worker's port just now, and comes out of it as [`RecordHeader::frames`] frames
/// (`--capture af-xdp`). It stands where the packet's own record would, so that the order of both sources is known.
pub const KIND_CLONE: u32 = 5;

/// Most payload bytes of a response that a record or a report can hold after its headers (`--sample-bytes`).
pub const SAMPLE_LEN_MAX: u32 = 128;

/// Longest IP and TCP header that a headers-only record holds, in bytes: IPv4 with all options and TCP with all
/// options.
pub const HEADERS_LEN_MAX: u32 = 120;

/// Sizes of ring entries, in bytes, record header included; the verifier wants a constant, so a record takes the
/// smallest that holds it.
///
/// What a record takes and does not use is room that others lack, and the ring's memory comes by cold. So the headers of IPv4 and of
/// IPv6, each with timestamps, have sizes of their own, 1536 is a packet of 1500 bytes, and from there to the longest, which
/// segmentation and receive offload make, no record takes twice what it needs.
pub const SIZE_CLASSES: [u32; 16] = [
    80,
    96,
    144,
    256,
    384,
    512,
    768,
    1024,
    1536,
    3072,
    6144,
    12_288,
    24_576,
    32_768,
    49_152,
    65_536 + RECORD_HEADER_LEN as u32,
];

/// The longest frame that `sink` hands over with all its payload, Ethernet header included: what a frame of an AF_XDP socket holds
/// of its 2048 bytes behind the headroom that the kernel keeps (`XDP_PACKET_HEADROOM`).
pub const WHOLE_FRAME_LEN_MAX: usize = 2048 - 256;

/// Length of the stamp that `sink` writes over the start of a frame that it hands over, in bytes.
pub const FRAME_STAMP_LEN: usize = 8;

/// When `sink` saw a frame, in nanoseconds of `CLOCK_MONOTONIC`: it stands where the frame's Ethernet addresses were, which
/// nobody needs any more. `None` for a frame that is too short for one, which `sink` hands over none of.
#[must_use]
pub fn frame_stamp_ns(frame: &[u8]) -> Option<u64> {
    frame
        .first_chunk::<FRAME_STAMP_LEN>()
        .map(|stamp| u64::from_ne_bytes(*stamp))
}

impl RecordHeader {
    /// Splits a ring entry (or a report) into its header and the captured bytes.
    ///
    /// Returns `None` where the entry is shorter than it says: a bug of ours or a hostile channel.
    #[must_use]
    pub fn split(entry: &[u8]) -> Option<(Self, &[u8])> {
        let (h, rest) = entry.split_first_chunk::<RECORD_HEADER_LEN>()?;
        let word = |at: usize| u32::from_ne_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
        let header = Self {
            stamp_ns: u64::from_ne_bytes([h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]]),
            kind: word(8),
            captured_len: word(12),
            ifindex: word(16),
            gso_size: word(20),
        };
        Some((header, rest.get(..header.captured_len as usize)?))
    }

    /// Of a [`KIND_CLONE`]: how many frames the packet becomes.
    #[must_use]
    pub const fn frames(&self) -> u32 {
        self.gso_size
    }

    /// The header's bytes as they stand in a ring entry.
    #[must_use]
    pub fn to_bytes(self) -> [u8; RECORD_HEADER_LEN] {
        let mut bytes = [0; RECORD_HEADER_LEN];
        bytes[0..8].copy_from_slice(&self.stamp_ns.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.kind.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.captured_len.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.ifindex.to_ne_bytes());
        bytes[20..24].copy_from_slice(&self.gso_size.to_ne_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{KIND_REPLY, RecordHeader};

    #[test]
    fn a_record_that_is_written_is_split_and_a_short_one_is_not() {
        let header = RecordHeader {
            stamp_ns: 7,
            kind: KIND_REPLY,
            captured_len: 3,
            ifindex: 2,
            gso_size: 1448,
        };
        let mut entry = std::vec::Vec::from(header.to_bytes());
        entry.extend_from_slice(b"abcdef");
        assert_eq!(RecordHeader::split(&entry), Some((header, &b"abc"[..])));
        assert_eq!(RecordHeader::split(&entry[..26]), None);
        assert_eq!(RecordHeader::split(&entry[..23]), None);
    }
}
