//! The connection to the kernel that filters and qdiscs are asked for through.
//!
//! Not the one that routes and links have: its decoder leaves out a message that it cannot take apart, and a filter of somebody
//! else's that was left out would look like none.

use std::io;

use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket as Netlink, SocketAddr};

use super::message::{self, Answer, Failure};

/// A netlink socket in the network namespace of the thread that opened it. The kernel answers before a call returns.
#[derive(Debug)]
pub(super) struct Socket(Netlink);

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Netlink::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel's own words about a refusal (Linux 4.12), without the request (4.3): good to have.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Self(socket))
    }

    /// Asks for everything of a kind.
    pub(super) fn dump(&self, request: &[u8]) -> Result<Vec<Answer>, Failure> {
        self.0.send(request, 0)?;
        let mut answers = Vec::new();
        loop {
            let (bytes, _) = self.0.recv_from_full()?;
            if bytes.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            for answer in message::split(&bytes) {
                if let Some(cause) = answer.failure() {
                    return Err(cause);
                }
                if answer.is_end() {
                    return Ok(answers);
                }
                answers.push(answer);
            }
        }
    }

    /// Has something changed.
    pub(super) fn change(&self, request: &[u8]) -> Result<(), Failure> {
        self.0.send(request, 0)?;
        loop {
            let (bytes, _) = self.0.recv_from_full()?;
            if bytes.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            for answer in message::split(&bytes) {
                if let Some(cause) = answer.failure() {
                    return Err(cause);
                }
                if answer.is_end() {
                    return Ok(());
                }
            }
        }
    }
}
