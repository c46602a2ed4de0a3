//! Packets that several devices show: a bridge and its member, a device and its mirror. Each is taken once.
//!
//! Two records are of one packet where a *different* device showed the same headers a moment ago. What routers change on the way
//! (TTL, traffic class) is not compared, nor checksums, which may not be filled in yet; IPv4's identification and the options are,
//! so that a retransmission is another packet. From the device that showed it first the same headers pass again in any case: that
//! is a retransmission for the engine to judge. Packets that differ pass, whichever device they come by.
//!
//! As long as a single device has shown a direction nothing is looked at, however many there are: on most hosts with two, one has
//! the clients and the other one the targets. What two devices show in the very moment in which the second one appears is taken for
//! retransmissions, as is what is forgotten too early (the table has [`PLACES`] places).
//!
//! **Invariant:** nothing is ever lost by this that was not recorded twice.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use session::Instant;
use wire::segment::Segment;

/// Packets that are remembered; a packet takes the place of another one whose headers happen to belong there.
const PLACES: usize = 4096;
/// How long after its first record a packet may be shown by another device: a bridge takes microseconds, a switch that mirrors,
/// or an interrupt that waits, milliseconds.
const SHOWN_WITHIN: Duration = Duration::from_millis(100);
/// Where the checksum stands in a TCP header.
const CHECKSUM: std::ops::Range<usize> = 16..18;

/// What the devices showed lately of one side.
#[derive(Debug)]
pub(crate) struct Duplicates {
    /// The only device so far; 0 for none yet.
    device: u32,
    /// Once there are several.
    seen: Option<Box<[Seen]>>,
    hash: RandomState,
    found: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    print: u64,
    device: u32,
    stamp: Instant,
}

impl Duplicates {
    pub(crate) fn new() -> Self {
        Self {
            device: 0,
            seen: None,
            hash: RandomState::new(),
            found: 0,
        }
    }

    /// How many were found.
    pub(crate) const fn found(&self) -> u64 {
        self.found
    }

    /// Whether another device has shown this packet already.
    pub(crate) fn is_second(&mut self, device: u32, stamp: Instant, packet: &[u8]) -> bool {
        if self.seen.is_none() {
            if self.device == device {
                return false;
            }
            if self.device == 0 {
                self.device = device;
                return false;
            }
            self.compare();
        }
        // What cannot be read is for the engine to count.
        let Some(print) = self.print(packet) else {
            return false;
        };
        let index = print as usize % PLACES;
        let Some(place) = self.seen.as_mut().and_then(|seen| seen.get_mut(index)) else {
            return false;
        };
        let is_known = place.print == print
            && stamp.since(place.stamp).max(place.stamp.since(stamp)) < SHOWN_WITHIN;
        if is_known && place.device != device {
            self.found += 1;
            return true;
        }
        *place = Seen {
            print,
            device,
            stamp,
        };
        false
    }

    fn compare(&mut self) {
        let nothing = Seen {
            print: 0,
            device: 0,
            stamp: Instant::default(),
        };
        self.seen = Some(vec![nothing; PLACES].into_boxed_slice());
    }

