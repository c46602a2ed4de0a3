//! The private device: the veth pair `tcpcopy0`/`tcpcopy1` that all copies pass through.
//!
//! Invariant: nothing is sent on it but what the engine sends. It has no address, asks for no neighbour (NOARP) and takes
//! no part in IPv6 autoconfiguration. It is known as ours by its Ethernet addresses, which it has from the moment it
//! exists; its alias tells the owner's pid to people. A device that a crashed run left behind is removed and made anew:
//! nothing in it is worth keeping, and its queues and MTU may have to be others.

mod silence;

use std::io;
use std::net::IpAddr;
use std::process;

use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::claim::{self, Claim};
use crate::clsact::{Clsact, Filter};
use crate::sign::Sign;
use crate::{Error, Interface, Netlink, interface, netlink, qdisc, sysctl};

/// What the private device is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Queues at either end: one per worker.
    pub queues: u32,
    /// MTU of both ends in bytes, 1280 (the least of IPv6) to 65,535.
    pub mtu: u32,
    /// Whether packets wait in a FIFO per queue in front of `tcpcopy0` (`--capture af-xdp`).
    pub fifos: bool,
}

/// One end of the private device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Name of the interface.
    pub name: &'static str,
    /// Index of the interface.
    pub index: u32,
    /// Its Ethernet address.
    pub mac: [u8; 6],
}

/// The private device; it is removed when this is dropped.
#[derive(Debug)]
pub struct PrivateDevice {
    netlink: Netlink,
    outer: End,
    inner: End,
    is_removed: bool,
    filters_left: usize,
    _sign: Option<Sign>,
    // Last: the device is gone before somebody else may have one.
    _claim: Claim,
}

impl PrivateDevice {
    /// The end that frames come out of: `inject` and `absorb` are attached here, and replies are routed here.
    pub const OUTER: &str = "tcpcopy0";
    /// The end that AF_XDP is bound to.
    pub const INNER: &str = "tcpcopy1";
    /// Ethernet address of [`PrivateDevice::OUTER`]: locally administered (`02`), `tcpy` in ASCII, the end's number. No
    /// frame has to be addressed to it; it marks the device as ours.
    pub const OUTER_MAC: [u8; 6] = [0x02, b't', b'c', b'p', b'y', 0];
    /// Ethernet address of [`PrivateDevice::INNER`].
    pub const INNER_MAC: [u8; 6] = [0x02, b't', b'c', b'p', b'y', 1];

    /// Makes the device and sets it up, after removing what a crashed run left behind: its device, and its clsact filters on
    /// whatever interface.
    ///
    /// # Errors
    ///
    /// Where another tcpcopy runs in this network namespace, where somebody else's device has the name, or where the
    /// kernel refuses. Nothing is left behind then.
    pub fn create(config: Config) -> Result<Self, Error> {
        let claim = Claim::take()?;
        let netlink = Netlink::open()?;
        let filters_left = remove_filters_left(&netlink)?;
        remove_leftover(&netlink)?;
        netlink
            .change(
                RouteNetlinkMessage::NewLink(pair(config)),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .map_err(|cause| refused("make the private device", cause))?;
        let find = |name| interface::by_name(&netlink, name).map(|found| found.index);
        let outer = End {
            name: Self::OUTER,
            index: find(Self::OUTER)?,
            mac: Self::OUTER_MAC,
        };
        let inner = End {
            name: Self::INNER,
            index: find(Self::INNER)?,
            mac: Self::INNER_MAC,
        };
        // From here on dropping it removes the device.
        let device = Self {
            netlink,
            outer,
            inner,
            is_removed: false,
            filters_left,
            _sign: Sign::put_up(),
            _claim: claim,
        };
        silence::keep(&device.netlink, [outer, inner])?;
        if config.fifos {
            qdisc::add_fifos(&device.netlink, outer.index, config.queues)?;
        }
        device.set_up()?;
        Ok(device)
    }

    /// `tcpcopy0`.
    #[must_use]
    pub fn outer(&self) -> End {
        self.outer
    }

    /// How many clsact filters of a tcpcopy that is gone were found and removed.
    #[must_use]
    pub fn filters_left(&self) -> usize {
        self.filters_left
    }

    /// `tcpcopy1`.
    #[must_use]
    pub fn inner(&self) -> End {
        self.inner
    }

    /// Routes a range to `tcpcopy0`, so that replies of a target on this very host come to `absorb`. The route goes with
    /// the device.
    ///
    /// # Errors
    ///
    /// Where exactly this range is routed already: it is somebody else's then.
    pub fn add_reply_route(&self, prefix: IpAddr, prefix_len: u8) -> Result<(), Error> {
        let message = reply_route(self.outer.index, prefix, prefix_len);
        self.netlink.change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL).map_err(|cause| {
            refused(&format!("route the reply pool {prefix}/{prefix_len} to {} (choose another pool with -c if it is in use)", Self::OUTER), cause)
        })
    }

