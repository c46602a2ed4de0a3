//! Programs attached to a device: sizes and layouts of socket buffers that `BPF_PROG_TEST_RUN` cannot make.

use std::thread;
use std::time::Duration;

use abi::counter::Counter;
use abi::maps;
use abi::record::{RECORD_HEADER_LEN, SIZE_CLASSES};
use aya::programs::TcAttachType;
use aya::programs::links::LinkOrder;
use aya::programs::tc::{NlOptions, TcAttachOptions, qdisc_add_clsact};
use programs::name::{ABSORB, CAPTURE, OBSERVE};

use crate::kernel::{Kernel, Settings, only, skipped};
use crate::link::Link;
use crate::oracle;
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, data, v6};

fn attached(name: &str, hook: TcAttachType) -> (Link, Kernel) {
    attached_with(name, hook, &Settings::default())
}

fn attached_with(name: &str, hook: TcAttachType, settings: &Settings) -> (Link, Kernel) {
    let link = Link::new();
    let mut kernel = Kernel::tcpcopy(settings);
    for endpoint in [ONLINE, v6(ONLINE)] {
        kernel.service(endpoint);
    }
    kernel.replies(TARGET, &POOL_RANGE);
    let program = kernel.program(name);
    let first = TcAttachOptions::TcxOrder(LinkOrder::first());
    if program.attach_with_options("lo", hook, first).is_err() {
        // A kernel before 6.6 has no tcx.
        qdisc_add_clsact("lo").expect("a qdisc for filters");
        let first = TcAttachOptions::Netlink(NlOptions {
            priority: 1,
            handle: 1.into(),
            ..NlOptions::default()
        });
        program
            .attach_with_options("lo", hook, first)
            .expect("attach to lo");
    }
    (link, kernel)
}

/// Loopback delivers from a softirq: nearly always before `send` returns.
fn settle() {
    thread::sleep(Duration::from_millis(2));
}

