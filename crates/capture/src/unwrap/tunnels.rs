//! What stands in IP and is not TCP: IP again, GRE (RFC 2784, 2890), ERSPAN, VXLAN (RFC 7348), GENEVE (RFC 8926).

use super::internet::{GRE, UDP};
use super::{Kind, Layer, TUNNELS_MAX, Unwrapper};
use crate::packet::Packet;

const UDP_LEN: usize = 8;
const VXLAN_PORT: u16 = 4789;
/// What Linux took before the port was given.
const VXLAN_OLD_PORT: u16 = 8472;
const GENEVE_PORT: u16 = 6081;
const VXLAN_LEN: usize = 8;
const GENEVE_LEN: usize = 8;

/// Bits of GRE's first two bytes.
const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const VERSION: u16 = 0x0007;

/// What GRE may carry.
const BRIDGED: u16 = 0x6558;
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

impl Unwrapper {
    /// What a protocol that may be a tunnel carries.
    pub(super) fn tunnel(
        &mut self,
        protocol: u8,
        layer: Layer<'_>,
        each: &mut dyn FnMut(Packet<'_>),
    ) {
        let inner = Layer {
            tunnels: layer.tunnels + 1,
            has_vlans: true,
            ..layer
        };
        if protocol == UDP {
            let kind = layer.be16(2);
            if !matches!(kind, Some(VXLAN_PORT | VXLAN_OLD_PORT | GENEVE_PORT)) {
                self.counts.udp += 1;
                return;
            }
            if !self.is_too_deep(inner) {
                self.over_udp(kind == Some(GENEVE_PORT), inner, each);
            }
        } else if !self.is_too_deep(inner) {
            if protocol == GRE {
                self.gre(inner, each);
            } else {
                self.internet(inner, each);
            }
        }
    }

    fn is_too_deep(&mut self, inner: Layer<'_>) -> bool {
        let is_too_deep = inner.tunnels > TUNNELS_MAX;
        self.counts.too_deep += u64::from(is_too_deep);
        is_too_deep
    }

    fn over_udp(&mut self, is_geneve: bool, layer: Layer<'_>, each: &mut dyn FnMut(Packet<'_>)) {
        let Some(head) = layer.behind(UDP_LEN) else {
            self.counts.header_cut += 1;
            return;
        };
        let (Some(first), Some(network)) = (head.be16(0), head.be32(4)) else {
            self.counts.header_cut += 1;
            return;
        };
        let network = network >> 8;
        if is_geneve {
            // Six bits of length, in words of four bytes.
            let options = usize::from(first >> 8 & 0x3f) * 4;
            match (head.be16(2), head.behind(GENEVE_LEN + options)) {
                _ if first >> 14 != 0 => self.counts.udp += 1,
                (Some(BRIDGED), Some(inner)) => {
                    self.ethernet(inner.within(Kind::Virtual, network), each);
                }
                (Some(kind), Some(inner)) => {
                    self.tagged(kind, inner.within(Kind::Virtual, network), each);
                }
                _ => self.counts.header_cut += 1,
            }
            return;
        }
        match head.behind(VXLAN_LEN) {
            // The flag that a network is named. Without it this is something else on the same port.
            _ if first & 0x0800 == 0 => self.counts.udp += 1,
            Some(inner) => self.ethernet(inner.within(Kind::Virtual, network), each),
            None => self.counts.header_cut += 1,
        }
    }

    fn gre(&mut self, layer: Layer<'_>, each: &mut dyn FnMut(Packet<'_>)) {
        let (Some(flags), Some(kind)) = (layer.be16(0), layer.be16(2)) else {
            self.counts.header_cut += 1;
            return;
        };
        if flags & (VERSION | ROUTING) != 0 {
            // PPTP, or routing that nobody has used for decades.
            self.counts.other_protocol += 1;
            return;
        }
        let checksum = if flags & CHECKSUM == 0 { 0 } else { 4 };
        let key = if flags & KEY == 0 { 0 } else { 4 };
        let sequence = if flags & SEQUENCE == 0 { 0 } else { 4 };
        let Some(mut inner) = layer.behind(4 + checksum + key + sequence) else {
            self.counts.header_cut += 1;
            return;
        };
        if key > 0
            && let Some(key) = layer.be32(4 + checksum)
        {
            inner = inner.within(Kind::Key, key);
        }
        let erspan_len = match kind {
            // Type I has no sequence number, and no header of its own.
            ERSPAN if sequence == 0 => 0,
            ERSPAN => 8,
            // The last bit says whether eight bytes of the platform's own follow.
            ERSPAN_III => match inner.be16(10) {
                Some(last) => 12 + usize::from(last & 1) * 8,
                None => usize::MAX,
            },
            BRIDGED => 0,
            _ => return self.tagged(kind, inner, each),
        };
        match inner.behind(erspan_len) {
            Some(inner) => self.ethernet(inner, each),
            None => self.counts.header_cut += 1,
        }
    }
}
