//! What the programs cost: instructions, and the time of one run as the kernel measures it. Printed, not judged.

use abi::maps::{EGRESS_DEVICE, Egress, GLOBAL_DEADLINE_KEPT};
use programs::name::{
    ABSORB, CAPTURE, CAPTURE_OUT, DELIVER, INJECT, OBSERVE, OBSERVE_IN, OVERHEAR, REPLIES, SINK,
    STEER,
};
use wire::flow::{Addr, Endpoint};
use wire::tcp::{COPY_MARK, Flags};

use crate::kernel::{Kernel, Settings, skipped};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, bare, data, frame_of, header};

/// Runs per measurement; their records fit into the ring.
const REPEAT: u32 = 500;
/// Measurements, of which the best counts: the others shared the processor with somebody.
const ROUNDS: u32 = 60;

#[test]
fn costs() {
    if skipped() {
        return;
    }
    of_tcpcopy("tcx", &[]);
    of_tcpcopy("clsact", &[(GLOBAL_DEADLINE_KEPT, 1)]);
    let mut intercept = Kernel::intercept();
    let other = data(CLIENT, Endpoint::new(Addr::v4([10, 9, 8, 7]), 443), 100);
    print(&mut intercept, SINK, "other TCP", &other);
}

/// The programs as they are loaded for one way of attaching them.
fn of_tcpcopy(hook: &str, globals: &[(&'static str, u32)]) {
    let settings = Settings {
        ring_len: 16 << 20,
        globals: globals.to_vec(),
        ..Settings::default()
    };
    let mut tcpcopy = Kernel::tcpcopy(&settings);
    tcpcopy.deadline(u64::MAX);
    tcpcopy.service(ONLINE);
    tcpcopy.replies(TARGET, &POOL_RANGE);
    let egress = Egress {
        kind: EGRESS_DEVICE,
        ifindex: 1,
        mtu: 1500,
        gateway_family: 0,
        gateway: [0; 16],
    };
    tcpcopy.egress(TARGET.addr, &egress);
    let mut copy = header(POOL, TARGET, Flags::ACK);
    copy.urgent = COPY_MARK;
    let copy = frame_of(&copy, 100);
    let mut udp = data(CLIENT, ONLINE, 100);
    udp[14 + 9] = 17;
    let unleased = Endpoint::new(POOL.addr, 10_008);
    tcpcopy.lease(0, unleased.port, false);
    let other = data(CLIENT, Endpoint::new(Addr::v4([10, 9, 8, 7]), 443), 100);
    eprintln!(
        "{:<10} {:<34} {:>12} {:>12} {:>8}",
        hook, "packet", "instructions", "verified", "ns"
    );
    for (program, packet, frame) in [
        (CAPTURE, "client, 50 B payload", data(CLIENT, ONLINE, 50)),
        (CAPTURE, "client, 200 B payload", data(CLIENT, ONLINE, 200)),
        (
            CAPTURE,
            "client, 1448 B payload",
            data(CLIENT, ONLINE, 1448),
        ),
        (
            CAPTURE,
            "client, bare ACK",
            bare(CLIENT, ONLINE, Flags::ACK),
        ),
        (CAPTURE, "reply", data(TARGET, POOL, 600)),
        (CAPTURE, "reply, bare ACK", bare(TARGET, POOL, Flags::ACK)),
        (
            CAPTURE,
            "target, port not leased",
            data(TARGET, unleased, 600),
        ),
        (CAPTURE, "other TCP", other.clone()),
        (CAPTURE, "UDP", udp),
        (OBSERVE, "online, 600 B payload", data(ONLINE, CLIENT, 600)),
        (OBSERVE, "other TCP", other.clone()),
        (
            CAPTURE_OUT,
            "client, 200 B payload",
            data(CLIENT, ONLINE, 200),
        ),
        (
            OBSERVE_IN,
            "online, 600 B payload",
            data(ONLINE, CLIENT, 600),
        ),
        (OVERHEAR, "client, 200 B payload", data(CLIENT, ONLINE, 200)),
        (OVERHEAR, "online, 600 B payload", data(ONLINE, CLIENT, 600)),
        (OVERHEAR, "other TCP", other.clone()),
        (REPLIES, "reply", data(TARGET, POOL, 600)),
        (INJECT, "copy", copy),
        (ABSORB, "reply", data(TARGET, POOL, 600)),
        (STEER, "client, 200 B payload", data(CLIENT, ONLINE, 200)),
        (DELIVER, "client, no socket", data(CLIENT, ONLINE, 200)),
    ] {
        print(&mut tcpcopy, program, packet, &frame);
    }
}

fn print(kernel: &mut Kernel, program: &str, packet: &str, frame: &[u8]) {
    let (instructions, verified) = kernel.instructions(program);
    let best = (0..ROUNDS).map(|_| {
        let duration = kernel.measure(program, frame, REPEAT).duration;
        kernel.drain();
        duration
    });
    let ns = best.min().unwrap_or_default().as_nanos();
    eprintln!("{program:<10} {packet:<34} {instructions:>12} {verified:>12} {ns:>8}");
}
