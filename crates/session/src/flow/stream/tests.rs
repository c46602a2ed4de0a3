//! What a stream takes, keeps and counts of the segments of a client.

use super::super::reassembly::Waiting;
use super::{Advertised, ClientStream, End, Piece};
use crate::arena::Arena;
use crate::event::Counters;
use crate::limits::CLIENT_WINDOW_SLACK;
use crate::time::Instant;
use wire::seq::{ClientSeq, OnlineSeq};

impl ClientStream {
    fn unordered_bytes(&self) -> u64 {
        self.waiting.as_ref().map_or(0, |it| it.unordered_bytes)
    }
}

struct Fixture {
    stream: ClientStream,
    arena: Arena,
    got: Vec<u8>,
}

impl Fixture {
    fn new(first: u32) -> Self {
        Self {
            stream: ClientStream::new(ClientSeq::new(first)),
            arena: Arena::new(1 << 20),
            got: Vec::new(),
        }
    }

    fn segment(&mut self, seq: u32, bytes: &[u8], fin: bool) {
        let piece = Piece {
            bytes,
            cause: OnlineSeq::new(1),
            stamp: Instant::default(),
        };
        let got = &mut self.got;
        self.stream.on_segment(
            ClientSeq::new(seq),
            fin,
            piece,
            &mut self.arena,
            &mut Counters::default(),
            &mut |_, piece| got.extend_from_slice(piece.bytes),
        );
    }
}

#[test]
fn overlaps_reordering_and_the_wrap() {
    let first = u32::MAX - 3;
    let mut f = Fixture::new(first);
    f.segment(first.wrapping_add(6), b"ghij", true);
    f.segment(first.wrapping_add(2), b"cdef", false);
    f.segment(first.wrapping_add(5), b"fgh", false);
    assert_eq!(f.got, b"");
    f.segment(first, b"abcd", false);
    assert_eq!(f.got, b"abcdefghij");
    assert_eq!(f.stream.end().map(|end| end.end), Some(End::Fin));
    assert_eq!(f.arena.used(), 0);
}

#[test]
fn a_keep_alive_probe_is_nothing() {
    let mut f = Fixture::new(100);
    f.segment(100, b"ab", false);
    f.segment(101, b"b", false);
    f.segment(101, b"", false);
    assert_eq!(f.got, b"ab");
}

#[test]
fn a_forged_fin_far_ahead_does_not_hide_the_true_one() {
    let mut f = Fixture::new(100);
    f.segment(100, b"ab", false);
    f.segment(1_000_000, b"", true);
    f.segment(102, b"c", true);
    assert_eq!(f.stream.end().map(|end| end.end), Some(End::Fin));
    f.stream.on_acknowledged(ClientSeq::new(104));
    assert!(!f.stream.has_acknowledged_hole());
}

#[test]
fn a_hole_that_was_acknowledged_is_known() {
    let mut f = Fixture::new(100);
    f.segment(110, b"later", false);
    assert!(!f.stream.has_acknowledged_hole());
    f.stream.on_acknowledged(ClientSeq::new(115));
    assert!(f.stream.has_acknowledged_hole());
    f.segment(100, b"0123456789", false);
    assert!(!f.stream.has_acknowledged_hole());
    f.segment(115, b"", true);
    f.stream.on_acknowledged(ClientSeq::new(116));
    assert!(!f.stream.has_acknowledged_hole());
}

#[test]
fn a_reset_outside_the_window_is_not_believed() {
    let mut f = Fixture::new(100);
    f.stream.on_reset(
        ClientSeq::new(105),
        Some(OnlineSeq::new(1)),
        Instant::default(),
        &mut f.arena,
    );
    assert_eq!(f.stream.end(), None);
    f.stream.on_reset(
        ClientSeq::new(100),
        Some(OnlineSeq::new(1)),
        Instant::default(),
        &mut f.arena,
    );
    assert_eq!(f.stream.end().map(|end| end.end), Some(End::Reset));
}

/// A flood of segments of one byte each must not take many times what the budget says.
#[test]
fn a_segment_that_waits_is_charged_with_what_it_costs() {
    let mut f = Fixture::new(100);
    for number in 0..50 {
        f.segment(102 + 2 * number, b"x", false);
    }
    assert!(f.arena.used() as usize >= 50 * (1 + size_of::<Waiting>()));
    assert_eq!(f.arena.used(), f.stream.waiting_cost() as u64);
    f.stream.clear(&mut f.arena);
    assert_eq!(f.arena.used(), 0);
}

/// What is given up for want of room comes again, in order or not: each byte is counted at most once.
#[test]
fn what_is_given_up_and_comes_again_is_counted_once() {
    let mut f = Fixture::new(100);
    f.segment(110, b"waits", false);
    f.stream.clear(&mut f.arena);
    assert_eq!(f.stream.unordered_bytes(), 5);
    f.arena = Arena::new(0);
    f.segment(108, b"__waits__", false);
    f.segment(130, b"more", false);
    assert_eq!(f.stream.unordered_bytes(), 9 + 4);
    f.arena = Arena::new(1 << 20);
    f.segment(108, b"__wai", false);
    assert_eq!(
        (f.stream.waiting_bytes(), f.stream.unordered_bytes()),
        (5, 8)
    );
    f.segment(100, b"12345678__waits", false);
    assert_eq!((f.got.len(), f.stream.unordered_bytes()), (15, 2 + 4));
    f.stream
        .finish(End::Gap, None, Instant::default(), &mut f.arena);
    f.segment(115, b"__345", false);
    assert_eq!(
        (f.stream.unordered_bytes(), f.stream.seen()),
        (9, ClientSeq::new(134))
    );
}

#[test]
fn what_is_beyond_the_window_is_not_believed() {
    let mut f = Fixture::new(100);
    *f.stream.advertised() = Advertised::of_handshake(None, 1600);
    f.segment(100 + 3200 + CLIENT_WINDOW_SLACK + 1, b"forged", false);
    assert_eq!(f.stream.waiting_bytes(), 0);
    assert_eq!(f.stream.unordered_bytes(), 6);
    f.segment(100 + 1000, b"true", false);
    assert_eq!(f.stream.waiting_bytes(), 4);
    // What was acknowledged is behind the client, whether it was captured or not.
    f.stream.on_acknowledged(ClientSeq::new(1_000_000));
    f.segment(1_000_500, b"later", false);
    assert_eq!(f.stream.waiting_bytes(), 9);
}

/// The one distance that has no absolute value in 32 bits.
#[test]
fn what_is_half_the_sequence_space_away_is_of_another_connection() {
    let mut f = Fixture::new(100);
    f.segment(100 + (1 << 31), b"far", false);
    f.stream.on_acknowledged(ClientSeq::new(100 + (1 << 31)));
    assert_eq!(f.stream.acknowledged(), None);
    assert_eq!(f.arena.used(), 0);
}
