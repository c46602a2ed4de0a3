//! The sign that the owner of the private device lives, which nobody puts up by accident and nobody can without CAP_NET_RAW.
//!
//! A tcx program on `tcpcopy0` says so by itself, because it goes with its process; a clsact filter does not. So an owner holds a
//! raw IPv4 socket of a protocol that nobody speaks, bound to the device: no packet comes to it, and the kernel lists it in
//! `/proc/net/raw` until the process is gone, however it went and in whichever container it ran.

use std::fs;

use socket2::{Domain, Protocol, Socket, Type};

use crate::PrivateDevice;

/// The first of the two protocols that are left to experiments (RFC 3692).
const PROTOCOL: u8 = 253;

/// The sign, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Sign(#[expect(dead_code, reason = "it is there to be seen")] Socket);

impl Sign {
    /// Puts it up; `None` where the kernel does not let us, without which one tcpcopy still knows of another by its name.
    pub(crate) fn put_up() -> Option<Self> {
        let protocol = Protocol::from(i32::from(PROTOCOL));
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).ok()?;
        socket
            .bind_device(Some(PrivateDevice::OUTER.as_bytes()))
            .ok()?;
        Some(Self(socket))
    }
}

/// Whether it is up in this network namespace.
pub(crate) fn is_up() -> bool {
    is_listed(&fs::read_to_string("/proc/thread-self/net/raw").unwrap_or_default())
}

/// Whether `/proc/net/raw` lists a socket of our protocol, which stands where others have the port.
fn is_listed(sockets: &str) -> bool {
    let protocol = format!(":{PROTOCOL:04X}");
    let mut lines = sockets.lines().skip(1);
    lines.any(|line| {
        let local = line.split_ascii_whitespace().nth(1);
        local.is_some_and(|local| local.ends_with(&protocol))
    })
}

#[cfg(test)]
mod tests {
    use super::is_listed;

    #[test]
    fn a_socket_of_our_protocol_is_found() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
        let line = |protocol| {
            format!(
                "   1: 00000000:{protocol} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5 2 0 0\n"
            )
        };
        assert!(is_listed(&format!(
            "{head}{}{}",
            line("0001"),
            line("00FD")
        )));
        assert!(!is_listed(&format!("{head}{}", line("0001"))));
        assert!(!is_listed(head) && !is_listed(""));
    }
}
