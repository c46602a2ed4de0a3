//! What is found at a place in a file: a record with its packet, or something else.

use crate::link::LinkType;

/// A record that stands in the buffer, taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) at_ns: u64,
    pub(crate) link: LinkType,
    pub(crate) interface: u32,
    /// How far before the end of what is taken the packet begins, in bytes.
    pub(crate) taken: usize,
    /// Length of the packet in the file, in bytes.
    pub(crate) len: usize,
    /// Length of the record with all that is around the packet, in bytes.
    pub(crate) record_len: usize,
    pub(crate) wire_len: u32,
}

/// What was found at the place where a record should begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Located {
    Record(Record),
    /// No packet: something that is passed over.
    Other,
    /// A packet of an interface whose link type is not known.
    OtherLink(LinkType),
    /// So many packets were lost, whoever captured says.
    Lost(u64),
    /// A record that contradicts itself. The next one is looked for where it says that it ends.
    Blemish(&'static str),
    /// What contradicts itself so that the next record cannot be found.
    Damaged(&'static str),
    /// Not a whole record more.
    End,
}

/// The 32-bit number at an offset.
#[inline]
pub(crate) fn word(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let word = bytes.get(at..at + 4)?.first_chunk().copied()?;
    Some(if big_endian {
        u32::from_be_bytes(word)
    } else {
        u32::from_le_bytes(word)
    })
}
