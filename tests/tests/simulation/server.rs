//! The server's application, of the online server and of the target alike.

use std::collections::{HashMap, VecDeque};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use crate::application::{Answer, HEADER_LEN, Protocol, TLS, parse_header};
use crate::http::{self, Next};
use crate::plan::{Faults, Plan};
use crate::stack::{SocketOptions, Stack};

/// The port that it listens on.
pub(crate) const PORT: u16 = 80;
/// Sockets that listen at any time: smoltcp has no backlog.
const LISTENING: usize = 4;

/// What becomes of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syn {
    Accepted,
    Dropped,
    /// It goes to a connection of the same sender, which answers with an ACK (RFC 5961 section 4).
    Challenged,
}

/// Farther back than the segments of one connection go: an older number is another connection's.
const FAR: i32 = 1 << 20;

/// What each byte of a response says: which request it answers ([`Plan::tag`]).
pub(crate) type Tag = u8;
/// What each byte says that a server says unasked.
pub(crate) const UNASKED: Tag = 0;

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Online,
    Target,
}

/// One accepted connection.
#[derive(Debug)]
pub(crate) struct Accepted {
    handle: SocketHandle,
    /// The peer's port.
    pub(crate) port: u16,
    /// Every byte that the application has read.
    pub(crate) read: Vec<u8>,
    /// Where in `read` the next request begins.
    parsed: usize,
    /// The body that a client has waited with and that comes next: its connection, its index, its length.
    body: Option<(usize, usize, usize)>,
    /// Responses to come, in order.
    jobs: VecDeque<(Answer, Vec<u8>)>,
    /// What is being written, and how much of it was.
    words: Vec<u8>,
    written: usize,
    /// When the first of them begins.
    begins_at: Option<u64>,
    /// What is to be said unprompted, and when.
    pushes: VecDeque<(u64, usize)>,
    /// Bytes of the running piece still to be written.
    writing: usize,
    /// The rest of the running response: its bytes, the length of a piece, the pause between two, and when the next
    /// begins.
    rest: Rest,
    closes: bool,
    /// Whether it ends, or has ended, for what is wrong with the server.
    pub(crate) breaks_off: bool,
    answered: usize,
    read_at: u64,
    closed: bool,
    gone: bool,
}

/// The pieces of a response that are still to come.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    bytes: usize,
    piece: usize,
    pause: u64,
    at: u64,
}

/// What an application has just read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) accepted: usize,
    pub(crate) bytes: usize,
}

/// A server.
pub(crate) struct Server {
    side: Side,
    options: SocketOptions,
    listening: Vec<SocketHandle>,
    pub(crate) accepted: Vec<Accepted>,
    /// The highest acknowledgement number of each peer's port.
    acknowledged: HashMap<u16, u32>,
    /// Requests that made no sense.
    pub(crate) nonsense: u64,
    /// What is wrong with it.
    pub(crate) faults: Faults,
    /// Whether nothing listens, so that connections are refused.
    pub(crate) refuses: bool,
    /// Whether no connection is accepted, and SYNs are not answered.
    pub(crate) is_deaf: bool,
}

impl Server {
    pub(crate) fn new(side: Side, options: SocketOptions, faults: Faults) -> Self {
        Self {
            side,
            options,
            listening: vec![],
            accepted: vec![],
            acknowledged: HashMap::new(),
            nonsense: 0,
            faults,
            refuses: false,
            is_deaf: false,
        }
    }

    /// It forgets all its connections, without a word.
    pub(crate) fn crash(&mut self, stack: &mut Stack) {
        for accepted in self.accepted.iter_mut().filter(|accepted| !accepted.gone) {
            (accepted.gone, accepted.breaks_off) = (true, true);
            stack.sockets.remove(accepted.handle);
        }
        for handle in self.listening.drain(..) {
            stack.sockets.remove(handle);
        }
    }

    fn pick<T>(&self, (online, target): (T, T)) -> T {
        match self.side {
            Side::Online => online,
            Side::Target => target,
        }
    }

    /// Accepts, reads, answers and closes. Returns what was read, for the one who watches.
    pub(crate) fn run(&mut self, now: u64, plan: &Plan, stack: &mut Stack) -> Vec<Read> {
        self.accept(plan, stack);
        let mut reads = vec![];
        for index in 0..self.accepted.len() {
            if self.accepted[index].gone {
                continue;
            }
            let bytes = self.read(index, now, stack);
            if bytes > 0 {
                let accepted = index;
                reads.push(Read { accepted, bytes });
            }
            self.parse(index, now, plan, stack);
            self.answer(index, now, stack);
            self.leave(index, stack);
        }
        reads
    }

    /// A segment with this acknowledgement number is about to arrive from a port. Returns the highest number so far.
    ///
    /// smoltcp drops segments whose acknowledgement is older than what it knows; other stacks take their payload (RFC 9293
    /// section 3.10.7.4).
    pub(crate) fn receive_ack(&mut self, port: u16, ack: u32) -> u32 {
        let highest = self.acknowledged.entry(port).or_insert(ack);
        let distance = ack.wrapping_sub(*highest).cast_signed();
        if !(-FAR..=0).contains(&distance) {
            *highest = ack;
        }
        *highest
    }

