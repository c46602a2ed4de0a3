//! The codec against itself in every chunking. Both ends against anything at all: see `crates/fuzzing`.

use std::time::Instant;

use channel::decoder::Decoder;
use channel::inspection::{Fate, Inspected, inspect, inspected};
use channel::{
    Batch, FRAME_LEN_MAX, InterceptEnd, InterceptEvent, PAYLOAD_LEN_MAX, Refusal, Report,
    TcpcopyEnd, ToIntercept, ToTcpcopy, encode,
};
use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use wire::flow::{Addr, Endpoint, FlowKey, PoolRange};

/// A message as a test holds it.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Subscribe(Vec<Endpoint>, usize, u8, Vec<PoolRange>),
    Open(Vec<FlowKey>),
    Close(Vec<FlowKey>),
    Ping(u64),
    Subscribed,
    Refused(Refusal),
    Reports(Vec<(u64, u32, Vec<u8>, Vec<u8>)>),
    Pong(u64, u64),
    Lost(u64),
    Taken(Vec<FlowKey>),
    Inspect(Vec<Addr>),
    Inspected(Inspected),
}

impl Owned {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Subscribe(targets, whole, payload, sources) => {
                let (whole, others) = targets.split_at(*whole);
                encode::subscribe(out, whole, others, *payload, sources);
            }
            Self::Open(flows) => encode::open(out, flows.iter().copied()),
            Self::Close(flows) => encode::close(out, flows.iter().copied()),
            Self::Ping(nonce) => encode::ping(out, *nonce),
            Self::Subscribed => encode::subscribed(out),
            Self::Refused(why) => encode::refused(out, *why),
            Self::Reports(reports) => {
                let mut batch = Batch::new();
                for (stamp_ns, packet_len, headers, payload) in reports {
                    assert!(batch.push(&Report {
                        stamp_ns: *stamp_ns,
                        packet_len: *packet_len,
                        headers,
                        payload,
                    }));
                }
                out.extend(batch.take());
            }
            Self::Pong(nonce, stamp_ns) => encode::pong(out, *nonce, *stamp_ns),
            Self::Lost(count) => encode::lost(out, *count),
            Self::Taken(flows) => encode::taken(out, flows.iter().copied()),
            Self::Inspect(addresses) => inspect(out, addresses),
            Self::Inspected(answer) => inspected(out, answer),
        }
    }
}

impl From<ToIntercept<'_>> for Owned {
    fn from(message: ToIntercept<'_>) -> Self {
        match message {
            ToIntercept::Subscribe(wanted) => Self::Subscribe(
                wanted.targets.iter().collect(),
                wanted.whole.iter().len(),
                wanted.payload_max,
                wanted.sources.iter().collect(),
            ),
            ToIntercept::Open(flows) => Self::Open(flows.iter().collect()),
            ToIntercept::Close(flows) => Self::Close(flows.iter().collect()),
            ToIntercept::Ping { nonce } => Self::Ping(nonce),
            ToIntercept::Inspect(addresses) => Self::Inspect(addresses.iter().collect()),
        }
    }
}

impl From<ToTcpcopy<'_>> for Owned {
    fn from(message: ToTcpcopy<'_>) -> Self {
        match message {
            ToTcpcopy::Subscribed => Self::Subscribed,
            ToTcpcopy::Refused(why) => Self::Refused(why),
            ToTcpcopy::Reports(reports) => Self::Reports(
                reports
                    .iter()
                    .map(|r| {
                        let (headers, payload) = (r.headers.to_vec(), r.payload.to_vec());
                        (r.stamp_ns, r.packet_len, headers, payload)
                    })
                    .collect(),
            ),
            ToTcpcopy::Pong { nonce, stamp_ns } => Self::Pong(nonce, stamp_ns),
            ToTcpcopy::Lost { count } => Self::Lost(count),
            ToTcpcopy::Taken(flows) => Self::Taken(flows.iter().collect()),
            ToTcpcopy::Inspected(answer) => Self::Inspected(answer.into()),
        }
    }
}

