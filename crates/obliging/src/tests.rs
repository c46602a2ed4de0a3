//! A session's side by hand; a whole one is in the dry run's own tests.

use wire::flow::{Addr, Endpoint, FlowKey};
use wire::segment::Segment;
use wire::tcp::{Flags, Header, Options, Timestamps};

use super::Obliging;

const ACK: Flags = Flags::ACK;

fn flow() -> FlowKey {
    FlowKey {
        client: Endpoint::new(Addr::v4([10, 0, 0, 1]), 10_000),
        server: Endpoint::new(Addr::v4([10, 0, 0, 2]), 80),
    }
}

/// A session by hand: what it sends, and what comes back.
struct Session {
    target: Obliging,
    heard: Vec<Segment>,
    acked: u32,
}

impl Session {
    fn say(&mut self, flags: Flags, seq: u32, window: u16, len: usize) -> Option<FlowKey> {
        let (flow, options) = (flow(), Options::default());
        let timestamps = Some(Timestamps { value: 7, echo: 0 });
        let header = Header {
            source: flow.client,
            destination: flow.server,
            seq,
            ack: self.acked,
            flags,
            window,
            urgent: 0,
            options: Options {
                mss: flags.contains(Flags::SYN).then_some(1000),
                timestamps,
                ..options
            },
        };
        let mut frame = vec![0; header.payload_offset() + len];
        assert!(header.emit(&mut frame));
        let (heard, target) = (&mut self.heard, &mut self.target);
        let answered = target.on_packet(5, &frame[14..], &mut |packet| {
            heard.push(Segment::parse(packet, 0).expect("a segment"));
        });
        self.follow();
        answered
    }

    fn settle(&mut self, bytes: u32, closes: bool) {
        let (heard, target) = (&mut self.heard, &mut self.target);
        target.settle(5, &flow(), (bytes, closes), &mut |packet| {
            let options = Segment::parse(packet, 0).map(|it| it.options(packet).timestamps);
            let echo = options.ok().flatten().map(|it| it.echo);
            assert_eq!(echo, Some(7), "as the session has them");
            heard.push(Segment::parse(packet, 0).expect("a segment"));
        });
        self.follow();
    }

    fn follow(&mut self) {
        if let Some(last) = self.heard.last() {
            self.acked = last.seq.wrapping_add(last.sequence_len());
        }
    }

    /// What has come since, as flags, acknowledgement and length.
    fn heard(&mut self) -> Vec<(Flags, u32, u16)> {
        let heard = std::mem::take(&mut self.heard);
        let shape = |it: Segment| (it.flags, it.ack, it.payload_len);
        heard.into_iter().map(shape).collect()
    }

    fn new() -> Self {
        Self {
            target: Obliging::new(1),
            heard: Vec::new(),
            acked: 0,
        }
    }

    fn connected() -> Self {
        let mut session = Self::new();
        assert_eq!(session.say(Flags::SYN, 100, 64_000, 0), None);
        assert_eq!(session.heard(), [(Flags::SYN.with(ACK), 101, 0)]);
        session.say(ACK, 101, 64_000, 0);
        session
    }
}

#[test]
fn it_answers_as_long_as_it_is_told_to() {
    let mut session = Session::connected();
    assert_eq!(session.say(ACK, 101, 64_000, 50), Some(flow()));
    session.settle(2500, false);
    let long = (ACK, 151, 1000);
    assert_eq!(
        session.heard(),
        [long, long, (ACK.with(Flags::PSH), 151, 500)]
    );
    session.say(ACK, 151, 64_000, 10);
    session.settle(0, false);
    assert_eq!(
        session.heard(),
        [(ACK, 161, 0)],
        "acknowledged all the same"
    );
    session.settle(0, false);
    assert_eq!(session.heard(), [], "once");
}

#[test]
fn it_sends_no_more_than_it_is_let() {
    let mut session = Session::connected();
    session.say(ACK, 101, 1200, 50);
    session.settle(3000, true);
    let heard = session.heard();
    assert_eq!(heard.iter().map(|it| it.2).collect::<Vec<_>>(), [1000, 200]);
    // It goes on, and ends behind the last byte.
    session.say(ACK, 151, 5000, 0);
    session.settle(1800, true);
    let heard = session.heard();
    assert_eq!(
        heard.iter().map(|it| it.2).collect::<Vec<_>>(),
        [1000, 800, 0]
    );
    assert!(heard[2].0.contains(Flags::FIN));
}

#[test]
fn a_connection_is_forgotten_once_both_have_ended_it() {
    let mut session = Session::connected();
    session.say(ACK.with(Flags::FIN), 101, 5000, 0);
    session.settle(0, false);
    assert_eq!(
        session.heard(),
        [(ACK, 102, 0)],
        "the answer may still come"
    );
    session.settle(10, true);
    assert_eq!(session.heard().len(), 2);
    session.say(ACK, 102, 5000, 0);
    assert_eq!(session.target.connections(), 0);
    // The other way round.
    let mut session = Session::connected();
    session.settle(0, true);
    session.heard();
    session.say(ACK, 101, 5000, 0);
    assert_eq!(session.target.connections(), 1);
    session.say(ACK.with(Flags::FIN), 101, 5000, 0);
    assert_eq!(session.heard(), [(ACK, 102, 0)]);
    assert_eq!(session.target.connections(), 0);
    let mut session = Session::connected();
    session.say(Flags::RST, 101, 0, 0);
    assert_eq!(session.target.connections(), 0);
}

#[test]
fn what_belongs_to_no_connection_is_not_answered() {
    let mut session = Session::new();
    assert_eq!(session.say(ACK, 101, 5000, 50), None);
    session.settle(100, true);
    assert_eq!(session.heard(), []);
    assert_eq!(
        session
            .target
            .on_packet(5, &[0x45, 0, 0], &mut |_| panic!("an answer")),
        None
    );
}
