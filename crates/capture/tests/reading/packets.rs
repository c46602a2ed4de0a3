//! TCP packets that are not whole, not well-formed, or in pieces.

use capture::{LinkType, Sum, UnwrapCounts};
use proptest::prelude::{any, proptest};
use wire::checksum::{Verdict, judge, pseudo_header};
use wire::flow::{Addr, Endpoint};
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;
use wire::tcp::{Flags, Header, Options, Timestamps};

use crate::made::{Form, Taken, classic, segment, segment_of, segment_v6, take};

/// Raw IP packets, of which perhaps not all is there, through a file.
fn through(records: &[(&[u8], u32)]) -> (Vec<Taken>, UnwrapCounts) {
    let records: Vec<(u64, &[u8], u32)> = records
        .iter()
        .map(|(bytes, wire_len)| (5, *bytes, *wire_len))
        .collect();
    let (taken, _, counts) = take(&classic(Form::NANOSECONDS, LinkType::RAW, &records));
    for packet in &taken {
        assert_sound(packet);
    }
    (taken, counts)
}

fn whole(packet: &[u8]) -> (Vec<Taken>, UnwrapCounts) {
    through(&[(packet, packet.len() as u32)])
}

/// What is promised of every packet.
fn assert_sound(packet: &Taken) {
    let read = Segment::parse(packet.bytes.as_slice(), 0).expect("a whole segment");
    let tcp = read.tcp(&packet.bytes).expect("all of it");
    assert_eq!(usize::from(read.tcp_offset) + tcp.len(), packet.bytes.len());
    let verdict = judge(&read.source.addr, &read.destination.addr, PROTOCOL_TCP, tcp);
    assert_ne!(verdict, Verdict::Corrupt);
}

fn read(packet: &Taken) -> (u32, Flags, Vec<u8>) {
    let read = Segment::parse(packet.bytes.as_slice(), 0).expect("a whole segment");
    (
        read.seq,
        read.flags,
        read.payload(&packet.bytes).expect("all of it").to_vec(),
    )
}

/// Bytes that are not all the same.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

