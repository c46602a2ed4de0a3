//! Who may come in: strangers, who have not subscribed yet, cost a thread and memory each, so there are limits to them. A tcpcopy that is
//! subscribed is no stranger any more and is never closed for one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::connection::Connection;

/// Most strangers at a time. One more, and the one that came first has to go.
const STRANGERS_MAX: usize = 64;
/// Most of one address.
const STRANGERS_OF_ADDRESS_MAX: usize = 16;
/// Most arrivals of one address at once, and as many come free again in [`ARRIVALS_PERIOD`].
const ARRIVALS_MAX: u32 = 64;
const ARRIVALS_PERIOD: Duration = Duration::from_secs(2);
/// Most addresses whose arrivals are counted.
const ADDRESSES_MAX: usize = 1024;

/// Who came how often of late.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    addresses: HashMap<IpAddr, Arrivals>,
}

/// A period of an address.
#[derive(Debug)]
struct Arrivals {
    since: Instant,
    count: u32,
}

/// An address came too often.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooOften {
    #[error("more than {ARRIVALS_MAX} connections from its address in {} s", ARRIVALS_PERIOD.as_secs())]
    Address,
    #[error("too many addresses connect at once")]
    Addresses,
}

impl Admission {
    /// Notes an arrival.
    pub(crate) fn take(&mut self, ip: IpAddr, now: Instant) -> Result<(), TooOften> {
        let is_over =
            |arrivals: &Arrivals| now.saturating_duration_since(arrivals.since) >= ARRIVALS_PERIOD;
        let ip = neighbourhood(ip);
        if !self.addresses.contains_key(&ip) && self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.retain(|_, arrivals| !is_over(arrivals));
            if self.addresses.len() >= ADDRESSES_MAX {
                return Err(TooOften::Addresses);
            }
        }
        let arrivals = self.addresses.entry(ip).or_insert(Arrivals {
            since: now,
            count: 0,
        });
        if is_over(arrivals) {
            (arrivals.since, arrivals.count) = (now, 0);
        }
        if arrivals.count >= ARRIVALS_MAX {
            return Err(TooOften::Address);
        }
        arrivals.count += 1;
        Ok(())
    }
}

/// The stranger that has to go for one more from this address; the connections are in the order in which they came.
pub(crate) fn to_give_way<'a>(
    connections: impl Iterator<Item = &'a Connection>,
    ip: IpAddr,
) -> Option<&'a Connection> {
    let is_stranger = |connection: &&Connection| {
        !connection.totals.subscribed.load(Ordering::Relaxed) && !connection.is_closed()
    };
    let strangers: Vec<&Connection> = connections.filter(is_stranger).collect();
    let ip = neighbourhood(ip);
    let mut of_address = strangers
        .iter()
        .filter(|stranger| neighbourhood(stranger.peer.ip()) == ip);
    let first = of_address.next().copied();
    if 1 + of_address.count() >= STRANGERS_OF_ADDRESS_MAX {
        return first;
    }
    strangers
        .first()
        .copied()
        .filter(|_| strangers.len() >= STRANGERS_MAX)
}

/// What one host may have: an address, or a network of 64 bits.
fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    use super::{
        ADDRESSES_MAX, ARRIVALS_MAX, ARRIVALS_PERIOD, Admission, STRANGERS_OF_ADDRESS_MAX,
        TooOften, to_give_way,
    };
    use crate::connection::Connection;

    #[test]
    fn who_comes_too_often_keeps_nobody_else_out() {
        let (mut admission, now) = (Admission::default(), Instant::now());
        let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
        for _ in 0..ARRIVALS_MAX {
            assert_eq!(admission.take(ip("10.0.0.1"), now), Ok(()));
        }
        assert_eq!(
            admission.take(ip("::ffff:10.0.0.1"), now),
            Err(TooOften::Address)
        );
        assert_eq!(admission.take(ip("10.0.0.2"), now), Ok(()));
        for low in 0..ARRIVALS_MAX {
            let ip = ip(&format!("2001:db8::{low:x}"));
            assert_eq!(admission.take(ip, now), Ok(()));
        }
        assert_eq!(
            admission.take(ip("2001:db8::ffff"), now),
            Err(TooOften::Address)
        );
        assert_eq!(
            admission.take(ip("10.0.0.1"), now + ARRIVALS_PERIOD),
            Ok(())
        );
    }

    #[test]
    fn memory_is_bounded() {
        let (mut admission, now) = (Admission::default(), Instant::now());
        let taken = (0..10_000_u32).filter(|bits| {
            let ip = IpAddr::V4(std::net::Ipv4Addr::from_bits(*bits));
            admission.take(ip, now).is_ok()
        });
        assert_eq!(taken.count(), ADDRESSES_MAX);
        let ip = IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::MAX));
        assert_eq!(admission.take(ip, now), Err(TooOften::Addresses));
        assert_eq!(admission.take(ip, now + ARRIVALS_PERIOD), Ok(()));
        assert_eq!(admission.addresses.len(), 1);
    }

    #[test]
    fn the_oldest_stranger_gives_way_and_no_subscriber() {
        let made: Vec<_> = (0..=STRANGERS_OF_ADDRESS_MAX)
            .map(|_| Connection::for_test())
            .collect();
        let all = || made.iter().map(|(connection, ..)| &**connection);
        let loopback = "127.0.0.1".parse().expect("an address");
        made[0].0.totals.subscribed.store(true, Ordering::Relaxed);
        let gone = to_give_way(all(), loopback).expect("there are as many as there may be");
        assert!(std::ptr::eq(gone, &*made[1].0));
        gone.close();
        assert!(to_give_way(all(), loopback).is_none());
        assert!(to_give_way(all(), "10.0.0.1".parse().expect("an address")).is_none());
    }
}
