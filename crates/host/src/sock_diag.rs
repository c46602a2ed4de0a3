//! TCP sockets, listening or connected, from `NETLINK_SOCK_DIAG` (sock_diag(7)).
//!
//! `/proc/net/tcp` would walk every connection of a busy online server to find the few sockets that listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use crate::Error;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const IPPROTO_TCP: u8 = 6;
const TCP_TIME_WAIT: u32 = 6;
const TCP_LISTEN: u32 = 10;
/// `struct nlmsghdr`.
const HEADER_LEN: usize = 16;
/// `struct inet_diag_req_v2`.
const REQUEST_LEN: usize = 56;
/// The attribute that holds a program for the kernel to choose by, and its instructions: a comparison of the socket's own
/// port with that in the next four bytes.
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const INET_DIAG_BC_S_GE: u8 = 2;
const INET_DIAG_BC_S_LE: u8 = 3;

/// The listening sockets of a family.
pub(crate) fn listening(family: AddressFamily) -> Result<Vec<SocketAddr>, Error> {
    let found = ask(family, 1 << TCP_LISTEN, None).map_err(|cause| Error::Refused {
        what: "list the listening TCP sockets".into(),
        cause,
    })?;
    Ok(found.into_iter().map(|(local, _)| local).collect())
}

/// Both ends of every connection of a family, half-open and half-closed ones included; not those that are over and only
/// remembered (TIME-WAIT). With `ports` only those whose own port lies in that range; the kernel chooses them.
pub(crate) fn connections(
    family: AddressFamily,
    ports: Option<RangeInclusive<u16>>,
) -> Result<Vec<(SocketAddr, SocketAddr)>, Error> {
    let states = !(1 << TCP_LISTEN | 1 << TCP_TIME_WAIT);
    ask(family, states, ports).map_err(|cause| Error::Refused {
        what: "list the TCP connections".into(),
        cause,
    })
}

/// Both ends of the sockets that are in one of these states.
fn ask(
    family: AddressFamily,
    states: u32,
    ports: Option<RangeInclusive<u16>>,
) -> io::Result<Vec<(SocketAddr, SocketAddr)>> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    sendto(
        socket.as_raw_fd(),
        &request(family, states, ports),
        &NetlinkAddr::new(0, 0),
        MsgFlags::empty(),
    )?;
    let mut found = Vec::new();
    // The kernel writes dumps in pieces of at most 32 KiB.
    let mut buffer = vec![0; 32 << 10];
    loop {
        let len = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..len];
        while let Some((kind, body, next)) = split_message(rest) {
            match kind {
                NLMSG_DONE => return Ok(found),
                NLMSG_ERROR => return Err(error(body)),
                _ => found.extend(parse(family, body)),
            }
            rest = next;
        }
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn request(family: AddressFamily, states: u32, ports: Option<RangeInclusive<u16>>) -> Vec<u8> {
    let filter = ports.map(filter).unwrap_or_default();
    let len = HEADER_LEN + REQUEST_LEN + filter.len();
    let mut message = Vec::with_capacity(len);
    message.extend((len as u32).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([family as u8, IPPROTO_TCP, 0, 0]);
    message.extend(states.to_ne_bytes());
    message.resize(HEADER_LEN + REQUEST_LEN, 0);
    message.extend(filter);
    message
}

/// The attribute that has the kernel tell of sockets with such a port of their own alone. Each instruction says how many
/// bytes to go on where it holds and where it does not; a socket is told of where that leads to the very end.
fn filter(ports: RangeInclusive<u16>) -> Vec<u8> {
    const PROGRAM_LEN: u16 = 16;
    const INSTRUCTION_LEN: u8 = 8;
    let mut attribute = Vec::new();
    attribute.extend((4 + PROGRAM_LEN).to_ne_bytes());
    attribute.extend(INET_DIAG_REQ_BYTECODE.to_ne_bytes());
    let instructions = [
        (INET_DIAG_BC_S_GE, *ports.start(), PROGRAM_LEN),
        (INET_DIAG_BC_S_LE, *ports.end(), PROGRAM_LEN - 8),
    ];
    for (code, port, left) in instructions {
        attribute.extend([code, INSTRUCTION_LEN]);
        attribute.extend((left + 4).to_ne_bytes());
        attribute.extend([0, 0]);
        attribute.extend(port.to_ne_bytes());
    }
    attribute
}

/// Type and body of the first message, and what follows it.
fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER_LEN..len)?;
    let next = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, next))
}

/// Both ends in a `struct inet_diag_msg`: ports and addresses in network byte order.
fn parse(family: AddressFamily, body: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    const PORTS: usize = 4;
    const ADDRESSES: [usize; 2] = [8, 24];
    let end = |index: usize| {
        let port = u16::from_be_bytes(*body.get(PORTS + 2 * index..)?.first_chunk()?);
        let address = body.get(ADDRESSES[index]..)?;
        let ip = match family {
            AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::from(*address.first_chunk::<16>()?)),
            _ => IpAddr::V4(Ipv4Addr::from(*address.first_chunk::<4>()?)),
        };
        Some(SocketAddr::new(ip, port))
    };
    Some((end(0)?, end(1)?))
}

fn error(body: &[u8]) -> io::Error {
    let code = body
        .first_chunk()
        .map_or(0, |code| i32::from_ne_bytes(*code));
    io::Error::from_raw_os_error(-code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_messages_are_no_messages() {
        assert!(split_message(&[]).is_none());
        assert!(split_message(&[16, 0, 0, 0, 3]).is_none());
        let lying = [255, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(split_message(&lying).is_none(), "a length beyond the end");
        let short = [4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(
            split_message(&short).is_none(),
            "a length below the header's"
        );
        assert!(parse(AddressFamily::Inet, &[0; 8]).is_none());
    }
}
