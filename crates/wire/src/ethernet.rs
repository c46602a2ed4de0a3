//! Ethernet II: just enough to find the network header and to dress a frame for the private device.

/// Length of an Ethernet header without VLAN tag, in bytes.
pub const HEADER_LEN: usize = 14;

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// EtherType of an IEEE 802.1Q tag.
pub const VLAN: u16 = 0x8100;
/// EtherType of an IEEE 802.1ad service tag.
pub const QINQ: u16 = 0x88a8;

/// Writes the header of a frame for the private device into the first [`HEADER_LEN`] bytes.
///
/// Both addresses are zero: `inject` has the kernel write the real ones (`bpf_redirect_neigh`).
#[inline(always)]
pub fn emit(frame: &mut [u8; HEADER_LEN], ethertype: u16) {
    frame.fill(0);
    let [high, low] = ethertype.to_be_bytes();
    frame[12] = high;
    frame[13] = low;
}
