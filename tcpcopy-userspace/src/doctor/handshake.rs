//! One probe connection, sans-IO: SYN, SYN-ACK, ACK, and an orderly end that leaves the target nothing.
//!
//! No byte that the target's application could read is ever sent: the path's MTU is tried with bytes that lie before the
//! connection's first one, which every TCP acknowledges and throws away (RFC 9293 section 3.10.7.4).

use wire::flow::{Endpoint, FlowKey};
use wire::segment::Segment;
use wire::tcp::{COPY_MARK, Flags, Header, Options};

/// The window that is offered: enough for whoever speaks first, too little to be a load.
const WINDOW: u16 = 8192;
/// Seed of the hash in an ISN, the engine's own, so that a session that comes later from the same endpoint is beyond it.
const ISN_SEED: u32 = 0x6973_6e00;

/// Which way an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// To this host.
    Here,
    /// Through `intercept`.
    Channel,
}

/// What the target said to the SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It takes the connection.
    Accepted(Via),
    /// It resets it: nobody listens, or somebody refuses in its name.
    Refused(Via),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    SynSent,
    Established,
    /// Our FIN is out.
    Closing,
    Closed,
}

/// A probe connection.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    flow: FlowKey,
    state: State,
    /// SND.NXT and RCV.NXT.
    next: u32,
    expected: u32,
    /// The longest packet that the way out of this host takes.
    mtu: u16,
    /// The longest packet that the target takes, by its MSS.
    mtu_of_target: u16,
    pub(crate) answer: Option<Answer>,
    /// Whether the target said anything after it took the connection.
    pub(crate) has_word: bool,
    /// Bare acknowledgements since this was last set to 0.
    pub(crate) bare_acks: u32,
}

impl Handshake {
    /// A connection that is not begun. `unix_nanos` gives its ISN.
    pub(crate) fn new(source: Endpoint, target: Endpoint, mtu: u16, unix_nanos: u64) -> Self {
        let flow = FlowKey {
            client: source,
            server: target,
        };
        #[expect(clippy::cast_possible_truncation, reason = "a sequence number wraps")]
        let ticks = (unix_nanos / 4_000) as u32;
        Self {
            flow,
            state: State::SynSent,
            next: ticks.wrapping_add(flow.hash(ISN_SEED)).wrapping_add(1),
            expected: 0,
            mtu,
            mtu_of_target: mtu,
            answer: None,
            has_word: false,
            bare_acks: 0,
        }
    }

    /// Its source.
    pub(crate) const fn source(&self) -> Endpoint {
        self.flow.client
    }

    /// Whether data could be exchanged.
    pub(crate) fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Whether the target keeps nothing of it.
    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The longest packet that both ends take, in bytes from the IP header on.
    pub(crate) fn longest(&self) -> u16 {
        self.mtu.min(self.mtu_of_target)
    }

    /// The SYN, as often as it is wanted.
    pub(crate) fn syn(&self) -> Option<Vec<u8>> {
        let options = Options {
            mss: Some(self.mtu.saturating_sub(self.headers_len())),
            sack_permitted: true,
            ..Options::default()
        };
        let seq = self.next.wrapping_sub(1);
        (self.state == State::SynSent).then(|| self.emit(Flags::SYN, seq, 0, options))
    }

    /// Takes what the target sent; gives what is to be sent to it. `packet` begins with the IP header.
    pub(crate) fn take(&mut self, segment: &Segment, packet: &[u8], via: Via) -> Option<Vec<u8>> {
        if segment.source != self.flow.server || segment.destination != self.flow.client {
            return None;
        }
        match self.state {
            State::SynSent => self.take_answer(segment, packet, via),
            State::Established | State::Closing => self.take_more(segment),
            // It asks again: it did not get our last word.
            State::Closed if !segment.flags.contains(Flags::RST) => {
                Some(self.reset_at(segment.ack))
            }
            State::Closed => None,
        }
    }

