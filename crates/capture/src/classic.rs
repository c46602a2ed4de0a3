//! Records of pcap files: microseconds, nanoseconds and "modified", each in two byte orders.
//!
//! Sixteen bytes stand before each packet: seconds, their fraction, how many bytes of the packet follow, how many it had.
//! The modified form, of Linux 2.2's time, has eight more, which say nothing that is needed.

use crate::error::Error;
use crate::link::LinkType;
use crate::opened::Opened;
use crate::record::{Located, Record, word};

const HEADER_LEN: usize = 24;

/// The form of a pcap file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classic {
    big_endian: bool,
    /// What the fraction of a second counts, in nanoseconds.
    unit_ns: u64,
    /// Length of what stands before each packet, in bytes.
    head: usize,
    link: LinkType,
}

/// What four first bytes say: byte order, unit, length of a record's head.
fn form(magic: [u8; 4]) -> Option<(bool, u64, usize)> {
    let big_endian = magic[0] == 0xa1;
    let magic = if big_endian {
        u32::from_be_bytes(magic)
    } else {
        u32::from_le_bytes(magic)
    };
    match magic {
        0xa1b2_c3d4 => Some((big_endian, 1000, 16)),
        0xa1b2_3c4d => Some((big_endian, 1, 16)),
        0xa1b2_cd34 => Some((big_endian, 1000, 24)),
        _ => None,
    }
}

impl Classic {
    pub(crate) fn begins(magic: [u8; 4]) -> bool {
        form(magic).is_some()
    }

    /// Reads the header of the file.
    pub(crate) fn open(opened: &mut Opened) -> Result<Self, Error> {
        if !opened.want(HEADER_LEN)? {
            return Err(opened.head("it ends before its header does"));
        }
        let head = opened.buffer.unread();
        let (Some((big_endian, unit_ns, len)), Some(link)) = (
            head.first_chunk().copied().and_then(form),
            word(head, 20, false),
        ) else {
            return Err(opened.head("it ends before its header does"));
        };
        let link = if big_endian { link.swap_bytes() } else { link };
        // The upper bits say how long a frame check sequence is: the length of the IP packet says it as well.
        let link = LinkType(link & 0x03ff_ffff);
        opened.buffer.take(HEADER_LEN);
        let classic = Self {
            big_endian,
            unit_ns,
            head: len,
            link,
        };
        if link.is_known() {
            Ok(classic)
        } else {
            Err(opened.link(link))
        }
    }

    /// Finds the next record.
    #[inline]
    pub(crate) fn locate(&self, opened: &mut Opened) -> Result<Located, Error> {
        if !opened.want(self.head)? {
            return Ok(Located::End);
        }
        let field = |at| word(opened.buffer.unread(), at, self.big_endian).unwrap_or(0);
        let (seconds, fraction, len, wire_len) = (field(0), field(4), field(8), field(12));
        if len as usize > crate::RECORD_BYTES_MAX {
            return Ok(Located::Damaged(
                "a record says that it is longer than any packet is, and where the next one begins is not known",
            ));
        }
        let whole = self.head + len as usize;
        if !opened.want(whole)? {
            return Ok(Located::End);
        }
        opened.buffer.take(whole);
        Ok(Located::Record(Record {
            at_ns: u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit_ns,
            link: self.link,
            interface: 0,
            taken: len as usize,
            len: len as usize,
            record_len: whole,
            wire_len: wire_len.max(len),
        }))
    }
}