    /// Removes what [`PrivateDevice::add_reply_route`] added.
    ///
    /// # Errors
    ///
    /// Where it is not there.
    pub fn remove_reply_route(&self, prefix: IpAddr, prefix_len: u8) -> Result<(), Error> {
        let message = reply_route(self.outer.index, prefix, prefix_len);
        self.netlink
            .change(RouteNetlinkMessage::DelRoute(message), 0)
            .map_err(|cause| refused(&format!("remove the route of {prefix}/{prefix_len}"), cause))
    }

    /// Lets frames to 127.0.0.0/8 in through `tcpcopy0`, and their replies out, for targets there. Elsewhere they stay
    /// martians.
    ///
    /// # Errors
    ///
    /// Where the setting cannot be written.
    pub fn allow_loopback_targets(&self) -> Result<(), Error> {
        sysctl::write(&format!("ipv4/conf/{}/route_localnet", Self::OUTER), "1")
    }

    /// How many frames the device has dropped that were to leave by its outer end.
    ///
    /// # Errors
    ///
    /// Where the kernel does not answer.
    pub fn dropped(&self) -> Result<u64, Error> {
        let mut wanted = LinkMessage::default();
        wanted.header.index = self.outer.index;
        let asked = netlink::request(
            self.netlink.handle(),
            RouteNetlinkMessage::GetLink(wanted),
            0,
        );
        let answers = self
            .netlink
            .block_on(asked)
            .map_err(|cause| refused("read the counters of the private device", cause))?;
        let links = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        });
        let attributes = links.flat_map(|link| link.attributes);
        let dropped = attributes.filter_map(|attribute| match attribute {
            LinkAttribute::Stats64(counters) => Some(counters.tx_dropped),
            _ => None,
        });
        Ok(dropped.sum())
    }

    /// Removes the device now, and says so if that fails.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn remove(mut self) -> Result<(), Error> {
        self.is_removed = true;
        delete(&self.netlink, self.outer.index)
    }

    fn set_up(&self) -> Result<(), Error> {
        for end in [self.outer, self.inner] {
            let mut message = LinkMessage::default();
            message.header.index = end.index;
            message.header.flags = LinkFlags::Up;
            message.header.change_mask = LinkFlags::Up;
            message.attributes.push(LinkAttribute::IfAlias(format!(
                "tcpcopy pid {}",
                process::id()
            )));
            self.netlink
                .change(RouteNetlinkMessage::SetLink(message), 0)
                .map_err(|cause| refused(&format!("set up {}", end.name), cause))?;
        }
        Ok(())
    }
}

impl Drop for PrivateDevice {
    fn drop(&mut self) {
        if !self.is_removed {
            // Nothing can be done about a failure here; the next start takes the device over.
            let _ = delete(&self.netlink, self.outer.index);
        }
    }
}

/// The tcpcopy that runs in this network namespace, in words (`pid 17`); `None` where none does. `interfaces` are all
/// interfaces of the namespace.
#[must_use]
pub fn owner(interfaces: &[Interface]) -> Option<String> {
    if !claim::is_taken() {
        return None;
    }
    let outer = interfaces
        .iter()
        .find(|found| found.name == PrivateDevice::OUTER && is_ours(found));
    let alias = outer.and_then(|outer| outer.alias.as_deref());
    // In another container the number would be somebody else's here.
    let pid = alias.and_then(|alias| alias.strip_prefix("tcpcopy pid "));
    Some(claim::words_of(pid.and_then(|pid| pid.parse().ok())))
}

