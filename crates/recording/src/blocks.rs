//! The blocks of pcapng (draft-ietf-opsawg-pcapng), as bytes. pcap-parser writes them, which reads them for a replay as well.
//!
//! A packet is given an Ethernet header: every reader knows that link type, and no address of a network card would say anything of
//! a request. Its addresses are made up, locally administered, and say which side speaks.

use std::borrow::Cow;

use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, InterfaceStatisticsBlock, Linktype, OptionCode,
    PcapNGOption, SectionHeaderBlock, ToVec as _,
};

/// Length of the Ethernet header, in bytes.
pub(crate) const ETHERNET_LEN: usize = 14;
/// Longest packet that can come, in bytes.
const SNAP_LEN: u32 = 65_535 + 4096;
const CLIENTS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ONLINE: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Nanoseconds: ten to the power of minus nine.
const RESOLUTION: u8 = 9;
/// `epb_flags`, for which pcap-parser has no name.
const PACKET_FLAGS: OptionCode = OptionCode(2);

/// A device that packets were seen on, and what was seen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number in the kernel.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Packets of it that were taken.
    pub received: u64,
}

/// Which way a packet passed this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It was sent from here.
    Sent,
    /// It came here.
    Received,
}

impl Direction {
    /// The flags of a packet that went this way.
    const fn flags(self) -> u32 {
        match self {
            Self::Sent => 2,
            Self::Received => 1,
        }
    }
}

/// The beginning of a file, which a command of tcpcopy's writes.
pub(crate) fn section(command: &str) -> Vec<u8> {
    let application = format!("tcpcopy {command} {}", env!("CARGO_PKG_VERSION"));
    let options = vec![option(OptionCode::ShbUserAppl, application.as_bytes())];
    let mut block = SectionHeaderBlock {
        block_type: 0,
        block_len1: 0,
        bom: 0,
        major_version: 1,
        minor_version: 0,
        section_len: -1,
        options,
        block_len2: 0,
    };
    written(block.to_vec())
}

/// A device of this name. `words` say what is kept of its packets.
pub(crate) fn interface(name: &str, words: &str) -> Vec<u8> {
    let options = vec![
        option(OptionCode::IfName, name.as_bytes()),
        option(OptionCode::IfDescription, words.as_bytes()),
        option(OptionCode::IfTsresol, &[RESOLUTION]),
    ];
    let mut block = InterfaceDescriptionBlock {
        block_type: 0,
        block_len1: 0,
        linktype: Linktype::ETHERNET,
        reserved: 0,
        snaplen: SNAP_LEN,
        options,
        block_len2: 0,
        if_tsresol: RESOLUTION,
        if_tsoffset: 0,
    };
    written(block.to_vec())
}

/// The frame of a packet that begins with its IP header, put into `frame`. A copy is sent in the place of a client.
pub(crate) fn frame(frame: &mut Vec<u8>, is_client: bool, packet: &[u8]) {
    let (from, to) = if is_client {
        (CLIENTS, ONLINE)
    } else {
        (ONLINE, CLIENTS)
    };
    let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    let ethertype: u16 = if is_v6 { 0x86dd } else { 0x0800 };
    frame.clear();
    frame.extend(to);
    frame.extend(from);
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
}

/// A frame of which `wire_len` bytes were on the wire, and which way it passed, where that is to be said.
pub(crate) fn packet(
    interface: u32,
    at_ns: u64,
    frame: &[u8],
    wire_len: u32,
    direction: Option<Direction>,
) -> Vec<u8> {
    let (ts_high, ts_low) = stamp(at_ns);
    let flags = direction.map(|it| option(PACKET_FLAGS, &it.flags().to_le_bytes()));
    let mut block = EnhancedPacketBlock {
        block_type: 0,
        block_len1: 0,
        if_id: interface,
        ts_high,
        ts_low,
        caplen: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        origlen: wire_len,
        data: frame,
        options: flags.into_iter().collect(),
        block_len2: 0,
    };
    written(block.to_vec())
}

/// What a device has shown so far, and how many packets were lost.
pub(crate) fn statistics(interface: u32, at_ns: u64, received: u64, dropped: u64) -> Vec<u8> {
    let (ts_high, ts_low) = stamp(at_ns);
    let options = vec![
        option(OptionCode::IsbIfRecv, &received.to_le_bytes()),
        option(OptionCode::IsbIfDrop, &dropped.to_le_bytes()),
    ];
    let mut block = InterfaceStatisticsBlock {
        block_type: 0,
        block_len1: 0,
        if_id: interface,
        ts_high,
        ts_low,
        options,
        block_len2: 0,
    };
    written(block.to_vec())
}

/// The two halves of a time.
#[expect(clippy::cast_possible_truncation, reason = "they are halves")]
const fn stamp(at_ns: u64) -> (u32, u32) {
    ((at_ns >> 32) as u32, at_ns as u32)
}

fn option(code: OptionCode, value: &[u8]) -> PcapNGOption<'static> {
    // What is longer than an option can be is a name that nobody has.
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let value = value.iter().take(len.into()).copied().collect();
    PcapNGOption {
        code,
        len,
        value: Cow::Owned(value),
    }
}

/// Memory takes every block.
fn written<E: std::fmt::Debug>(block: Result<Vec<u8>, E>) -> Vec<u8> {
    block.expect("a vector takes whatever is written to it")
}
