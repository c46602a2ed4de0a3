//! One probe connection of the doctor: what of it is evidence. The connection itself is [`session::Probe`], which leaves the target
//! nothing.

use session::Probe;
use session::probe::Word;
use wire::flow::{Endpoint, FlowKey};
use wire::segment::Segment;

use crate::clock;

/// The window that is offered: enough for whoever speaks first, too little to be a load.
const WINDOW: u16 = 8192;

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

/// A probe connection.
#[derive(Debug)]
pub(crate) struct Handshake {
    probe: Probe,
    /// Length of the longest frame that it may send, in bytes.
    frame_len_max: usize,
    pub(crate) answer: Option<Answer>,
    /// Whether the target said anything after it took the connection.
    pub(crate) has_word: bool,
    /// Bare acknowledgements since this was last set to 0.
    pub(crate) bare_acks: u32,
}

impl Handshake {
    /// A connection that is not begun. `unix_nanos` gives its ISN; `mtu` is the longest packet that the way out of this host
    /// takes.
    pub(crate) fn new(source: Endpoint, target: Endpoint, mtu: u16, unix_nanos: u64) -> Self {
        let flow = FlowKey {
            client: source,
            server: target,
        };
        Self {
            probe: Probe::new(flow, unix_nanos, mtu, WINDOW),
            frame_len_max: wire::ethernet::HEADER_LEN + usize::from(mtu),
            answer: None,
            has_word: false,
            bare_acks: 0,
        }
    }

    /// Its source.
    pub(crate) fn source(&self) -> Endpoint {
        self.probe.flow().client
    }

    /// Whether data could be exchanged.
    pub(crate) fn is_established(&self) -> bool {
        self.probe.is_established()
    }

    /// Whether the target keeps nothing of it.
    pub(crate) fn is_closed(&self) -> bool {
        self.probe.is_closed()
    }

    /// The longest packet that both ends take, in bytes from the IP header on.
    pub(crate) fn longest(&self) -> u16 {
        self.probe.longest()
    }

    /// The SYN, as often as it is wanted.
    pub(crate) fn syn(&mut self) -> Vec<Vec<u8>> {
        self.probe.repeat_syn();
        self.frames()
    }

    /// Takes what the target sent; gives what is to be sent to it. `packet` begins with the IP header.
    pub(crate) fn take(&mut self, segment: &Segment, packet: &[u8], via: Via) -> Vec<Vec<u8>> {
        let FlowKey { client, server } = *self.probe.flow();
        if (segment.destination, segment.source) != (client, server) {
            return Vec::new();
        }
        let was_accepted = matches!(self.answer, Some(Answer::Accepted(_)));
        let word = self
            .probe
            .on_segment(segment, &segment.options(packet), clock::now());
        match word {
            Word::Accepted => self.answer = Some(Answer::Accepted(via)),
            Word::Refused => self.answer = Some(Answer::Refused(via)),
            Word::Answered | Word::Reset if was_accepted => {
                self.has_word = true;
                self.bare_acks += u32::from(segment.is_pure_ack());
            }
            Word::None | Word::Answered | Word::Reset => {}
        }
        self.frames()
    }

    /// Bytes that are older than the connection, in a packet of `len` bytes: an acknowledgement comes back and nobody
    /// reads them.
    pub(crate) fn stale(&mut self, len: u16) -> Option<Vec<u8>> {
        let mut frame = vec![0; self.frame_len_max];
        let len = self.probe.transmit_old(len, clock::now(), &mut frame)?;
        frame.truncate(len);
        Some(frame)
    }

    /// Begins the end: FIN for a connection that stands.
    pub(crate) fn finish(&mut self) -> Vec<Vec<u8>> {
        self.probe.finish();
        self.frames()
    }

    /// Ends it at once, whatever the target knows of it.
    pub(crate) fn abort(&mut self) -> Vec<Vec<u8>> {
        self.probe.reset();
        self.frames()
    }

    /// All that is due.
    fn frames(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let mut frame = vec![0; self.frame_len_max];
            let Some(len) = self.probe.transmit(clock::now(), &mut frame) else {
                return frames;
            };
            frame.truncate(len);
            frames.push(frame);
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

    fn only(frames: &[Vec<u8>]) -> Segment {
        assert_eq!(frames.len(), 1);
        sent(&frames[0])
    }

    /// What the target says.
    fn says(
        handshake: &mut Handshake,
        flags: Flags,
        seq: u32,
        ack: u32,
        payload: &[u8],
    ) -> Vec<Segment> {
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
        let answers = handshake.take(&segment, packet, Via::Here);
        answers.iter().map(|frame| sent(frame)).collect()
    }

    const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);

