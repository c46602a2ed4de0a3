//! `capture_out`, `observe_in`, `overhear` and `replies`: devices where packets pass another way.

use abi::counter::Counter;
use abi::record::{KIND_CLIENT, KIND_ONLINE, KIND_REPLY};
use programs::name::{CAPTURE, CAPTURE_OUT, OBSERVE, OBSERVE_IN, OVERHEAR, REPLIES, STEER};
use wire::flow::{Addr, Endpoint};
use wire::tcp::{COPY_MARK, Flags};

use crate::kernel::{DROP, Kernel, NEXT, Settings, only, skipped};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, bare, data, frame_of, header, v6};

const CLIENTS: [Counter; 2] = [Counter::CaptureMatched, Counter::CaptureRecorded];
const ANSWERS: [Counter; 2] = [Counter::ObserveMatched, Counter::ObserveRecorded];

fn kernel() -> Kernel {
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    for endpoint in [ONLINE, v6(ONLINE)] {
        kernel.service(endpoint);
    }
    kernel.replies(TARGET, &POOL_RANGE);
    kernel.copied_to(TARGET);
    kernel
}

/// What comes of a packet: verdict, and the kind and length of its record.
fn of(kernel: &mut Kernel, program: &str, frame: &[u8]) -> (u32, Option<(u32, usize)>) {
    let verdict = kernel.tc(program, frame);
    let mut records = kernel.records(0);
    assert!(records.len() < 2, "one packet, one record");
    let record = records.pop();
    (
        verdict,
        record.map(|(header, packet)| (header.kind, packet.len())),
    )
}

/// Each role at each hook: what a packet matches says what it is, and the hook says whether that passes here.
#[test]
fn a_role_follows_from_what_a_packet_matches() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    for (client, online) in [(CLIENT, ONLINE), (v6(CLIENT), v6(ONLINE))] {
        let request = data(client, online, 50);
        let response = data(online, client, 600);
        let (whole, headers) = (request.len() - 14, response.len() - 14 - 600);
        for (program, frame, record, counted) in [
            (CAPTURE, &request, Some((KIND_CLIENT, whole)), &CLIENTS[..]),
            (CAPTURE, &response, None, &[]),
            (OBSERVE, &response, Some((KIND_ONLINE, headers)), &ANSWERS),
            (OBSERVE, &request, None, &[]),
            (CAPTURE_OUT, &request, Some((KIND_CLIENT, whole)), &CLIENTS),
            (CAPTURE_OUT, &response, None, &[]),
            (
                OBSERVE_IN,
                &response,
                Some((KIND_ONLINE, headers)),
                &ANSWERS,
            ),
            (OBSERVE_IN, &request, None, &[]),
            (OVERHEAR, &request, Some((KIND_CLIENT, whole)), &CLIENTS),
            (OVERHEAR, &response, Some((KIND_ONLINE, headers)), &ANSWERS),
            (REPLIES, &request, None, &[]),
            (REPLIES, &response, None, &[]),
        ] {
            assert_eq!(of(&mut kernel, program, frame), (NEXT, record), "{program}");
            assert_eq!(kernel.counted(), only(counted), "{program}");
        }
    }
}

#[test]
fn a_reply_is_consumed_where_it_arrives_and_nowhere_else() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    kernel.service_anywhere(TARGET.port);
    let reply = data(TARGET, POOL, 600);
    for program in [OVERHEAR, CAPTURE_OUT, OBSERVE_IN] {
        assert_eq!(of(&mut kernel, program, &reply), (NEXT, None), "{program}");
        assert_eq!(kernel.counted(), only(&[]), "{program}");
    }
    for program in [REPLIES, CAPTURE] {
        let (verdict, record) = of(&mut kernel, program, &reply);
        assert_eq!((verdict, record.map(|it| it.0)), (DROP, Some(KIND_REPLY)));
        let counted = [Counter::ReplyMatched, Counter::ReplyRecorded];
        assert_eq!(kernel.counted(), only(&counted));
    }
    // What the target sends elsewhere is not for us.
    let elsewhere = data(TARGET, CLIENT, 600);
    assert_eq!(of(&mut kernel, REPLIES, &elsewhere), (NEXT, None));
}

