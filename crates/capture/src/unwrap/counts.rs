//! What was found in frames, and what not.

use crate::packet::{Made, Sum};

/// What an [`Unwrapper`](crate::Unwrapper) saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnwrapCounts {
    /// Frames.
    pub frames: u64,
    /// TCP packets that were found in them; one that is handed out in several counts once.
    pub packets: u64,
    /// Frames that carry no IP: ARP, LLDP and others.
    pub not_ip: u64,
    /// UDP datagrams that are no tunnel.
    pub udp: u64,
    /// ICMP and ICMPv6.
    pub icmp: u64,
    /// Other protocols in IP.
    pub other_protocol: u64,
    /// Packets whose headers contradict themselves.
    pub malformed: u64,
    /// Packets whose headers are not whole in the file.
    pub header_cut: u64,
    /// Packets in more tunnels, or behind more tags, than are looked into.
    pub too_deep: u64,
    /// Packets that were taken out of a tunnel.
    pub tunnelled: u64,
    /// Fragments.
    pub fragments: u64,
    /// Packets that were put together from fragments.
    pub joined: u64,
    /// Fragments that were given up: the others never came, or too many waited.
    pub fragments_left: u64,
    /// TCP packets whose end is not in the file.
    pub cut: u64,
    /// Those of them whose record says that it has them whole: a mirror cut them.
    pub cut_before: u64,
    /// Bytes of payload that are missing in them.
    pub cut_bytes: u64,
    /// TCP packets whose checksum was left to a network card.
    pub offloaded: u64,
    /// TCP packets whose checksum is wrong.
    pub bad: u64,
    /// TCP packets that IP's length field cannot describe: super-packets of offloads.
    pub oversized: u64,
}

impl UnwrapCounts {
    /// Counts what became of a TCP packet, whose record may say that it has it whole.
    pub(super) fn tell(&mut self, made: Made, is_record_whole: bool) {
        let (missing, sum) = match made {
            Made::Packet { missing, sum } => (missing, sum),
            Made::HeaderCut => {
                self.header_cut += 1;
                return;
            }
            Made::Malformed => {
                self.malformed += 1;
                return;
            }
        };
        self.packets += 1;
        if missing > 0 {
            self.cut += 1;
            self.cut_before += u64::from(is_record_whole);
            self.cut_bytes += missing as u64;
        }
        match sum {
            Sum::Offloaded => self.offloaded += 1,
            Sum::Bad => self.bad += 1,
            Sum::Good | Sum::Unknown => {}
        }
    }
}
