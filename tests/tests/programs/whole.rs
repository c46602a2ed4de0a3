//! Responses that a protocol module wants whole: those of rules that ask, and nobody else's.

use abi::counter::Counter;
use abi::maps;
use abi::record::{KIND_ONLINE, KIND_REPLY, RECORD_HEADER_LEN, SIZE_CLASSES, WHOLE_FRAME_LEN_MAX};
use programs::name::{ABSORB, CAPTURE, OBSERVE, OBSERVE_IN, OVERHEAR, REPLIES, SINK};
use wire::flow::{Endpoint, PoolRange};
use wire::tcp::Flags;

use crate::kernel::{DROP, Kernel, NEXT, REDIRECT, Settings, endpoint_bytes, only, skipped};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, bare, data, v6};

/// The longest payload that `BPF_PROG_TEST_RUN` takes, or a little less. What is longer: see [`crate::live`].
const PAYLOAD_MAX: usize = 3000;

/// Another service on the same port, and another target, which ask for nothing.
const PLAIN: Endpoint = Endpoint::new(wire::flow::Addr::v4([198, 51, 100, 2]), ONLINE.port);
const PLAIN_TARGET: Endpoint = Endpoint::new(wire::flow::Addr::v4([203, 0, 113, 6]), TARGET.port);

/// A pool of addresses that nobody else has.
fn pool_of(pool: Endpoint) -> PoolRange {
    PoolRange {
        prefix: pool.addr,
        ..POOL_RANGE
    }
}

/// What is asked for by [`ONLINE`] and [`TARGET`], with this global.
fn kernel(whole_responses: u32, ports: bool) -> Kernel {
    let mut kernel = Kernel::tcpcopy(&Settings {
        ports,
        globals: vec![(maps::GLOBAL_WHOLE_RESPONSES, whole_responses)],
        ..Settings::default()
    });
    for endpoint in [ONLINE, v6(ONLINE)] {
        kernel.whole_service(endpoint);
    }
    kernel.service(PLAIN);
    kernel.whole_replies(TARGET, &pool_of(POOL));
    kernel.whole_replies(v6(TARGET), &pool_of(v6(POOL)));
    kernel.replies_to(PLAIN_TARGET, &pool_of(POOL), maps::POOL_ALONE, 0);
    kernel
}

/// Each program with a packet's ends, the kind of its record, its verdict and what it counts.
type Way = (&'static str, Endpoint, Endpoint, u32, u32, [Counter; 2]);

fn ways(online: Endpoint, client: Endpoint, target: Endpoint, pool: Endpoint) -> Vec<Way> {
    let observed = [Counter::ObserveMatched, Counter::ObserveRecorded];
    let replied = [Counter::ReplyMatched, Counter::ReplyRecorded];
    let absorbed = [Counter::AbsorbMatched, Counter::AbsorbRecorded];
    vec![
        (OBSERVE, online, client, KIND_ONLINE, NEXT, observed),
        (OBSERVE_IN, online, client, KIND_ONLINE, NEXT, observed),
        (OVERHEAR, online, client, KIND_ONLINE, NEXT, observed),
        (CAPTURE, target, pool, KIND_REPLY, DROP, replied),
        (REPLIES, target, pool, KIND_REPLY, DROP, replied),
        (ABSORB, target, pool, KIND_REPLY, REDIRECT, absorbed),
    ]
}

fn lengths(headers: usize) -> Vec<usize> {
    let borders = SIZE_CLASSES.map(|class| class as usize - RECORD_HEADER_LEN);
    borders
        .into_iter()
        .flat_map(|len| [len, len + 1])
        .filter_map(|len| len.checked_sub(headers))
        .filter(|len| *len < PAYLOAD_MAX)
        .chain([0, 1, PAYLOAD_MAX])
        .collect()
}

#[test]
fn both_responses_are_recorded_whole_where_they_are_asked_for() {
    if skipped() {
        return;
    }
    for ports in [true, false] {
        let mut kernel = kernel(maps::WHOLE_ASKED, ports);
        let of_both = [
            ways(ONLINE, CLIENT, TARGET, POOL),
            ways(v6(ONLINE), v6(CLIENT), v6(TARGET), v6(POOL)),
        ];
        for (program, source, destination, kind, verdict, counters) in of_both.concat() {
            let headers = bare(source, destination, Flags::ACK).len() - 14;
            for (len, gso_size) in lengths(headers)
                .into_iter()
                .zip([0, 1448].into_iter().cycle())
            {
                let frame = data(source, destination, len);
                let outcome = kernel.tc_gso(program, &frame, gso_size);
                assert_eq!(outcome, (verdict, frame.clone()), "{program}");
                assert_eq!(kernel.counted(), only(&counters), "{program}");
                let records = kernel.records(0);
                assert_eq!(records.len(), 1, "{program}");
                assert_eq!((records[0].0.kind, records[0].0.gso_size), (kind, gso_size));
                assert!(records[0].1 == frame[14..], "{program}: {len} bytes differ");
            }
        }
    }
}

#[test]
fn others_on_the_same_ports_are_recorded_as_far_as_their_headers() {
    if skipped() {
        return;
    }
    for ports in [true, false] {
        let mut kernel = kernel(maps::WHOLE_ASKED, ports);
        for (program, source, destination, ..) in ways(PLAIN, CLIENT, PLAIN_TARGET, POOL) {
            let headers = bare(source, destination, Flags::ACK).len();
            let frame = data(source, destination, 1000);
            kernel.tc_gso(program, &frame, 1448);
            assert_eq!(kernel.records(0)[0].1, frame[14..headers], "{program}");
        }
    }
}

#[test]
fn nothing_is_whole_in_a_run_without_modules() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(maps::WHOLE_NONE, true);
    for (program, source, destination, ..) in ways(ONLINE, CLIENT, TARGET, POOL) {
        let headers = bare(source, destination, Flags::ACK).len();
        let frame = data(source, destination, 1000);
        kernel.tc_gso(program, &frame, 1448);
        assert_eq!(kernel.records(0)[0].1, frame[14..headers], "{program}");
    }
}

