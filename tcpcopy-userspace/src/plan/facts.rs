//! What a plan has to know about this host.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::thread;

use host::address::Own;
use host::conntrack::Tracked;
use host::exits::Exits;
use host::kernel::{self, Tcx};
use host::netns::Outside;
use host::{Firewall, Interface, Netlink, Route, Taken};

use super::{Refusal, pool};
use crate::args::{Args, PoolArg};

/// The answers of the host, as of one moment.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) interfaces: Vec<Interface>,
    /// Whether the kernel has tcx hooks.
    pub(crate) tcx: Tcx,
    pub(crate) addresses: Vec<Own>,
    /// Name of the device of the default route; not asked for where -i names the interfaces.
    pub(crate) default_device: Option<String>,
    /// The devices that routes of this host leave by.
    pub(crate) exits: Exits,
    /// The way to each target.
    pub(crate) routes: Vec<(IpAddr, Route)>,
    /// Pools of the arguments of which an address does not come to this host, with that address.
    pub(crate) elsewhere: Vec<(PoolArg, IpAddr)>,
    pub(crate) ephemeral: RangeInclusive<u16>,
    pub(crate) reserved: Vec<RangeInclusive<u16>>,
    pub(crate) listening: Vec<SocketAddr>,
    /// This host's own connections to the targets.
    pub(crate) connections: Vec<(SocketAddr, SocketAddr)>,
    /// The table of tracked connections, where there are any.
    pub(crate) tracked: Option<Tracked>,
    /// Addresses of each intercept, by its `host:port`.
    pub(crate) intercepts: Vec<(String, Vec<IpAddr>)>,
    pub(crate) processors: usize,
    /// What netfilter does to packets of the services.
    pub(crate) firewall: Firewall,
    /// Bits per second of the slowest link to a target; `None` where no device knows its own.
    pub(crate) link_bits_per_second: Option<u64>,
    /// Memory that this process may take, in bytes; `None` where the host does not say.
    pub(crate) memory_available: Option<u64>,
    /// What nobody outside of this process knows: the key of the run's hashes. Not `--seed`, which may be known.
    pub(crate) hash_seed: u64,
    /// Where this process came from (`--netns`).
    pub(crate) outside: Outside,
}

impl Facts {
    /// Asks the host.
    ///
    /// # Errors
    ///
    /// Where it does not answer, or an intercept's name means nothing.
    pub(crate) fn gather(args: &Args, outside: &Outside) -> Result<Self, Refusal> {
        let netlink = Netlink::open()?;
        let targets: Vec<SocketAddr> = targets(args).collect();
        let routes = targets.iter().map(|target| {
            let target = target.ip();
            host::route::get(&netlink, target).map(|route| (target, route))
        });
        let intercepts = args.intercepts.iter().map(|address| {
            let found = outside.run(|| address.to_socket_addrs()).flatten();
            let found = found.map_err(|cause| Refusal::UnknownIntercept {
                address: address.clone(),
                cause,
            })?;
            Ok((address.clone(), found.map(|socket| socket.ip()).collect()))
        });
        // All routes have to be looked at for it.
        let default_device = if args.interfaces.is_empty() {
            match host::interface::default_route(&netlink) {
                Ok(interface) => Some(interface.name),
                Err(host::Error::NoDefaultRoute) => None,
                Err(error) => return Err(error.into()),
            }
        } else {
            None
        };
        let taken = Taken::ask(1..=u16::MAX, &targets)?;
        let routes = routes.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            link_bits_per_second: slowest(&routes),
            interfaces: host::interface::list(&netlink)?,
            tcx: kernel::tcx(),
            addresses: host::address::list(&netlink)?,
            default_device,
            exits: host::exits::list(&netlink)?,
            routes,
            elsewhere: elsewhere(args, &netlink)?,
            ephemeral: taken.ephemeral,
            reserved: taken.reserved,
            listening: taken.listening,
            connections: taken.connections,
            tracked: host::conntrack::tracked(),
            intercepts: intercepts.collect::<Result<_, Refusal>>()?,
            firewall: host::firewall::before(&online_ports(args)),
            processors: thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_available: host::memory::available(),
            // std draws its keys from the kernel.
            hash_seed: RandomState::new().hash_one("flows"),
            outside: outside.clone(),
        })
    }

    /// The same where each target can be reached, be it by a way that is made up: from an address for documentation (RFC 5737, RFC 3849).
    pub(crate) fn with_ways_everywhere(mut self) -> Self {
        for (target, route) in &mut self.routes {
            if matches!(route, Route::Unreachable { .. }) {
                *route = Route::Device {
                    index: 0,
                    name: String::new(),
                    next_hop: None,
                    source: Some(documentation_address(*target)),
                    mtu: 1500,
                };
            }
        }
        self
    }

    /// The way to a target.
    pub(crate) fn route(&self, target: IpAddr) -> Option<&Route> {
        self.routes
            .iter()
            .find(|(known, _)| *known == target)
            .map(|(_, route)| route)
    }

    /// Whether an address is this host's own.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        // All of 127.0.0.0/8 is ours, whatever stands on lo.
        let is_local_route = matches!(self.route(address), Some(Route::Local { .. }));
        address.is_loopback()
            || is_local_route
            || self.addresses.iter().any(|own| own.address == address)
    }

    /// Who has ports of this host.
    pub(crate) fn taken(&self) -> Taken {
        Taken {
            ephemeral: self.ephemeral.clone(),
            reserved: self.reserved.clone(),
            listening: self.listening.clone(),
            connections: self.connections.clone(),
        }
    }

    /// The interface of this name.
    pub(crate) fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|interface| interface.name == name)
    }
}

/// An address that nobody has, of the same family.
const fn documentation_address(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    }
}

/// The pools that are not this host's.
fn elsewhere(args: &Args, netlink: &Netlink) -> Result<Vec<(PoolArg, IpAddr)>, host::Error> {
    let mut failure = None;
    let mut is_here = |address| match host::route::get(netlink, address) {
        Ok(route) => matches!(route, Route::Local { .. }),
        Err(error) => {
            failure.get_or_insert(error);
            true
        }
    };
    let mut found = Vec::new();
    for pool in &args.pool {
        let address = pool::home::elsewhere(pool, &mut is_here);
        found.extend(address.map(|address| (*pool, address)));
    }
    failure.map_or(Ok(found), Err)
}

/// The targets; a recorder has none.
fn targets(args: &Args) -> impl Iterator<Item = SocketAddr> {
    let rules = args.rules.iter().filter(|rule| rule.has_target());
    rules.map(|rule| rule.target.into())
}

/// The ports of the services.
fn online_ports(args: &Args) -> Vec<u16> {
    args.rules.iter().map(|rule| rule.online.port).collect()
}

/// Speed of the slowest device that targets are reached by, among those that know it.
fn slowest(routes: &[(IpAddr, Route)]) -> Option<u64> {
    let devices = routes.iter().filter_map(|(_, route)| match route {
        Route::Device { name, .. } => Some(name),
        _ => None,
    });
    // A kernel that cannot be asked is one that does not know.
    devices
        .filter_map(|name| host::offload::speed(name).ok().flatten())
        .min()
}
