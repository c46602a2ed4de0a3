//! A TCP packet from its IP header on, made well-formed: the IP length is right and fits its field, nothing stands between IP
//! and TCP, and the checksum is valid.
//!
//! What already is so is handed out where it stands in the file. Anything else is written anew into one buffer, which is all the
//! memory that this takes.

use wire::checksum::pseudo_header;
use wire::flow::Addr;
use wire::ip::{PROTOCOL_TCP, V6_HEADER_LEN};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const TCP_HEADER_LEN: usize = 20;
/// The longest packet that is handed out, in bytes from the IP header on.
const PACKET_BYTES_MAX: usize = 65_535;

/// What the checksum in the file said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// It is right.
    Good,
    /// The sender left it to its network card: it is 0, or the sum of the pseudo-header, with or without the length.
    Offloaded,
    /// It is wrong. Its bytes may be damaged.
    Bad,
    /// Bytes that it is of are not in the file.
    Unknown,
}

/// A TCP packet from its IP header on, as `wire` and a session engine read it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it was captured, in nanoseconds since the epoch. That of the last fragment, where it came in several.
    pub at_ns: u64,
    /// 0, or a number for the VLANs and tunnels that it came through: equal addresses in two of them are two flows.
    pub network: u32,
    /// Number of the interface that it was captured on.
    pub interface: u32,
    /// IP header, TCP header and payload.
    pub bytes: &'a [u8],
    /// Bytes of payload that were on the wire behind these, and are not in the file.
    pub missing: u32,
    /// What the checksum in the file said.
    pub sum: Sum,
}

/// A TCP packet as it was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) at_ns: u64,
    pub(crate) network: u32,
    pub(crate) interface: u32,
    pub(crate) source: Addr,
    pub(crate) destination: Addr,
    /// From the IP header on, as far as the file has it.
    pub(crate) bytes: &'a [u8],
    /// Length of the IP header, without extensions.
    pub(crate) ip_len: usize,
    /// Where the TCP header stands.
    pub(crate) tcp_at: usize,
    /// Length of TCP header and payload by IP's word: perhaps more than there is, or than IP can say.
    pub(crate) tcp_len: usize,
    /// Whether IP's length field says so as well.
    pub(crate) is_ip_whole: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Made {
    /// It was handed out.
    Packet { missing: usize, sum: Sum },
    /// Its headers are not whole in the file.
    HeaderCut,
    /// Its headers contradict themselves.
    Malformed,
}

impl Made {
    /// There is no whole header, which either the file or the packet itself lacks.
    fn lacking(is_cut: bool) -> Self {
        if is_cut {
            Self::HeaderCut
        } else {
            Self::Malformed
        }
    }
}

/// Makes packets well-formed.
#[derive(Debug, Default)]
pub(crate) struct Maker {
    packet: Vec<u8>,
}

