//! What stands on the wire, against oracles that are too simple to be wrong.

use proptest::array::uniform16;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{
    ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use wire::checksum::{Sum, Verdict, judge, pseudo_header};
use wire::flow::{Addr, Endpoint, FlowKey, PoolRange, SAMPLE_ALL, sampled};
use wire::hash::EndpointHash;
use wire::ip::PROTOCOL_TCP;
use wire::multipath::{Mapping, Multipath, Signal};
use wire::segment::Segment;
use wire::seq::ClientSeq;
use wire::tcp::{COPY_MARK, Flags, Header, OPTIONS_LEN_MAX, Options, SackBlocks, Timestamps};

/// The checksum's sum, word by word, as RFC 1071 says it.
fn naive_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}

fn addr() -> impl Strategy<Value = Addr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(Addr::v4),
        uniform16(any::<u8>())
            .prop_map(Addr::v6)
            .prop_filter("not a mapped one", |addr| !addr.is_v4()),
    ]
}

/// Two ends of one family.
fn ends() -> impl Strategy<Value = (Endpoint, Endpoint)> {
    (addr(), any::<[u8; 16]>(), any::<u16>(), any::<u16>()).prop_map(|(a, other, p, q)| {
        let b = if a.is_v4() {
            Addr::v4([other[0], other[1], other[2], other[3]])
        } else {
            Addr::v6([0xfd; 16])
        };
        (Endpoint::new(a, p), Endpoint::new(b, q))
    })
}

