//! The programs of the private device: `inject`, `absorb`, `steer`, `deliver`.

use abi::counter::Counter;
use abi::maps::{EGRESS_DEVICE, EGRESS_LOCAL, EGRESS_NONE, Egress};
use abi::record::KIND_REPLY;
use wire::flow::Addr;
use wire::tcp::{COPY_MARK, Flags};

use crate::kernel::{DROP, Kernel, NEXT, PASS, REDIRECT, Settings, XDP_DROP, only, skipped};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, data, frame_of, header, v6};

use programs::name::{ABSORB, DELIVER, INJECT, STEER};

/// The loopback device: it exists in every network namespace.
const DEVICE: u32 = 1;

fn copy(payload: usize) -> Vec<u8> {
    let mut header = header(POOL, TARGET, Flags::ACK.with(Flags::PSH));
    header.urgent = COPY_MARK;
    frame_of(&header, payload)
}

fn egress(kind: u32, gateway_family: u32) -> Egress {
    Egress {
        kind,
        ifindex: DEVICE,
        mtu: 1500,
        gateway_family,
        gateway: *Addr::v4([10, 0, 0, 9]).octets(),
    }
}

#[test]
fn a_copy_leaves_by_the_device_of_its_target() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    for gateway_family in [0, 4, 6] {
        kernel.egress(TARGET.addr, &egress(EGRESS_DEVICE, gateway_family));
        assert_eq!(kernel.tc(INJECT, &copy(100)), REDIRECT);
        assert_eq!(
            kernel.counted(),
            only(&[Counter::InjectFrames, Counter::InjectInjected])
        );
    }
    // 20 bytes of IP, 32 of TCP.
    assert_eq!(kernel.tc(INJECT, &copy(1448)), REDIRECT);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::InjectFrames, Counter::InjectInjected])
    );
    assert_eq!(kernel.tc(INJECT, &copy(1449)), DROP);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::InjectFrames, Counter::InjectTooBig])
    );
}

/// Production goes first: `TC_PRIO_FILLER` is the last band of every queue that has bands.
#[test]
fn a_copy_has_the_lowest_priority() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    for gateway_family in [0, 4, 6] {
        kernel.egress(TARGET.addr, &egress(EGRESS_DEVICE, gateway_family));
        assert_eq!(kernel.tc_priority(INJECT, &copy(100)), (REDIRECT, 1));
    }
    let foreign = data(POOL, TARGET, 10);
    assert_eq!(kernel.tc_priority(INJECT, &foreign), (NEXT, 0));
}

#[test]
fn a_copy_without_a_route_is_dropped_and_one_for_this_host_passes() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    assert_eq!(kernel.tc(INJECT, &copy(100)), DROP);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::InjectFrames, Counter::InjectNoEgress])
    );
    kernel.egress(TARGET.addr, &egress(EGRESS_NONE, 0));
    assert_eq!(kernel.tc(INJECT, &copy(100)), DROP);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::InjectFrames, Counter::InjectNoEgress])
    );
    kernel.egress(TARGET.addr, &egress(EGRESS_LOCAL, 0));
    assert_eq!(kernel.tc(INJECT, &copy(100)), PASS);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::InjectFrames, Counter::InjectLocal])
    );
}

#[test]
fn a_frame_that_is_not_a_copy_is_left_alone() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    kernel.egress(TARGET.addr, &egress(EGRESS_DEVICE, 0));
    for frame in [
        data(POOL, TARGET, 10),
        vec![0; 60],
        data(v6(POOL), v6(TARGET), 10),
    ] {
        assert_eq!(kernel.tc(INJECT, &frame), NEXT);
        assert_eq!(kernel.counted(), only(&[Counter::InjectForeign]));
    }
}

#[test]
fn a_reply_on_this_host_is_recorded_and_consumed_without_telling_the_sender() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    kernel.replies(TARGET, &POOL_RANGE);
    kernel.service(ONLINE);
    let frame = data(TARGET, POOL, 100);
    assert_eq!(kernel.tc(ABSORB, &frame), REDIRECT);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::AbsorbMatched, Counter::AbsorbRecorded])
    );
    let records = kernel.records(0);
    assert_eq!(
        (records[0].0.kind, &records[0].1[..]),
        (KIND_REPLY, &frame[14..14 + 52])
    );
    for other in [
        data(CLIENT, ONLINE, 10),
        data(TARGET, CLIENT, 10),
        vec![0; 60],
    ] {
        assert_eq!(kernel.tc(ABSORB, &other), NEXT);
        assert_eq!(kernel.counted(), only(&[Counter::AbsorbForeign]));
    }
}

#[test]
fn a_clone_is_stamped_and_counted_in_frames() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    kernel.service(ONLINE);
    for (payload, gso_size, frames) in [
        (0, 0, 1),
        (100, 0, 1),
        (2896, 1448, 2),
        (2897, 1448, 3),
        (100, 1448, 1),
    ] {
        let frame = data(CLIENT, ONLINE, payload);
        let (verdict, after) = kernel.tc_gso(STEER, &frame, gso_size);
        assert_eq!(verdict, NEXT);
        assert_eq!(
            kernel.counted().get(&Counter::SteerFrames),
            Some(&frames),
            "{payload} {gso_size}"
        );
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("clock");
        let stamp = u64::from_ne_bytes(*after.first_chunk().expect("8 bytes"));
        let now_ns = now.tv_sec().cast_unsigned() * 1_000_000_000 + now.tv_nsec().cast_unsigned();
        assert!(
            stamp <= now_ns && now_ns - stamp < 10_000_000_000,
            "{stamp} {now_ns}"
        );
        assert_eq!(after[8..], frame[8..]);
    }
    let other = data(TARGET, POOL, 10);
    let (verdict, after) = kernel.tc_gso(STEER, &other, 0);
    assert_eq!((verdict, after), (NEXT, other));
    assert_eq!(kernel.counted(), only(&[]));
}

#[test]
fn a_frame_without_a_socket_is_dropped_and_counted() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    assert_eq!(kernel.xdp(DELIVER, &data(CLIENT, ONLINE, 10)), XDP_DROP);
    assert_eq!(kernel.counted(), only(&[Counter::DeliverNoSocket]));
}
