//! One client connection of the load.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};

use super::response::{Head, Parsed, parse};
use crate::digest::Digest;

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) id: u64,
    /// When it should have been sent.
    pub(super) intended: Instant,
    /// When it was.
    pub(super) sent: Instant,
    /// Digest of its body.
    pub(super) digest: u64,
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) request: Request,
    pub(super) bytes: u64,
    /// The response arrived and the server ends the connection.
    pub(super) close: bool,
    pub(super) head: Head,
    pub(super) body: u64,
}

/// What became of a connection after an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// Nothing new.
    Waiting,
    /// A response is complete.
    Answered(Answered),
    /// The server closed while nothing was due.
    Closed,
    /// The connection broke; the request that was due is lost.
    Failed(Option<Request>, &'static str),
}

/// A client connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    connected: bool,
    request: Option<Request>,
    output: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    head: Option<(Head, u64, Digest)>,
}

impl Client {
    /// Begins to connect.
    pub(super) fn connect(to: SocketAddr) -> Result<Self, Errno> {
        let family = if to.is_ipv4() {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(family, SockType::Stream, flags, None)?;
        setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
        match connect(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            &SockaddrStorage::from(to),
        ) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            stream: TcpStream::from(socket),
            connected: false,
            request: None,
            output: Vec::new(),
            written: 0,
            input: Vec::new(),
            head: None,
        })
    }

    /// The request that is due, if any.
    pub(super) fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// Hands over a request, whose bytes `write` puts into the buffer that it is given.
    pub(super) fn submit(&mut self, request: Request, write: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        self.output.clear();
        self.written = 0;
        write(&mut self.output);
        self.request = Some(request);
        if self.connected {
            self.flush()
        } else {
            Outcome::Waiting
        }
    }

    /// The socket has something: a connection, space, data or an end.
    pub(super) fn advance(&mut self, hangup: bool, scratch: &mut [u8]) -> Outcome {
        if !self.connected {
            match self.stream.take_error() {
                Ok(None) => {}
                _ => return Outcome::Failed(self.request.take(), "connection refused"),
            }
            if self.stream.peer_addr().is_err() {
                return Outcome::Waiting;
            }
            self.connected = true;
        }
        if let failed @ Outcome::Failed(..) = self.flush() {
            return failed;
        }
        loop {
            match self.stream.read(scratch) {
                Ok(0) if self.request.is_none() => return Outcome::Closed,
                Ok(0) => {
                    return Outcome::Failed(
                        self.request.take(),
                        "closed before the response was complete",
                    );
                }
                Ok(length) => {
                    let outcome = self.accept(&scratch[..length]);
                    if !matches!(outcome, Outcome::Waiting) {
                        return outcome;
                    }
                    // Edge-triggered: less than asked for is all there is, except for an end of stream.
                    if length < scratch.len() && !hangup {
                        return Outcome::Waiting;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Outcome::Failed(self.request.take(), "reset"),
            }
        }
    }

    fn flush(&mut self) -> Outcome {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(length) => self.written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Outcome::Failed(self.request.take(), "reset while sending"),
            }
        }
        Outcome::Waiting
    }

    fn accept(&mut self, bytes: &[u8]) -> Outcome {
        if self.head.is_none() && self.input.is_empty() {
            let used = match self.understand(bytes) {
                Ok(used) => used,
                Err(outcome) => return outcome,
            };
            if self.head.is_none() {
                self.input.extend_from_slice(&bytes[used..]);
                return Outcome::Waiting;
            }
            return self.body(&bytes[used..]);
        }
        if self.head.is_none() {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            return match self.understand(&input) {
                Err(outcome) => outcome,
                Ok(used) if self.head.is_some() => self.body(&input[used..]),
                Ok(_) => {
                    self.input = input;
                    Outcome::Waiting
                }
            };
        }
        self.body(bytes)
    }

    /// Reads the head, if it is complete, and returns its length.
    fn understand(&mut self, bytes: &[u8]) -> Result<usize, Outcome> {
        if self.request.is_none() {
            return Err(Outcome::Failed(None, "a response that nobody asked for"));
        }
        match parse(bytes) {
            Parsed::Partial => Ok(0),
            Parsed::Bad => Err(Outcome::Failed(self.request.take(), "not an HTTP response")),
            Parsed::Head(head, length) => {
                self.head = Some((head, 0, Digest::new()));
                Ok(length)
            }
        }
    }

    fn body(&mut self, bytes: &[u8]) -> Outcome {
        let Some((head, seen, digest)) = &mut self.head else {
            return Outcome::Waiting;
        };
        *seen += bytes.len() as u64;
        digest.update(bytes);
        if *seen < head.length {
            return Outcome::Waiting;
        }
        if *seen > head.length {
            return Outcome::Failed(self.request.take(), "more bytes than the response has");
        }
        let (head, bytes, body) = (*head, *seen, digest.value());
        self.head = None;
        match self.request.take() {
            Some(request) => Outcome::Answered(Answered {
                request,
                bytes,
                close: head.close,
                head,
                body,
            }),
            None => Outcome::Waiting,
        }
    }
}