    fn take_answer(&mut self, segment: &Segment, packet: &[u8], via: Via) -> Option<Vec<u8>> {
        let acceptable = segment.flags.contains(Flags::ACK) && segment.ack == self.next;
        if segment.flags.contains(Flags::RST) {
            if acceptable {
                self.answer = Some(Answer::Refused(via));
                self.state = State::Closed;
            }
            return None;
        }
        if !acceptable {
            // Left over from an earlier connection: RFC 9293 section 3.10.7.3 says to reset it; the SYN is sent again.
            let old = segment.flags.contains(Flags::ACK);
            return old.then(|| self.reset_at(segment.ack));
        }
        if !segment.flags.contains(Flags::SYN) {
            return None;
        }
        self.answer = Some(Answer::Accepted(via));
        self.state = State::Established;
        self.expected = segment.seq.wrapping_add(1);
        if let Some(mss) = segment.options(packet).mss {
            self.mtu_of_target = mss.saturating_add(self.headers_len());
        }
        Some(self.ack())
    }

    fn take_more(&mut self, segment: &Segment) -> Option<Vec<u8>> {
        self.has_word |= !segment.flags.contains(Flags::SYN);
        if segment.flags.contains(Flags::RST) {
            self.state = State::Closed;
            return None;
        }
        if segment.flags.contains(Flags::SYN) {
            // Our ACK was lost.
            return Some(self.ack());
        }
        if segment.is_pure_ack() {
            self.bare_acks += 1;
            return None;
        }
        // Whoever speaks first is heard out, in order.
        if segment.seq == self.expected {
            self.expected = self.expected.wrapping_add(segment.sequence_len());
            if segment.flags.contains(Flags::FIN) {
                let ours_is_out = self.state == State::Closing;
                self.state = State::Closed;
                return Some(if ours_is_out {
                    self.ack()
                } else {
                    self.reset_at(self.next)
                });
            }
        }
        Some(self.ack())
    }

    /// Bytes that are older than the connection, in a packet of `len` bytes: an acknowledgement comes back and nobody
    /// reads them.
    pub(crate) fn stale(&self, len: u16) -> Option<Vec<u8>> {
        let payload = usize::from(len.checked_sub(self.headers_len())?);
        let mut header = self.header(Flags::ACK, 0, self.expected, Options::default());
        header.seq = self.next.wrapping_sub(u32::try_from(payload).ok()?);
        let mut frame = vec![0; header.payload_offset() + payload];
        header.emit(&mut frame).then_some(frame)
    }

    /// Begins the end: FIN for a connection that stands.
    pub(crate) fn finish(&mut self) -> Option<Vec<u8>> {
        if self.state != State::Established {
            return None;
        }
        self.state = State::Closing;
        let fin = Flags::FIN.with(Flags::ACK);
        let frame = self.emit(fin, self.next, self.expected, Options::default());
        self.next = self.next.wrapping_add(1);
        Some(frame)
    }

    /// Ends it at once, whatever the target knows of it.
    pub(crate) fn abort(&mut self) -> Option<Vec<u8>> {
        let frame = (self.state != State::Closed).then(|| self.reset_at(self.next));
        self.state = State::Closed;
        frame
    }

    fn ack(&self) -> Vec<u8> {
        self.emit(Flags::ACK, self.next, self.expected, Options::default())
    }

    fn reset_at(&self, seq: u32) -> Vec<u8> {
        self.emit(Flags::RST, seq, 0, Options::default())
    }

    fn header(&self, flags: Flags, seq: u32, ack: u32, options: Options) -> Header {
        Header {
            source: self.flow.client,
            destination: self.flow.server,
            seq,
            ack,
            flags,
            window: WINDOW,
            urgent: COPY_MARK,
            options,
        }
    }

    fn emit(&self, flags: Flags, seq: u32, ack: u32, options: Options) -> Vec<u8> {
        let header = self.header(flags, seq, ack, options);
        let mut frame = vec![0; header.payload_offset()];
        let written = header.emit(&mut frame);
        debug_assert!(written, "the frame is as long as its headers");
        frame
    }