/// Whether an interface is an end of a private device, of whatever run.
fn is_ours(interface: &Interface) -> bool {
    let macs = [PrivateDevice::OUTER_MAC, PrivateDevice::INNER_MAC];
    interface.kind.as_deref() == Some("veth")
        && interface.mac.is_some_and(|mac| macs.contains(&mac))
}

/// Clsact filters of a tcpcopy on whatever interface; where none runs they were left behind.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn filters_of_ours(interfaces: &[Interface]) -> Result<Vec<Filter>, Error> {
    Clsact::open()?.ours(interfaces.iter().map(|interface| interface.index))
}

/// Removes the private device of this index, if it is one and is there: for who cleans up after another process.
///
/// # Errors
///
/// Where the kernel refuses.
pub fn remove(netlink: &Netlink, index: u32) -> Result<(), Error> {
    let interfaces = interface::list(netlink)?;
    let found = interfaces.iter().find(|found| found.index == index);
    match found.filter(|found| is_ours(found)) {
        Some(_) => delete(netlink, index),
        None => Ok(()),
    }
}

/// To be called with the claim in hand: whoever made these is gone.
fn remove_filters_left(netlink: &Netlink) -> Result<usize, Error> {
    let filters = filters_of_ours(&interface::list(netlink)?)?;
    Clsact::open()?.remove(&filters)
}

fn remove_leftover(netlink: &Netlink) -> Result<(), Error> {
    let names = [PrivateDevice::OUTER, PrivateDevice::INNER];
    let found: Vec<Interface> = interface::list(netlink)?
        .into_iter()
        .filter(|found| names.contains(&found.name.as_str()))
        .collect();
    if let Some(foreign) = found.iter().find(|found| !is_ours(found)) {
        return Err(Error::ForeignDevice {
            name: foreign.name.clone(),
            description: describe(foreign),
        });
    }
    match found.first() {
        // Its peer goes with it.
        Some(leftover) => delete(netlink, leftover.index),
        None => Ok(()),
    }
}

fn describe(interface: &Interface) -> String {
    let kind = interface.kind.as_deref().unwrap_or("physical");
    match &interface.alias {
        Some(alias) => format!("{kind}, alias \"{alias}\""),
        None => kind.to_owned(),
    }
}

fn delete(netlink: &Netlink, index: u32) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    match netlink.change(RouteNetlinkMessage::DelLink(message), 0) {
        Err(cause) if cause.raw_os_error() == Some(Errno::ENODEV as i32) => Ok(()),
        result => result.map_err(|cause| refused("remove the private device", cause)),
    }
}

/// The pair as it is to be made: each end's name, address, MTU and queues, both NOARP.
fn pair(config: Config) -> LinkMessage {
    let end = |name: &str, mac: [u8; 6]| {
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Noarp;
        message.header.change_mask = LinkFlags::Noarp;
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Address(mac.to_vec()),
            LinkAttribute::Mtu(config.mtu),
            LinkAttribute::NumTxQueues(config.queues),
            LinkAttribute::NumRxQueues(config.queues),
        ];
        message
    };
    let peer = end(PrivateDevice::INNER, PrivateDevice::INNER_MAC);
    let mut message = end(PrivateDevice::OUTER, PrivateDevice::OUTER_MAC);
    let info = vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ];
    message.attributes.push(LinkAttribute::LinkInfo(info));
    message
}

fn reply_route(device_index: u32, prefix: IpAddr, prefix_len: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: if prefix.is_ipv4() {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        },
        destination_prefix_length: prefix_len,
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Static,
        scope: if prefix.is_ipv4() {
            RouteScope::Link
        } else {
            RouteScope::Universe
        },
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    message.attributes = vec![
        RouteAttribute::Destination(prefix.into()),
        RouteAttribute::Oif(device_index),
    ];
    message
}

fn refused(what: &str, cause: io::Error) -> Error {
    Error::Refused {
        what: what.to_owned(),
        cause,
    }
}
