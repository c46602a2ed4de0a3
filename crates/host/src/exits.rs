//! The devices that packets of this host leave by, as its routing tables have it, and a thread that follows them.
//!
//! All tables are looked at, not the main one alone, so that what rules choose (`ip rule`) is among them. Whose packets go which
//! way is not asked: a device too many shows nothing, and one too few would hide half of a conversation.

use std::collections::BTreeMap;
use std::time::Duration;

use crossbeam_channel::Receiver;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NLM_F_DUMP;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::follower::{Follower, Subject};
use crate::{Error, Interface, Netlink, PrivateDevice, interface, netlink};

/// Most devices that are told of: a host of many containers has a route of its own to each of them. Those of the widest
/// networks come first.
pub const EXITS_MAX: usize = 16;

/// Devices that are fit to look at (up, Ethernet) and that some unicast route leaves by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exits {
    /// Their names, those of the widest networks first, at most [`EXITS_MAX`].
    pub names: Vec<String>,
    /// How many there are besides.
    pub left_out: usize,
}

/// The devices as they are now.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn list(netlink: &Netlink) -> Result<Exits, Error> {
    let found = netlink.block_on(ask(netlink.handle()))?;
    Ok(exits(&found))
}

fn exits(found: &[Interface]) -> Exits {
    let names = found.iter().take(EXITS_MAX).map(|exit| exit.name.clone());
    Exits {
        names: names.collect(),
        left_out: found.len().saturating_sub(EXITS_MAX),
    }
}

async fn ask(handle: &rtnetlink::Handle) -> Result<Vec<Interface>, Error> {
    // Of each device the shortest prefix of a network behind it.
    let mut widest: BTreeMap<u32, u8> = BTreeMap::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut wanted = RouteMessage::default();
        wanted.header.address_family = family;
        let question = RouteNetlinkMessage::GetRoute(wanted);
        // An edge of the Internet has a million routes: none of them is kept.
        let note = |answer| {
            note(&mut widest, answer);
            None::<()>
        };
        netlink::request_and_pick(handle, question, NLM_F_DUMP, note)
            .await
            .map_err(|cause| Error::Refused {
                what: "list the routes".into(),
                cause,
            })?;
    }
    let interfaces = interface::ask(handle).await?;
    let mut exits: Vec<(u8, Interface)> = interfaces
        .into_iter()
        .filter(is_fit)
        .filter_map(|interface| Some((*widest.get(&interface.index)?, interface)))
        .collect();
    exits.sort_by_key(|(prefix_len, interface)| (*prefix_len, interface.index));
    Ok(exits.into_iter().map(|(_, interface)| interface).collect())
}

/// What does not lead out of this host, or has no Ethernet header, shows no answer.
fn is_fit(interface: &Interface) -> bool {
    !interface.is_virtual_home()
        && interface.name != PrivateDevice::OUTER
        && interface.name != PrivateDevice::INNER
        && interface.require_usable().is_ok()
}

fn note(widest: &mut BTreeMap<u32, u8>, answer: RouteNetlinkMessage) {
    let RouteNetlinkMessage::NewRoute(route) = answer else {
        return;
    };
    if route.header.kind != RouteType::Unicast {
        return;
    }
    let prefix_len = route.header.destination_prefix_length;
    // fe80::/64 stands on every device and is nobody's way.
    let is_link_local = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet6(v6)) => v6.is_unicast_link_local(),
        _ => false,
    };
    if route.attributes.iter().any(is_link_local) {
        return;
    }
    let mut add = |device: u32| {
        let known = widest.entry(device).or_insert(prefix_len);
        *known = prefix_len.min(*known);
    };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => add(*index),
            RouteAttribute::MultiPath(hops) => {
                hops.iter().for_each(|hop| add(hop.interface_index));
            }
            _ => {}
        }
    }
}

/// The running thread; dropping it ends the thread.
#[derive(Debug)]
pub struct ExitWatcher(Follower<Exits>);

const EXITS: Subject = Subject {
    name: "exits",
    what: "the devices of routes",
    groups: &[
        MulticastGroup::Link,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
        MulticastGroup::Nexthop,
    ],
    ask_every: ExitWatcher::ASK_EVERY,
    room: 1,
};

impl ExitWatcher {
    /// How often the kernel is asked though no message came.
    pub const ASK_EVERY: Duration = Duration::from_secs(30);

    /// Starts to follow the devices. The first change is what they are at the start.
    ///
    /// # Errors
    ///
    /// Where the messages cannot be subscribed to.
    pub fn start() -> Result<Self, Error> {
        // With the index: a device that was made anew under its old name is another one.
        let mut known: Option<Vec<(u32, String)>> = None;
        let follower = Follower::start(EXITS, async move |handle, changes| {
            // A question that fails is asked again after the next message.
            let Ok(found) = ask(handle).await else {
                return;
            };
            let all = found.iter().map(|exit| (exit.index, exit.name.clone()));
            let all: Vec<(u32, String)> = all.collect();
            // Where the reader is late, the change is told another time.
            if known.as_ref() != Some(&all) && changes.try_send(exits(&found)).is_ok() {
                known = Some(all);
            }
        })?;
        Ok(Self(follower))
    }

    /// Where the changes arrive: each time all devices.
    #[must_use]
    pub fn changes(&self) -> &Receiver<Exits> {
        self.0.changes()
    }
}