    /// IP and TCP headers without options.
    const fn headers_len(&self) -> u16 {
        if self.flow.server.addr.is_v4() {
            40
        } else {
            60
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::flow::{Addr, Endpoint};
    use wire::segment::Segment;
    use wire::tcp::{Flags, Header, Options};

    use super::{Answer, Handshake, Via};

    const SOURCE: Endpoint = Endpoint::new(Addr::v4([10, 0, 0, 1]), 32_767);
    const TARGET: Endpoint = Endpoint::new(Addr::v4([10, 0, 0, 2]), 80);

    fn sent(frame: &[u8]) -> Segment {
        Segment::parse(&frame[14..], 0).expect("a segment")
    }

    /// What the target says.
    fn says(
        handshake: &mut Handshake,
        flags: Flags,
        seq: u32,
        ack: u32,
        payload: &[u8],
    ) -> Option<Segment> {
        let header = Header {
            source: TARGET,
            destination: SOURCE,
            seq,
            ack,
            flags,
            window: 1000,
            urgent: 0,
            options: Options {
                mss: flags.contains(Flags::SYN).then_some(1360),
                ..Options::default()
            },
        };
        let mut frame = vec![0; header.payload_offset()];
        frame.extend_from_slice(payload);
        assert!(header.emit(&mut frame));
        let packet = &frame[14..];
        let segment = Segment::parse(packet, 0).expect("a segment");
        let answer = handshake.take(&segment, packet, Via::Here);
        answer.map(|frame| sent(&frame))
    }

    const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);

    fn begun() -> (Handshake, u32) {
        let handshake = Handshake::new(SOURCE, TARGET, 1500, 77_000_000);
        let syn = sent(&handshake.syn().expect("a SYN"));
        assert!(syn.is_copy() && syn.flags == Flags::SYN);
        (handshake, syn.seq)
    }

    #[test]
    fn a_connection_is_made_and_closed() {
        let (mut handshake, isn) = begun();
        let ack = says(&mut handshake, SYN_ACK, 500, isn + 1, b"").expect("an ACK");
        assert_eq!((ack.flags, ack.seq, ack.ack), (Flags::ACK, isn + 1, 501));
        assert_eq!(handshake.answer, Some(Answer::Accepted(Via::Here)));
        assert_eq!(handshake.longest(), 1400);
        // It speaks first.
        let ack = says(&mut handshake, Flags::ACK, 501, isn + 1, b"220 hello").expect("an ACK");
        assert_eq!(ack.ack, 510);
        let fin = sent(&handshake.finish().expect("a FIN"));
        assert_eq!((fin.seq, fin.ack), (isn + 1, 510));
        let fin_ack = Flags::FIN.with(Flags::ACK);
        let ack = says(&mut handshake, fin_ack, 510, isn + 2, b"").expect("an ACK");
        assert_eq!((ack.flags, ack.seq, ack.ack), (Flags::ACK, isn + 2, 511));
        assert!(handshake.is_closed() && handshake.abort().is_none());
    }

    #[test]
    fn bytes_that_try_the_mtu_are_older_than_the_connection() {
        let (mut handshake, isn) = begun();
        says(&mut handshake, SYN_ACK, 500, isn + 1, b"");
        let stale = sent(&handshake.stale(1500).expect("a segment"));
        assert_eq!(stale.payload_len, 1460);
        assert_eq!(stale.seq.wrapping_add(1460), isn.wrapping_add(1));
        assert!(handshake.stale(39).is_none());
        assert_eq!(says(&mut handshake, Flags::ACK, 501, isn + 1, b""), None);
        assert_eq!(handshake.bare_acks, 1);
    }

    #[test]
    fn a_refusal_and_a_leftover_are_told_apart() {
        let (mut handshake, isn) = begun();
        let reset = says(&mut handshake, Flags::ACK, 500, isn.wrapping_sub(99), b"").expect("RST");
        assert_eq!((reset.flags, reset.seq), (Flags::RST, isn.wrapping_sub(99)));
        assert!(handshake.syn().is_some(), "it is tried again");
        let rst = Flags::RST.with(Flags::ACK);
        says(&mut handshake, rst, 0, isn, b"");
        assert_eq!(handshake.answer, None, "a reset of something else");
        says(&mut handshake, rst, 0, isn + 1, b"");
        assert_eq!(handshake.answer, Some(Answer::Refused(Via::Here)));
        assert!(handshake.is_closed());
    }

    #[test]
    fn what_was_never_answered_is_reset_so_that_the_target_keeps_nothing() {
        let (mut handshake, isn) = begun();
        let reset = sent(&handshake.abort().expect("a reset"));
        assert_eq!((reset.flags, reset.seq), (Flags::RST, isn + 1));
        assert!(handshake.syn().is_none());
    }
}