    /// A SYN is about to arrive from a port. Returns what is to become of it.
    ///
    /// smoltcp gives a SYN to any socket that listens, even where another one knows its sender, and a connection drops it;
    /// here it behaves as other stacks do: one more SYN of a handshake is dropped, TIME-WAIT yields, and a connection
    /// answers.
    pub(crate) fn receive_syn(&mut self, port: u16, stack: &mut Stack) -> Syn {
        if self.is_deaf {
            return Syn::Dropped;
        }
        self.acknowledged.remove(&port);
        let waiting = self.listening.iter().any(|&handle| {
            let remote = stack.socket(handle).remote_endpoint();
            remote.is_some_and(|remote| remote.port == port)
        });
        if waiting {
            return Syn::Dropped;
        }
        let mut open = self.accepted.iter_mut().filter(|accepted| !accepted.gone);
        let known = open.find(|accepted| {
            let state = stack.socket(accepted.handle).state();
            accepted.port == port && state != State::Closed
        });
        let Some(known) = known else {
            return Syn::Accepted;
        };
        if stack.socket(known.handle).state() == State::TimeWait {
            known.gone = true;
            stack.sockets.remove(known.handle);
            return Syn::Accepted;
        }
        self.listening.retain(|&handle| {
            let listens = stack.socket(handle).state() == State::Listen;
            if listens {
                stack.sockets.remove(handle);
            }
            !listens
        });
        Syn::Challenged
    }

    /// When it has something to do again.
    pub(crate) fn due(&self) -> Option<u64> {
        let alive = self.accepted.iter().filter(|accepted| !accepted.gone);
        alive
            .flat_map(|accepted| {
                let idle = accepted.writing == 0;
                let goes_on = (accepted.rest.bytes > 0).then_some(accepted.rest.at);
                let begins = idle && accepted.rest.bytes == 0 && !accepted.closes;
                let push = accepted.pushes.front().map(|(at, _)| *at);
                [
                    goes_on.filter(|_| idle),
                    accepted.begins_at.filter(|_| begins),
                    push.filter(|_| begins),
                    (accepted.read_at > 0).then_some(accepted.read_at),
                ]
            })
            .flatten()
            .min()
    }

    fn accept(&mut self, plan: &Plan, stack: &mut Stack) {
        let greeting = self.pick(plan.greeting);
        let accepted = &mut self.accepted;
        self.listening.retain(|&handle| {
            let socket = stack.socket(handle);
            if matches!(socket.state(), State::Listen | State::SynReceived) {
                return true;
            }
            accepted.push(Accepted {
                handle,
                port: socket.remote_endpoint().map_or(0, |remote| remote.port),
                read: vec![],
                parsed: 0,
                body: None,
                jobs: VecDeque::new(),
                words: vec![UNASKED; greeting],
                written: 0,
                begins_at: None,
                pushes: VecDeque::new(),
                writing: greeting,
                rest: Rest::default(),
                closes: false,
                breaks_off: false,
                answered: 0,
                read_at: 0,
                closed: false,
                gone: false,
            });
            false
        });
        let idle = |stack: &mut Stack, handle| stack.socket(handle).state() == State::Listen;
        if self.refuses {
            self.listening.retain(|&handle| {
                let idle = idle(stack, handle);
                if idle {
                    stack.sockets.remove(handle);
                }
                !idle
            });
            return;
        }
        let mut listening = self
            .listening
            .iter()
            .filter(|&&handle| idle(stack, handle))
            .count();
        while listening < LISTENING {
            let mut socket = self.options.socket();
            socket.listen(PORT).expect("a fresh socket listens");
            self.listening.push(stack.add(socket));
            listening += 1;
        }
    }

    fn read(&mut self, index: usize, now: u64, stack: &mut Stack) -> usize {
        let accepted = &mut self.accepted[index];
        let socket = stack.socket(accepted.handle);
        let slow = self.faults.slow;
        if !socket.can_recv() || now < accepted.read_at {
            return 0;
        }
        let mut buffer = vec![0; slow.map_or(socket.recv_queue(), |(most, _)| most)];
        let len = socket.recv_slice(&mut buffer).unwrap_or(0);
        accepted.read.extend_from_slice(&buffer[..len]);
        accepted.read_at = match slow {
            Some((_, every)) if socket.recv_queue() > 0 => now + every,
            _ => 0,
        };
        len
    }

