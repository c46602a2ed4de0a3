//! `capture`.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use abi::counter::Counter;
use abi::maps;
use abi::record::{KIND_CLIENT, KIND_REPLY, KIND_TOO_BIG, RECORD_HEADER_LEN, SIZE_CLASSES};
use nix::poll::{PollFd, PollFlags, poll};
use wire::flow::{Addr, Endpoint};
use wire::hash::EndpointHash;
use wire::ip::{self, PROTOCOL_ICMP, PROTOCOL_TCP};
use wire::tcp::{COPY_MARK, Flags};

use crate::kernel::{DROP, Kernel, NEXT, Settings, only, skipped};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, bare, data, frame_of, header, v6};

const CAPTURE: &str = programs::name::CAPTURE;

fn kernel(settings: &Settings) -> Kernel {
    let mut kernel = Kernel::tcpcopy(settings);
    for endpoint in [ONLINE, v6(ONLINE)] {
        kernel.service(endpoint);
    }
    kernel.replies(TARGET, &POOL_RANGE);
    kernel
}

const RECORDED: [Counter; 2] = [Counter::CaptureMatched, Counter::CaptureRecorded];

#[test]
fn a_clients_packet_is_recorded_whole_and_passes() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings::default());
    for (client, online) in [(CLIENT, ONLINE), (v6(CLIENT), v6(ONLINE))] {
        let overhead = data(client, online, 0).len() - 14;
        // The borders of the size classes that fit into a page, in bytes from the IP header on.
        let borders = SIZE_CLASSES.map(|class| class as usize - RECORD_HEADER_LEN);
        for len in borders.into_iter().flat_map(|len| [len, len + 1]) {
            if !(overhead + 1..3200).contains(&len) {
                continue;
            }
            let frame = data(client, online, len - overhead);
            assert_eq!(kernel.tc(CAPTURE, &frame), NEXT);
            assert_eq!(kernel.counted(), only(&RECORDED), "{len} bytes");
            let records = kernel.records(0);
            assert_eq!(records.len(), 1);
            assert_eq!(
                (
                    records[0].0.kind,
                    records[0].0.gso_size,
                    records[0].0.ifindex
                ),
                (KIND_CLIENT, 0, 1)
            );
            assert!(records[0].0.stamp_ns > 0);
            assert_eq!(records[0].1, frame[14..], "{len} bytes");
        }
    }
}

#[test]
fn the_padding_of_ethernet_is_not_recorded() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings::default());
    let mut frame = data(CLIENT, ONLINE, 1);
    let len = frame.len();
    frame.resize(len + 9, 0xee);
    assert_eq!(kernel.tc(CAPTURE, &frame), NEXT);
    assert_eq!(kernel.records(0)[0].1, frame[14..len]);
}

#[test]
fn a_super_packet_says_so() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings::default());
    let (verdict, _) = kernel.tc_gso(CAPTURE, &data(CLIENT, ONLINE, 2900), 1448);
    assert_eq!(verdict, NEXT);
    assert_eq!(kernel.records(0)[0].0.gso_size, 1448);
}

#[test]
fn bare_acknowledgements_and_copies_are_counted_only() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings::default());
    assert_eq!(kernel.tc(CAPTURE, &bare(CLIENT, ONLINE, Flags::ACK)), NEXT);
    assert_eq!(kernel.counted(), only(&[Counter::CapturePureAck]));
    let mut marked = header(CLIENT, ONLINE, Flags::ACK);
    marked.urgent = COPY_MARK;
    assert_eq!(kernel.tc(CAPTURE, &frame_of(&marked, 10)), NEXT);
    assert_eq!(kernel.counted(), only(&[Counter::CaptureMarked]));
    marked.flags = Flags::ACK.with(Flags::URG);
    assert_eq!(kernel.tc(CAPTURE, &frame_of(&marked, 10)), NEXT);
    assert_eq!(
        kernel.counted(),
        only(&RECORDED),
        "with URG it is urgent data of a client"
    );
    assert_eq!(kernel.records(0).len(), 1);
    for flags in [Flags::SYN, Flags::FIN.with(Flags::ACK), Flags::RST] {
        assert_eq!(kernel.tc(CAPTURE, &bare(CLIENT, ONLINE, flags)), NEXT);
        assert_eq!(kernel.counted(), only(&RECORDED), "{flags:?}");
    }
}

#[test]
fn a_recorder_beside_a_target_takes_copies_too() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings {
        globals: vec![(abi::maps::GLOBAL_TAKES_COPIES, 1)],
        ..Settings::default()
    });
    let mut marked = header(CLIENT, ONLINE, Flags::ACK);
    marked.urgent = COPY_MARK;
    assert_eq!(kernel.tc(CAPTURE, &frame_of(&marked, 10)), NEXT);
    assert_eq!(kernel.counted(), only(&RECORDED));
    assert_eq!(kernel.records(0).len(), 1);
}

