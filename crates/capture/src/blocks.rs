//! Blocks of pcapng files (draft-ietf-opsawg-pcapng): sections in either byte order, interfaces with resolutions of their own.
//!
//! Blocks that have no packet are passed over without being kept, however long they say they are.

use pcap_parser::pcapng::{
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_interfacestatisticsblock_be, parse_interfacestatisticsblock_le,
    parse_simplepacketblock_be, parse_simplepacketblock_le,
};
use pcap_parser::{BOM_MAGIC, EPB_MAGIC, IDB_MAGIC, ISB_MAGIC, OptionCode, SHB_MAGIC, SPB_MAGIC};

use crate::RECORD_BYTES_MAX;
use crate::error::Error;
use crate::interface::{Interface, number};
use crate::opened::Opened;
use crate::record::{Located, Record, word};

/// How many interfaces a section may have.
const INTERFACES_MAX: usize = 65_536;
/// The longest block that is looked into, in bytes: a packet and its comments.
const BLOCK_BYTES_MAX: usize = RECORD_BYTES_MAX + (256 << 10);
/// Blocks that are looked at when a file is opened.
const HEAD_BLOCKS_MAX: usize = 4096;
/// The packet block of pcapng's first drafts.
const PACKET_MAGIC: u32 = 2;
/// Where the packet stands in an enhanced and in an old packet block.
const PACKET_AT: usize = 28;
/// Where it stands in a simple one.
const SIMPLE_PACKET_AT: usize = 12;
/// What stands before and behind the packet of a simple packet block, in bytes.
const SIMPLE_AROUND: usize = 16;

const NOT_DESCRIBED: &str = "a packet names an interface that the file does not describe";
const LENGTHS_DIFFER: &str =
    "the two lengths of a block differ, so that where the next one begins is not known";
const TOO_SHORT: &str = "a block says that it is shorter than its own head, so that where the next one begins is not known";
const TOO_LONG: &str =
    "a block says that it is longer than any packet is, and where the next one begins is not known";
const INSIDE: &str = "the lengths in a block contradict each other";

/// What a section says of its packets.
#[derive(Debug, Default)]
pub(crate) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// The time of the packet before, in nanoseconds: a simple packet block has none.
    last_ns: u64,
}

impl Section {
    pub(crate) fn begins(magic: [u8; 4]) -> bool {
        u32::from_le_bytes(magic) == SHB_MAGIC
    }

    /// Reads the head of the file: what stands before its first packet.
    pub(crate) fn open(opened: &mut Opened) -> Result<Self, Error> {
        let mut section = Self::default();
        if let Located::Damaged(why) = section.locate(opened)? {
            return Err(opened.head(why));
        }
        if section.interfaces.is_empty() && opened.buffer.offset() == 0 {
            return Err(opened.head("it ends before its section header does"));
        }
        for _ in 0..HEAD_BLOCKS_MAX {
            // A pipe may give its first packet in an hour.
            if !opened.is_regular && !section.interfaces.is_empty() {
                break;
            }
            if let Some(interface) = section.peek(opened)? {
                if let Some(Interface { link, .. }) = section.interfaces.get(interface)
                    && !link.is_known()
                {
                    return Err(opened.link(*link));
                }
                return Ok(section);
            }
            match section.locate(opened)? {
                Located::End => break,
                Located::Damaged(why) => return Err(opened.head(why)),
                _ => {}
            }
        }
        match section.interfaces.first() {
            Some(Interface { link, .. })
                if section.interfaces.iter().all(|i| !i.link.is_known()) =>
            {
                Err(opened.link(*link))
            }
            _ => Ok(section),
        }
    }

    /// The interface of the packet that stands next, if one does.
    fn peek(&self, opened: &mut Opened) -> Result<Option<usize>, Error> {
        if !opened.want(12)? {
            return Ok(None);
        }
        let field = |at| word(opened.buffer.unread(), at, self.big_endian);
        Ok(match field(0) {
            Some(EPB_MAGIC) => field(8).map(|interface| interface as usize),
            Some(PACKET_MAGIC) => self.half(opened.buffer.unread(), 8),
            Some(SPB_MAGIC) => Some(0),
            _ => None,
        })
    }

    /// The 16-bit number at an offset.
    fn half(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let half = bytes.get(at..at + 2)?.first_chunk().copied()?;
        Some(usize::from(if self.big_endian {
            u16::from_be_bytes(half)
        } else {
            u16::from_le_bytes(half)
        }))
    }

    /// Finds the next block, and what is in it.
    #[inline]
    pub(crate) fn locate(&mut self, opened: &mut Opened) -> Result<Located, Error> {
        if !opened.want(12)? {
            return Ok(Located::End);
        }
        let head = opened.buffer.unread();
        if head.first_chunk().copied().is_some_and(Self::begins) {
            return self.begin(opened);
        }
        let field = |at| word(head, at, self.big_endian).unwrap_or(0);
        let (kind, len) = (field(0), field(4) as usize);
        if len < 12 {
            return Ok(Located::Damaged(TOO_SHORT));
        }
        let is_packet = matches!(kind, EPB_MAGIC | SPB_MAGIC | PACKET_MAGIC);
        if !is_packet && !matches!(kind, IDB_MAGIC | ISB_MAGIC) {
            opened.buffer.pass(len as u64);
            return Ok(Located::Other);
        }
        if len > BLOCK_BYTES_MAX {
            return Ok(Located::Damaged(TOO_LONG));
        }
        if !opened.want(len)? {
            return Ok(Located::End);
        }
        let block = &opened.buffer.unread()[..len];
        if word(block, len - 4, self.big_endian) != Some(len as u32) {
            return Ok(Located::Damaged(LENGTHS_DIFFER));
        }
        let located = match kind {
            IDB_MAGIC => self.describe(block),
            ISB_MAGIC => self.statistics(block),
            SPB_MAGIC => self.simple(block),
            EPB_MAGIC => {
                let interface = word(block, 8, self.big_endian);
                self.packet(block, interface.map(|interface| interface as usize))
            }
            _ => self.packet(block, self.half(block, 8)),
        };
        opened.buffer.take(len);
        Ok(located)
    }

