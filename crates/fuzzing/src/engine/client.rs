//! One client and its online server: the captured flow, as both have it.

use wire::flow::Endpoint;
use wire::tcp::{Flags, Options, Timestamps};

use super::content;
use super::packet::Fields;
use super::plan;
use super::talk::Talk;

/// A captured flow.
pub(super) struct Client {
    pub(super) number: usize,
    client: Endpoint,
    online: Endpoint,
    /// Sequence number of the client's next byte.
    pub(super) next: u32,
    /// How many bytes it has sent since its SYN, at most.
    pub(super) sent: u32,
    fin: bool,
    /// What the client has seen of the online server's bytes.
    pub(super) seen: u32,
    /// Sequence number of the online server's next byte.
    pub(super) online_next: u32,
    /// Both sides' initial sequence numbers come from here.
    connections: u32,
    timestamps: bool,
    /// What both sides say, where a protocol module reads it.
    talk: Option<&'static Talk>,
}

impl Client {
    /// A flow that is running already.
    pub(super) fn new(number: usize, talk: Option<&'static Talk>) -> Self {
        let (client, online) = plan::flow(number);
        // The second flow's numbers wrap soon.
        let next = if number == 1 {
            u32::MAX - 5_000
        } else {
            1_000_000
        };
        Self {
            number,
            client,
            online,
            next,
            sent: 1 << 16,
            fin: false,
            seen: next ^ 0x4000_0000,
            online_next: next ^ 0x4000_0000,
            connections: 0,
            timestamps: number == 2,
            talk,
        }
    }

    fn client_fields(&self, seq: u32, ack: u32, flags: Flags, options: Options) -> Fields {
        Fields {
            source: self.client,
            destination: self.online,
            seq,
            ack,
            flags,
            window: 501,
            options,
        }
    }

    fn usual_options(&self) -> Options {
        Options {
            timestamps: self.timestamps.then_some(Timestamps { value: 1, echo: 1 }),
            ..Options::default()
        }
    }

    /// A SYN: of a new connection, or once more.
    pub(super) fn syn(&mut self, again: bool, offer: u8) -> Vec<u8> {
        if !again || self.connections == 0 {
            self.connections += 1;
            let isn = self.next.wrapping_add(100_000);
            self.next = isn.wrapping_add(1);
            (self.sent, self.fin) = (0, false);
            self.online_next = (isn ^ 0x4000_0000).wrapping_add(1);
            self.seen = self.online_next;
            self.timestamps = offer & 1 != 0;
        }
        let isn = self.next.wrapping_sub(self.sent).wrapping_sub(1);
        let options = Options {
            mss: [Some(1460), Some(536), None, Some(0)][usize::from(offer >> 1 & 3)],
            window_scale: [Some(7), None][usize::from(offer >> 3 & 1)],
            sack_permitted: offer & 16 == 0,
            timestamps: (offer & 1 != 0).then_some(Timestamps { value: 1, echo: 0 }),
            ..Options::default()
        };
        self.client_fields(isn, 0, Flags::SYN, options)
            .packet(0, |_| ())
    }

    /// The online server's answer to the SYN, `off` beside what it should acknowledge.
    pub(super) fn syn_ack(&mut self, off: u32) -> Vec<u8> {
        let isn = self.next.wrapping_sub(self.sent).wrapping_sub(1);
        let seq = (isn ^ 0x4000_0000).wrapping_add(off);
        let flags = Flags::SYN.with(Flags::ACK);
        self.online_headers(seq, isn.wrapping_add(1).wrapping_add(off), flags, 0)
    }

    /// Bytes of the client from `seq` on.
    pub(super) fn data(&mut self, seq: u32, len: usize, ack: u32, flags: Flags) -> Vec<u8> {
        let beyond = seq.wrapping_add(len as u32).wrapping_sub(self.next);
        if beyond < 1 << 24 {
            self.next = self.next.wrapping_add(beyond);
            self.sent = self.sent.saturating_add(beyond);
        }
        if flags.contains(Flags::FIN) {
            self.fin = true;
        }
        let (number, talk) = (self.number, self.talk);
        let first = self.next.wrapping_sub(self.sent);
        self.client_fields(seq, ack, flags, self.usual_options())
            .packet(len, |payload| match talk {
                Some(talk) => talk.ask(seq.wrapping_sub(first), payload),
                None => content::fill(number, seq, payload),
            })
    }

    /// The headers of `len` bytes of the online server, which acknowledge everything but `short` bytes.
    pub(super) fn answer(&mut self, len: u16, short: u32, flags: Flags) -> Vec<u8> {
        let seq = self.online_next;
        let fin = u32::from(flags.contains(Flags::FIN));
        self.online_next = seq.wrapping_add(u32::from(len)).wrapping_add(fin);
        let ack = self.acknowledged().wrapping_sub(short);
        self.online_headers(seq, ack, flags, len)
    }

    /// The last `len` bytes of the online server once more.
    pub(super) fn answer_again(&mut self, len: u16) -> Vec<u8> {
        let seq = self.online_next.wrapping_sub(u32::from(len));
        self.online_headers(seq, self.acknowledged(), Flags::ACK, len)
    }

    fn acknowledged(&self) -> u32 {
        self.next.wrapping_add(u32::from(self.fin))
    }

    fn online_headers(&self, seq: u32, ack: u32, flags: Flags, len: u16) -> Vec<u8> {
        let isn = self.next.wrapping_sub(self.sent).wrapping_sub(1);
        let first = (isn ^ 0x4000_0000).wrapping_add(1);
        Fields {
            source: self.online,
            destination: self.client,
            seq,
            ack,
            flags,
            window: 501,
            options: Options::default(),
        }
        .said(len, seq.wrapping_sub(first), self.talk)
    }
}
