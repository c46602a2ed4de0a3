//! IPv4 and IPv6 with extension headers, down to what they carry.

use wire::flow::Addr;
use wire::ip::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_IPV6_FRAGMENT, PROTOCOL_TCP};

use super::fragments::{Fragment, Key};
use super::{Layer, Unwrapper};
use crate::packet::{Found, Packet};

const V4_LEN: usize = 20;
const V6_LEN: usize = 40;
/// How many extension headers of IPv6 are walked.
const EXTENSIONS_MAX: usize = 8;

pub(super) const IPV4_IN_IP: u8 = 4;
pub(super) const UDP: u8 = 17;
pub(super) const IPV6_IN_IP: u8 = 41;
pub(super) const GRE: u8 = 47;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
/// Hop-by-hop option of a jumbogram (RFC 2675).
const JUMBO: u8 = 0xc2;

/// What an IP header says.
#[derive(Clone, Copy, Debug)]
struct Header {
    source: Addr,
    destination: Addr,
    protocol: u8,
    /// Length of the header itself.
    len: usize,
    /// Where what it carries stands, behind any extensions.
    at: usize,
    /// Length of the whole packet.
    total_len: usize,
    /// Whether the length field says so.
    is_said: bool,
    fragment: Option<Place>,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: u32,
    at: usize,
    is_last: bool,
}

/// Why there is no header to work with.
enum Lacking {
    /// The file ends before it does.
    Cut,
    /// It contradicts itself.
    Malformed,
}

impl Unwrapper {
    /// An IP packet.
    pub(super) fn internet(&mut self, layer: Layer<'_>, each: &mut dyn FnMut(Packet<'_>)) {
        let header = match layer.bytes.first().map(|first| first >> 4) {
            Some(4) => v4(&layer),
            Some(6) => v6(&layer),
            Some(_) => Err(Lacking::Malformed),
            None => Err(Lacking::Cut),
        };
        match header {
            Ok(header) => self.packet(layer, &header, each),
            Err(Lacking::Cut) => self.counts.header_cut += 1,
            Err(Lacking::Malformed) => self.counts.malformed += 1,
        }
    }

    fn packet(&mut self, layer: Layer<'_>, header: &Header, each: &mut dyn FnMut(Packet<'_>)) {
        let is_record_whole = layer.wire_len == layer.bytes.len();
        let here = layer.bytes.len().min(header.total_len);
        let bytes = &layer.bytes[..here];
        if let Some(place) = header.fragment {
            return self.fragment(layer, header, place, &bytes[header.at.min(here)..], each);
        }
        if header.protocol == PROTOCOL_TCP {
            let found = Found {
                at_ns: layer.at_ns,
                network: layer.network,
                interface: layer.interface,
                source: header.source,
                destination: header.destination,
                bytes,
                ip_len: header.len,
                tcp_at: header.at,
                tcp_len: header.total_len - header.at,
                is_ip_whole: header.is_said && header.at == header.len,
            };
            self.counts.tunnelled += u64::from(layer.tunnels > 0);
            self.counts.oversized += u64::from(!header.is_said);
            let made = self.maker.make(&found, each);
            self.counts.tell(made, is_record_whole);
            return;
        }
        let inner = Layer {
            bytes,
            wire_len: header.total_len.min(layer.wire_len.max(here)),
            ..layer
        };
        match (header.protocol, inner.behind(header.at)) {
            (IPV4_IN_IP | IPV6_IN_IP | GRE | UDP, Some(inner)) => {
                self.tunnel(header.protocol, inner, each);
            }
            (IPV4_IN_IP | IPV6_IN_IP | GRE | UDP, None) => self.counts.header_cut += 1,
            (PROTOCOL_ICMP | PROTOCOL_ICMPV6, _) => self.counts.icmp += 1,
            _ => self.counts.other_protocol += 1,
        }
    }

    /// Keeps a fragment, and goes on with the packet that it completes.
    fn fragment(
        &mut self,
        layer: Layer<'_>,
        header: &Header,
        place: Place,
        payload: &[u8],
        each: &mut dyn FnMut(Packet<'_>),
    ) {
        self.counts.fragments += 1;
        if payload.len() < header.total_len - header.at {
            // A fragment that is cut leaves a hole that nothing can fill.
            self.counts.fragments_left += 1;
            return;
        }
        let fragment = Fragment {
            key: Key {
                source: header.source,
                destination: header.destination,
                protocol: header.protocol,
                id: place.id,
                network: layer.network,
            },
            at_ns: layer.at_ns,
            at: place.at,
            is_last: place.is_last,
            header: &layer.bytes[..header.len],
            payload,
        };
        let Some(packet) = self
            .fragments
            .add(&fragment, &mut self.counts.fragments_left)
        else {
            return;
        };
        self.counts.joined += 1;
        let whole = Layer {
            bytes: &packet,
            wire_len: packet.len(),
            ..layer
        };
        self.internet(whole, each);
        self.fragments.give_back(packet);
    }
}

