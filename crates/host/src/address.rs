//! The addresses of this host.

use std::net::IpAddr;

use rtnetlink::packet_core::NLM_F_DUMP;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};

use crate::{Error, Netlink, netlink};

/// One address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The address.
    pub address: IpAddr,
    /// Leading bits that are the network's.
    pub prefix_len: u8,
    /// Index of the interface that it stands on.
    pub interface_index: u32,
}

/// All addresses of this host, in both families.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn list(netlink: &Netlink) -> Result<Vec<Own>, Error> {
    netlink.block_on(ask(netlink.handle()))
}

/// As [`list`], for the watcher's thread.
pub(crate) async fn ask(handle: &rtnetlink::Handle) -> Result<Vec<Own>, Error> {
    let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let answers = netlink::request(handle, question, NLM_F_DUMP).await;
    let answers = answers.map_err(|cause| Error::Refused {
        what: "list the addresses of this host".into(),
        cause,
    })?;
    Ok(answers.into_iter().filter_map(from_message).collect())
}

fn from_message(answer: RouteNetlinkMessage) -> Option<Own> {
    let RouteNetlinkMessage::NewAddress(message) = answer else {
        return None;
    };
    let (mut local, mut address) = (None, None);
    for attribute in message.attributes {
        match attribute {
            // Where a peer is configured IFA_ADDRESS is the peer's and IFA_LOCAL is ours.
            AddressAttribute::Local(ip) => local = Some(ip),
            AddressAttribute::Address(ip) => address = Some(ip),
            _ => {}
        }
    }
    let address = local.or(address)?;
    Some(Own {
        address,
        prefix_len: message.header.prefix_len,
        interface_index: message.header.index,
    })
}