/// Runs in a thread of its own, whose namespace ends with it.
fn in_a_thread(test: impl FnOnce() + Send + 'static) {
    if skipped() {
        return;
    }
    if let Err(panic) = thread::spawn(test).join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn super_packets_of_every_size_are_recorded_whole() {
    in_a_thread(|| {
        let (link, mut kernel) = attached(CAPTURE, TcAttachType::Ingress);
        for (client, online) in [(CLIENT, ONLINE), (v6(CLIENT), v6(ONLINE))] {
            let overhead = data(client, online, 0).len() - 14;
            let borders = SIZE_CLASSES.map(|class| class as usize - RECORD_HEADER_LEN);
            let lengths = borders.into_iter().flat_map(|len| [len, len + 1]);
            for len in lengths
                .filter(|len| (2000..=65_500).contains(len))
                .chain([65_500])
            {
                let frame = data(client, online, len - overhead);
                link.send(&frame).expect("sent");
                settle();
                assert_eq!(
                    kernel.counted(),
                    only(&[Counter::CaptureMatched, Counter::CaptureRecorded]),
                    "{len}"
                );
                let records = kernel.records(0);
                assert_eq!(records.len(), 1);
                assert!(records[0].1 == frame[14..], "{len} bytes differ");
            }
        }
    });
}

/// Responses as well, of services and targets that a protocol module is asked for, from wherever their bytes lie.
#[test]
fn super_packets_of_responses_are_recorded_whole_where_a_module_asks() {
    in_a_thread(|| {
        let settings = Settings {
            globals: vec![(maps::GLOBAL_WHOLE_RESPONSES, maps::WHOLE_ASKED)],
            ..Settings::default()
        };
        let replied = [Counter::ReplyMatched, Counter::ReplyRecorded];
        let observed = [Counter::ObserveMatched, Counter::ObserveRecorded];
        let (ingress, egress) = (TcAttachType::Ingress, TcAttachType::Egress);
        for (program, hook, from, to, counters) in [
            (CAPTURE, ingress, TARGET, POOL, replied),
            (OBSERVE, egress, ONLINE, CLIENT, observed),
        ] {
            let (link, mut kernel) = attached_with(program, hook, &settings);
            kernel.whole_service(ONLINE);
            let pool = wire::flow::PoolRange {
                prefix: POOL.addr,
                ..POOL_RANGE
            };
            kernel.whole_replies(TARGET, &pool);
            for len in [1, 1448, 3000, 20_000, 40_000, 65_400] {
                let frame = data(from, to, len);
                for linear in [14, 40, 66, 100] {
                    let linear = linear.min(frame.len() as u16);
                    link.send_scattered(&frame, linear).expect("sent");
                    settle();
                    assert_eq!(
                        kernel.counted(),
                        only(&counters),
                        "{program} {len} {linear}"
                    );
                    let records = kernel.records(0);
                    assert!(records[0].1 == frame[14..], "{program}: {len} bytes differ");
                }
            }
        }
    });
}

#[test]
fn headers_outside_the_linear_part_are_found() {
    in_a_thread(|| {
        let (link, mut kernel) = attached(CAPTURE, TcAttachType::Ingress);
        for (client, online) in [(CLIENT, ONLINE), (v6(CLIENT), v6(ONLINE))] {
            let frame = data(client, online, 6000);
            for linear in [14, 15, 20, 33, 34, 40, 53, 54, 73, 74, 120] {
                link.send_scattered(&frame, linear).expect("sent");
                settle();
                assert_eq!(
                    kernel.counted(),
                    only(&[Counter::CaptureMatched, Counter::CaptureRecorded]),
                    "{linear}"
                );
                assert!(
                    kernel.records(0)[0].1 == frame[14..],
                    "{linear} linear bytes"
                );
            }
        }
        let reply = data(TARGET, POOL, 6000);
        for linear in [14, 20, 40] {
            link.send_scattered(&reply, linear).expect("sent");
            settle();
            assert_eq!(
                kernel.counted(),
                only(&[Counter::ReplyMatched, Counter::ReplyRecorded])
            );
            assert_eq!(kernel.records(0)[0].1, reply[14..14 + 52]);
        }
    });
}

/// Headers and payload in pages of their own, one segment or a super-packet: as a service leaves them that sends a file.
#[test]
fn a_sample_outside_the_linear_part_is_found() {
    in_a_thread(|| {
        let settings = Settings {
            globals: vec![(maps::GLOBAL_SAMPLE_LEN, 100)],
            ..Settings::default()
        };
        let (link, mut kernel) = attached_with(OBSERVE, TcAttachType::Egress, &settings);
        for (client, online) in [(CLIENT, ONLINE), (v6(CLIENT), v6(ONLINE))] {
            let headers = data(online, client, 0).len() - 14;
            for len in [0, 1, 99, 100, 101, 6000, 40_000] {
                let frame = data(online, client, len);
                let kept = headers + len.min(100);
                for linear in [14, 34, 14 + headers, 14 + headers + 50, frame.len()] {
                    link.send_scattered(&frame, linear.min(frame.len()) as u16)
                        .expect("sent");
                    settle();
                    assert_eq!(
                        kernel.counted(),
                        only(&[Counter::ObserveMatched, Counter::ObserveRecorded])
                    );
                    assert_eq!(kernel.records(0)[0].1, frame[14..14 + kept]);
                }
            }
        }
    });
}

#[test]
fn truncated_frames_are_counted_and_pass() {
    in_a_thread(|| {
        let (link, mut kernel) = attached(CAPTURE, TcAttachType::Ingress);
        for frame in [
            data(CLIENT, ONLINE, 10),
            data(v6(CLIENT), v6(ONLINE), 10),
            data(TARGET, POOL, 10),
        ] {
            for len in 14..frame.len() {
                link.send(&frame[..len]).expect("sent");
                settle();
                assert_eq!(
                    kernel.counted(),
                    oracle::capture(&frame[..len]).1,
                    "cut to {len}"
                );
            }
        }
    });
}

#[test]
fn a_vlans_packet_is_left_to_its_device_and_a_priority_is_no_vlan() {
    in_a_thread(|| {
        let (link, mut kernel) = attached(CAPTURE, TcAttachType::Ingress);
        let untagged = data(CLIENT, ONLINE, 10);
        let recorded = only(&[Counter::CaptureMatched, Counter::CaptureRecorded]);
        for (vlan, expected) in [
            ([0, 7], only(&[Counter::CaptureVlan])),
            ([0xe0, 0], recorded),
        ] {
            let mut frame = untagged.clone();
            frame.splice(12..12, [0x81, 0, vlan[0], vlan[1]]);
            link.send(&frame).expect("sent");
            settle();
            assert_eq!(kernel.counted(), expected, "{vlan:?}");
        }
        assert_eq!(kernel.records(0)[0].1, untagged[14..]);
    });
}

#[test]
fn a_sender_does_not_hear_that_its_reply_was_absorbed() {
    in_a_thread(|| {
        let (link, mut kernel) = attached(ABSORB, TcAttachType::Egress);
        // A drop would be ENOBUFS here, and congestion to TCP.
        link.send(&data(TARGET, POOL, 100)).expect("no error");
        settle();
        assert_eq!(
            kernel.counted(),
            only(&[Counter::AbsorbMatched, Counter::AbsorbRecorded])
        );
        assert_eq!(kernel.records(0).len(), 1);
    });
}