    fn begun() -> (Handshake, u32) {
        let mut handshake = Handshake::new(SOURCE, TARGET, 1500, 77_000_000);
        let syn = only(&handshake.syn());
        assert!(syn.is_copy() && syn.flags == Flags::SYN);
        (handshake, syn.seq)
    }

    #[test]
    fn a_connection_is_made_and_closed() {
        let (mut handshake, isn) = begun();
        let acks = says(&mut handshake, SYN_ACK, 500, isn + 1, b"");
        assert_eq!(
            (acks[0].flags, acks[0].seq, acks[0].ack),
            (Flags::ACK, isn + 1, 501)
        );
        assert_eq!(handshake.answer, Some(Answer::Accepted(Via::Here)));
        assert_eq!(handshake.longest(), 1400);
        // It speaks first.
        let acks = says(&mut handshake, Flags::ACK, 501, isn + 1, b"220 hello");
        assert_eq!((acks.len(), acks[0].ack), (1, 510));
        let fin = only(&handshake.finish());
        assert_eq!((fin.seq, fin.ack), (isn + 1, 510));
        let fin_ack = Flags::FIN.with(Flags::ACK);
        let acks = says(&mut handshake, fin_ack, 510, isn + 2, b"");
        assert_eq!(
            (acks[0].flags, acks[0].seq, acks[0].ack),
            (Flags::ACK, isn + 2, 511)
        );
        assert!(handshake.is_closed() && handshake.abort().is_empty());
    }

    #[test]
    fn bytes_that_try_the_mtu_are_older_than_the_connection() {
        let (mut handshake, isn) = begun();
        says(&mut handshake, SYN_ACK, 500, isn + 1, b"");
        let stale = sent(&handshake.stale(1500).expect("a segment"));
        assert_eq!(stale.payload_len, 1460);
        assert_eq!(stale.seq.wrapping_add(1460), isn.wrapping_add(1));
        assert!(handshake.stale(39).is_none() && handshake.stale(1501).is_none());
        assert_eq!(says(&mut handshake, Flags::ACK, 501, isn + 1, b""), []);
        assert_eq!(handshake.bare_acks, 1);
    }

    #[test]
    fn a_refusal_and_a_leftover_are_told_apart() {
        let (mut handshake, isn) = begun();
        let frames = says(&mut handshake, Flags::ACK, 500, isn.wrapping_sub(99), b"");
        let reset = frames[0];
        assert_eq!((reset.flags, reset.seq), (Flags::RST, isn.wrapping_sub(99)));
        assert_eq!(frames[1].flags, Flags::SYN, "it is tried again");
        let rst = Flags::RST.with(Flags::ACK);
        says(&mut handshake, rst, 0, isn, b"");
        assert_eq!(handshake.answer, None, "a reset of something else");
        says(&mut handshake, rst, 0, isn + 1, b"");
        assert_eq!(handshake.answer, Some(Answer::Refused(Via::Here)));
        assert!(handshake.is_closed());
    }

    /// The SYN leaves when it is asked for, and not because something came for another connection.
    #[test]
    fn what_is_for_others_starts_nothing() {
        let other = Endpoint::new(SOURCE.addr, SOURCE.port - 1);
        let mut handshake = Handshake::new(other, TARGET, 1500, 77_000_000);
        assert_eq!(says(&mut handshake, SYN_ACK, 500, 1, b""), []);
    }

    /// A target that closes at once is left at once too, and told so again until it knows.
    #[test]
    fn a_target_that_ends_the_connection_keeps_nothing() {
        let (mut handshake, isn) = begun();
        says(&mut handshake, SYN_ACK, 500, isn + 1, b"");
        let fin = Flags::FIN.with(Flags::ACK);
        for _ in 0..2 {
            let resets = says(&mut handshake, fin, 501, isn + 1, b"");
            assert_eq!((resets.len(), resets[0].seq), (1, isn + 1));
            assert!(resets[0].flags.contains(Flags::RST) && handshake.is_closed());
        }
        says(&mut handshake, Flags::RST, 502, 0, b"");
        assert!(handshake.abort().is_empty());
    }

    #[test]
    fn what_was_never_answered_is_reset_so_that_the_target_keeps_nothing() {
        let (mut handshake, isn) = begun();
        let reset = only(&handshake.abort());
        assert_eq!((reset.flags, reset.seq), (Flags::RST, isn + 1));
        assert!(handshake.syn().is_empty());
    }
}
