//! A socket buffer, read through [`Bytes`].

use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_load_bytes;
use aya_ebpf::programs::TcContext;
use wire::bytes::Bytes;
use wire::ethernet;

use crate::load::Linear;

/// The part of a tag that says which VLAN.
const VLAN_ID: u32 = 0x0fff;

/// The packet type of frames for others.
const PACKET_OTHERHOST: u32 = 3;

/// The socket buffer that a tc program was called for.
///
/// Offsets count from the Ethernet header: the kernel runs tc programs with it in place on both directions.
#[derive(Clone, Copy)]
pub struct Skb {
    raw: *mut __sk_buff,
}

impl Skb {
    /// The socket buffer of a context.
    #[inline(always)]
    pub fn new(ctx: &TcContext) -> Self {
        Self::from_ptr(ctx.skb.skb)
    }

    /// The same in a function that has the pointer alone.
    #[inline(always)]
    pub fn from_ptr(raw: *mut __sk_buff) -> Self {
        Self { raw }
    }

    /// What the helpers want.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut __sk_buff {
        self.raw
    }

    /// Whether the packet is IPv4 or IPv6, by the EtherType that the kernel noted: no byte of it is read.
    #[inline(always)]
    pub fn is_ip(&self) -> bool {
        let ethertype = self.ethertype();
        ethertype == ethernet::IPV4 || ethertype == ethernet::IPV6
    }

    /// Whether the packet belongs to a VLAN, by a tag in its metadata or in its bytes.
    ///
    /// A tag of VLAN 0 carries a priority alone (IEEE 802.1Q): to the kernel the packet is this device's own.
    #[inline(always)]
    pub fn is_tagged(&self) -> bool {
        // SAFETY: the kernel passes a valid context, and rewrites the access.
        if unsafe { (*self.raw).vlan_present } != 0 {
            // SAFETY: as above.
            return unsafe { (*self.raw).vlan_tci } & VLAN_ID != 0;
        }
        let ethertype = self.ethertype();
        ethertype == ethernet::VLAN || ethertype == ethernet::QINQ
    }

    #[inline(always)]
    fn ethertype(&self) -> u16 {
        // SAFETY: as in `is_tagged`.
        u16::from_be(unsafe { (*self.raw).protocol } as u16)
    }

    /// Length of the packet from its IP header on, in bytes, with whatever padding Ethernet added.
    #[inline(always)]
    pub fn network_len(&self) -> u32 {
        // SAFETY: as in `is_tagged`.
        unsafe { (*self.raw).len }.saturating_sub(ethernet::HEADER_LEN as u32)
    }

    /// Payload of each segment that the packet was merged from or will be cut into, in bytes; 0 for one segment.
    #[inline(always)]
    pub fn gso_size(&self) -> u32 {
        // SAFETY: as in `is_tagged`.
        unsafe { (*self.raw).gso_size }
    }

    /// How many segments with so much payload altogether the packet is cut into where it leaves by a device that does
    /// not take super-packets.
    #[inline(always)]
    pub fn frames(&self, payload_len: u32) -> u32 {
        let gso_size = self.gso_size();
        if gso_size == 0 || payload_len == 0 {
            1
        } else {
            payload_len.div_ceil(gso_size)
        }
    }

    /// The interface.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        // SAFETY: as in `is_tagged`.
        unsafe { (*self.raw).ifindex }
    }

    /// Whether the frame was for another Ethernet address: only a promiscuous device shows it to us.
    #[inline(always)]
    pub fn is_for_other_host(&self) -> bool {
        // SAFETY: as in `is_tagged`.
        unsafe { (*self.raw).pkt_type == PACKET_OTHERHOST }
    }

    /// Has the packet leave after all others, where the device's queues know of priorities.
    #[inline(always)]
    pub fn set_priority(&self, priority: u32) {
        // SAFETY: as in `is_tagged`; tc programs may write the field.
        unsafe { (*self.raw).priority = priority };
    }

    /// Has the packet leave by this queue (counted from 1) of the device that it is on the way out of.
    #[inline(always)]
    pub fn set_queue_mapping(&self, queue: u32) {
        // SAFETY: as in `is_tagged`; tc programs may write the field.
        unsafe { (*self.raw).queue_mapping = queue };
    }

    /// The linear part of the packet.
    #[inline(always)]
    pub fn linear(&self) -> Linear {
        // SAFETY: as in `is_tagged`.
        let data = unsafe { (*self.raw).data } as usize;
        // SAFETY: as in `is_tagged`.
        let end = unsafe { (*self.raw).data_end } as usize;
        // SAFETY: they are the context's.
        unsafe { Linear::new(data, end) }
    }
}

/// By the helper, which reads any part of a packet: for what is not [`crate::segment`]'s usual packet.
impl Bytes for Skb {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the helper writes all N bytes, or zeroes them and reports an error.
        let failed = unsafe {
            bpf_skb_load_bytes(
                self.raw.cast(),
                offset as u32,
                bytes.as_mut_ptr().cast(),
                N as u32,
            )
        };
        // SAFETY: as above.
        (failed == 0).then(|| unsafe { bytes.assume_init() })
    }
}
