//! Several ranges of one family, `-c A,B`: sessions take the addresses of the first, and where those are in use of the next.

use std::net::IpAddr;

use wire::flow::{Addr, PoolRange};

use super::Chosen;
use crate::args::{Args, PoolArg};
use crate::plan::Refusal;

/// All of them, as they are told; `None` where there are none.
pub(super) fn words<'a>(chosen: impl Iterator<Item = &'a Chosen>) -> Option<String> {
    let pools: Vec<String> = chosen.map(|chosen| chosen.pool.to_string()).collect();
    (!pools.is_empty()).then(|| pools.join(" and "))
}

/// Refuses ranges that have an endpoint in common: two sessions would get it.
pub(super) fn none_twice(args: &Args) -> Result<(), Refusal> {
    for (index, first) in args.pool.iter().enumerate() {
        if let Some(second) = args
            .pool
            .iter()
            .skip(index + 1)
            .find(|other| overlap(first, other))
        {
            return Err(Refusal::PoolTwice {
                first: *first,
                second: *second,
            });
        }
    }
    Ok(())
}

fn overlap(first: &PoolArg, second: &PoolArg) -> bool {
    let (a, b) = (&first.range, &second.range);
    let ports = a.port_first <= b.port_last && b.port_first <= a.port_last;
    // Of two networks that have an address in common one contains the other.
    first.is_v4() == second.is_v4()
        && ports
        && (first.contains(b.prefix) || second.contains(a.prefix))
}

/// The smallest range of a prefix that contains all of these.
pub(in crate::plan) fn cover(ranges: &[PoolRange]) -> Option<PoolRange> {
    let bits = |addr: &Addr| u128::from_be_bytes(*addr.octets());
    let (first, rest) = ranges.split_first()?;
    let cover = rest.iter().fold(*first, |cover, range| {
        let differing = bits(&cover.prefix) ^ bits(&range.prefix);
        let common = u128::MAX
            .checked_shl(128 - differing.leading_zeros())
            .unwrap_or_default();
        let mask = bits(&cover.mask) & bits(&range.mask) & common;
        PoolRange {
            prefix: Addr::v6((bits(&cover.prefix) & mask).to_be_bytes()),
            mask: Addr::v6(mask.to_be_bytes()),
            port_first: cover.port_first.min(range.port_first),
            port_last: cover.port_last.max(range.port_last),
        }
    });
    Some(cover)
}

/// Each address of these ranges once, and one more than `most` where there are more.
pub(in crate::plan) fn addresses(ranges: &[PoolRange], most: usize) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for range in ranges {
        let first = u128::from_be_bytes(*range.prefix.octets());
        let last = first | !u128::from_be_bytes(*range.mask.octets());
        let room = most + 1 - all.len();
        let some = (first..=last).take(room);
        all.extend(some.map(|address| IpAddr::from(Addr::v6(address.to_be_bytes()))));
        all.sort_unstable();
        all.dedup();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{addresses, cover, overlap};
    use crate::args::PoolArg;

    fn pool(text: &str) -> PoolArg {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_that_have_an_endpoint_in_common_are_found() {
        for (first, second, expected) in [
            ("10.0.0.5", "10.0.0.6", false),
            ("10.0.0.5", "10.0.0.5", true),
            ("10.0.0.5:1000-1999", "10.0.0.5:2000-2999", false),
            ("10.0.0.5:1000-2000", "10.0.0.5:2000-2999", true),
            ("10.0.0.x", "10.0.0.77", true),
            ("10.0.0.77", "10.0.0.x", true),
            ("10.0.0.x", "10.0.1.x", false),
            ("fd00::5", "10.0.0.5", false),
        ] {
            assert_eq!(
                overlap(&pool(first), &pool(second)),
                expected,
                "{first} {second}"
            );
        }
    }

    #[test]
    fn a_cover_contains_all_and_no_more_than_it_must() {
        let covered = |texts: &[&str]| {
            let ranges: Vec<_> = texts.iter().map(|text| pool(text).range).collect();
            cover(&ranges).unwrap()
        };
        assert_eq!(covered(&["10.0.0.5"]), pool("10.0.0.5").range);
        assert_eq!(
            covered(&["10.0.0.4", "10.0.0.7"]),
            pool("10.0.0.4/30").range
        );
        assert_eq!(
            covered(&["10.0.0.x", "10.0.3.9"]),
            pool("10.0.0.0/22").range
        );
        let ports = covered(&["10.0.0.5:1000-1999", "10.0.0.5:3000-3999"]);
        assert_eq!(ports, pool("10.0.0.5:1000-3999").range);
        let far = covered(&["fd00::1", "fd00::1:0:0:0:1"]);
        assert!(
            [pool("fd00::1"), pool("fd00::1:0:0:0:1")]
                .iter()
                .all(|pool| {
                    let first = wire::flow::Endpoint::new(pool.range.prefix, 2000);
                    far.contains(&first)
                })
        );
    }

    #[test]
    fn addresses_are_counted_up_to_a_limit() {
        let ranges = ["10.0.0.4/30", "10.0.0.5", "10.0.0.9"].map(|text| pool(text).range);
        let all = addresses(&ranges, 64);
        let expected = ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.9"];
        assert_eq!(
            all,
            expected.map(|text| text.parse::<std::net::IpAddr>().unwrap())
        );
        assert_eq!(addresses(&[pool("fd00::/64").range], 64).len(), 65);
    }
}
