//! The clients' application: connections that send their batches and read the responses.

use std::ops::Range;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use crate::address::Host;
use crate::application::{Connection, Ending, Protocol};
use crate::plan::Plan;
use crate::stack::Stack;

/// One connection of the client.
#[derive(Debug)]
pub(crate) struct Client {
    handle: SocketHandle,
    host: Host,
    pub(crate) port: u16,
    /// How many connections used the port before.
    pub(crate) generation: usize,
    connection: Connection,
    pub(crate) stream: Vec<u8>,
    /// Which parts of it the target is to get, and all of those bytes.
    pub(crate) passes: Vec<Range<usize>>,
    pub(crate) copied: Vec<u8>,
    opened: bool,
    batch: usize,
    /// When the batch may be written.
    batch_at: Option<u64>,
    /// How much of the stream was written, and up to where the batch goes.
    written: usize,
    write_until: usize,
    /// How much was read, and how much has to be before the next batch.
    pub(crate) read: usize,
    read_until: usize,
    /// How much the server says unprompted.
    pushed: usize,
    ended: bool,
    gone: bool,
    /// Whether all faults are over.
    is_calm: bool,
}

impl Client {
    pub(crate) fn new(
        number: usize,
        (host, port, generation): (Host, u16, usize),
        connection: &Connection,
        plan: &Plan,
        handle: SocketHandle,
    ) -> Self {
        let stream = connection.stream(number);
        let passes = connection.passes(plan.is_filtered());
        Self {
            handle,
            host,
            port,
            generation,
            pushed: connection.pushes.0.iter().map(|push| push.1).sum(),
            connection: connection.clone(),
            copied: passes
                .iter()
                .flat_map(|it| stream[it.clone()].to_vec())
                .collect(),
            passes,
            stream,
            opened: false,
            batch: 0,
            batch_at: None,
            written: 0,
            write_until: 0,
            read: 0,
            read_until: plan.greeting.0,
            ended: false,
            gone: false,
            is_calm: false,
        }
    }

    /// All faults are over from `at` on.
    pub(crate) fn calm(&mut self, at: u64) {
        self.is_calm = true;
        if self.opened {
            self.batch_at = Some(at);
        } else {
            self.connection.start = at;
        }
    }

    /// Whether it waits for all faults to be over.
    pub(crate) fn is_resting(&self) -> bool {
        let waits = !self.is_calm && self.connection.rests_at == Some(self.batch);
        waits && self.written == self.write_until && (!self.opened || self.read >= self.read_until)
    }

    /// Whether each of its requests makes sense on a connection of its own.
    pub(crate) fn stands_alone(&self) -> bool {
        self.connection.protocol != Protocol::Frames
    }

    /// Whether it has begun.
    pub(crate) fn has_opened(&self) -> bool {
        self.opened
    }

    /// The port is in use until `now` at least.
    pub(crate) fn wait(&mut self, now: u64) {
        self.connection.start = self.connection.start.max(now);
    }

    /// Forgets the connection, so that its port is free.
    pub(crate) fn give_way(&mut self, stack: &mut Stack) {
        if !self.gone {
            self.gone = true;
            stack.sockets.remove(self.handle);
        }
    }

    pub(crate) fn run(&mut self, now: u64, server: (Host, u16), stack: &mut Stack) {
        if self.gone {
            return;
        }
        if !self.opened {
            if now >= self.connection.start && !self.is_resting() {
                self.opened = true;
                stack.connect(self.handle, server, (self.host, self.port));
            }
            return;
        }
        let socket = stack.socket(self.handle);
        if socket.can_recv() {
            let mut buffer = vec![0; socket.recv_queue()];
            self.read += socket.recv_slice(&mut buffer).unwrap_or(0);
        }
        if self.ended {
            return;
        }
        self.next_batch(now);
        let socket = stack.socket(self.handle);
        if self.written < self.write_until && socket.can_send() {
            let bytes = &self.stream[self.written..self.write_until];
            self.written += socket.send_slice(bytes).unwrap_or(0);
        }
        self.end(stack);
    }

    fn next_batch(&mut self, now: u64) {
        let Some(batch) = self.connection.batches.get(self.batch) else {
            return;
        };
        let answered = self.read + batch.early >= self.read_until || batch.unprompted;
        if self.written < self.write_until || !answered || self.is_resting() {
            return;
        }
        let at = *self.batch_at.get_or_insert(now + batch.think);
        if now < at {
            return;
        }
        self.batch_at = None;
        if self.batch == 0 {
            self.write_until += self.connection.prefix_len();
        }
        self.batch += 1;
        for request in &batch.requests {
            self.write_until += request.len;
            self.read_until += request.online.len;
        }
    }

    fn end(&mut self, stack: &mut Stack) {
        let all_written =
            self.batch == self.connection.batches.len() && self.written == self.write_until;
        let all_read = all_written && self.read >= self.read_until + self.pushed;
        let socket = stack.socket(self.handle);
        let server_closed = socket.state() == State::CloseWait;
        match self.connection.ending {
            Ending::Close if all_read => socket.close(),
            Ending::HalfClose if all_written && socket.state() == State::Established => {
                socket.close();
            }
            Ending::Abort if all_read => socket.abort(),
            Ending::Server if server_closed => socket.close(),
            _ => return,
        }
        self.ended = true;
    }

    /// When it has something to do again.
    pub(crate) fn due(&self) -> Option<u64> {
        if self.opened {
            self.batch_at
        } else if self.is_resting() {
            None
        } else {
            Some(self.connection.start)
        }
    }

    /// Whether the connection is over, as far as the client is concerned.
    pub(crate) fn is_done(&self, stack: &mut Stack) -> bool {
        if self.gone {
            return true;
        }
        let state = stack.socket(self.handle).state();
        self.opened && (state == State::Closed || (self.ended && state == State::TimeWait))
    }
}