fn v4(layer: &Layer<'_>) -> Result<Header, Lacking> {
    let head: &[u8; V4_LEN] = layer.bytes.first_chunk().ok_or(Lacking::Cut)?;
    let len = usize::from(head[0] & 0x0f) * 4;
    let said = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // A super-packet of an offload, which the field cannot describe.
    let total_len = if said == 0 { layer.wire_len } else { said };
    if len < V4_LEN || total_len < len {
        return Err(Lacking::Malformed);
    }
    if layer.bytes.len() < len {
        return Err(Lacking::Cut);
    }
    let field = u16::from_be_bytes([head[6], head[7]]);
    let fragment = (field & 0x3fff != 0).then(|| Place {
        id: u32::from(u16::from_be_bytes([head[4], head[5]])),
        at: usize::from(field & 0x1fff) * 8,
        is_last: field & 0x2000 == 0,
    });
    Ok(Header {
        source: Addr::v4([head[12], head[13], head[14], head[15]]),
        destination: Addr::v4([head[16], head[17], head[18], head[19]]),
        protocol: head[9],
        len,
        at: len,
        total_len,
        is_said: said != 0,
        fragment,
    })
}

fn v6(layer: &Layer<'_>) -> Result<Header, Lacking> {
    let head: &[u8; V6_LEN] = layer.bytes.first_chunk().ok_or(Lacking::Cut)?;
    let (Some(source), Some(destination)) = (head[8..].first_chunk(), head[24..].first_chunk())
    else {
        return Err(Lacking::Cut);
    };
    let said = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let mut header = Header {
        source: Addr::v6(*source),
        destination: Addr::v6(*destination),
        protocol: head[6],
        len: V6_LEN,
        at: V6_LEN,
        total_len: if said == 0 {
            layer.wire_len
        } else {
            V6_LEN + said
        },
        is_said: said != 0,
        fragment: None,
    };
    for _ in 0..EXTENSIONS_MAX {
        if !extension(layer, &mut header)? {
            return if header.total_len < header.at {
                Err(Lacking::Malformed)
            } else {
                Ok(header)
            };
        }
    }
    Err(Lacking::Malformed)
}

/// Walks over one extension header (RFC 8200 section 4), and says whether there was one.
fn extension(layer: &Layer<'_>, header: &mut Header) -> Result<bool, Lacking> {
    let kind = header.protocol;
    if !matches!(
        kind,
        HOP_BY_HOP | ROUTING | PROTOCOL_IPV6_FRAGMENT | AUTHENTICATION | DESTINATION
    ) || header.fragment.is_some()
    {
        return Ok(false);
    }
    let rest = layer.bytes.get(header.at..).unwrap_or_default();
    let first: &[u8; 8] = rest.first_chunk().ok_or(Lacking::Cut)?;
    let len = match kind {
        PROTOCOL_IPV6_FRAGMENT => 8,
        AUTHENTICATION => (usize::from(first[1]) + 2) * 4,
        _ => (usize::from(first[1]) + 1) * 8,
    };
    if kind == PROTOCOL_IPV6_FRAGMENT {
        let field = u16::from_be_bytes([first[2], first[3]]);
        // One that is the whole packet is none (RFC 6946).
        header.fragment = (field & 0xfff9 != 0).then(|| Place {
            id: u32::from_be_bytes([first[4], first[5], first[6], first[7]]),
            at: usize::from(field & 0xfff8),
            is_last: field & 1 == 0,
        });
    }
    if kind == HOP_BY_HOP && first[2] == JUMBO && first[3] == 4 && !header.is_said {
        let jumbo = u32::from_be_bytes([first[4], first[5], first[6], first[7]]);
        header.total_len = V6_LEN + jumbo as usize;
    }
    header.protocol = first[0];
    header.at += len;
    Ok(true)
}
