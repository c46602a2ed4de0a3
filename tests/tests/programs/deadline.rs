//! The dead man's switch: past its deadline each program passes every packet at once, and does nothing else.

use abi::counter::Counter;
use abi::maps::{self, EGRESS_DEVICE, Egress};
use nix::time::{ClockId, clock_gettime};
use programs::name::{ABSORB, CAPTURE, INJECT, OBSERVE, STEER};
use wire::tcp::{COPY_MARK, Flags};

use crate::kernel::{DROP, Kernel, NEXT, REDIRECT, Settings, only, skipped};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, data, frame_of, header};

/// The programs as they are loaded for clsact hooks.
fn kernel() -> Kernel {
    let mut kernel = Kernel::tcpcopy(&Settings {
        globals: vec![(maps::GLOBAL_DEADLINE_KEPT, 1)],
        ..Settings::default()
    });
    kernel.service(ONLINE);
    kernel.replies(TARGET, &POOL_RANGE);
    let egress = Egress {
        kind: EGRESS_DEVICE,
        ifindex: 1,
        mtu: 1500,
        gateway_family: 0,
        gateway: [0; 16],
    };
    kernel.egress(TARGET.addr, &egress);
    kernel
}

/// So many seconds from now on, in ns of the clock that programs have.
fn seconds_from_now(seconds: i64) -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    let ns = (now.tv_sec() + seconds) * 1_000_000_000 + now.tv_nsec();
    u64::try_from(ns).expect("after the start of the machine")
}

fn copy() -> Vec<u8> {
    let mut copy = header(POOL, TARGET, Flags::ACK);
    copy.urgent = COPY_MARK;
    frame_of(&copy, 100)
}

#[test]
fn past_the_deadline_everything_passes_and_nothing_is_recorded() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    // What nobody ever renewed is past as well.
    for deadline in [0, seconds_from_now(-1)] {
        kernel.deadline(deadline);
        for (program, frame, counters) in [
            (
                CAPTURE,
                data(CLIENT, ONLINE, 50),
                &[Counter::CaptureAbandoned][..],
            ),
            (
                CAPTURE,
                data(TARGET, POOL, 50),
                &[Counter::CaptureAbandoned],
            ),
            (
                OBSERVE,
                data(ONLINE, CLIENT, 50),
                &[Counter::ObserveAbandoned],
            ),
            (
                INJECT,
                copy(),
                &[Counter::InjectFrames, Counter::InjectAbandoned],
            ),
            (ABSORB, data(TARGET, POOL, 50), &[Counter::AbsorbAbandoned]),
            (STEER, data(CLIENT, ONLINE, 50), &[]),
        ] {
            let (verdict, out) = kernel.tc_gso(program, &frame, 0);
            assert_eq!(verdict, NEXT, "{program}");
            assert_eq!(out, frame, "{program} changes a packet");
            assert_eq!(kernel.counted(), only(counters), "{program}");
            assert!(kernel.records(0).is_empty(), "{program}");
        }
    }
}

#[test]
fn before_the_deadline_they_do_their_work_and_after_a_renewal_again() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    for deadline in [seconds_from_now(60), 0, seconds_from_now(60)] {
        kernel.deadline(deadline);
        let lives = deadline != 0;
        for (program, frame, verdict, records) in [
            (CAPTURE, data(CLIENT, ONLINE, 50), NEXT, 1),
            (CAPTURE, data(TARGET, POOL, 50), DROP, 1),
            (OBSERVE, data(ONLINE, CLIENT, 50), NEXT, 1),
            (INJECT, copy(), REDIRECT, 0),
            (ABSORB, data(TARGET, POOL, 50), REDIRECT, 1),
        ] {
            let expected = if lives { (verdict, records) } else { (NEXT, 0) };
            let verdict = kernel.tc(program, &frame);
            assert_eq!((verdict, kernel.records(0).len()), expected, "{program}");
        }
    }
}

/// With tcx links nobody renews a deadline, and none is looked at.
#[test]
fn without_the_switch_there_is_no_deadline() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    kernel.service(ONLINE);
    assert_eq!(kernel.tc(CAPTURE, &data(CLIENT, ONLINE, 50)), NEXT);
    assert_eq!(kernel.records(0).len(), 1);
}
