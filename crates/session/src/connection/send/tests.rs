//! The sending half against acknowledgements that were made up.

use super::{Ack, Acked, Fired, SendHalf};
use crate::limits::{RTO_MIN, TAIL_PROBE_MIN};
use crate::time::Instant;
use core::time::Duration;
use wire::seq::{LocalSeq, TargetSeq};

const LIMIT: u64 = 1 << 20;
/// Where the target's stream stands.
const TARGET: TargetSeq = TargetSeq::new(7);

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn established() -> SendHalf {
    let mut half = SendHalf::new(LocalSeq::new(u32::MAX - 1), 0, 1000);
    half.on_syn_sent(at(0));
    half.on_syn_acked(at(1));
    half.window_shift = 4;
    half.set_window(65_535, TARGET, half.seq(0));
    half
}

/// Sends what may be sent, and returns it.
fn send_all(half: &mut SendHalf, limit: u64, now: Instant) -> Vec<(u64, u32)> {
    let mut sent = Vec::new();
    while let Some((offset, len)) = half.sendable(limit, 1000) {
        half.on_sent(offset, len, now);
        sent.push((offset, len));
    }
    sent
}

/// A plain acknowledgement of a target without SACK.
fn ack(half: &mut SendHalf, offset: u64, limit: u64, now: Instant) -> Acked {
    let ack = Ack {
        number: half.seq(offset),
        plain: true,
        sack: None,
        limit,
    };
    half.on_ack(&ack, now)
}

/// One with SACK.
fn sack(half: &mut SendHalf, offset: u64, held: &[(u64, u64)], now: Instant) -> Acked {
    let edge = |offset| half.seq(offset).raw();
    let blocks: Vec<_> = held.iter().map(|&(l, r)| (edge(l), edge(r))).collect();
    let ack = Ack {
        number: half.seq(offset),
        plain: true,
        sack: Some(&blocks),
        limit: LIMIT,
    };
    half.on_ack(&ack, now)
}

#[test]
fn the_initial_window_is_ten_segments_and_grows_only_when_used() {
    let mut half = established();
    assert_eq!(send_all(&mut half, 20_000, at(2)).len(), 10);
    assert_eq!(
        ack(&mut half, 10_000, LIMIT, at(3)),
        Acked::Advanced(10_000)
    );
    assert_eq!(send_all(&mut half, 40_000, at(3)).len(), 11);
    ack(&mut half, 21_000, LIMIT, at(4));
    half.on_sent(21_000, 10, at(5));
    ack(&mut half, 21_010, LIMIT, at(6));
    assert_eq!(send_all(&mut half, 60_000, at(7)).len(), 12);
}

#[test]
fn three_duplicates_resend_the_first_hole() {
    let mut half = established();
    send_all(&mut half, 5000, at(2));
    for _ in 0..2 {
        ack(&mut half, 0, 5000, at(3));
        assert_eq!(half.sendable(5000, 1000), None);
    }
    ack(&mut half, 0, 5000, at(3));
    assert_eq!(half.sendable(5000, 1000), Some((0, 1000)));
    assert_eq!(half.on_sent(0, 1000, at(3)), 1000, "nothing of it is new");
    ack(&mut half, 2000, 5000, at(4));
    let hole = half.sendable(5000, 1000);
    assert_eq!(
        hole,
        Some((2000, 1000)),
        "a partial acknowledgement names the next hole"
    );
}

#[test]
fn the_first_two_duplicates_let_new_data_out() {
    let mut half = established();
    send_all(&mut half, LIMIT, at(2));
    for next in [10_000, 11_000] {
        assert_eq!(half.sendable(LIMIT, 1000), None);
        ack(&mut half, 0, LIMIT, at(3));
        assert_eq!(send_all(&mut half, LIMIT, at(3)), [(next, 1000)]);
    }
}

/// Two segments are in flight and there is nothing more to send: a second duplicate cannot come.
#[test]
fn one_duplicate_is_enough_where_no_more_can_come() {
    let mut half = established();
    send_all(&mut half, 2000, at(2));
    ack(&mut half, 0, 2000, at(3));
    assert_eq!(half.sendable(2000, 1000), Some((0, 1000)));
}

#[test]
fn what_the_target_holds_is_not_sent_again() {
    let mut half = established();
    send_all(&mut half, LIMIT, at(2));
    // Segments 0, 3 and 4 are lost.
    sack(&mut half, 0, &[(1000, 3000)], at(3));
    sack(&mut half, 0, &[(5000, 6000), (1000, 3000)], at(3));
    sack(&mut half, 0, &[(5000, 10_000), (1000, 3000)], at(3));
    let sent = send_all(&mut half, LIMIT, at(3));
    assert_eq!(sent[..3], [(0, 1000), (3000, 1000), (4000, 1000)]);
    assert!(sent[3..].iter().all(|&(offset, _)| offset >= 10_000));
    assert!(sent.len() < 8, "half the window: {sent:?}");
    assert_eq!(sack(&mut half, 10_000, &[], at(4)), Acked::Advanced(10_000));
    let sent = send_all(&mut half, LIMIT, at(4));
    assert!(sent.iter().all(|&(offset, _)| offset >= 10_000), "{sent:?}");
}