    fn parse(&mut self, index: usize, now: u64, plan: &Plan, stack: &mut Stack) {
        let side = self.side;
        let accepted = &mut self.accepted[index];
        if accepted.parsed == 0 && accepted.read.starts_with(&TLS) {
            accepted.parsed = TLS.len();
        }
        loop {
            let next = next(&accepted.read[accepted.parsed..], accepted.body);
            let (request, len) = match next {
                Next::Open => return,
                Next::Nonsense => (None, 0),
                Next::Request {
                    connection,
                    index,
                    len,
                    body,
                } => {
                    accepted.body = (body > 0).then_some((connection, index + 1, body));
                    let tag = plan.tag(connection, index);
                    let connection = plan.connections.get(connection);
                    let request = connection.and_then(|it| Some((it, *it.requests().nth(index)?)));
                    (request.map(|(it, request)| (it, request, tag)), len)
                }
            };
            let Some((connection, request, tag)) = request else {
                // A session that begins, or goes on, in the middle of a request.
                self.nonsense += 1;
                accepted.parsed = accepted.read.len();
                stack.socket(accepted.handle).abort();
                return;
            };
            if accepted.parsed <= TLS.len() {
                let pushes = match side {
                    Side::Online => &connection.pushes.0,
                    Side::Target => &connection.pushes.1,
                };
                let mut at = now;
                accepted.pushes = pushes
                    .iter()
                    .map(|(pause, len)| {
                        at += pause;
                        (at, *len)
                    })
                    .collect();
            }
            accepted.parsed += len;
            let answer = match side {
                Side::Online => request.online,
                Side::Target => request.target,
            };
            let words = match connection.protocol {
                Protocol::Http => http::response(request.method, tag, answer.len),
                Protocol::Lines | Protocol::Frames => vec![tag; answer.len],
            };
            accepted.jobs.push_back((answer, words));
            if accepted.jobs.len() == 1 {
                accepted.begins_at = Some(now + answer.delay);
            }
        }
    }

    fn answer(&mut self, index: usize, now: u64, stack: &mut Stack) {
        let enough = self.faults.closes_after.or(self.faults.resets_after);
        let accepted = &mut self.accepted[index];
        let socket = stack.socket(accepted.handle);
        loop {
            while accepted.writing > 0 && socket.can_send() {
                let words = &accepted.words[accepted.written..];
                let len = socket.send_slice(&words[..accepted.writing]).unwrap_or(0);
                accepted.writing -= len;
                accepted.written += len;
            }
            if accepted.writing > 0 {
                return;
            }
            let rest = &mut accepted.rest;
            if rest.bytes > 0 {
                if now < rest.at {
                    return;
                }
                accepted.writing = rest.bytes.min(rest.piece);
                rest.bytes -= accepted.writing;
                rest.at = now + rest.pause;
                continue;
            }
            if accepted.closes {
                return;
            }
            if let Some((_, len)) = accepted.pushes.pop_front_if(|(at, _)| *at <= now) {
                (accepted.writing, accepted.written) = (len, 0);
                accepted.words = vec![UNASKED; len];
                continue;
            }
            if accepted.begins_at.is_none_or(|at| at > now) {
                return;
            }
            if let Some((job, words)) = accepted.jobs.pop_front() {
                (accepted.words, accepted.written) = (words, 0);
                accepted.rest = Rest {
                    bytes: job.len,
                    piece: job.len.div_ceil(job.pieces),
                    pause: job.pause,
                    at: now,
                };
                accepted.answered += 1;
                accepted.breaks_off = enough.is_some_and(|enough| accepted.answered >= enough);
                accepted.closes = job.closes || accepted.breaks_off;
            }
            accepted.begins_at = accepted.jobs.front().map(|(job, _)| now + job.delay);
        }
    }

    fn leave(&mut self, index: usize, stack: &mut Stack) {
        let accepted = &mut self.accepted[index];
        let socket = stack.socket(accepted.handle);
        let finished = accepted.writing == 0
            && accepted.rest.bytes == 0
            && (accepted.closes || (accepted.jobs.is_empty() && !socket.may_recv()));
        if finished && socket.is_active() && socket.may_send() {
            let resets = self.faults.resets_after.is_some();
            if resets && accepted.closes {
                socket.abort();
            } else {
                socket.close();
            }
        }
        // A socket that was aborted has its RST to send first.
        let closed = socket.state() == State::Closed && socket.recv_queue() == 0;
        if closed && !core::mem::replace(&mut accepted.closed, closed) {
            return;
        }
        if closed {
            accepted.gone = true;
            stack.sockets.remove(accepted.handle);
        }
    }
}

/// What stands next in what a server has read: a request, or the `body` that its client has waited with.
fn next(bytes: &[u8], body: Option<(usize, usize, usize)>) -> Next {
    let whole = |connection, index, len| match len <= bytes.len() {
        true => Next::Request {
            connection,
            index,
            len,
            body: 0,
        },
        false => Next::Open,
    };
    if let Some((connection, index, len)) = body {
        return whole(connection, index, len);
    }
    let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
        return Next::Open;
    };
    if http::is_request(header) {
        return http::parse(bytes);
    }
    let header = parse_header(header);
    header.map_or(Next::Nonsense, |(connection, index, len)| {
        whole(connection, index, len)
    })
}
