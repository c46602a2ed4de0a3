//! Link layers and tunnels, down to the TCP packet.
//!
//! What identifies a network is kept as one number, because equal addresses in two networks are two flows: VLANs, virtual
//! networks of VXLAN and GENEVE, keys of GRE. What differs between the two directions of a flow is not: MPLS labels, sessions of
//! ERSPAN, addresses of a tunnel's ends. Nor are VLANs in a cooked capture: one of `-i any` on a host with VLAN devices has each packet
//! with its tag, from the device beneath, and once more without, from the VLAN's own.

mod counts;
mod fragments;
mod internet;
mod layers;
mod tunnels;

pub use counts::UnwrapCounts;

use crate::files::Frame;
use crate::packet::{Maker, Packet};
use fragments::Fragments;

/// How many tunnels may stand around each other.
const TUNNELS_MAX: u8 = 2;
/// How many VLAN tags and MPLS labels may stand around each other.
const TAGS_MAX: usize = 8;

/// Makes TCP packets of frames.
#[derive(Debug, Default)]
pub struct Unwrapper {
    counts: UnwrapCounts,
    fragments: Fragments,
    maker: Maker,
}

/// A stretch of a frame from some layer on.
#[derive(Clone, Copy, Debug)]
struct Layer<'a> {
    at_ns: u64,
    interface: u32,
    network: u32,
    /// How many tunnels stand around it.
    tunnels: u8,
    /// Whether VLAN tags here tell networks apart.
    has_vlans: bool,
    bytes: &'a [u8],
    /// How many bytes were on the wire, by the word of the layers around it: at least those that are here.
    wire_len: usize,
}

impl Unwrapper {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands out the TCP packets that this frame holds or completes: none, one, or several of one that is too long for IP.
    pub fn unwrap(&mut self, frame: &Frame<'_>, each: &mut dyn FnMut(Packet<'_>)) {
        self.counts.frames += 1;
        let layer = Layer {
            at_ns: frame.at_ns,
            interface: frame.interface,
            network: 0,
            tunnels: 0,
            has_vlans: true,
            bytes: frame.bytes,
            wire_len: (frame.wire_len as usize).max(frame.bytes.len()),
        };
        self.link(frame.link, layer, each);
    }

    /// What was found, and what not.
    #[must_use]
    pub fn counts(&self) -> &UnwrapCounts {
        &self.counts
    }
}

impl<'a> Layer<'a> {
    /// The same without its first bytes, or nothing where it is shorter.
    fn behind(self, len: usize) -> Option<Self> {
        Some(Self {
            bytes: self.bytes.get(len..)?,
            wire_len: self.wire_len.saturating_sub(len),
            ..self
        })
    }

    /// The same in a network of this identifier.
    fn within(self, kind: Kind, id: u32) -> Self {
        let mixed = (u64::from(self.network) << 32 | u64::from(kind as u32) << 30 ^ u64::from(id))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            network: ((mixed >> 32) as u32).max(1),
            ..self
        }
    }

    fn be16(&self, at: usize) -> Option<u16> {
        let half = self.bytes.get(at..at + 2)?.first_chunk().copied()?;
        Some(u16::from_be_bytes(half))
    }

    fn be32(&self, at: usize) -> Option<u32> {
        let word = self.bytes.get(at..at + 4)?.first_chunk().copied()?;
        Some(u32::from_be_bytes(word))
    }
}

/// What an identifier of a network is one of.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Vlan = 1,
    Virtual = 2,
    Key = 3,
}
