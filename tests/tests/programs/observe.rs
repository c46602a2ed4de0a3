//! `observe`.

use abi::counter::Counter;
use abi::maps;
use abi::record::KIND_ONLINE;
use wire::flow::Endpoint;
use wire::hash::EndpointHash;
use wire::tcp::Flags;

use crate::kernel::{Kernel, NEXT, Settings, only, skipped};
use crate::packet::{CLIENT, ONLINE, POOL, TARGET, bare, data, v6};

const OBSERVE: &str = programs::name::OBSERVE;
const RECORDED: [Counter; 2] = [Counter::ObserveMatched, Counter::ObserveRecorded];

#[test]
fn every_segment_of_a_service_is_recorded_without_its_payload() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings {
        workers: 2,
        ..Settings::default()
    });
    for endpoint in [ONLINE, v6(ONLINE)] {
        kernel.service(endpoint);
    }
    for (client, online) in [(CLIENT, ONLINE), (v6(CLIENT), v6(ONLINE))] {
        let worker = EndpointHash::new(0).owner(&client, 2) as usize;
        let acknowledged = Flags::SYN.with(Flags::ACK);
        for frame in [
            bare(online, client, acknowledged),
            bare(online, client, Flags::ACK),
            bare(online, client, Flags::RST),
            data(online, client, 2000),
        ] {
            let (verdict, after) = kernel.tc_gso(OBSERVE, &frame, 1448);
            assert_eq!((verdict, &after), (NEXT, &frame));
            assert_eq!(kernel.counted(), only(&RECORDED));
            let records = kernel.records(worker);
            let headers = if client == CLIENT { 52 } else { 72 };
            assert_eq!(
                (records[0].0.kind, records[0].0.gso_size),
                (KIND_ONLINE, 1448)
            );
            assert_eq!(records[0].1, frame[14..14 + headers]);
        }
    }
}

#[test]
fn what_is_not_ours_passes_uncounted() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    kernel.service(ONLINE);
    for (source, destination) in [
        (CLIENT, ONLINE),
        (Endpoint::new(ONLINE.addr, 81), CLIENT),
        (TARGET, POOL),
    ] {
        assert_eq!(kernel.tc(OBSERVE, &data(source, destination, 10)), NEXT);
    }
    assert_eq!(kernel.counted(), only(&[]));
}

#[test]
fn the_sample_is_that_of_capture() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings {
        globals: vec![(maps::GLOBAL_SAMPLE_SEED, 5)],
        ..Settings::default()
    });
    kernel.sample(wire::flow::SAMPLE_ALL / 3);
    kernel.service(ONLINE);
    let (mut sampled, mut left_out) = (0, 0);
    for port in 1024..1124 {
        let client = Endpoint::new(CLIENT.addr, port);
        assert_eq!(kernel.tc(OBSERVE, &data(ONLINE, client, 10)), NEXT);
        let observed = kernel.counted().contains_key(&Counter::ObserveRecorded);
        assert_eq!(
            kernel.tc(programs::name::CAPTURE, &data(client, ONLINE, 10)),
            NEXT
        );
        let captured = kernel.counted().contains_key(&Counter::CaptureRecorded);
        assert_eq!(observed, captured);
        if observed {
            sampled += 1;
        } else {
            left_out += 1;
        }
    }
    assert!(sampled > 15 && left_out > 40, "{sampled} {left_out}");
}