#[test]
fn what_is_not_ours_passes_uncounted() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings::default());
    let other = Endpoint::new(ONLINE.addr, 81);
    let elsewhere = Endpoint::new(Addr::v4([198, 51, 100, 2]), 80);
    let outside_ports = Endpoint::new(POOL.addr, 20_000);
    let outside_addr = Endpoint::new(Addr::v4([198, 51, 100, 2]), POOL.port);
    for (source, destination) in [
        (CLIENT, other),
        (CLIENT, elsewhere),
        (TARGET, outside_ports),
        (TARGET, outside_addr),
        (Endpoint::new(TARGET.addr, 8081), POOL),
        (CLIENT, POOL),
    ] {
        assert_eq!(kernel.tc(CAPTURE, &data(source, destination, 10)), NEXT);
    }
    let mut arp = vec![0; 42];
    arp[12..14].copy_from_slice(&[8, 6]);
    assert_eq!(kernel.tc(CAPTURE, &arp), NEXT);
    let mut udp = data(CLIENT, ONLINE, 10);
    udp[14 + 9] = 17;
    assert_eq!(kernel.tc(CAPTURE, &udp), NEXT);
    assert_eq!(kernel.counted(), only(&[]));
    assert_eq!(kernel.records(0).len(), 0);
}

#[test]
fn a_flow_goes_to_the_ring_of_its_owner_and_all_or_none_of_it_is_sampled() {
    if skipped() {
        return;
    }
    // Another key, other owners.
    for hash_seed in [0, 0x5eed] {
        let mut kernel = kernel(&Settings {
            workers: 4,
            hash_seed,
            ..Settings::default()
        });
        let owners = EndpointHash::new(hash_seed);
        for port in 1024..1064 {
            let client = Endpoint::new(CLIENT.addr, port);
            assert_eq!(kernel.tc(CAPTURE, &data(client, ONLINE, 10)), NEXT);
            let owner = owners.owner(&client, 4) as usize;
            assert_eq!(kernel.records(owner).len(), 1);
        }
    }

    let threshold = wire::flow::SAMPLE_ALL / 2;
    let mut kernel = self::kernel(&Settings {
        globals: vec![(maps::GLOBAL_SAMPLE_SEED, 9)],
        ..Settings::default()
    });
    kernel.sample(threshold);
    for port in 1024..1064 {
        let client = Endpoint::new(CLIENT.addr, port);
        let flow = wire::flow::FlowKey {
            client,
            server: ONLINE,
        };
        let expected = if wire::flow::sampled(&flow, 9, threshold) {
            Counter::CaptureRecorded
        } else {
            Counter::CaptureSampledOut
        };
        assert_eq!(kernel.tc(CAPTURE, &data(client, ONLINE, 10)), NEXT);
        assert_eq!(kernel.counted(), only(&[Counter::CaptureMatched, expected]));
    }
}

#[test]
fn a_reply_is_recorded_without_its_payload_and_dropped() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings::default());
    let frame = data(TARGET, POOL, 500);
    assert_eq!(kernel.tc(CAPTURE, &frame), DROP);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::ReplyMatched, Counter::ReplyRecorded])
    );
    let records = kernel.records(0);
    assert_eq!(records[0].0.kind, KIND_REPLY);
    assert_eq!(records[0].1, frame[14..14 + 52]);
}

#[test]
fn a_full_ring_loses_records_and_nothing_else() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings {
        ring_len: 4096,
        ..Settings::default()
    });
    let (mut client, mut reply) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..100 {
        assert_eq!(kernel.tc(CAPTURE, &data(CLIENT, ONLINE, 50)), NEXT);
        add(&mut client, kernel.counted());
        assert_eq!(kernel.tc(CAPTURE, &data(TARGET, POOL, 50)), DROP);
        add(&mut reply, kernel.counted());
    }
    let records = kernel.records(0).len() as u64;
    assert_eq!(client[&Counter::CaptureMatched], 100);
    assert_eq!(
        client[&Counter::CaptureRecorded] + client[&Counter::CaptureRingFull],
        100
    );
    assert_eq!(
        reply[&Counter::ReplyRecorded] + reply[&Counter::ReplyRingFull],
        100
    );
    assert_eq!(
        client[&Counter::CaptureRecorded] + reply[&Counter::ReplyRecorded],
        records
    );
    assert_eq!(kernel.tc(CAPTURE, &data(CLIENT, ONLINE, 50)), NEXT);
    assert_eq!(kernel.counted(), only(&RECORDED), "there is room again");
}