    /// A section header: another byte order, other interfaces.
    fn begin(&mut self, opened: &mut Opened) -> Result<Located, Error> {
        if !opened.want(16)? {
            return Ok(Located::End);
        }
        let head = opened.buffer.unread();
        let big_endian = match word(head, 8, true) {
            Some(BOM_MAGIC) => true,
            Some(order) if order.swap_bytes() == BOM_MAGIC => false,
            _ => {
                return Ok(Located::Damaged(
                    "a section's byte order is neither of the two",
                ));
            }
        };
        *self = Self {
            big_endian,
            last_ns: self.last_ns,
            ..Self::default()
        };
        if self.half(head, 12) != Some(1) {
            return Ok(Located::Damaged(
                "a section is of a version of pcapng that is not known",
            ));
        }
        match word(head, 4, big_endian) {
            Some(len @ 28..) => {
                opened.buffer.pass(u64::from(len));
                Ok(Located::Other)
            }
            _ => Ok(Located::Damaged(TOO_SHORT)),
        }
    }

    fn describe(&mut self, block: &[u8]) -> Located {
        let parse = if self.big_endian {
            parse_interfacedescriptionblock_be
        } else {
            parse_interfacedescriptionblock_le
        };
        let Ok((_, described)) = parse(block) else {
            return Located::Blemish(INSIDE);
        };
        if self.interfaces.len() == INTERFACES_MAX {
            return Located::Blemish("a section describes more interfaces than any machine has");
        }
        self.interfaces
            .push(Interface::of(&described, self.big_endian));
        Located::Other
    }

    fn statistics(&mut self, block: &[u8]) -> Located {
        let parse = if self.big_endian {
            parse_interfacestatisticsblock_be
        } else {
            parse_interfacestatisticsblock_le
        };
        let Ok((_, said)) = parse(block) else {
            return Located::Blemish(INSIDE);
        };
        let value = |code| number(&said.options, code, self.big_endian).unwrap_or(0);
        // By the interface, and by the system behind it.
        let lost = value(OptionCode::IsbIfDrop).saturating_add(value(OptionCode::IsbOsDrop));
        match self.interfaces.get_mut(said.if_id as usize) {
            Some(interface) => {
                let more = lost.saturating_sub(interface.lost);
                interface.lost = interface.lost.max(lost);
                Located::Lost(more)
            }
            None => Located::Other,
        }
    }

    /// An enhanced packet block, or one of the first drafts, which differ in how wide the interface's number is. It is read
    /// here: pcap-parser makes a list of the options, which would cost each packet with a comment an allocation.
    #[inline]
    fn packet(&mut self, block: &[u8], at: Option<usize>) -> Located {
        let field = |at| word(block, at, self.big_endian);
        let (Some(at), Some(high), Some(low), Some(len), Some(wire_len)) =
            (at, field(12), field(16), field(20), field(24))
        else {
            return Located::Blemish(INSIDE);
        };
        let behind = block.len().saturating_sub(PACKET_AT);
        if (len as usize) > behind.saturating_sub(4) {
            return Located::Blemish(INSIDE);
        }
        let Some(interface) = self.interfaces.get(at) else {
            return Located::Blemish(NOT_DESCRIBED);
        };
        if !interface.link.is_known() {
            return Located::OtherLink(interface.link);
        }
        self.last_ns = interface.at_ns(u64::from(high) << 32 | u64::from(low));
        Located::Record(Record {
            at_ns: self.last_ns,
            link: interface.link,
            interface: at as u32,
            taken: behind,
            len: len as usize,
            record_len: block.len(),
            wire_len: wire_len.max(len),
        })
    }

    fn simple(&mut self, block: &[u8]) -> Located {
        let parse = if self.big_endian {
            parse_simplepacketblock_be
        } else {
            parse_simplepacketblock_le
        };
        let Ok((_, packet)) = parse(block) else {
            return Located::Blemish(INSIDE);
        };
        let Some(interface) = self.interfaces.first() else {
            return Located::Blemish(NOT_DESCRIBED);
        };
        if !interface.link.is_known() {
            return Located::OtherLink(interface.link);
        }
        let here = (block.len() - SIMPLE_AROUND) as u32;
        let snap_len = match interface.snap_len {
            0 => u32::MAX,
            snap_len => snap_len,
        };
        Located::Record(Record {
            at_ns: self.last_ns,
            link: interface.link,
            interface: 0,
            taken: block.len() - SIMPLE_PACKET_AT,
            len: packet.origlen.min(snap_len).min(here) as usize,
            record_len: block.len(),
            wire_len: packet.origlen,
        })
    }
}
