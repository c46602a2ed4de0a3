//! Secrets are overwritten wherever packets begin, and in whichever order they come.

use proptest::prelude::*;
use wire::checksum::Verdict;
use wire::flow::{Addr, Endpoint};
use wire::segment::Segment;

use super::Mask;

const STREAM: &str = "GET / HTTP/1.1\r\nHost: a\r\nCookie: id=s3cret; b=s3cret\r\nAUTHORIZATION : Basic s3cret\r\n\
                      Set-Cookie2: shown\r\nX-Cookie: shown\r\nCookie: s3cret\r\n s3cret\r\n\r\n\
                      POST / HTTP/1.1\r\nContent-Length: 15\r\n\r\nCookie: shown\r\nGET /2 HTTP/1.1\r\nproxy-authorization: s3cret\r\n\r\n";

/// A segment with this payload, whose checksum was left to a network card.
fn packet(seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(40 + payload.len()).expect("short");
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend([0x9c, 0x40, 0, 80]);
    packet.extend(seq.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}

/// What becomes of pieces of a stream, each with where it begins.
fn masked(pieces: &[(usize, &[u8])]) -> Vec<u8> {
    masked_from(pieces, true)
}

fn masked_from(pieces: &[(usize, &[u8])], with_syn: bool) -> Vec<u8> {
    // So that sequence numbers wrap in the midst.
    let first = u32::MAX - 40;
    let mut mask = Mask::default();
    if with_syn {
        mask.apply(&mut packet(first.wrapping_sub(1), 0x02, b""));
    }
    let end = pieces.iter().map(|(at, piece)| at + piece.len()).max();
    let mut stream = vec![b'?'; end.unwrap_or(0)];
    for (at, piece) in pieces {
        let mut packet = packet(first.wrapping_add(*at as u32), 0x10, piece);
        let before = packet.clone();
        mask.apply(&mut packet);
        assert_eq!(packet.len(), before.len());
        if packet != before {
            let (source, destination) = (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]));
            let verdict = wire::checksum::judge(&source, &destination, 6, &packet[20..]);
            // One sum in 65,536 is right and looks like one that was left to a network card.
            assert_ne!(verdict, Verdict::Corrupt);
        }
        stream[*at..at + piece.len()].copy_from_slice(&packet[40..]);
    }
    stream
}

/// The stream as it should come out.
fn expected() -> String {
    STREAM
        .replace("id=s3cret; b=s3cret", "********** ********")
        .replace("Basic s3cret", "***** ******")
        .replace("s3cret", "******")
}

#[test]
fn values_become_stars_and_nothing_else_changes() {
    let stream = masked(&[(0, STREAM.as_bytes())]);
    assert_eq!(String::from_utf8(stream).unwrap(), expected());
}

#[test]
fn what_is_sent_again_is_overwritten_again() {
    let bytes = STREAM.as_bytes();
    let again = masked(&[(0, bytes), (40, &bytes[40..90])]);
    assert_eq!(String::from_utf8(again).unwrap(), expected());
}

#[test]
fn other_protocols_pass_as_they_are() {
    for text in [
        "*1\r\n$4\r\nPING\r\n",
        "get key\r\nCookie: shown\r\n",
        "\u{16}\u{3}\u{1}x",
    ] {
        assert_eq!(masked(&[(0, text.as_bytes())]), text.as_bytes());
    }
    for text in ["*1\r\n$4\r\nPING\r\n", "get key\r\nget other\r\n"] {
        assert_eq!(masked_from(&[(0, text.as_bytes())], false), text.as_bytes());
    }
}

#[test]
fn an_upload_that_comes_in_disorder_stays_as_it_is() {
    let head = b"POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\n";
    let (first, second) = (head.len(), head.len() + 10);
    let stream = masked(&[(0, head), (second, &[7; 20]), (first, b"0123456789")]);
    assert_eq!(&stream[second..], [7; 20]);
}

#[test]
fn memory_is_bounded_and_a_direction_that_speaks_is_kept() {
    let mut mask = Mask::default();
    for n in 0..200_000u32 {
        let mut other = packet(1, 0x02, b"");
        other[12..16].copy_from_slice(&n.to_be_bytes());
        mask.apply(&mut other);
    }
    assert!(mask.young.len() + mask.old.len() <= 2 * super::FLOWS_MAX);
    let parsed = Segment::parse(&*packet(1, 0, b"x"), 0).expect("it is one");
    assert_eq!(
        parsed.source,
        Endpoint::new(Addr::v4([10, 0, 0, 1]), 40_000)
    );
}

proptest! {
    /// Whatever a packet says of itself, its length stays as it was, and nothing panics.
    #[test]
    fn hostile_packets(changes in prop::collection::vec((0usize..60, any::<u8>()), 0..8), cut in 0usize..200) {
        let mut mask = Mask::default();
        for seq in [1, 50, 10] {
            let mut packet = packet(seq, 0x10, STREAM.as_bytes());
            for (at, byte) in &changes {
                packet[*at] = *byte;
            }
            packet.truncate(packet.len() - cut);
            let len = packet.len();
            mask.apply(&mut packet);
            prop_assert_eq!(packet.len(), len);
        }
    }

    #[test]
    fn wherever_packets_begin(cuts in prop::collection::btree_set(1..STREAM.len(), 0..12)) {
        let bytes = STREAM.as_bytes();
        let starts: Vec<usize> = std::iter::once(0).chain(cuts).collect();
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        let pieces: Vec<_> = starts.iter().zip(ends).map(|(at, end)| (*at, &bytes[*at..end])).collect();
        prop_assert_eq!(String::from_utf8(masked(&pieces)).unwrap(), expected());
    }

    /// Order, loss, repetition and a late start may cost a header, and never show a secret, as long as a packet has more than one
    /// line. (A value on several lines, which nobody sends any more, is known by the line before.)
    #[test]
    fn in_whichever_order_they_come(cuts in prop::collection::btree_set(1..STREAM.len(), 0..6),
                                    order in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
                                    with_syn in any::<bool>()) {
        let stream = STREAM.replace("s3cret\r\n s3cret", "s3cret");
        let bytes = stream.as_bytes();
        let starts: Vec<usize> = std::iter::once(0).chain(cuts.into_iter().filter(|cut| *cut < bytes.len())).collect();
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        let all: Vec<_> = starts.iter().zip(ends).map(|(at, end)| (*at, &bytes[*at..end])).collect();
        let lines = |piece: &[u8]| piece.iter().filter(|byte| **byte == b'\n').count();
        prop_assume!(all.iter().all(|(_, piece)| lines(piece) > 1));
        let pieces: Vec<_> = order.iter().map(|index| *index.get(&all)).collect();
        let shown = String::from_utf8_lossy(&masked_from(&pieces, with_syn)).into_owned();
        prop_assert!(!shown.contains("s3cret"), "{}", shown);
    }
}
