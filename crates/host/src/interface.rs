//! Network interfaces: what they are and whether they are fit to capture on.

use rtnetlink::packet_core::NLM_F_DUMP;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::{Error, Netlink, netlink};

/// One network interface, as it was when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is set up (not whether it has a carrier).
    pub up: bool,
    /// Whether it takes frames for other Ethernet addresses too.
    pub promiscuous: bool,
    /// What its frames begin with.
    pub framing: Framing,
    /// Its MTU in bytes, Ethernet header not included.
    pub mtu: u32,
    /// Queues for sending.
    pub tx_queues: u32,
    /// Queues for receiving.
    pub rx_queues: u32,
    /// Its Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
    /// Its alias (`ip link set alias`), if any.
    pub alias: Option<String>,
    /// The driver's kind for devices that are made by software (`veth`, `dummy`, `bridge`, `vlan`, ...).
    pub kind: Option<String>,
    /// The XDP program that is attached to it, if any: its id.
    pub xdp: Option<u32>,
}

/// What the frames of an interface begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// An Ethernet header (`ARPHRD_ETHER`).
    Ethernet,
    /// The loopback device: its frames have an (empty) Ethernet header too.
    Loopback,
    /// Something else, in words.
    Other(String),
}

impl Interface {
    /// Whether it only stands for addresses and carries no client's packet: loopback or dummy.
    #[must_use]
    pub fn is_virtual_home(&self) -> bool {
        self.framing == Framing::Loopback || self.kind.as_deref() == Some("dummy")
    }

    /// Whether it is made by hardware, real or emulated: only that looks at Ethernet addresses before the kernel does.
    #[must_use]
    pub fn is_hardware(&self) -> bool {
        self.framing == Framing::Ethernet && self.kind.is_none()
    }

    /// Refuses an interface that cannot be captured on.
    ///
    /// # Errors
    ///
    /// Where it is down, or its frames have no Ethernet header (tun, WireGuard, PPP).
    pub fn require_usable(&self) -> Result<(), Error> {
        if let Framing::Other(kind) = &self.framing {
            return Err(Error::NotEthernet {
                name: self.name.clone(),
                kind: kind.clone(),
            });
        }
        if !self.up {
            return Err(Error::Down {
                name: self.name.clone(),
            });
        }
        Ok(())
    }
}

/// All interfaces.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn list(netlink: &Netlink) -> Result<Vec<Interface>, Error> {
    netlink.block_on(ask(netlink.handle()))
}

/// As [`list`], for the threads of watchers.
pub(crate) async fn ask(handle: &rtnetlink::Handle) -> Result<Vec<Interface>, Error> {
    let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = netlink::request(handle, question, NLM_F_DUMP)
        .await
        .map_err(|cause| Error::Refused {
            what: "list the network interfaces".into(),
            cause,
        })?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(from_message(link)),
            _ => None,
        })
        .collect())
}

/// The interface of that name.
///
/// # Errors
///
/// Where there is none; the error tells which there are.
pub fn by_name(netlink: &Netlink, name: &str) -> Result<Interface, Error> {
    let all = list(netlink)?;
    all.iter()
        .find(|interface| interface.name == name)
        .cloned()
        .ok_or_else(|| Error::NoInterface {
            name: name.to_owned(),
            names: all.into_iter().map(|interface| interface.name).collect(),
        })
}

/// The interface of the default route: IPv4's, else IPv6's; among several the one that is preferred.
///
/// # Errors
///
/// Where there is no default route.
pub fn default_route(netlink: &Netlink) -> Result<Interface, Error> {
    let mut index = None;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut wanted = RouteMessage::default();
        wanted.header.address_family = family;
        // The kernel knows no filter for it, and an edge of the Internet has a million routes.
        let routes = netlink
            .dump_and_pick(RouteNetlinkMessage::GetRoute(wanted), default_device)
            .map_err(|cause| Error::Refused {
                what: "list the routes".into(),
                cause,
            })?;
        index = routes.into_iter().min().map(|(_, index)| index);
        if index.is_some() {
            break;
        }
    }
    list(netlink)?
        .into_iter()
        .find(|interface| Some(interface.index) == index)
        .ok_or(Error::NoDefaultRoute)
}

/// Metric and device of a default route of the main table.
fn default_device(answer: RouteNetlinkMessage) -> Option<(u32, u32)> {
    let RouteNetlinkMessage::NewRoute(route) = answer else {
        return None;
    };
    let header = &route.header;
    let is_default = header.destination_prefix_length == 0
        && header.table == RouteHeader::RT_TABLE_MAIN
        && header.kind == RouteType::Unicast;
    if !is_default {
        return None;
    }
    let mut metric = 0;
    let mut device = None;
    for attribute in route.attributes {
        match attribute {
            RouteAttribute::Priority(priority) => metric = priority,
            RouteAttribute::Oif(index) => device = Some(index),
            RouteAttribute::MultiPath(hops) => device = hops.first().map(|hop| hop.interface_index),
            _ => {}
        }
    }
    device.map(|device| (metric, device))
}

fn from_message(link: LinkMessage) -> Interface {
    let mut interface = Interface {
        index: link.header.index,
        name: String::new(),
        up: link.header.flags.contains(LinkFlags::Up),
        promiscuous: link.header.flags.contains(LinkFlags::Promisc),
        framing: match link.header.link_layer_type {
            LinkLayerType::Ether => Framing::Ethernet,
            LinkLayerType::Loopback => Framing::Loopback,
            other => Framing::Other(format!("{other:?}").to_lowercase()),
        },
        mtu: 0,
        tx_queues: 1,
        rx_queues: 1,
        mac: None,
        alias: None,
        kind: None,
        xdp: None,
    };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name = name,
            LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
            // What asked for it counts, a bridge or a sniffer for one: the flag is what `ip link` was told.
            LinkAttribute::Promiscuity(askers) => interface.promiscuous |= askers > 0,
            LinkAttribute::NumTxQueues(queues) => interface.tx_queues = queues,
            LinkAttribute::NumRxQueues(queues) => interface.rx_queues = queues,
            LinkAttribute::Address(bytes) => interface.mac = bytes.try_into().ok(),
            LinkAttribute::IfAlias(alias) => interface.alias = Some(alias),
            LinkAttribute::LinkInfo(infos) => interface.kind = infos.into_iter().find_map(kind),
            LinkAttribute::Xdp(attached) => {
                interface.xdp = attached.into_iter().find_map(|about| match about {
                    LinkXdp::ProgId(id) => Some(id),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    if let (Framing::Other(words), Some(kind)) = (&mut interface.framing, &interface.kind) {
        // `none` is what the kernel calls the framing of tun and WireGuard alike.
        *words = format!("{kind} ({words})");
    }
    interface
}

fn kind(info: LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(InfoKind::Other(name)) => Some(name),
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}
