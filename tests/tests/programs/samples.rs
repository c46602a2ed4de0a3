//! `--sample-bytes`: as many bytes of a response's payload behind its headers as were asked for, and none otherwise.

use abi::maps;
use programs::name::{ABSORB, CAPTURE, OBSERVE, SINK};
use wire::flow::Endpoint;
use wire::tcp::Flags;

use crate::kernel::{Kernel, Settings, XDP_DROP, endpoint_bytes, skipped};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, bare, data, v6};

/// What was asked for, what there is, what is kept.
const CASES: [(u32, usize, usize); 8] = [
    (0, 500, 0),
    (1, 500, 1),
    (64, 500, 64),
    (64, 64, 64),
    (64, 63, 63),
    (128, 100, 100),
    (128, 500, 128),
    (128, 0, 0),
];

fn tcpcopy(sample: u32) -> Kernel {
    let mut kernel = Kernel::tcpcopy(&Settings {
        globals: vec![(maps::GLOBAL_SAMPLE_LEN, sample)],
        ..Settings::default()
    });
    kernel.service(ONLINE);
    kernel.service(v6(ONLINE));
    kernel.replies(TARGET, &POOL_RANGE);
    kernel
}

#[test]
fn records_of_both_responses_carry_what_was_asked_for() {
    if skipped() {
        return;
    }
    for (sample, payload, kept) in CASES {
        let mut kernel = tcpcopy(sample);
        for (program, source, destination) in [
            (OBSERVE, ONLINE, CLIENT),
            (OBSERVE, v6(ONLINE), v6(CLIENT)),
            (CAPTURE, TARGET, POOL),
            (ABSORB, TARGET, POOL),
        ] {
            let frame = data(source, destination, payload);
            let headers = bare(source, destination, Flags::ACK).len();
            for gso_size in [0, 1448] {
                let (_, after) = kernel.tc_gso(program, &frame, gso_size);
                assert_eq!(after, frame, "{program} changes nothing");
                let records = kernel.records(0);
                assert_eq!(records.len(), 1, "{program}");
                assert_eq!(
                    records[0].1,
                    frame[14..headers + kept],
                    "{program}: {sample} of {payload}"
                );
            }
        }
    }
}

/// What Ethernet adds to a short frame is no payload.
#[test]
fn padding_is_no_payload() {
    if skipped() {
        return;
    }
    let mut kernel = tcpcopy(128);
    for (program, source, destination) in [(OBSERVE, ONLINE, CLIENT), (CAPTURE, TARGET, POOL)] {
        let frame = data(source, destination, 3);
        let padded = [&frame[..], b"padding"].concat();
        kernel.tc(program, &padded);
        assert_eq!(kernel.records(0)[0].1, frame[14..], "{program}");
    }
}

#[test]
fn sink_leaves_what_somebody_asks_for() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::intercept();
    for target in [TARGET, v6(TARGET)] {
        for key in [target, Endpoint::new(target.addr, 0)] {
            kernel.insert(maps::TARGETS, endpoint_bytes(&key), [0; 4]);
        }
    }
    for (sample, payload, kept) in CASES {
        kernel.want_payload(sample);
        for (target, client) in [(TARGET, CLIENT), (v6(TARGET), v6(CLIENT))] {
            let frame = data(target, client, payload);
            let headers = bare(target, client, Flags::ACK).len();
            let padded = [&frame[..], b"padding"].concat();
            for sent in [&frame, &padded] {
                let (verdict, left) = kernel.xdp_out(SINK, sent);
                assert_eq!(verdict, XDP_DROP, "nobody listens");
                // The stamp stands where the addresses were.
                assert_eq!(left[8..], frame[8..headers + kept], "{sample} of {payload}");
            }
        }
    }
    // More than a frame of the socket holds is never left, whoever writes the map.
    kernel.want_payload(u32::MAX);
    let (_, left) = kernel.xdp_out(SINK, &data(TARGET, CLIENT, 2000));
    assert_eq!(left.len(), bare(TARGET, CLIENT, Flags::ACK).len() + 128);
}