/// On devices that show packets of others a rule without an address means any, and its wish is that of its port.
#[test]
fn a_rule_without_an_address_asks_for_all_of_its_port() {
    if skipped() {
        return;
    }
    let elsewhere = Endpoint::new(wire::flow::Addr::v4([10, 9, 8, 7]), ONLINE.port);
    for asks in [false, true] {
        let mut kernel = kernel(maps::WHOLE_ASKED, true);
        if asks {
            kernel.whole_service_anywhere(ONLINE.port);
        } else {
            kernel.service_anywhere(ONLINE.port);
        }
        for program in [OBSERVE_IN, OVERHEAR] {
            for (online, whole) in [(elsewhere, asks), (ONLINE, true), (PLAIN, false)] {
                let frame = data(online, CLIENT, 1000);
                let headers = bare(online, CLIENT, Flags::ACK).len();
                kernel.tc(program, &frame);
                let kept = if whole { frame.len() } else { headers };
                assert_eq!(
                    kernel.records(0)[0].1,
                    frame[14..kept],
                    "{program} {online}"
                );
            }
        }
    }
}

/// A packet that says more than there is, is none of which all could be recorded.
#[test]
fn what_lies_about_its_length_is_recorded_as_far_as_its_headers() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(maps::WHOLE_ASKED, true);
    for (program, source, destination, ..) in ways(ONLINE, CLIENT, TARGET, POOL) {
        let headers = bare(source, destination, Flags::ACK).len();
        let mut frame = data(source, destination, 100);
        frame.truncate(headers + 50);
        kernel.tc(program, &frame);
        assert_eq!(kernel.records(0)[0].1, frame[14..headers], "{program}");
        // What Ethernet adds to a short frame is no payload.
        let frame = data(source, destination, 3);
        kernel.tc(program, &[&frame[..], b"padding"].concat());
        assert_eq!(kernel.records(0)[0].1, frame[14..], "{program}");
    }
}

/// Of each target as much as is wanted of that one, and of a frame that its socket could not take no more than a sample.
#[test]
fn sink_leaves_all_payload_of_targets_that_are_wanted_whole() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::intercept();
    for (place, target) in (0u32..).zip([TARGET, v6(TARGET), PLAIN_TARGET]) {
        kernel.insert(maps::TARGETS, endpoint_bytes(&target), place.to_ne_bytes());
    }
    for (place, wanted) in [(0, maps::WHOLE_REPLIES), (1, maps::WHOLE_REPLIES), (2, 16)] {
        kernel.want_payload_of(place, wanted);
    }
    for (target, client) in [(TARGET, CLIENT), (v6(TARGET), v6(CLIENT))] {
        let headers = bare(target, client, Flags::ACK).len();
        let longest = WHOLE_FRAME_LEN_MAX - headers;
        for len in [0, 1, 128, 1000, 1448, longest, longest + 1, 2500] {
            let frame = data(target, client, len);
            let (_, left) = kernel.xdp_out(SINK, &[&frame[..], b"padding"].concat());
            let kept = if len > longest { 128 } else { len };
            assert_eq!(left[8..], frame[8..headers + kept], "{len}");
        }
    }
    let frame = data(PLAIN_TARGET, CLIENT, 1000);
    let (_, left) = kernel.xdp_out(SINK, &frame);
    let headers = bare(PLAIN_TARGET, CLIENT, Flags::ACK).len();
    assert_eq!(left[8..], frame[8..headers + 16]);
}

#[test]
fn what_the_ring_has_no_room_for_is_counted() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings {
        ring_len: 4096,
        globals: vec![(maps::GLOBAL_WHOLE_RESPONSES, maps::WHOLE_ASKED)],
        ..Settings::default()
    });
    kernel.whole_service(ONLINE);
    kernel.whole_replies(TARGET, &pool_of(POOL));
    let full = [
        Counter::ObserveRingFull,
        Counter::ObserveRingFull,
        Counter::ObserveRingFull,
        Counter::ReplyRingFull,
        Counter::ReplyRingFull,
        Counter::AbsorbRingFull,
    ];
    for ((program, source, destination, _, verdict, _), full) in
        ways(ONLINE, CLIENT, TARGET, POOL).into_iter().zip(full)
    {
        let frame = data(source, destination, 1000);
        while kernel.tc(program, &frame) == verdict {
            if kernel.counted().contains_key(&full) {
                break;
            }
        }
        kernel.drain();
    }
}
