//! One connection of the service.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Linger;

use super::request::{FAILED, OK, Parsed, Request, parse, respond};
use super::{Fault, Options, Tally};
use crate::digest::Digest;

/// While this many bytes of responses wait, no further request is read.
const OUTPUT_LEN_MAX: usize = 256 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// What was read and not yet understood.
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    body: Option<Body>,
    /// A response that waits for its delay.
    waiting: Option<(Instant, Body)>,
    readable: bool,
    /// The client has closed its side: everything must be read, down to the end of stream.
    hangup: bool,
    closing: bool,
    /// To be reset, as was planted.
    reset: bool,
}

#[derive(Clone, Copy, Debug)]
struct Body {
    request: Request,
    left: u64,
    digest: Digest,
}

/// What a connection needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An event of its socket.
    Event,
    /// To be called at this time.
    Timer(Instant),
    /// To be dropped.
    Close,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            body: None,
            waiting: None,
            readable: true,
            hangup: false,
            closing: false,
            reset: false,
        }
    }

    /// There may be something to read, and where `hangup` an end of stream behind it.
    pub(super) fn set_readable(&mut self, hangup: bool) {
        self.readable = true;
        self.hangup |= hangup;
    }

    /// Does all that can be done now.
    pub(super) fn advance(
        &mut self,
        options: &Options,
        tally: &mut Tally,
        scratch: &mut [u8],
    ) -> Next {
        loop {
            let waiting = self.release(options, tally);
            if self.reset {
                // With nothing to linger for, closing resets. Where that fails it is a close, which a test would see.
                let at_once = nix::libc::linger {
                    l_onoff: 1,
                    l_linger: 0,
                };
                let _ = setsockopt(&self.stream, Linger, &at_once);
                return Next::Close;
            }
            if !self.flush(options) {
                tally.broken += u64::from(!self.output.is_empty());
                return Next::Close;
            }
            if !self.output.is_empty() {
                return Next::Event;
            }
            if self.closing {
                return Next::Close;
            }
            match waiting {
                // Looks for the client's end too: one who leaves before the response is counted.
                Some(due) if !self.readable => return Next::Timer(due),
                None if !self.readable => return Next::Event,
                _ => {}
            }
            match self.stream.read(scratch) {
                Ok(0) => {
                    tally.abandoned += u64::from(waiting.is_some() || self.body.is_some());
                    return Next::Close;
                }
                Ok(length) => {
                    // The epoll is edge-triggered: less than asked for is all there is, except for an end of stream,
                    // which the event announces.
                    self.readable = length == scratch.len() || self.hangup;
                    self.accept(&scratch[..length], options, tally);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    tally.broken += 1;
                    return Next::Close;
                }
            }
        }
    }

    /// Moves a response whose delay is over into the output, and says when the next one is due.
    fn release(&mut self, options: &Options, tally: &mut Tally) -> Option<Instant> {
        let (due, body) = self.waiting?;
        if due > Instant::now() {
            return Some(due);
        }
        self.waiting = None;
        self.answer(body, options, tally);
        let rest = std::mem::take(&mut self.input);
        self.accept(&rest, options, tally);
        self.waiting.map(|(due, _)| due)
    }

    fn accept(&mut self, bytes: &[u8], options: &Options, tally: &mut Tally) {
        if self.input.is_empty() {
            let used = self.consume(bytes, options, tally);
            self.input.extend_from_slice(&bytes[used..]);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            let used = self.consume(&input, options, tally);
            input.drain(..used);
            self.input = input;
        }
    }

    /// Understands as many requests as there are, and returns how many bytes that took.
    fn consume(&mut self, bytes: &[u8], options: &Options, tally: &mut Tally) -> usize {
        let mut at = 0;
        while at < bytes.len() && self.waiting.is_none() && !self.closing && !self.reset {
            if let Some(mut body) = self.body.take() {
                let length = usize::try_from(body.left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - at);
                body.digest.update(&bytes[at..at + length]);
                body.left -= length as u64;
                at += length;
                if body.left == 0 {
                    self.complete(body, options, tally);
                } else {
                    self.body = Some(body);
                }
                continue;
            }
            match parse(&bytes[at..]) {
                Parsed::Partial => break,
                Parsed::Bad => {
                    tally.bad += 1;
                    self.output.extend_from_slice(
                        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    );
                    self.closing = true;
                    return bytes.len();
                }
                Parsed::Request(request, length) => {
                    at += length;
                    if request.expects {
                        self.output
                            .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    let body = Body {
                        request,
                        left: request.body_len,
                        digest: Digest::new(),
                    };
                    if body.left == 0 {
                        self.complete(body, options, tally);
                    } else {
                        self.body = Some(body);
                    }
                }
            }
            if self.output.len() > OUTPUT_LEN_MAX && !self.flush(options) {
                self.closing = true;
            }
        }
        at
    }

    fn complete(&mut self, body: Body, options: &Options, tally: &mut Tally) {
        let delay = body.request.delay.unwrap_or(options.delay);
        if delay.is_zero() {
            self.answer(body, options, tally);
        } else {
            self.waiting = Some((Instant::now() + delay, body));
        }
    }

    fn answer(&mut self, body: Body, options: &Options, tally: &mut Tally) {
        tally.count(body.request.id, body.request.body_len, body.digest);
        let size = body.request.size.unwrap_or(options.size) + options.spread(tally.requests);
        let fails = options.fail_every > 0 && tally.requests.is_multiple_of(options.fail_every);
        let status = if fails { FAILED } else { OK };
        let fault = options.fault(tally.requests);
        match fault {
            None | Some(Fault::Truncated) => {
                respond(&mut self.output, status, &body.request, size, body.digest);
                let missing = if fault.is_some() { size.div_ceil(2) } else { 0 };
                self.output.truncate(self.output.len() - missing);
                self.closing = body.request.close;
            }
            Some(Fault::Silent) => {}
            Some(Fault::Reset) => self.reset = true,
        }
    }

    /// Writes what can be written; `false` where the connection is broken.
    fn flush(&mut self, options: &Options) -> bool {
        while self.written < self.output.len() {
            let rest = &self.output[self.written..];
            let len = match options.write_bytes {
                0 => rest.len(),
                most => most.min(rest.len()),
            };
            match self.stream.write(&rest[..len]) {
                Ok(length) => self.written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.output.clear();
        self.written = 0;
        true
    }
}

/// Makes a stream ready for [`Connection::new`].
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)
}
