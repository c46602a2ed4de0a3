//! Keeps the kernel from sending anything of its own on the private device.
//!
//! What silences it is said by netlink, since a container without `--privileged` may not write to `/proc/sys`.

use nix::errno::Errno;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkMessage,
};

use super::{End, PrivateDevice, refused};
use crate::{Error, Netlink, sysctl};

/// Silences both ends, before they are set up.
pub(super) fn keep(netlink: &Netlink, ends: [End; 2]) -> Result<(), Error> {
    for end in ends {
        // No link-local address, so no duplicate detection, no router solicitation and no multicast report. IPv6 itself stays on at the
        // outer end, for targets on this host.
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let of_inet6 = AfSpecUnspec::Inet6(vec![mode]);
        let mut message = LinkMessage::default();
        message.header.index = end.index;
        message
            .attributes
            .push(LinkAttribute::AfSpecUnspec(vec![of_inet6]));
        match netlink.change(RouteNetlinkMessage::SetLink(message), 0) {
            // The kernel was built or started without IPv6, and has nothing to say.
            Err(cause) if cause.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32) => {}
            asked => asked
                .map_err(|cause| refused(&format!("keep IPv6 silent on {}", end.name), cause))?,
        }
    }
    // One more lock on a door that is shut: nobody is on the device who would send a router's advertisement.
    let outer = format!("ipv6/conf/{}/accept_ra", PrivateDevice::OUTER);
    sysctl::write_if_allowed(&outer, "0")?;
    let inner = format!("ipv6/conf/{}/disable_ipv6", PrivateDevice::INNER);
    sysctl::write_if_allowed(&inner, "1")
}