fn options() -> impl Strategy<Value = Options> {
    let sack = vec(any::<(u32, u32)>(), 0..4);
    let timestamps = option::of(any::<(u32, u32)>());
    let fits = |options: &Options| options.emitted_len() <= OPTIONS_LEN_MAX;
    (
        option::of(any::<u16>()),
        option::of(0..15u8),
        any::<bool>(),
        timestamps,
        sack,
    )
        .prop_map(|(mss, window_scale, sack_permitted, timestamps, blocks)| {
            let mut sack = SackBlocks::default();
            blocks
                .iter()
                .for_each(|(left, right)| sack.push(*left, *right));
            Options {
                mss,
                window_scale,
                sack_permitted,
                timestamps: timestamps.map(|(value, echo)| Timestamps { value, echo }),
                sack,
                multipath: None,
            }
        })
        .prop_filter("as long as a header", fits)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against arithmetic that cannot wrap, as far apart as TCP allows.
    #[test]
    fn sequence_numbers_are_offsets_that_wrap(isn in any::<u32>(), a in 0..1u64 << 40, apart in -(1i64 << 31) + 1..1i64 << 31) {
        let b = a.saturating_add_signed(apart);
        let apart = b.cast_signed() - a.cast_signed();
        let seq = |offset: u64| ClientSeq::new(isn) + (offset % (1 << 32)) as u32;
        let (x, y) = (seq(a), seq(b));
        prop_assert_eq!(i64::from(y - x), apart);
        prop_assert_eq!(x < y, a < b);
        prop_assert_eq!(x <= y, a <= b);
        prop_assert_eq!(x == y, a == b);
        prop_assert_eq!(x.max(y), seq(a.max(b)));
        prop_assert_eq!(x.min(y), seq(a.min(b)));
        prop_assert_eq!(u64::from(y.ahead_of(x)), b.saturating_sub(a));
        prop_assert_eq!(x + 7 - 7u32, x);
        prop_assert_eq!(ClientSeq::new(x.raw()), x);
    }

    #[test]
    fn the_sum_is_that_of_the_words(bytes in vec(any::<u8>(), 0..300), cut in any::<usize>(), word in any::<u16>()) {
        prop_assert_eq!(Sum::default().bytes(&bytes).fold(), naive_sum(&bytes));
        prop_assert_eq!(Sum::default().bytes(&bytes).finish(), !naive_sum(&bytes));
        // In parts, as long as each but the last is of even length.
        let (head, tail) = bytes.split_at((cut % (bytes.len() + 1)) & !1);
        prop_assert_eq!(Sum::default().bytes(head).bytes(tail).fold(), naive_sum(&bytes));
        let with_word = [&word.to_be_bytes()[..], &bytes].concat();
        prop_assert_eq!(Sum::default().bytes(&bytes).word(word).fold(), naive_sum(&with_word));
    }

    /// Written and read again; its checksum is right, and wrong as soon as a bit is.
    #[test]
    fn an_option_of_multipath_tcp_is_read_as_it_was_written(
        (ack, data, long) in (option::of(any::<u64>()), any::<u64>(), any::<bool>()),
        (path, len, noise) in (any::<u32>(), 1..=u16::MAX, vec(any::<u8>(), 0..40)),
        (long_ack, cut) in (any::<bool>(), any::<usize>()),
    ) {
        let mut body = std::vec![0x20, 4];
        if let Some(ack) = ack {
            body[1] |= if long_ack { 3 } else { 1 };
            let ack = ack.to_be_bytes();
            body.extend_from_slice(if long_ack { &ack[..] } else { &ack[4..] });
        }
        body[1] |= if long { 8 } else { 0 };
        let number = data.to_be_bytes();
        body.extend_from_slice(if long { &number[..] } else { &number[4..] });
        body.extend_from_slice(&path.to_be_bytes());
        body.extend_from_slice(&len.to_be_bytes());
        let mapping = (path != 0).then_some(Mapping { data: data as u32, path, len });
        let signal = Signal { acknowledged: ack.map(|ack| ack as u32), mapping };
        let says = signal.acknowledged.or(signal.mapping.map(|it| it.data)).is_some();
        prop_assert_eq!(Multipath::parse(&body), says.then_some(Multipath::Signal(signal)));
        prop_assert_eq!(Multipath::parse(&body[..cut % body.len()]), None);
        // Whatever else it is, it is read without harm, and so is a header's area that has it.
        let _ = Multipath::parse(&noise);
        let mut area = std::vec![1, 30, noise.len() as u8 + 2];
        area.extend_from_slice(&noise);
        prop_assert_eq!(Options::parse(&area).multipath, Multipath::parse(&noise));
    }

    #[test]
    fn a_segment_is_read_as_it_was_written(
        (source, destination) in ends(),
        (seq, ack, flags, window, urgent) in any::<(u32, u32, u8, u16, u16)>(),
        options in options(),
        payload in vec(any::<u8>(), 0..100),
        bit in any::<usize>(),
    ) {
        let header = Header { source, destination, seq, ack, flags: Flags(flags), window, urgent, options };
        let at = header.payload_offset();
        let mut frame = vec![0xaa; at + payload.len()];
        frame[at..].copy_from_slice(&payload);
        prop_assert!(header.emit(&mut frame));
        let packet = &frame[14..];
        let segment = Segment::parse(packet, 0).expect("our own segment");
        let read = Header {
            source: segment.source,
            destination: segment.destination,
            seq: segment.seq,
            ack: segment.ack,
            flags: segment.flags,
            window: segment.window,
            urgent: segment.urgent,
            options: segment.options(packet),
        };
        prop_assert_eq!(read, header);
        prop_assert_eq!(segment.payload(packet), Some(&payload[..]));
        prop_assert_eq!(segment.is_copy(), urgent == COPY_MARK && flags & 0x20 == 0);
        let mut tcp = segment.tcp(packet).expect("whole").to_vec();
        let len = u16::try_from(tcp.len()).expect("short");
        let pseudo = pseudo_header(&source.addr, &destination.addr, PROTOCOL_TCP, len);
        let summed = [&pseudo.fold().to_be_bytes()[..], &tcp].concat();
        prop_assert_eq!(naive_sum(&summed), 0xffff);
        // A checksum that happens to be the pseudo-header's sum is taken for an unfinished one.
        let unfinished = tcp[16..18] == pseudo.fold().to_be_bytes();
        let verdict = judge(&source.addr, &destination.addr, PROTOCOL_TCP, &tcp);
        prop_assert_eq!(verdict, if unfinished { Verdict::Partial } else { Verdict::Valid });
        let bit = bit % (tcp.len() * 8);
        tcp[bit / 8] ^= 1 << (bit % 8);
        if !unfinished && tcp[16..18] != pseudo.fold().to_be_bytes() {
            let verdict = judge(&source.addr, &destination.addr, PROTOCOL_TCP, &tcp);
            prop_assert_eq!(verdict, Verdict::Corrupt);
        }
    }

    #[test]
    fn a_pool_range_is_a_prefix_and_ports(
        (inside, other) in ends(),
        bits in 96..129u32,
        ports in any::<(u16, u16)>(),
    ) {
        let number = |addr: &Addr| u128::from_be_bytes(*addr.octets());
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        let range = PoolRange {
            prefix: Addr::v6((number(&inside.addr) & mask).to_be_bytes()),
            mask: Addr::v6(mask.to_be_bytes()),
            port_first: ports.0.min(ports.1),
            port_last: ports.0.max(ports.1),
        };
        for end in [inside, other] {
            let same = (number(&end.addr) ^ number(&inside.addr)) >> (128 - bits) == 0;
            let port = (range.port_first..=range.port_last).contains(&end.port);
            prop_assert_eq!(range.contains(&end), same && port);
        }
    }

    /// A sample is a part of every larger sample, and every flow has one owner.
    #[test]
    fn samples_grow((client, server) in ends(), seed in any::<u32>(), key in any::<u64>(), less in 0..=SAMPLE_ALL, more in 0..=SAMPLE_ALL, workers in 1..64u32) {
        let flow = FlowKey { client, server };
        let (less, more) = (less.min(more), less.max(more));
        prop_assert!(!sampled(&flow, seed, less) || sampled(&flow, seed, more));
        prop_assert!(sampled(&flow, seed, SAMPLE_ALL));
        prop_assert!(EndpointHash::new(key).owner(&client, workers) < workers);
        prop_assert_eq!(EndpointHash::new(key).owner(&client, 1), 0);
    }
}