#[test]
fn a_range_that_was_never_sent_is_not_believed() {
    let mut half = established();
    send_all(&mut half, 4000, at(2));
    for _ in 0..4 {
        sack(&mut half, 0, &[(1000, 5000)], at(3));
    }
    assert_eq!(half.sendable(4000, 1000), None);
}

#[test]
fn the_tail_of_a_flight_is_probed_before_the_timeout() {
    let mut half = established();
    send_all(&mut half, 3000, at(2));
    let probe_at = at(2) + TAIL_PROBE_MIN;
    assert_eq!(half.timer_at(), Some(probe_at));
    assert_eq!(half.on_timer(3000, probe_at), Fired::Probe);
    assert_eq!(send_all(&mut half, 3000, probe_at), [(2000, 1000)]);
    assert_eq!(half.timer_at(), Some(probe_at + RTO_MIN));
    // The probe arrived, the first segment did not.
    sack(&mut half, 0, &[(1000, 3000)], probe_at);
    assert_eq!(half.timeouts, 0);
}

/// The worker may take the acknowledgement before it polls for frames.
#[test]
fn a_probe_that_an_acknowledgement_overtakes_is_not_sent() {
    let mut half = established();
    send_all(&mut half, 3000, at(2));
    let probe_at = at(2) + TAIL_PROBE_MIN;
    assert_eq!(half.on_timer(3000, probe_at), Fired::Probe);
    ack(&mut half, 3000, 3000, probe_at);
    assert_eq!(half.sendable(3000, 1000), None);
}

#[test]
fn a_timeout_sends_everything_again_and_backs_off() {
    let mut half = established();
    send_all(&mut half, 900, at(2));
    assert_eq!(half.timer_at(), Some(at(2) + RTO_MIN));
    assert_eq!(half.on_timer(900, at(202)), Fired::Timeout);
    assert_eq!(half.sendable(900, 1000), Some((0, 900)));
    assert_eq!(half.timer_at(), Some(at(202) + RTO_MIN * 2));
    half.on_sent(0, 900, at(202));
    ack(&mut half, 900, 900, at(203));
    assert_eq!(half.timer_at(), None);
    let smoothed = half.trip().smoothed();
    assert_eq!(
        smoothed,
        Some(Duration::from_millis(1)),
        "Karn: no sample of what was sent twice"
    );
}

/// After a timeout a segment may hold old bytes and new ones.
#[test]
fn the_new_part_of_a_segment_is_told_from_the_old() {
    let mut half = established();
    send_all(&mut half, 100, at(2));
    half.on_timer(100, at(300));
    assert_eq!(half.sendable(150, 1000), Some((0, 150)));
    assert_eq!(half.on_sent(0, 150, at(300)), 100);
}

#[test]
fn a_zero_window_is_probed_by_one_byte_for_as_long_as_the_target_acknowledges() {
    let mut half = established();
    half.set_window(0, TARGET, half.seq(0));
    assert_eq!(half.sendable(100, 1000), None);
    assert!(half.wants_probe_timer(100));
    half.arm_retransmission(at(10));
    assert_eq!(half.on_timer(100, at(300)), Fired::Timeout);
    assert_eq!(half.sendable(100, 1000), Some((0, 1)));
    half.on_sent(0, 1, at(300));
    half.set_window(0, TARGET, half.seq(0));
    ack(&mut half, 0, 100, at(301));
    assert_eq!(half.timeouts, 0);
}

/// RFC 9293 section 3.10.7.4, SND.WL1 and SND.WL2.
#[test]
fn a_window_that_was_overtaken_says_nothing() {
    let mut half = established();
    let (old, new) = (half.seq(0), half.seq(50));
    half.set_window(100, TARGET + 10, new);
    half.set_window(0, TARGET, new);
    half.set_window(0, TARGET + 10, old);
    assert!(!half.is_window(0), "of older segments");
    half.set_window(0, TARGET + 10, new);
    assert!(half.is_window(0), "of the latest, once more");
}

#[test]
fn what_was_never_sent_cannot_be_acknowledged() {
    let mut half = established();
    send_all(&mut half, 100, at(2));
    assert_eq!(ack(&mut half, 101, 100, at(3)), Acked::Unacceptable);
    assert_eq!(ack(&mut half, 100, 100, at(3)), Acked::Advanced(100));
}