#[test]
fn a_copy_is_never_a_clients() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    kernel.service_anywhere(TARGET.port);
    let copy = |to: Endpoint| {
        let mut copy = header(POOL, to, Flags::ACK.with(Flags::PSH));
        copy.urgent = COPY_MARK;
        frame_of(&copy, 50)
    };
    for program in [OVERHEAR, CAPTURE_OUT] {
        // To a service it would have to be somebody else's copy; to the target it is ours, and what is sent there without the
        // mark is not what clients ask the online server.
        assert_eq!(of(&mut kernel, program, &copy(ONLINE)), (NEXT, None));
        assert_eq!(kernel.counted(), only(&[Counter::CaptureMarked]));
        for frame in [copy(TARGET), data(CLIENT, TARGET, 50)] {
            assert_eq!(of(&mut kernel, program, &frame), (NEXT, None));
            assert_eq!(kernel.counted(), only(&[]));
        }
    }
}

/// A rule without an address: on this host's own devices its addresses, where others' packets are shown any but a target's.
#[test]
fn a_rule_without_an_address_means_any_where_others_are_shown() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    kernel.service_anywhere(ONLINE.port);
    let container = Endpoint::new(Addr::v4([172, 17, 0, 2]), ONLINE.port);
    let request = data(CLIENT, container, 50);
    let response = data(container, CLIENT, 50);
    for (program, frame, kind) in [
        (CAPTURE, &request, None),
        (OBSERVE, &response, None),
        (CAPTURE_OUT, &request, Some(KIND_CLIENT)),
        (OBSERVE_IN, &response, Some(KIND_ONLINE)),
        (OVERHEAR, &request, Some(KIND_CLIENT)),
        (OVERHEAR, &response, Some(KIND_ONLINE)),
        // What the container itself asks such a service elsewhere.
        (CAPTURE_OUT, &response, None),
        (OBSERVE_IN, &request, None),
    ] {
        let (verdict, record) = of(&mut kernel, program, frame);
        assert_eq!((verdict, record.map(|it| it.0)), (NEXT, kind), "{program}");
    }
    // A clone of such a packet finds its queue; what a target on this host answers leaves by the same device and is none.
    kernel.counted();
    kernel.tc(STEER, &request);
    assert_eq!(kernel.counted(), only(&[Counter::SteerFrames]));
    let pool = Endpoint::new(POOL.addr, 10_080);
    kernel.service_anywhere(pool.port);
    kernel.tc(STEER, &data(TARGET, pool, 50));
    assert_eq!(kernel.counted(), only(&[]));
    // Another port of the container is the target: its address alone is not left out.
    kernel.copied_to(Endpoint::new(container.addr, 8080));
    let (_, record) = of(&mut kernel, OVERHEAR, &request);
    assert_eq!(record.map(|it| it.0), Some(KIND_CLIENT));
    kernel.copied_to(container);
    assert_eq!(of(&mut kernel, OVERHEAR, &request), (NEXT, None));
}

#[test]
fn what_cannot_be_looked_at_passes_and_is_counted() {
    if skipped() {
        return;
    }
    let mut kernel = kernel();
    let mut fragment = data(CLIENT, ONLINE, 50);
    fragment[20] = 0x20;
    let mut short = data(CLIENT, ONLINE, 50);
    short.truncate(14 + 20 + 10);
    for (program, counters) in [
        (
            CAPTURE_OUT,
            [Counter::CaptureFragment, Counter::CaptureMalformed],
        ),
        (
            OVERHEAR,
            [Counter::CaptureFragment, Counter::CaptureMalformed],
        ),
        (
            OBSERVE_IN,
            [Counter::ObserveFragment, Counter::ObserveMalformed],
        ),
    ] {
        for (frame, counter) in [&fragment, &short].into_iter().zip(counters) {
            assert_eq!(of(&mut kernel, program, frame), (NEXT, None), "{program}");
            assert_eq!(kernel.counted(), only(&[counter]), "{program}");
        }
    }
    for frame in [&fragment, &short] {
        assert_eq!(of(&mut kernel, REPLIES, frame), (NEXT, None));
        assert_eq!(kernel.counted(), only(&[]));
    }
    let ack = bare(CLIENT, ONLINE, Flags::ACK);
    assert_eq!(of(&mut kernel, OVERHEAR, &ack), (NEXT, None));
    assert_eq!(kernel.counted(), only(&[Counter::CapturePureAck]));
}
