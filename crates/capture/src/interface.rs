//! Interfaces of a pcapng section: their link type, and what their clock's ticks are.

use pcap_parser::{InterfaceDescriptionBlock, OptionCode, PcapNGOption};

use crate::link::LinkType;

/// An interface as a section describes it.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) link: LinkType,
    pub(crate) snap_len: u32,
    resolution: Resolution,
    offset_s: i64,
    /// Packets that were lost until its last statistics.
    pub(crate) lost: u64,
}

impl Interface {
    pub(crate) fn of(described: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Self {
        // The crate reads the offset in little-endian byte order, whatever the section's is.
        let offset = number(&described.options, OptionCode::IfTsoffset, big_endian);
        Self {
            // The number has 16 bits in a block.
            link: LinkType(described.linktype.0.cast_unsigned() & 0xffff),
            snap_len: described.snaplen,
            resolution: Resolution::of(described.if_tsresol),
            offset_s: offset.unwrap_or(0).cast_signed(),
            lost: 0,
        }
    }

    /// A time in nanoseconds since the epoch.
    #[inline]
    pub(crate) fn at_ns(&self, ticks: u64) -> u64 {
        let offset_ns = self.offset_s.saturating_mul(1_000_000_000);
        self.resolution.ns(ticks).saturating_add_signed(offset_ns)
    }
}

/// A 64-bit option of a block.
pub(crate) fn number(
    options: &[PcapNGOption<'_>],
    code: OptionCode,
    big_endian: bool,
) -> Option<u64> {
    let option = options.iter().find(|option| option.code == code)?;
    let bytes = option.value().first_chunk().copied()?;
    Some(if big_endian {
        u64::from_be_bytes(bytes)
    } else {
        u64::from_le_bytes(bytes)
    })
}

/// What one tick of an interface's clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    /// So many nanoseconds.
    Coarse(u64),
    /// So many ticks are a nanosecond.
    Fine(u64),
    /// Two to this power are a second.
    Binary(u32),
}

impl Resolution {
    /// By the option `if_tsresol`: a power of ten, or, with the highest bit, of two.
    fn of(option: u8) -> Self {
        let power = u32::from(option & 0x7f);
        match (option & 0x80 != 0, power) {
            (true, _) => Self::Binary(power),
            (false, ..=9) => Self::Coarse(10u64.pow(9 - power)),
            (false, _) => Self::Fine(10u64.checked_pow(power - 9).unwrap_or(u64::MAX)),
        }
    }

    #[inline]
    fn ns(self, ticks: u64) -> u64 {
        match self {
            Self::Coarse(ns) => ticks.saturating_mul(ns),
            Self::Fine(ticks_per_ns) => ticks / ticks_per_ns,
            Self::Binary(power) => {
                // 2^64 ticks of a second each are less than 2^94 nanoseconds; a shift is at most 127.
                let ns = (u128::from(ticks) * 1_000_000_000) >> power;
                u64::try_from(ns).unwrap_or(u64::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Resolution;

    #[test]
    fn ticks_of_any_resolution_are_nanoseconds() {
        for (option, ticks, ns) in [
            (6, 1_000_001, 1_000_001_000),
            (9, 1_000_001, 1_000_001),
            (0, 7, 7_000_000_000),
            (12, 1_000_001, 1000),
            (0x80, 3, 3_000_000_000),
            (0x8a, 1536, 1_500_000_000),
            (0xff, u64::MAX, 0),
            (127, u64::MAX, 1),
            (3, u64::MAX, u64::MAX),
        ] {
            assert_eq!(Resolution::of(option).ns(ticks), ns, "{option} {ticks}");
        }
    }
}