    /// A hash of what the same packet has on every device. It is keyed: nobody can make a packet that passes for another's.
    fn print(&self, packet: &[u8]) -> Option<u64> {
        let segment = Segment::parse(packet, 0).ok()?;
        let tcp =
            packet.get(usize::from(segment.tcp_offset)..usize::from(segment.payload_offset))?;
        let mut hasher = self.hash.build_hasher();
        hasher.write(segment.source.addr.octets());
        hasher.write(segment.destination.addr.octets());
        if segment.source.addr.is_v4() {
            // The identification (RFC 791).
            hasher.write(packet.get(4..6)?);
        }
        hasher.write_u16(segment.payload_len);
        hasher.write(tcp.get(..CHECKSUM.start)?);
        hasher.write(tcp.get(CHECKSUM.end..)?);
        Some(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::Instant;
    use wire::flow::{Addr, Endpoint};
    use wire::tcp::{Flags, Header, Options};

    use super::{Duplicates, SHOWN_WITHIN};

    const ETH0: u32 = 2;
    const BR0: u32 = 7;

    /// A packet from its IP header on.
    fn packet(seq: u32, id: u8) -> Vec<u8> {
        let header = Header {
            source: Endpoint::new(Addr::v4([192, 0, 2, 7]), 40_000),
            destination: Endpoint::new(Addr::v4([198, 51, 100, 1]), 80),
            seq,
            ack: 2000,
            flags: Flags::ACK.with(Flags::PSH),
            window: 512,
            urgent: 0,
            options: Options::default(),
        };
        let mut frame = vec![0; header.payload_offset() + 8];
        assert!(header.emit(&mut frame));
        let mut packet = frame.split_off(wire::ethernet::HEADER_LEN);
        packet[5] = id;
        packet
    }

    /// One that has seen two devices.
    fn comparing() -> Duplicates {
        let mut duplicates = Duplicates::new();
        assert!(!duplicates.is_second(ETH0, at(0), &packet(0, 0)));
        assert!(!duplicates.is_second(BR0, at(0), &packet(0, 0)));
        assert!(duplicates.seen.is_some());
        duplicates
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos((1000 + millis) * 1_000_000)
    }

    #[test]
    fn a_packet_that_two_devices_show_is_taken_once() {
        let mut duplicates = comparing();
        let mut routed = packet(1, 1);
        // A router on the way: TTL and checksums.
        routed[8] -= 1;
        routed[10] ^= 1;
        routed[36] ^= 1;
        assert!(!duplicates.is_second(ETH0, at(0), &packet(1, 1)));
        assert!(duplicates.is_second(BR0, at(0), &routed));
        assert!(
            duplicates.is_second(9, at(1), &packet(1, 1)),
            "a third device"
        );
        assert_eq!(duplicates.found(), 2);
    }

    #[test]
    fn a_retransmission_stays_one() {
        let mut duplicates = comparing();
        assert!(!duplicates.is_second(ETH0, at(0), &packet(1, 1)));
        assert!(duplicates.is_second(BR0, at(0), &packet(1, 1)));
        assert!(
            !duplicates.is_second(ETH0, at(3), &packet(1, 2)),
            "its identification"
        );
        assert!(duplicates.is_second(BR0, at(3), &packet(1, 2)));
        assert!(
            !duplicates.is_second(ETH0, at(9), &packet(1, 2)),
            "the same device"
        );
        assert!(duplicates.is_second(BR0, at(9), &packet(1, 2)));
        let later = SHOWN_WITHIN + Duration::from_millis(9);
        let later = at(later.as_millis() as u64);
        assert!(
            !duplicates.is_second(BR0, later, &packet(1, 2)),
            "much later"
        );
    }

    #[test]
    fn different_packets_of_one_flow_pass_by_whichever_device() {
        let mut duplicates = comparing();
        for seq in 1..1000 {
            let device = if seq % 2 == 0 { ETH0 } else { BR0 };
            assert!(!duplicates.is_second(device, at(0), &packet(seq, 0)));
        }
        assert_eq!(duplicates.found(), 0);
    }

    #[test]
    fn one_device_is_not_looked_at_until_another_one_comes() {
        let mut duplicates = Duplicates::new();
        for _ in 0..3 {
            assert!(!duplicates.is_second(ETH0, at(0), &packet(1, 1)));
        }
        assert!(duplicates.seen.is_none());
        assert!(!duplicates.is_second(BR0, at(0), &packet(2, 1)));
        assert!(duplicates.is_second(ETH0, at(0), &packet(2, 1)));
    }

    #[test]
    fn rubbish_is_left_to_the_engine() {
        let mut duplicates = comparing();
        for bytes in [&[][..], &[0x45], &packet(1, 1)[..30]] {
            assert!(!duplicates.is_second(ETH0, at(0), bytes));
            assert!(!duplicates.is_second(BR0, at(0), bytes));
        }
    }
}
