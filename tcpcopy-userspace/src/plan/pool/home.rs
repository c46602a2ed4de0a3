//! Whether the addresses of a pool are this host's. Where they are not, answers go to whoever has them, and with them the
//! connections that a run opens in his name.

use std::net::IpAddr;

use telemetry::Mode;
use wire::flow::{Addr, Endpoint};

use crate::args::{Args, PoolArg};
use crate::plan::Refusal;
use crate::plan::facts::Facts;

/// So many addresses of a pool are asked for; of a larger one those that lie evenly apart, the first and the last among them.
const ASKED_MAX: u64 = 256;

/// Refuses a range of `-c` whose addresses are not this host's, so that what a target answers goes elsewhere. With an assistant it
/// is to go elsewhere, and for a target on this very host a route is made.
pub(super) fn require(
    target: Endpoint,
    local: bool,
    mode: Mode,
    args: &Args,
    facts: &Facts,
) -> Result<(), Refusal> {
    if local || mode == Mode::Assistant || args.pool_is_routed {
        return Ok(());
    }
    let family = target.addr.is_v4();
    let mut elsewhere = facts.elsewhere.iter();
    match elsewhere.find(|(pool, _)| pool.is_v4() == family) {
        Some(&(pool, address)) => Err(Refusal::PoolNotRouted {
            pool,
            address,
            target,
        }),
        None => Ok(()),
    }
}

/// The first address, of those that are asked for, that does not come to this host.
pub(in crate::plan) fn elsewhere(
    pool: &PoolArg,
    mut is_here: impl FnMut(IpAddr) -> bool,
) -> Option<IpAddr> {
    let first = u128::from_be_bytes(*pool.range.prefix.octets());
    let last = u128::from(pool.addresses().saturating_sub(1));
    let steps = last.min(u128::from(ASKED_MAX) - 1);
    let offset = |step: u128| (last * step).checked_div(steps).unwrap_or_default();
    (0..=steps)
        .map(|step| IpAddr::from(Addr::v6((first + offset(step)).to_be_bytes())))
        .find(|address| !is_here(*address))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::elsewhere;

    #[test]
    fn every_address_has_to_come_here() {
        let pool = |text: &str| text.parse().unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(
            elsewhere(&pool("10.0.0.5"), |own| own == ip("10.0.0.5")),
            None
        );
        assert_eq!(elsewhere(&pool("10.0.0.x"), |_| true), None);
        assert_eq!(elsewhere(&pool("fd00::/64"), |_| true), None);
        for missing in ["10.0.0.0", "10.0.0.7", "10.0.0.255"] {
            let found = elsewhere(&pool("10.0.0.x"), |address| address != ip(missing));
            assert_eq!(found, Some(ip(missing)));
        }
        let found = elsewhere(&pool("10.0.0.0/8"), |address| {
            address != ip("10.255.255.255")
        });
        assert_eq!(found, Some(ip("10.255.255.255")));
        let mut asked = 0;
        let _ = elsewhere(&pool("10.0.0.0/8"), |_| {
            asked += 1;
            true
        });
        assert_eq!(asked, 256);
    }
}
