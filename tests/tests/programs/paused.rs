//! The switch that stops recording: what it stops and what it does not, and that it is counted.

use abi::counter::Counter;
use abi::maps::{self, PAUSED_BUSY, PAUSED_RING_FULL, PAUSED_UNREACHABLE};
use programs::name::{CAPTURE, OBSERVE};
use wire::flow::Endpoint;
use wire::hash::EndpointHash;

use crate::kernel::{DROP, Kernel, NEXT, Settings, only, skipped};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, data};

fn kernel(settings: &Settings) -> Kernel {
    let mut kernel = Kernel::tcpcopy(settings);
    kernel.service(ONLINE);
    kernel.replies(TARGET, &POOL_RANGE);
    kernel
}

#[test]
fn clients_and_the_online_server_are_not_recorded_and_replies_are() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings::default());
    for reasons in [
        PAUSED_UNREACHABLE,
        PAUSED_BUSY,
        PAUSED_RING_FULL | PAUSED_BUSY,
    ] {
        kernel.pause(0, reasons);
        assert_eq!(kernel.tc(CAPTURE, &data(CLIENT, ONLINE, 50)), NEXT);
        assert_eq!(
            kernel.counted(),
            only(&[Counter::CaptureMatched, Counter::CapturePaused])
        );
        assert_eq!(kernel.tc(OBSERVE, &data(ONLINE, CLIENT, 50)), NEXT);
        assert_eq!(
            kernel.counted(),
            only(&[Counter::ObserveMatched, Counter::ObservePaused])
        );
        assert_eq!(kernel.tc(CAPTURE, &data(TARGET, POOL, 50)), DROP);
        assert_eq!(kernel.records(0).len(), 1, "the reply");
        kernel.counted();
    }
    kernel.pause(0, 0);
    assert_eq!(kernel.tc(CAPTURE, &data(CLIENT, ONLINE, 50)), NEXT);
    assert_eq!(kernel.tc(OBSERVE, &data(ONLINE, CLIENT, 50)), NEXT);
    assert_eq!(kernel.records(0).len(), 2);
}

#[test]
fn one_workers_pause_is_not_anothers() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings {
        workers: 2,
        ..Settings::default()
    });
    kernel.pause(1, PAUSED_BUSY);
    for port in 1024..1064 {
        let client = Endpoint::new(CLIENT.addr, port);
        let recorded = EndpointHash::new(0).owner(&client, 2) == 0;
        assert_eq!(kernel.tc(CAPTURE, &data(client, ONLINE, 10)), NEXT);
        let verdict = if recorded {
            Counter::CaptureRecorded
        } else {
            Counter::CapturePaused
        };
        assert_eq!(kernel.counted(), only(&[Counter::CaptureMatched, verdict]));
    }
}

#[test]
fn with_clones_nothing_is_cloned() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings {
        globals: vec![(maps::GLOBAL_CLONE_IFINDEX, 0x7fff_fff0)],
        ..Settings::default()
    });
    kernel.pause(0, PAUSED_UNREACHABLE);
    assert_eq!(kernel.tc(CAPTURE, &data(CLIENT, ONLINE, 50)), NEXT);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::CaptureMatched, Counter::CapturePaused])
    );
}