fn range() -> impl Strategy<Value = PoolRange> {
    (endpoint(), endpoint()).prop_map(|(first, last)| PoolRange {
        prefix: first.addr,
        mask: last.addr,
        port_first: first.port,
        port_last: last.port,
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (any::<[u8; 16]>(), any::<u16>()).prop_map(|(addr, port)| Endpoint::new(Addr::v6(addr), port))
}

fn flow() -> impl Strategy<Value = FlowKey> {
    (endpoint(), endpoint()).prop_map(|(client, server)| FlowKey { client, server })
}

fn to_intercept() -> impl Strategy<Value = Owned> {
    prop_oneof![
        (
            vec(endpoint(), 1..9),
            0..9usize,
            0u8..=128,
            vec(range(), 0..4)
        )
            .prop_map(|(targets, whole, n, sources)| {
                let whole = whole.min(targets.len());
                Owned::Subscribe(targets, whole, n, sources)
            }),
        vec(flow(), 1..9).prop_map(Owned::Open),
        vec(flow(), 1..9).prop_map(Owned::Close),
        any::<u64>().prop_map(Owned::Ping),
        vec(endpoint().prop_map(|endpoint| endpoint.addr), 1..65).prop_map(Owned::Inspect),
    ]
}

fn report() -> impl Strategy<Value = (u64, u32, Vec<u8>, Vec<u8>)> {
    (
        any::<u64>(),
        any::<u32>(),
        vec(any::<u8>(), 1..=120),
        prop_oneof![
            4 => vec(any::<u8>(), 0..=128),
            1 => vec(any::<u8>(), 1400..=5000),
        ],
    )
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Dropped), Just(Fate::SentOn), Just(Fate::Own)]
}

fn to_tcpcopy() -> impl Strategy<Value = Owned> {
    prop_oneof![
        Just(Owned::Subscribed),
        Just(Owned::Refused(Refusal::TooManyConnections)),
        endpoint().prop_map(|target| Owned::Refused(Refusal::UnknownTarget(target))),
        vec(report(), 1..9).prop_map(Owned::Reports),
        any::<(u64, u64)>().prop_map(|(nonce, stamp)| Owned::Pong(nonce, stamp)),
        any::<u64>().prop_map(Owned::Lost),
        vec(flow(), 1..9).prop_map(Owned::Taken),
        (any::<(bool, u64, u32)>(), vec(fate(), 0..65)).prop_map(
            |((forwards, matched, subscribers), fates)| {
                Owned::Inspected(Inspected {
                    forwards,
                    matched,
                    subscribers,
                    fates,
                })
            }
        ),
    ]
}

