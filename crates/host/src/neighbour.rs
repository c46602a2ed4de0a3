//! Neighbours: whether the next hop's Ethernet address is known.

use std::net::IpAddr;

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use crate::{Error, Netlink};

/// What the kernel knows about one neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Index of the interface that it is behind.
    pub interface_index: u32,
    /// Its Ethernet address, if it is known.
    pub mac: Option<[u8; 6]>,
    /// Whether it was asked for and did not answer (`INCOMPLETE`, `FAILED`).
    pub is_silent: bool,
}

/// All neighbours, in both families (ARP and NDP).
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn list(netlink: &Netlink) -> Result<Vec<Neighbour>, Error> {
    let answers = netlink
        .dump(RouteNetlinkMessage::GetNeighbour(
            NeighbourMessage::default(),
        ))
        .map_err(|cause| Error::Refused {
            what: "list the neighbours".into(),
            cause,
        })?;
    Ok(answers.into_iter().filter_map(from_message).collect())
}

fn from_message(answer: RouteNetlinkMessage) -> Option<Neighbour> {
    let RouteNetlinkMessage::NewNeighbour(message) = answer else {
        return None;
    };
    let (mut address, mut mac) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                address = Some(v4.into());
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                address = Some(v6.into());
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.try_into().ok(),
            _ => {}
        }
    }
    Some(Neighbour {
        address: address?,
        interface_index: message.header.ifindex,
        mac,
        is_silent: matches!(
            message.header.state,
            NeighbourState::Incomplete | NeighbourState::Failed
        ),
    })
}
