//! What an interface says of itself by generic netlink (`ethtool`): its offloads, which are what it merges before anybody sees
//! it, and its speed. Not from /sys, which may show the devices of another network namespace.

use std::io;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
/// `struct nlmsghdr` and `struct genlmsghdr`.
const HEADERS_LEN: usize = 16 + 4;
/// The family that gives the numbers of the others (linux/genetlink.h).
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// linux/ethtool_netlink.h.
const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
const ETHTOOL_A_LINKMODES_HEADER: u16 = 1;
const ETHTOOL_A_LINKMODES_SPEED: u16 = 5;
/// What a device says that does not know its speed.
const SPEED_UNKNOWN: u32 = u32::MAX;
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
/// An attribute that holds others.
const NESTED: u16 = 0x8000;

/// Names of the offloads that are on (`rx-lro`, `rx-gro`, `tx-tcp-segmentation`, ...).
///
/// # Errors
///
/// Where the kernel does not know the question, or the interface.
pub fn active(interface: &str) -> io::Result<Vec<String>> {
    let answer = ask_of(
        interface,
        ETHTOOL_MSG_FEATURES_GET,
        ETHTOOL_A_FEATURES_HEADER,
    )?;
    let bits = find(&answer, ETHTOOL_A_FEATURES_ACTIVE)
        .and_then(|active| find(active, ETHTOOL_A_BITSET_BITS))
        .unwrap_or_default();
    let names = attributes(bits)
        .filter(|(kind, _)| *kind == ETHTOOL_A_BITSET_BITS_BIT)
        .filter_map(|(_, bit)| find(bit, ETHTOOL_A_BITSET_BIT_NAME));
    Ok(names
        .map(|name| {
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(name).into_owned()
        })
        .collect())
}

/// Speed of an interface's link, in bits per second; `None` where the interface does not know, as virtual ones often do not.
///
/// # Errors
///
/// Where the kernel does not know the question, or the interface.
pub fn speed(interface: &str) -> io::Result<Option<u64>> {
    let answer = ask_of(
        interface,
        ETHTOOL_MSG_LINKMODES_GET,
        ETHTOOL_A_LINKMODES_HEADER,
    )?;
    let speed = find(&answer, ETHTOOL_A_LINKMODES_SPEED).and_then(|speed| speed.first_chunk());
    let megabits = speed.map(|speed| u32::from_ne_bytes(*speed));
    let known = megabits.filter(|speed| !matches!(*speed, 0 | SPEED_UNKNOWN));
    Ok(known.map(|megabits| u64::from(megabits) * 1_000_000))
}

/// Asks one question about an interface, which stands in the attribute `header`.
fn ask_of(interface: &str, command: u8, header: u16) -> io::Result<Vec<u8>> {
    let name = [interface.as_bytes(), &[0]].concat();
    let family = ask(
        GENL_ID_CTRL,
        CTRL_CMD_GETFAMILY,
        &attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0"),
    )?;
    let family = find(&family, CTRL_ATTR_FAMILY_ID)
        .and_then(|id| id.first_chunk())
        .map(|id| u16::from_ne_bytes(*id))
        .ok_or(io::ErrorKind::InvalidData)?;
    let device = attribute(ETHTOOL_A_HEADER_DEV_NAME, &name);
    ask(family, command, &attribute(header | NESTED, &device))
}

/// Sends one request and gives the attributes of the answer.
fn ask(family: u16, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkGeneric,
    )?;
    let mut message = Vec::with_capacity(HEADERS_LEN + attributes.len());
    message.extend(((HEADERS_LEN + attributes.len()) as u32).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend(attributes);
    let fd = socket.as_raw_fd();
    sendto(fd, &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = vec![0; 32 << 10];
    let len = recv(fd, &mut answer, MsgFlags::empty())?;
    answer.truncate(len);
    let kind = answer
        .get(4..6)
        .and_then(|kind| kind.first_chunk())
        .map(|kind| u16::from_ne_bytes(*kind));
    if kind == Some(NLMSG_ERROR) {
        let code = answer.get(16..).and_then(|code| code.first_chunk());
        let code = code.map_or(0, |code| i32::from_ne_bytes(*code));
        return Err(io::Error::from_raw_os_error(-code));
    }
    Ok(answer.get(HEADERS_LEN..).unwrap_or_default().to_vec())
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Kind and value of each attribute; ends at one that lies about its length.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !NESTED, value))
    })
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(kind, _)| *kind == wanted)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::{active, attribute, attributes, find};

    #[test]
    fn attributes_are_found_and_lies_end_the_search() {
        let both = [attribute(1, b"abc"), attribute(2, b"de")].concat();
        assert_eq!(find(&both, 2), Some(&b"de"[..]));
        assert_eq!(find(&both, 3), None);
        assert_eq!(attributes(&[255, 0, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
    }

    #[test]
    fn the_loopback_device_has_offloads() {
        if let Ok(names) = active("lo") {
            assert!(
                names.iter().any(|name| name.starts_with("tx-")),
                "{names:?}"
            );
        }
    }
}