fn add(sum: &mut BTreeMap<Counter, u64>, more: BTreeMap<Counter, u64>) {
    for (counter, n) in more {
        *sum.entry(counter).or_default() += n;
    }
}

#[test]
fn a_worker_is_woken_by_what_it_sleeps_for() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings::default());
    let (client, reply) = (data(CLIENT, ONLINE, 50), data(TARGET, POOL, 50));
    for (sleeping, frame, woken) in [
        (maps::ASLEEP, &client, true),
        (maps::ASLEEP, &reply, true),
        (maps::AWAKE, &client, false),
        (maps::ASLEEP_UNTIL_REPLY, &client, false),
        (maps::ASLEEP_UNTIL_REPLY, &reply, true),
    ] {
        kernel.set_sleeping(0, sleeping);
        let fd = kernel.ring_fd(0);
        let started = Instant::now();
        let reader = std::thread::spawn(move || {
            let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, 1000u16).expect("poll");
            started.elapsed()
        });
        std::thread::sleep(Duration::from_millis(200));
        kernel.tc(CAPTURE, frame);
        let waited = reader.join().expect("the reader");
        assert_eq!(waited < Duration::from_millis(900), woken, "{waited:?}");
        let left = if woken { maps::AWAKE } else { sleeping };
        assert_eq!(kernel.sleeping(0), left, "one wake-up is enough");
        assert_eq!(
            kernel.records(0).len(),
            1,
            "the wake-up itself is not a record"
        );
    }
}

#[test]
fn a_too_big_message_about_a_copy_is_recorded_and_passes() {
    if skipped() {
        return;
    }
    let mut kernel = kernel(&Settings::default());
    let message = |source: &Endpoint, destination: &Endpoint| {
        let mut frame = vec![0; 14 + 56];
        frame[12] = 8;
        let packet = &mut frame[14..];
        ip::emit(
            packet,
            &Addr::v4([10, 0, 0, 9]),
            &source.addr,
            PROTOCOL_ICMP,
            36,
        );
        packet[20..28].copy_from_slice(&[3, 4, 0, 0, 0, 0, 0x05, 0x78]);
        ip::emit(
            &mut packet[28..],
            &source.addr,
            &destination.addr,
            PROTOCOL_TCP,
            1400,
        );
        packet[48..50].copy_from_slice(&source.port.to_be_bytes());
        packet[50..52].copy_from_slice(&destination.port.to_be_bytes());
        frame
    };
    let ours = message(&POOL, &TARGET);
    assert_eq!(kernel.tc(CAPTURE, &ours), NEXT);
    assert_eq!(kernel.counted(), only(&[Counter::ReplyTooBig]));
    let records = kernel.records(0);
    assert_eq!(
        (records[0].0.kind, &records[0].1[..]),
        (KIND_TOO_BIG, &ours[14..])
    );

    for other in [message(&ONLINE, &CLIENT), message(&TARGET, &POOL)] {
        assert_eq!(kernel.tc(CAPTURE, &other), NEXT);
    }
    let mut echo = ours;
    echo[34] = 8;
    assert_eq!(kernel.tc(CAPTURE, &echo), NEXT);
    assert_eq!(kernel.counted(), only(&[]));
}

#[test]
fn a_clone_that_cannot_be_made_is_counted() {
    if skipped() {
        return;
    }
    let cloning = |mtu| Settings {
        globals: vec![
            (maps::GLOBAL_CLONE_IFINDEX, 0x7fff_fff0),
            (maps::GLOBAL_CLONE_MTU, mtu),
        ],
        ..Settings::default()
    };
    let mut kernel = self::kernel(&cloning(1500));
    assert_eq!(kernel.tc(CAPTURE, &data(CLIENT, ONLINE, 50)), NEXT);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::CaptureMatched, Counter::CaptureCloneFailed])
    );
    assert_eq!(kernel.tc(CAPTURE, &data(CLIENT, ONLINE, 1449)), NEXT);
    assert_eq!(
        kernel.counted(),
        only(&[Counter::CaptureMatched, Counter::CaptureCloneTooBig])
    );
    // A super-packet is as large as its segments.
    assert_eq!(
        kernel.tc_gso(CAPTURE, &data(CLIENT, ONLINE, 2896), 1448).0,
        NEXT
    );
    assert_eq!(
        kernel.counted(),
        only(&[Counter::CaptureMatched, Counter::CaptureCloneFailed])
    );
    assert_eq!(
        kernel.tc_gso(CAPTURE, &data(CLIENT, ONLINE, 2896), 1449).0,
        NEXT
    );
    assert_eq!(
        kernel.counted(),
        only(&[Counter::CaptureMatched, Counter::CaptureCloneTooBig])
    );
}