fn set(packet: &mut [u8], at: usize, value: u16) {
    packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn client() -> Endpoint {
    Endpoint::new(Addr::v4([10, 0, 0, 2]), 40_000)
}

fn server() -> Endpoint {
    Endpoint::new(Addr::v4([10, 0, 1, 1]), 8080)
}

#[test]
fn what_is_cut_is_missing_and_never_zeros() {
    let body = bytes(1460);
    for packet in [segment(1, &body), segment_v6(1, &body)] {
        let wire_len = packet.len() as u32;
        let head = packet.len() - 1460;
        // By a snap length, which the record says, and by a mirror, which it does not.
        for (said, before) in [(wire_len, 0), (head as u32 + 96, 1)] {
            let (taken, counts) = through(&[(&packet[..head + 96], said)]);
            assert_eq!(taken.len(), 1);
            assert_eq!((taken[0].missing, taken[0].sum), (1460 - 96, Sum::Unknown));
            assert_eq!(read(&taken[0]).2, body[..96]);
            assert_eq!(
                (counts.cut, counts.cut_before, counts.cut_bytes),
                (1, before, 1364)
            );
        }
    }
}

#[test]
fn the_end_of_a_cut_stream_stands_behind_what_is_missing() {
    let flags = Flags::ACK.with(Flags::FIN).with(Flags::PSH);
    let packet = segment_of(client(), server(), 100, flags, &bytes(1000));
    let (taken, _) = through(&[(&packet[..140], 1040)]);
    let seen: Vec<(u32, bool, usize, u32)> = taken
        .iter()
        .map(|packet| {
            let (seq, flags, payload) = read(packet);
            (
                seq,
                flags.contains(Flags::FIN),
                payload.len(),
                packet.missing,
            )
        })
        .collect();
    assert_eq!(seen, [(100, false, 100, 900), (1100, true, 0, 0)]);
}

#[test]
fn without_a_whole_header_there_is_no_packet() {
    let packet = segment(1, b"abc");
    let mut short = packet.clone();
    short[32] = 0x40;
    let mut long = packet.clone();
    long[32] = 0xf0;
    let (taken, counts) = through(&[
        (&packet[..39], 43),
        (&packet[..20], 43),
        (&packet[..15], 43),
        (&short, 43),
        (&long, 43),
    ]);
    assert!(taken.is_empty());
    assert_eq!((counts.header_cut, counts.malformed), (3, 2));
}

/// As with a snap length of 64, where the clients have time stamps.
#[test]
fn a_header_without_all_of_its_options_is_one() {
    let header = Header {
        source: client(),
        destination: server(),
        seq: 100,
        ack: 7,
        flags: Flags::ACK.with(Flags::FIN),
        window: 500,
        urgent: 0,
        options: Options {
            timestamps: Some(Timestamps { value: 1, echo: 2 }),
            ..Options::default()
        },
    };
    let at = header.payload_offset();
    let mut frame = vec![7; at + 300];
    assert!(header.emit(&mut frame));
    let packet = frame.split_off(14);
    let (taken, counts) = through(&[(&packet[..50], 352)]);
    assert_eq!((taken.len(), counts.cut, counts.header_cut), (2, 1, 0));
    assert_eq!((taken[0].missing, taken[0].sum), (300, Sum::Unknown));
    assert_eq!(read(&taken[0]), (100, Flags::ACK, Vec::new()));
    assert_eq!(
        read(&taken[1]),
        (400, Flags::ACK.with(Flags::FIN), Vec::new())
    );
}

#[test]
fn padding_of_ethernet_is_no_payload() {
    let packet = segment(1, b"");
    let padded = [&packet[..], &[0xaa; 6]].concat();
    assert_eq!(whole(&padded).0[0].bytes, packet);
}

#[test]
fn sums_that_an_offload_left_are_told_from_wrong_ones() {
    for good in [segment(1, b"abc"), segment_v6(1, b"abc")] {
        let at = good.len() - 3 - 20 + 16;
        let parsed = Segment::parse(good.as_slice(), 0).expect("a segment");
        let sum = |len| pseudo_header(&parsed.source.addr, &parsed.destination.addr, 6, len).fold();
        for (field, expected) in [
            (0, Sum::Offloaded),
            (sum(23), Sum::Offloaded),
            (sum(0), Sum::Offloaded),
            (sum(22), Sum::Bad),
        ] {
            let mut packet = good.clone();
            set(&mut packet, at, field);
            let (taken, counts) = whole(&packet);
            assert_eq!((taken[0].sum, &taken[0].bytes), (expected, &good));
            assert_eq!(counts.offloaded + counts.bad, 1);
        }
        assert_eq!(whole(&good).0[0].sum, Sum::Good);
    }
}

/// A packet whose payload is so long that no length field can say so.
fn oversized(payload: &[u8], flags: Flags) -> Vec<u8> {
    let mut packet = segment_of(client(), server(), u32::MAX - 10, flags, b"");
    set(&mut packet, 2, 0);
    packet.extend(payload);
    set(&mut packet, 36, 0);
    packet
}

#[test]
fn a_super_packet_is_several_in_turn() {
    for len in [10, 20_000, 65_495, 65_496, 200_000] {
        let body = bytes(len);
        let flags = Flags::ACK.with(Flags::FIN).with(Flags::PSH);
        let (taken, counts) = whole(&oversized(&body, flags));
        assert_eq!(
            (counts.oversized, counts.packets, counts.offloaded),
            (1, 1, 1)
        );
        let (mut seq, mut out) = (u32::MAX - 10, Vec::new());
        for (at, packet) in taken.iter().enumerate() {
            let (its, flags, payload) = read(packet);
            assert_eq!(its, seq, "{len}");
            let is_last = at + 1 == taken.len();
            assert_eq!(flags.contains(Flags::FIN), is_last);
            assert_eq!(flags.contains(Flags::PSH), is_last);
            seq = seq.wrapping_add(payload.len() as u32);
            out.extend(payload);
        }
        assert!(out == body, "{len} bytes are others");
        assert_eq!(taken.len(), body.len().div_ceil(65_475));
    }
}

#[test]
fn a_super_packet_with_a_jumbo_option_is_one_too() {
    let body = bytes(100_000);
    let mut packet = segment_v6(1, b"")[..40].to_vec();
    set(&mut packet, 4, 0);
    packet[6] = 0;
    packet.extend([6, 0, 0xc2, 4]);
    packet.extend((8 + 20 + body.len() as u32).to_be_bytes());
    packet.extend(&segment_v6(1, b"")[40..]);
    packet.extend(&body);
    // What stands behind it is no part of it.
    packet.extend([0xaa; 5]);
    let (taken, counts) = whole(&packet);
    let out: Vec<u8> = taken.iter().flat_map(|packet| read(packet).2).collect();
    assert!(out == body);
    assert_eq!((counts.oversized, counts.cut), (1, 0));
}

/// Fragments of an IPv4 packet: where each begins in its payload, and where it ends.
fn fragments(packet: &[u8], id: u16, parts: &[(usize, usize)]) -> Vec<Vec<u8>> {
    let payload = &packet[20..];
    let fragment = |&(from, to): &(usize, usize)| {
        let mut fragment = packet[..20].to_vec();
        let to = to.min(payload.len());
        set(&mut fragment, 2, (20 + to - from) as u16);
        set(&mut fragment, 4, id);
        let more = if to == payload.len() { 0 } else { 0x2000 };
        set(&mut fragment, 6, (from / 8) as u16 | more);
        fragment.extend(&payload[from..to]);
        fragment
    };
    parts.iter().map(fragment).collect()
}

fn in_pieces(pieces: &[Vec<u8>]) -> (Vec<Taken>, UnwrapCounts) {
    let records: Vec<(&[u8], u32)> = pieces
        .iter()
        .map(|piece| (piece.as_slice(), piece.len() as u32))
        .collect();
    through(&records)
}

#[test]
fn fragments_are_joined_in_whatever_order_they_come() {
    let packet = segment(1, &bytes(3000));
    for parts in [
        &[(0, 1480), (1480, 2960), (2960, 9999)][..],
        &[(2960, 9999), (0, 1480), (1480, 2960)],
        &[(0, 1480), (1480, 2960), (1480, 2960), (0, 8), (2960, 9999)],
        &[(0, 1480), (800, 2000), (2960, 9999), (1960, 2968)],
    ] {
        let (taken, counts) = in_pieces(&fragments(&packet, 7, parts));
        assert_eq!(taken.len(), 1, "{parts:?}: {counts:?}");
        assert_eq!(read(&taken[0]).2, bytes(3000));
        assert_eq!(taken[0].sum, Sum::Good);
        assert_eq!((counts.joined, counts.fragments), (1, parts.len() as u64));
    }
}

#[test]
fn fragments_of_ipv6_are_joined() {
    let packet = segment_v6(1, &bytes(3000));
    let payload = &packet[40..];
    let pieces: Vec<Vec<u8>> = [(0, 1448), (1448, 2896), (2896, payload.len())]
        .into_iter()
        .map(|(from, to)| {
            let mut piece = packet[..40].to_vec();
            set(&mut piece, 4, (8 + to - from) as u16);
            piece[6] = 44;
            piece.extend([6, 0]);
            piece.extend((from as u16 | u16::from(to < payload.len())).to_be_bytes());
            piece.extend([0, 0, 0, 9]);
            piece.extend(&payload[from..to]);
            piece
        })
        .collect();
    assert_eq!(in_pieces(&pieces).0[0].bytes, packet);
}

#[test]
fn fragments_without_the_others_are_given_up_and_memory_is_bounded() {
    let packet = segment(1, &bytes(3000));
    let mut pieces = Vec::new();
    for id in 0..5000 {
        pieces.extend(fragments(&packet, id, &[(0, 1480)]));
    }
    // One of the last is still waited for.
    pieces.extend(fragments(&packet, 4999, &[(1480, 9999)]));
    // One of the first no longer.
    pieces.extend(fragments(&packet, 3, &[(1480, 9999)]));
    let (taken, counts) = in_pieces(&pieces);
    assert_eq!((taken.len(), counts.joined), (1, 1));
    assert!(counts.fragments_left >= 5000 - 1024, "{counts:?}");
}

#[test]
fn fragments_that_contradict_each_other_are_given_up() {
    let packet = segment(1, &bytes(3000));
    let mut other_end = fragments(&packet, 7, &[(0, 1480), (2960, 9999)]);
    let mut longer = other_end[1].clone();
    longer.extend([0; 8]);
    let len = longer.len() as u16;
    set(&mut longer, 2, len);
    other_end.push(longer);
    let mut beyond = fragments(&packet, 8, &[(0, 1480)]);
    set(&mut beyond[0], 6, 0x1fff);
    let cut = fragments(&packet, 9, &[(0, 1480)])[0][..100].to_vec();
    let (taken, counts) = in_pieces(&[other_end, beyond, vec![cut]].concat());
    assert!(taken.is_empty());
    assert_eq!((counts.fragments, counts.fragments_left), (5, 5));
}

proptest! {
    /// However a packet is cut in pieces, it is the same again.
    #[test]
    fn any_cut_of_a_packet_is_joined(
        len in 1usize..4000,
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        order in any::<u64>(),
    ) {
        let packet = segment(1, &bytes(len));
        let end = packet.len() - 20;
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(end) / 8 * 8).collect();
        at.extend([0, end]);
        at.sort_unstable();
        at.dedup();
        let mut parts: Vec<(usize, usize)> = at.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let by = order as usize % parts.len();
        parts.rotate_left(by);
        let (taken, _) = in_pieces(&fragments(&packet, 7, &parts));
        assert_eq!(taken.len(), 1);
        assert_eq!(read(&taken[0]).2, bytes(len));
    }
}
