//! The addresses of this host, followed as long as `intercept` runs: what is addressed to one of them is never
//! consumed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use host::{Netlink, address};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::error::Unusable;
use crate::stop::Stopped;

/// `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR` (linux/rtnetlink.h).
const ADDRESS_GROUPS: u32 = 0x10 | 0x100;

/// Watches the addresses of the network namespace it was made in.
#[derive(Debug)]
pub(crate) struct Addresses {
    netlink: Netlink,
    changes: OwnedFd,
    current: BTreeSet<IpAddr>,
}

impl Addresses {
    /// Subscribes, then asks once.
    pub(crate) fn open() -> Result<Self, Unusable> {
        let start = |errno: Errno| Unusable::Start {
            what: "a netlink socket that follows this host's addresses",
            cause: errno.into(),
        };
        let changes = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkRoute,
        )
        .map_err(start)?;
        bind(changes.as_raw_fd(), &NetlinkAddr::new(0, ADDRESS_GROUPS)).map_err(start)?;
        let netlink = Netlink::open()?;
        let current = ask(&netlink)?;
        Ok(Self {
            netlink,
            changes,
            current,
        })
    }

    /// The addresses when they were last asked for.
    pub(crate) fn current(&self) -> &BTreeSet<IpAddr> {
        &self.current
    }

    /// Calls `changed` with the old and the new addresses whenever they change, until told to stop.
    pub(crate) fn follow(
        mut self,
        stopped: &Stopped,
        mut changed: impl FnMut(&BTreeSet<IpAddr>, &BTreeSet<IpAddr>),
    ) {
        while stopped.wait_readable(&self.changes) {
            // What a message says does not count, the kernel's answer does: then lost messages do no harm either.
            let mut message = [0; 8192];
            while matches!(
                recv(
                    self.changes.as_raw_fd(),
                    &mut message,
                    MsgFlags::MSG_DONTWAIT
                ),
                Ok(1..) | Err(Errno::ENOBUFS | Errno::EINTR)
            ) {}
            match ask(&self.netlink) {
                Ok(new) if new != self.current => {
                    changed(&self.current, &new);
                    self.current = new;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!("cannot ask for this host's addresses: {error}"),
            }
        }
    }
}

fn ask(netlink: &Netlink) -> Result<BTreeSet<IpAddr>, host::Error> {
    let own = address::list(netlink)?;
    Ok(own.into_iter().map(|own| own.address).collect())
}
