//! `sink`.

use abi::counter::Counter;
use abi::maps;
use wire::flow::{Addr, Endpoint};

use crate::kernel::{Kernel, XDP_DROP, XDP_PASS, endpoint_bytes, only, skipped};
use crate::packet::{CLIENT, ONLINE, TARGET, data, v6};

const SINK: &str = programs::name::SINK;
const ASSISTANT: Addr = Addr::v4([203, 0, 113, 9]);

fn kernel() -> Kernel {
    let mut kernel = Kernel::intercept();
    for target in [TARGET, v6(TARGET)] {
        kernel.insert(maps::TARGETS, endpoint_bytes(&target), [0; 4]);
        kernel.insert(
            maps::TARGETS,
            endpoint_bytes(&Endpoint::new(target.addr, 0)),
            [0; 4],
        );
    }
    kernel.insert(maps::OWN_ADDRESSES, *ASSISTANT.octets(), [0; 4]);
    kernel
}

#[test]
fn a_targets_reply_to_a_client_never_passes() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    for (target, client) in [(TARGET, CLIENT), (v6(TARGET), v6(CLIENT))] {
        assert_eq!(kernel.xdp(SINK, &data(target, client, 100)), XDP_DROP);
        assert_eq!(
            kernel.counted(),
            only(&[Counter::SinkMatched, Counter::SinkNoSocket])
        );
    }
}

#[test]
fn a_targets_fragment_to_a_client_is_dropped() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    for (high, low) in [(0x20, 0), (0x20, 1), (0, 1)] {
        let mut frame = data(TARGET, CLIENT, 100);
        (frame[20], frame[21]) = (high, low);
        assert_eq!(kernel.xdp(SINK, &frame), XDP_DROP);
        assert_eq!(kernel.counted(), only(&[Counter::SinkFragment]));
    }
    let mut frame = data(v6(TARGET), v6(CLIENT), 100);
    frame[14 + 6] = 44;
    assert_eq!(kernel.xdp(SINK, &frame), XDP_DROP);
    assert_eq!(kernel.counted(), only(&[Counter::SinkFragment]));
    let mut to_us = data(TARGET, Endpoint::new(ASSISTANT, 5), 100);
    to_us[20] = 0x20;
    assert_eq!(kernel.xdp(SINK, &to_us), XDP_PASS);
    assert_eq!(kernel.counted(), only(&[Counter::SinkPassed]));
}

#[test]
fn everything_else_passes() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    let mut tagged = data(TARGET, CLIENT, 10);
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    let mut arp = vec![0; 42];
    arp[12..14].copy_from_slice(&[8, 6]);
    let mut udp = data(TARGET, CLIENT, 10);
    udp[14 + 9] = 17;
    for frame in [
        data(TARGET, Endpoint::new(ASSISTANT, 40_000), 10),
        data(Endpoint::new(TARGET.addr, 22), CLIENT, 10),
        data(CLIENT, TARGET, 10),
        data(ONLINE, CLIENT, 10),
        tagged,
        arp,
        udp,
    ] {
        assert_eq!(kernel.xdp(SINK, &frame), XDP_PASS);
        assert_eq!(kernel.counted(), only(&[Counter::SinkPassed]));
    }
}