impl Maker {
    pub(crate) fn make(&mut self, found: &Found<'_>, each: &mut dyn FnMut(Packet<'_>)) -> Made {
        let here = found.bytes.get(found.tcp_at..).unwrap_or_default();
        let tcp = &here[..here.len().min(found.tcp_len)];
        if tcp.len() < TCP_HEADER_LEN {
            return Made::lacking(found.tcp_len >= TCP_HEADER_LEN);
        }
        let header_len = usize::from(tcp[12] >> 4) * 4;
        if !(TCP_HEADER_LEN..=found.tcp_len).contains(&header_len) {
            return Made::Malformed;
        }
        // Where the file ends within the options, what is left of them says nothing.
        let (kept, tcp) = if header_len <= tcp.len() {
            (header_len, tcp)
        } else {
            (TCP_HEADER_LEN, &tcp[..TCP_HEADER_LEN])
        };
        let missing = found.tcp_len - header_len - (tcp.len() - kept);
        let is_whole = missing == 0 && kept == header_len;
        let sum = judge(found, tcp, is_whole);
        let packet = Packet {
            at_ns: found.at_ns,
            network: found.network,
            interface: found.interface,
            bytes: &found.bytes[..found.tcp_at + tcp.len()],
            missing: u32::try_from(missing).unwrap_or(u32::MAX),
            sum,
        };
        if sum == Sum::Good && found.is_ip_whole {
            each(packet);
        } else {
            self.rewrite(found, &packet, tcp.split_at(kept), each);
        }
        Made::Packet { missing, sum }
    }

    /// Writes it anew, in several packets where one cannot hold it.
    fn rewrite(
        &mut self,
        found: &Found<'_>,
        packet: &Packet<'_>,
        (header, payload): (&[u8], &[u8]),
        each: &mut dyn FnMut(Packet<'_>),
    ) {
        let room = PACKET_BYTES_MAX - found.ip_len.max(V6_HEADER_LEN) - header.len();
        let flags = header[13];
        let missing = packet.missing;
        let mut at = 0;
        loop {
            let len = (payload.len() - at).min(room);
            let is_last = at + len == payload.len();
            // The end of the stream stands behind all bytes, those that are missing too.
            let later = if is_last && missing == 0 {
                0
            } else {
                FIN | PSH
            };
            let earlier = if at == 0 { 0 } else { SYN };
            self.write(
                found,
                header,
                &payload[at..at + len],
                at as u32,
                flags & !later & !earlier,
            );
            each(Packet {
                bytes: &self.packet,
                missing: if is_last { missing } else { 0 },
                ..*packet
            });
            at += len;
            if is_last {
                break;
            }
        }
        if missing > 0 && flags & FIN != 0 {
            let behind = (payload.len() as u32).wrapping_add(missing);
            self.write(found, header, &[], behind, flags & !SYN);
            each(Packet {
                bytes: &self.packet,
                missing: 0,
                ..*packet
            });
        }
    }

    /// Writes one packet, whose payload begins so many bytes behind that of the one found.
    fn write(&mut self, found: &Found<'_>, header: &[u8], payload: &[u8], moved: u32, flags: u8) {
        let packet = &mut self.packet;
        packet.clear();
        packet.extend_from_slice(&found.bytes[..found.ip_len]);
        packet.extend_from_slice(header);
        packet.extend_from_slice(payload);
        let tcp_len = header.len() + payload.len();
        if found.source.is_v4() {
            ip_v4(&mut packet[..found.ip_len], tcp_len);
        } else {
            packet[4..6].copy_from_slice(&short(tcp_len));
            packet[6] = PROTOCOL_TCP;
        }
        let tcp = &mut packet[found.ip_len..];
        // A SYN takes a number of its own, before the payload.
        let syn = u32::from(moved > 0 && header[13] & SYN != 0);
        if let Some(seq) = header[4..].first_chunk() {
            let seq = u32::from_be_bytes(*seq)
                .wrapping_add(moved)
                .wrapping_add(syn);
            tcp[4..8].copy_from_slice(&seq.to_be_bytes());
        }
        // In words of four bytes: fewer than it said where options are left out.
        tcp[12] = (header.len() as u8 / 4) << 4 | header[12] & 0x0f;
        tcp[13] = flags;
        tcp[16..18].fill(0);
        let [high, low] = short(tcp_len);
        let length = u16::from_be_bytes([high, low]);
        let sum = pseudo_header(&found.source, &found.destination, PROTOCOL_TCP, length);
        let sum = sum.bytes(tcp).finish();
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Makes an IPv4 header right for what stands behind it.
fn ip_v4(header: &mut [u8], payload_len: usize) {
    let len = header.len();
    header[2..4].copy_from_slice(&short(len + payload_len));
    // No fragment, whatever it was.
    header[6] &= 0x40;
    header[7] = 0;
    header[10..12].fill(0);
    let sum = wire::checksum::Sum::default().bytes(header).finish();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// A length as the wire has it. What is written here never is longer than the field says.
fn short(len: usize) -> [u8; 2] {
    debug_assert!(len <= PACKET_BYTES_MAX);
    (len as u16).to_be_bytes()
}

/// What the checksum of a segment says, which perhaps is not whole.
fn judge(found: &Found<'_>, tcp: &[u8], is_whole: bool) -> Sum {
    let (source, destination) = (&found.source, &found.destination);
    let field = u16::from_be_bytes([tcp[16], tcp[17]]);
    let empty = pseudo_header(source, destination, PROTOCOL_TCP, 0);
    // IPv6 has 32 bits for the length, and offloads use them.
    let whole = empty.double_word(found.tcp_len as u32);
    if is_whole && whole.bytes(tcp).finish() == 0 {
        return Sum::Good;
    }
    if field == 0 || field == whole.fold() || field == empty.fold() {
        Sum::Offloaded
    } else if is_whole {
        Sum::Bad
    } else {
        Sum::Unknown
    }
}
