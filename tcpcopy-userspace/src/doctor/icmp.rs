//! What routers and firewalls say by ICMP about our segments: that they do not get through.
//!
//! The kernel takes such messages itself and has no socket to tell, so a raw socket listens beside it. Anybody can send them:
//! they are told as what they are, somebody's word, and only where nothing better is known.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, recvfrom, socket,
};
use wire::flow::{Endpoint, FlowKey};
use wire::ip::{Header, PROTOCOL_TCP};

/// Listens to both families.
#[derive(Debug)]
pub(crate) struct Ears {
    sockets: Vec<OwnedFd>,
}

/// Somebody's word that a segment did not get through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Who says so.
    pub(crate) from: IpAddr,
    /// The flow of the segment; we are its client.
    pub(crate) flow: FlowKey,
    /// Why, in words.
    pub(crate) why: &'static str,
    /// Whether a firewall says so, and not a router that knows no way.
    pub(crate) is_filter: bool,
}

impl Ears {
    /// Listens in the families that there are.
    pub(crate) fn open() -> Self {
        let open = |family, protocol| {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            socket(family, SockType::Raw, flags, protocol).ok()
        };
        let sockets = [
            open(AddressFamily::Inet, SockProtocol::Icmp),
            open(AddressFamily::Inet6, SockProtocol::IcmpV6),
        ];
        Self {
            sockets: sockets.into_iter().flatten().collect(),
        }
    }

    /// Everything that was said since this was last asked.
    pub(crate) fn hear(&self) -> Vec<Word> {
        let mut words = Vec::new();
        for socket in &self.sockets {
            let mut buffer = [0; 1500];
            while let Ok((len, from)) = receive(socket, &mut buffer) {
                let message = buffer.get(..len).unwrap_or_default();
                words.extend(from.and_then(|from| read(from, message)));
            }
        }
        words
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, Option<IpAddr>)> {
    let (len, from) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), buffer)?;
    let from = from.and_then(|from| {
        let v4 = from.as_sockaddr_in().map(|from| IpAddr::V4(from.ip()));
        v4.or_else(|| from.as_sockaddr_in6().map(|from| IpAddr::V6(from.ip())))
    });
    Ok((len, from))
}

/// Reads a message as a raw socket gives it: IPv4 with its IP header, IPv6 without.
fn read(from: IpAddr, message: &[u8]) -> Option<Word> {
    let at = match from {
        IpAddr::V4(_) => usize::from(Header::parse(message, 0).ok()?.header_len),
        IpAddr::V6(_) => 0,
    };
    let (kind, code) = (*message.get(at)?, *message.get(at + 1)?);
    let (why, is_filter) = match from {
        IpAddr::V4(_) if kind == 3 => v4_words(code)?,
        IpAddr::V6(_) if kind == 1 => v6_words(code)?,
        _ => return None,
    };
    let inner_at = at + 8;
    let inner = Header::parse(message, inner_at).ok()?;
    let ports = message.get(inner_at + usize::from(inner.header_len)..)?;
    let [a, b, c, d] = *ports.first_chunk()?;
    (inner.protocol == PROTOCOL_TCP).then_some(Word {
        from,
        flow: FlowKey {
            client: Endpoint::new(inner.source, u16::from_be_bytes([a, b])),
            server: Endpoint::new(inner.destination, u16::from_be_bytes([c, d])),
        },
        why,
        is_filter,
    })
}

/// Codes of type 3 (RFC 792, RFC 1812 section 5.2.7.1); 4 is about lengths.
const fn v4_words(code: u8) -> Option<(&'static str, bool)> {
    match code {
        0 | 6 | 11 => Some(("network unreachable", false)),
        1 | 7 | 12 => Some(("host unreachable", false)),
        2 => Some(("protocol unreachable", true)),
        3 => Some(("port unreachable", true)),
        9 | 10 | 13 => Some(("administratively prohibited", true)),
        _ => None,
    }
}

/// Codes of type 1 (RFC 4443 section 3.1).
const fn v6_words(code: u8) -> Option<(&'static str, bool)> {
    match code {
        0 => Some(("no route to destination", false)),
        1 => Some(("administratively prohibited", true)),
        3 => Some(("address unreachable", false)),
        4 => Some(("port unreachable", true)),
        5 => Some(("source address failed policy", true)),
        6 => Some(("route rejected", false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use wire::flow::{Addr, Endpoint};
    use wire::tcp::{Flags, Header, Options};

    use super::read;

    /// A message of 10.0.0.9 about a SYN of ours.
    fn message(kind: u8, code: u8) -> Vec<u8> {
        let header = Header {
            source: Endpoint::new(Addr::v4([10, 0, 0, 1]), 32_767),
            destination: Endpoint::new(Addr::v4([10, 0, 0, 2]), 80),
            seq: 1,
            ack: 0,
            flags: Flags::SYN,
            window: 1,
            urgent: 0,
            options: Options::default(),
        };
        let mut frame = vec![0; header.payload_offset()];
        assert!(header.emit(&mut frame));
        let quoted = &frame[14..14 + 28];
        let mut outer = vec![
            0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1,
        ];
        outer.extend([kind, code, 0, 0, 0, 0, 0, 0]);
        outer.extend_from_slice(quoted);
        outer
    }

    #[test]
    fn a_refusal_is_read_with_the_flow_that_it_is_about() {
        let from = "10.0.0.9".parse().unwrap();
        let word = read(from, &message(3, 10)).expect("a word");
        assert_eq!(word.why, "administratively prohibited");
        assert_eq!((word.flow.client.port, word.flow.server.port), (32_767, 80));
        assert!(word.is_filter);
        assert_eq!(read(from, &message(3, 4)), None, "about a length");
        assert_eq!(read(from, &message(8, 0)), None, "an echo request");
        for len in 0..48 {
            assert_eq!(read(from, &message(3, 10)[..len]), None, "{len} bytes");
        }
    }
}
