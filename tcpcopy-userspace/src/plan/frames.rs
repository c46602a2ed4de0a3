//! How long a frame can be: the MTU of the private device, and the bytes that each frame has in memory.

use std::net::IpAddr;

use abi::maps::Egress;
use wire::ethernet;

use crate::args::Capture;

/// MTU of the private device where clones pass it: more does not go through native XDP on veth.
const CLONE_MTU: u32 = 3500;
/// Frames of this size where packets fit, else of the other.
const FRAME_LENS: [u32; 2] = [2048, 4096];
/// What a frame has besides its packet, in bytes.
const OVERHEAD: u32 = port::Config::HEADROOM + ethernet::HEADER_LEN as u32;

/// MTU of the private device: the largest of the routes that frames can hold.
pub(super) fn device_mtu(capture: Capture, egress: &[(IpAddr, Egress)]) -> u32 {
    if capture == Capture::AfXdp {
        return CLONE_MTU;
    }
    let largest = egress.iter().map(|(_, egress)| egress.mtu).max();
    largest
        .unwrap_or_default()
        .clamp(1500, FRAME_LENS[1] - OVERHEAD)
}

/// Bytes of each frame where the private device has this MTU.
pub(super) const fn frame_len(mtu: u32) -> u32 {
    if mtu + OVERHEAD <= FRAME_LENS[0] {
        FRAME_LENS[0]
    } else {
        FRAME_LENS[1]
    }
}