/// Sends `messages` through a decoder in chunks of these lengths and gives what came out.
fn through(
    messages: &[Owned],
    chunks: &[usize],
    parse: impl Fn(&mut Decoder) -> Option<Owned>,
) -> Vec<Owned> {
    let mut stream = Vec::new();
    messages
        .iter()
        .for_each(|message| message.encode(&mut stream));
    let (mut decoder, mut got, mut rest) = (Decoder::new(), Vec::new(), &stream[..]);
    for len in chunks.iter().cycle() {
        let (chunk, tail) = rest.split_at(rest.len().min(*len));
        decoder.push(chunk).expect("drained");
        while let Some(message) = parse(&mut decoder) {
            got.push(message);
        }
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    got
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_to_intercept_survive(messages in vec(to_intercept(), 1..6), chunks in vec(1usize..400, 1..6)) {
        let got = through(&messages, &chunks, |decoder| {
            let frame = decoder.next_frame().expect("valid")?;
            Some(ToIntercept::parse(frame).expect("valid").into())
        });
        prop_assert_eq!(got, messages);
    }

    #[test]
    fn messages_to_tcpcopy_survive(messages in vec(to_tcpcopy(), 1..6), chunks in vec(1usize..400, 1..6)) {
        let got = through(&messages, &chunks, |decoder| {
            let frame = decoder.next_frame().expect("valid")?;
            Some(ToTcpcopy::parse(frame).expect("valid").into())
        });
        prop_assert_eq!(got, messages);
    }

    #[test]
    fn a_batch_is_never_longer_than_a_frame(len in 1usize..300, payload_len in prop_oneof![0usize..300, 0usize..20_000]) {
        let mut batch = Batch::new();
        let headers = vec![7; len];
        let payload = vec![8; payload_len];
        let report = Report { stamp_ns: 1, packet_len: 2, headers: &headers, payload: &payload };
        while batch.push(&report) {}
        let count = batch.len() as usize;
        let bytes = batch.take();
        prop_assert!(bytes.len() <= 4 + FRAME_LEN_MAX);
        prop_assert!(bytes.len() + 15 + len.min(120) + payload_len > FRAME_LEN_MAX);
        let mut decoder = Decoder::new();
        decoder.push(&bytes).expect("it fits");
        let frame = decoder.next_frame().expect("valid").expect("whole");
        let Ok(ToTcpcopy::Reports(reports)) = ToTcpcopy::parse(frame) else { panic!("not reports") };
        prop_assert_eq!(reports.iter().count(), count);
        prop_assert!(reports.iter().all(|r| (r.headers.len(), r.payload.len()) == (len.min(120), payload_len)));
        prop_assert!(batch.is_empty() && batch.take().is_empty());
    }

    #[test]
    fn many_flows_become_many_frames(count in 0usize..6000) {
        let flow = FlowKey { client: Endpoint::new(Addr::v4([1; 4]), 1), server: Endpoint::new(Addr::v4([2; 4]), 2) };
        let mut bytes = Vec::new();
        encode::open(&mut bytes, std::iter::repeat_n(flow, count));
        let (mut decoder, mut seen) = (Decoder::new(), 0);
        for chunk in bytes.chunks(FRAME_LEN_MAX) {
            decoder.push(chunk).expect("drained");
            while let Some(frame) = decoder.next_frame().expect("valid") {
                let Ok(ToIntercept::Open(flows)) = ToIntercept::parse(frame) else { panic!("not Open") };
                prop_assert!(flows.iter().all(|f| f == flow));
                seen += flows.iter().len();
            }
        }
        prop_assert_eq!(seen, count);
    }
}

#[test]
fn nobody_asks_for_more_payload_than_a_report_carries() {
    let target = Endpoint::new(Addr::v4([1; 4]), 1);
    let mut stream = Vec::new();
    encode::subscribe(&mut stream, &[], &[target], 255, &[]);
    let mut decoder = Decoder::new();
    decoder.push(&stream).expect("it fits");
    // The byte behind length and kind.
    stream[5] = 129;
    decoder.push(&stream).expect("it fits");
    let frame = decoder.next_frame().expect("valid").expect("whole");
    let Ok(ToIntercept::Subscribe(wanted)) = ToIntercept::parse(frame) else {
        panic!("not Subscribe")
    };
    assert_eq!(wanted.payload_max, PAYLOAD_LEN_MAX);
    let frame = decoder.next_frame().expect("valid").expect("whole");
    assert!(ToIntercept::parse(frame).is_err());
}

#[test]
fn nobody_asks_for_more_whole_targets_than_there_are() {
    let target = |n| Endpoint::new(Addr::v4([n; 4]), 1);
    let mut stream = Vec::new();
    encode::subscribe(&mut stream, &[target(1)], &[target(2)], 0, &[]);
    for (said, is_possible) in [(0, true), (1, true), (2, true), (3, false), (0xffff, false)] {
        // The two bytes behind length, kind, payload and the number of sources.
        stream[7..9].copy_from_slice(&u16::to_be_bytes(said));
        let mut decoder = Decoder::new();
        decoder.push(&stream).expect("it fits");
        let frame = decoder.next_frame().expect("valid").expect("whole");
        match ToIntercept::parse(frame) {
            Ok(ToIntercept::Subscribe(wanted)) => {
                assert!(is_possible);
                assert_eq!(wanted.whole.iter().len(), said.into());
                assert!(wanted.targets.iter().eq([target(1), target(2)]));
            }
            other => assert!(!is_possible && other.is_err(), "{other:?}"),
        }
    }
}

/// A report that says that it is longer than one can be, or than what there is, is none.
#[test]
fn no_report_is_longer_than_there_is() {
    let report = Report {
        stamp_ns: 1,
        packet_len: 1500,
        headers: &[1; 52],
        payload: &[2; 1448],
    };
    let mut batch = Batch::new();
    assert!(batch.push(&report));
    let stream = batch.take();
    for (said, is_possible) in [(1448, true), (1447, false), (1449, false), (65_281, false)] {
        let mut stream = stream.clone();
        stream[17..19].copy_from_slice(&u16::to_be_bytes(said));
        let mut decoder = Decoder::new();
        decoder.push(&stream).expect("it fits");
        let frame = decoder.next_frame().expect("valid").expect("whole");
        assert_eq!(ToTcpcopy::parse(frame).is_ok(), is_possible, "{said}");
    }
}

#[test]
fn intercepts_events_name_the_flows() {
    let now = Instant::now();
    let mut out = Vec::new();
    let mut end = InterceptEnd::new(None, now);
    let flow = FlowKey {
        client: Endpoint::new(Addr::v4([1; 4]), 1),
        server: Endpoint::new(Addr::v4([2; 4]), 2),
    };
    let mut stream = Vec::new();
    let _ = TcpcopyEnd::new(vec![flow.server], 0, None, now, &mut stream);
    encode::subscribe(&mut stream, &[flow.server], &[], 17, &[]);
    encode::open(&mut stream, [flow]);
    end.space()[..stream.len()].copy_from_slice(&stream);
    end.filled(now, stream.len());
    end.greet(&mut out).expect("it is a hello");
    match end.next_event() {
        Ok(Some(InterceptEvent::Subscribe(wanted))) => {
            assert!(wanted.targets.iter().eq([flow.server]));
            assert!(wanted.whole.iter().eq([flow.server]));
            assert_eq!(wanted.payload_max, 17);
        }
        other => panic!("{other:?}"),
    }
    match end.next_event() {
        Ok(Some(InterceptEvent::Open(flows))) => assert!(flows.iter().eq([flow])),
        other => panic!("{other:?}"),
    }
    assert_eq!(end.next_event(), Ok(None));
}
