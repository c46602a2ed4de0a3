//! Addresses of hosts, of either family.

use std::net::Ipv6Addr;

use smoltcp::wire::IpAddress;
use wire::flow::Addr;

/// A host's address: four numbers of IPv4, or the same in IPv6, where the third one tells its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) numbers: [u8; 4],
    pub(crate) is_v6: bool,
}

impl Host {
    fn v6(self) -> Ipv6Addr {
        let [a, b, c, d] = self.numbers;
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Ipv6Addr::new(0xfd00, 0, 0, u16::from(c), 0, 0, high, low)
    }

    /// As the engine has it.
    pub(crate) fn addr(self) -> Addr {
        if self.is_v6 {
            Addr::v6(self.v6().octets())
        } else {
            Addr::v4(self.numbers)
        }
    }

    /// As smoltcp has it.
    pub(crate) fn ip(self) -> IpAddress {
        if self.is_v6 {
            IpAddress::Ipv6(self.v6())
        } else {
            let [a, b, c, d] = self.numbers;
            IpAddress::v4(a, b, c, d)
        }
    }

    /// How long the prefix of its network is.
    pub(crate) const fn prefix_len(self) -> u8 {
        if self.is_v6 { 64 } else { 24 }
    }

    /// A router of its network.
    pub(crate) fn router(self) -> Self {
        let [a, b, c, _] = self.numbers;
        Self {
            numbers: [a, b, c, 254],
            ..self
        }
    }
}
