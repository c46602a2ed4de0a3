//! One `-c` entry: the addresses and ports that sessions come from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use wire::flow::{Addr, PoolRange};

/// A range of addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolArg {
    /// Addresses that share a prefix, and ports.
    pub(crate) range: PoolRange,
    /// Bits of the prefix within its own family: 0 to 32, or 0 to 128.
    pub(crate) prefix_len: u8,
}

/// Ports of a prefix that came without any.
pub(crate) const PORT_FIRST: u16 = 1024;
const PORT_LAST: u16 = u16::MAX;

const FORM: &str = "write 62.135.200.x, an address, a CIDR like 10.9.0.0/16 or fd00:9::/64, or ADDR:LOW-HIGH like 10.0.0.5:10000-19999";

impl PoolArg {
    /// All addresses that agree with `ip` in the first `prefix_len` bits, with the ports given.
    ///
    /// Returns `None` where there are no such bits.
    pub(crate) fn new(ip: IpAddr, prefix_len: u8, port_first: u16, port_last: u16) -> Option<Self> {
        let family_offset = if ip.is_ipv4() { 96 } else { 0 };
        let bits = u32::from(prefix_len) + family_offset;
        let mask = match bits {
            0 => 0,
            1..=128 => u128::MAX << (128 - bits),
            _ => return None,
        };
        let addr = u128::from_be_bytes(*Addr::from(ip).octets());
        let range = PoolRange {
            prefix: Addr::v6((addr & mask).to_be_bytes()),
            mask: Addr::v6(mask.to_be_bytes()),
            port_first,
            port_last,
        };
        Some(Self { range, prefix_len })
    }

    /// How many endpoints it has; saturating.
    pub(crate) fn len(&self) -> u64 {
        let ports = u64::from(self.range.port_last - self.range.port_first) + 1;
        self.addresses().saturating_mul(ports)
    }

    /// How many addresses it has; saturating.
    pub(crate) fn addresses(&self) -> u64 {
        let free_bits = (!u128::from_be_bytes(*self.range.mask.octets())).count_ones();
        1u64.checked_shl(free_bits).unwrap_or(u64::MAX)
    }

    /// Its addresses, as routes name them.
    pub(crate) fn network(&self) -> String {
        format!("{}/{}", IpAddr::from(self.range.prefix), self.prefix_len)
    }

    /// Whether it holds IPv4 addresses.
    pub(crate) const fn is_v4(&self) -> bool {
        self.range.prefix.is_v4()
    }

    /// Whether the address lies in it.
    pub(crate) fn contains(&self, addr: Addr) -> bool {
        let port = self.range.port_first;
        self.range.contains(&wire::flow::Endpoint::new(addr, port))
    }
}

impl FromStr for PoolArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = parse(text).ok_or_else(|| format!("cannot read the pool {text:?}; {FORM}"))?;
        let range = &parsed.range;
        if range.port_first == 0 || range.port_first > range.port_last {
            return Err(format!(
                "the ports {}-{} are no range; {FORM}",
                range.port_first, range.port_last
            ));
        }
        Ok(parsed)
    }
}

fn parse(text: &str) -> Option<PoolArg> {
    // TCPCopy's forms: a network of 256 addresses, and an address.
    if let Some(network) = text.strip_suffix(".x").or(text.strip_suffix(".*")) {
        let ip: IpAddr = format!("{network}.0").parse().ok()?;
        return PoolArg::new(ip, 24, PORT_FIRST, PORT_LAST);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        let whole = if ip.is_ipv4() { 32 } else { 128 };
        return PoolArg::new(ip, whole, PORT_FIRST, PORT_LAST);
    }
    if let Some((ip, len)) = text.split_once('/') {
        let (ip, len): (IpAddr, u8) = (ip.parse().ok()?, len.parse().ok()?);
        // Refusing /0 to /7 costs nobody anything and catches a slip of the finger.
        let pool = PoolArg::new(ip, len, PORT_FIRST, PORT_LAST).filter(|_| len >= 8)?;
        // An address with bits after the prefix is more often a mistake than a habit.
        return (pool.range.prefix == Addr::from(ip)).then_some(pool);
    }
    let (ip, ports) = text.rsplit_once(':')?;
    let (low, high) = ports.split_once('-')?;
    let ip: IpAddr = match ip.strip_prefix('[') {
        Some(inner) => inner
            .strip_suffix(']')?
            .parse()
            .ok()
            .filter(IpAddr::is_ipv6)?,
        None => ip.parse().ok().filter(IpAddr::is_ipv4)?,
    };
    let prefix_len = if ip.is_ipv4() { 32 } else { 128 };
    PoolArg::new(ip, prefix_len, low.parse().ok()?, high.parse().ok()?)
}

impl fmt::Display for PoolArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PoolRange {
            prefix,
            port_first,
            port_last,
            ..
        } = self.range;
        let whole = if self.is_v4() { 32 } else { 128 };
        write!(f, "{prefix}")?;
        if self.prefix_len < whole {
            write!(f, "/{}", self.prefix_len)?;
        }
        write!(f, " ports {port_first}-{port_last}")
    }
}

#[cfg(test)]
mod tests {
    use wire::flow::{Addr, Endpoint};

    use super::PoolArg;

    #[test]
    fn pools() {
        for (text, expected) in [
            (
                "62.135.200.x",
                Some(("62.135.200.0/24 ports 1024-65535", 256 * 64_512)),
            ),
            (
                "10.9.0.0/16",
                Some(("10.9.0.0/16 ports 1024-65535", 65_536 * 64_512)),
            ),
            (
                "10.0.0.5:10000-19999",
                Some(("10.0.0.5 ports 10000-19999", 10_000)),
            ),
            ("[fd00::5]:1-2", Some(("fd00::5 ports 1-2", 2))),
            (
                "fd00:9::/64",
                Some(("fd00:9::/64 ports 1024-65535", u64::MAX)),
            ),
            ("62.135.x", None),
            ("62.135.200.300.x", None),
            ("10.9.0.1/16", None),
            ("10.9.0.0/33", None),
            ("10.0.0.0/4", None),
            ("10.0.0.5", Some(("10.0.0.5 ports 1024-65535", 64_512))),
            ("fd00::5", Some(("fd00::5 ports 1024-65535", 64_512))),
            (
                "62.135.200.*",
                Some(("62.135.200.0/24 ports 1024-65535", 256 * 64_512)),
            ),
            ("10.0.0.5:80", None),
            ("10.0.0.5:0-80", None),
            ("10.0.0.5:90-80", None),
            ("10.0.0.5:90-70000", None),
            ("fd00::5:1-2", None),
            ("", None),
        ] {
            let parsed = text.parse::<PoolArg>();
            let shown = parsed
                .as_ref()
                .ok()
                .map(|pool| (pool.to_string(), pool.len()));
            assert_eq!(
                shown.as_ref().map(|(s, n)| (s.as_str(), *n)),
                expected,
                "{text}: {parsed:?}"
            );
        }
    }

    #[test]
    fn a_pool_of_ipv4_holds_no_ipv6() {
        let pool: PoolArg = "10.9.0.0/16".parse().unwrap();
        assert!(
            pool.range
                .contains(&Endpoint::new(Addr::v4([10, 9, 200, 3]), 1024))
        );
        assert!(
            !pool
                .range
                .contains(&Endpoint::new(Addr::v4([10, 10, 0, 3]), 1024))
        );
        assert!(!pool.contains(Addr::v6([0; 16])));
    }
}
