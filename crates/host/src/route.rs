//! The way to a target, as the kernel would go it.

use std::fmt;
use std::io;
use std::net::IpAddr;

use nix::errno::Errno;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::{Error, Netlink, netlink};

/// The way to one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Out of a device.
    Device {
        /// Index of the device.
        index: u32,
        /// Name of the device.
        name: String,
        /// The gateway; `None` where the target is on the link. May be of the other family (RFC 5549).
        next_hop: Option<IpAddr>,
        /// The address that the kernel would send from.
        source: Option<IpAddr>,
        /// Longest IP packet in bytes: the route's MTU, or what path MTU discovery found, else the device's.
        mtu: u32,
    },
    /// The target is this very host.
    Local {
        /// The address that the kernel would send from.
        source: Option<IpAddr>,
    },
    /// There is no way.
    Unreachable {
        /// What the kernel said.
        why: String,
    },
}

impl Route {
    /// MTU of a way out of a device.
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        match self {
            Self::Device { mtu, .. } => Some(*mtu),
            Self::Local { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// The address that the kernel would send from.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        match self {
            Self::Device { source, .. } | Self::Local { source } => *source,
            Self::Unreachable { .. } => None,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device {
                name,
                next_hop: Some(next_hop),
                mtu,
                ..
            } => {
                write!(f, "through {name} by way of {next_hop}, MTU {mtu}")
            }
            Self::Device { name, mtu, .. } => write!(f, "through {name}, MTU {mtu}"),
            Self::Local { .. } => write!(f, "on this host"),
            Self::Unreachable { why } => write!(f, "unreachable ({why})"),
        }
    }
}

/// Asks the kernel for the way to `target`.
///
/// # Errors
///
/// Where the kernel does not answer; that there is no way is an answer.
pub fn get(netlink: &Netlink, target: IpAddr) -> Result<Route, Error> {
    netlink.block_on(ask(netlink.handle(), target))
}

/// The same for a packet that is sent from `source`, which rules of routing may look at.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn get_from(netlink: &Netlink, target: IpAddr, source: IpAddr) -> Result<Route, Error> {
    let mut question = question(target);
    if let RouteNetlinkMessage::GetRoute(message) = &mut question
        && source.is_ipv4() == target.is_ipv4()
    {
        message.header.source_prefix_length = message.header.destination_prefix_length;
        message
            .attributes
            .push(RouteAttribute::Source(source.into()));
    }
    netlink.block_on(ask_with(netlink.handle(), target, question))
}

/// As [`get`], for the watcher's thread.
pub(crate) async fn ask(handle: &rtnetlink::Handle, target: IpAddr) -> Result<Route, Error> {
    ask_with(handle, target, question(target)).await
}

async fn ask_with(
    handle: &rtnetlink::Handle,
    target: IpAddr,
    question: RouteNetlinkMessage,
) -> Result<Route, Error> {
    let refused = |cause| Error::Refused {
        what: format!("ask for the route to {target}"),
        cause,
    };
    let found = match netlink::request(handle, question, 0).await {
        Ok(answers) => first_route(answers),
        Err(cause) => return unreachable(&cause).ok_or_else(|| refused(cause)),
    };
    match found {
        Found::Way(route) => Ok(route),
        Found::Through(way) => {
            let link = netlink::request(handle, link_question(way.index), 0)
                .await
                .map_err(refused)?;
            Ok(way.with_link(link))
        }
    }
}

/// What the kernel's answer comes to.
enum Found {
    /// All that is to be known.
    Way(Route),
    /// A device whose name and MTU are still to be asked for.
    Through(Way),
}

struct Way {
    index: u32,
    next_hop: Option<IpAddr>,
    source: Option<IpAddr>,
    mtu: Option<u32>,
}

impl Way {
    fn with_link(self, answers: Vec<RouteNetlinkMessage>) -> Route {
        let (mut name, mut device_mtu) = (String::new(), 0);
        let attributes = answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link.attributes),
            _ => None,
        });
        for attribute in attributes.unwrap_or_default() {
            match attribute {
                LinkAttribute::IfName(found) => name = found,
                LinkAttribute::Mtu(found) => device_mtu = found,
                _ => {}
            }
        }
        let mtu = self.mtu.map_or(device_mtu, |mtu| mtu.min(device_mtu));
        Route::Device {
            index: self.index,
            name,
            next_hop: self.next_hop,
            source: self.source,
            mtu,
        }
    }
}

fn question(target: IpAddr) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    let (family, bits) = match target {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.header = RouteHeader {
        address_family: family,
        destination_prefix_length: bits,
        ..RouteHeader::default()
    };
    message
        .attributes
        .push(RouteAttribute::Destination(target.into()));
    RouteNetlinkMessage::GetRoute(message)
}

fn link_question(index: u32) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    RouteNetlinkMessage::GetLink(message)
}

fn first_route(answers: Vec<RouteNetlinkMessage>) -> Found {
    let route = answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(route) => Some(route),
        _ => None,
    });
    let Some(route) = route else {
        return Found::Way(Route::Unreachable {
            why: "the kernel gave no route".into(),
        });
    };
    let mut way = Way {
        index: 0,
        next_hop: None,
        source: None,
        mtu: None,
    };
    for attribute in route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => way.index = index,
            RouteAttribute::Gateway(address) => way.next_hop = ip(&address),
            RouteAttribute::Via(RouteVia::Inet(v4)) => way.next_hop = Some(v4.into()),
            RouteAttribute::Via(RouteVia::Inet6(v6)) => way.next_hop = Some(v6.into()),
            RouteAttribute::PrefSource(address) => way.source = ip(&address),
            RouteAttribute::Metrics(metrics) => {
                way.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    match route.header.kind {
        RouteType::Local => Found::Way(Route::Local { source: way.source }),
        RouteType::Unicast => Found::Through(way),
        other => Found::Way(Route::Unreachable {
            why: format!("the route is of type {other:?}").to_lowercase(),
        }),
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

/// The errors by which the kernel says that there is no way: no route, `unreachable`, `prohibit`, `blackhole`.
fn unreachable(cause: &io::Error) -> Option<Route> {
    let errno = Errno::from_raw(cause.raw_os_error()?);
    matches!(
        errno,
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL | Errno::ENETDOWN
    )
    .then(|| Route::Unreachable {
        why: errno.desc().to_lowercase(),
    })
}
