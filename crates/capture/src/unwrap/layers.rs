//! From the link layer to IP.

use super::{Kind, Layer, TAGS_MAX, Unwrapper};
use crate::link::LinkType;
use crate::packet::Packet;

const ETHERNET_LEN: usize = 14;
const SLL_LEN: usize = 16;
const SLL2_LEN: usize = 20;
const FAMILY_LEN: usize = 4;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;
/// What was used for the outer tag before 802.1ad was there.
const OLD_VLANS: [u16; 3] = [0x9100, 0x9200, 0x9300];
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;

impl Unwrapper {
    pub(super) fn link(
        &mut self,
        link: LinkType,
        layer: Layer<'_>,
        each: &mut dyn FnMut(Packet<'_>),
    ) {
        match link {
            LinkType::ETHERNET => self.ethernet(layer, each),
            LinkType::LINUX_SLL => {
                let has_vlans = false;
                self.cooked(Layer { has_vlans, ..layer }, 14, SLL_LEN, each);
            }
            LinkType::LINUX_SLL2 => {
                // The interface by its own number, where the capture is one of `-i any`.
                let interface = layer.be32(4).unwrap_or(layer.interface);
                let cooked = Layer {
                    interface,
                    has_vlans: false,
                    ..layer
                };
                self.cooked(cooked, 0, SLL2_LEN, each);
            }
            LinkType::NULL | LinkType::LOOP => match layer.be32(0) {
                Some(family) if is_internet(family) => self.rest(layer, FAMILY_LEN, each),
                Some(_) => self.counts.not_ip += 1,
                None => self.counts.header_cut += 1,
            },
            _ => self.internet(layer, each),
        }
    }

    pub(super) fn ethernet(&mut self, layer: Layer<'_>, each: &mut dyn FnMut(Packet<'_>)) {
        self.cooked(layer, 12, ETHERNET_LEN, each);
    }

    /// A header of `len` bytes that has an EtherType at `at`.
    fn cooked(
        &mut self,
        layer: Layer<'_>,
        at: usize,
        len: usize,
        each: &mut dyn FnMut(Packet<'_>),
    ) {
        match (layer.be16(at), layer.behind(len)) {
            (Some(kind), Some(layer)) => self.tagged(kind, layer, each),
            _ => self.counts.header_cut += 1,
        }
    }

    /// IP, when so many bytes are taken off.
    fn rest(&mut self, layer: Layer<'_>, len: usize, each: &mut dyn FnMut(Packet<'_>)) {
        match layer.behind(len) {
            Some(layer) => self.internet(layer, each),
            None => self.counts.header_cut += 1,
        }
    }

    /// What an EtherType says stands here, behind any tags.
    pub(super) fn tagged(
        &mut self,
        mut kind: u16,
        mut layer: Layer<'_>,
        each: &mut dyn FnMut(Packet<'_>),
    ) {
        for _ in 0..TAGS_MAX {
            if !matches!(kind, VLAN | SERVICE_VLAN) && !OLD_VLANS.contains(&kind) {
                return self.untagged(kind, layer, each);
            }
            let (Some(tag), Some(inner), Some(behind)) =
                (layer.be16(0), layer.be16(2), layer.behind(4))
            else {
                self.counts.header_cut += 1;
                return;
            };
            // VLAN 0 is a priority and no network.
            let vlan = u32::from(tag & 0x0fff);
            let is_network = vlan != 0 && layer.has_vlans;
            layer = if is_network {
                behind.within(Kind::Vlan, vlan)
            } else {
                behind
            };
            kind = inner;
        }
        self.counts.too_deep += 1;
    }

    fn untagged(&mut self, kind: u16, layer: Layer<'_>, each: &mut dyn FnMut(Packet<'_>)) {
        match kind {
            IPV4 | IPV6 => self.internet(layer, each),
            MPLS | MPLS_UPSTREAM => self.labelled(layer, each),
            PPPOE_SESSION => match layer.be16(6) {
                Some(0x0021 | 0x0057) => self.rest(layer, 8, each),
                Some(_) => self.counts.not_ip += 1,
                None => self.counts.header_cut += 1,
            },
            _ => self.counts.not_ip += 1,
        }
    }

    /// MPLS labels, and behind them IP, or Ethernet behind a control word (RFC 4385, whose first four bits are 0).
    fn labelled(&mut self, mut layer: Layer<'_>, each: &mut dyn FnMut(Packet<'_>)) {
        for _ in 0..TAGS_MAX {
            let (Some(label), Some(behind)) = (layer.be32(0), layer.behind(4)) else {
                self.counts.header_cut += 1;
                return;
            };
            layer = behind;
            if label & 0x100 == 0 {
                continue;
            }
            return match layer.bytes.first().map(|first| first >> 4) {
                Some(4 | 6) => self.internet(layer, each),
                Some(0) => match layer.behind(4) {
                    Some(layer) => self.ethernet(layer, each),
                    None => self.counts.header_cut += 1,
                },
                Some(_) => self.counts.not_ip += 1,
                None => self.counts.header_cut += 1,
            };
        }
        self.counts.too_deep += 1;
    }
}

/// Whether an address family, in either byte order, is one of IP: IPv6 has another number on each system.
fn is_internet(family: u32) -> bool {
    let family = if family > 0xffff {
        family.swap_bytes()
    } else {
        family
    };
    matches!(family, 2 | 10 | 24 | 28 | 30)
}
