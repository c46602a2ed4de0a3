//! The port on a real veth pair. Needs root; says SKIP where there is none.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod namespace;
mod redirect;

use std::thread;
use std::time::{Duration, Instant};

use namespace::{ip, with_veth};
use nix::sys::socket::{getsockopt, sockopt};
use port::{Config, Mode, Port};
use redirect::Redirect;

/// An Ethernet type that no stack knows (IEEE 802 local experimental).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

fn config(interface: &str, queue: u32, tx_frames: u32, rx_frames: u32) -> Config {
    Config {
        interface: interface.into(),
        queue,
        tx_frames,
        rx_frames,
        frame_len: 2048,
        mode: Mode::Copy,
    }
}

/// A frame that tells its number, of a length and with bytes that follow from it.
fn write_frame(buffer: &mut [u8], number: u32) -> usize {
    let len = 60 + (number as usize * 7) % 1455;
    buffer[..len].fill(number.to_le_bytes()[0]);
    buffer[12..14].copy_from_slice(&ETHERTYPE);
    buffer[14..18].copy_from_slice(&number.to_be_bytes());
    len
}

fn check_frame(frame: &[u8], number: u32) {
    let mut expected = [0; 1514];
    let len = write_frame(&mut expected, number);
    assert!(frame == &expected[..len], "frame {number} arrived changed");
}

#[test]
fn sixty_thousand_frames_arrive_in_order_and_unchanged() {
    with_veth(1, || {
        const FRAMES: u32 = 60_000;
        // More at once would overflow the 256 slots of a veth.
        const AT_ONCE: u32 = 128;
        let mut sender = Port::open(&config("a0", 0, 512, 0)).unwrap();
        let mut receiver = Port::open(&config("b0", 0, 1, 512)).unwrap();
        let redirect = Redirect::attach("b0");
        redirect.set(0, &receiver);
        let (mut sent, mut received) = (0, 0);
        let deadline = Instant::now() + Duration::from_secs(60);
        while received < FRAMES {
            assert!(
                Instant::now() < deadline,
                "{received} of {sent} after a minute"
            );
            let budget = AT_ONCE.saturating_sub(sent - received) as usize;
            sender.transmit_with(budget, |buffer| {
                (sent < FRAMES).then(|| {
                    sent += 1;
                    write_frame(buffer, sent - 1)
                })
            });
            sender.kick().unwrap();
            sender.reap();
            receiver.receive_with(64, |frame| {
                check_frame(frame, received);
                received += 1;
            });
        }
        while sender.tx_in_flight() > 0 {
            assert!(
                Instant::now() < deadline,
                "{} frames do not come back",
                sender.tx_in_flight()
            );
            sender.reap();
        }
        let (out, into) = (sender.statistics().unwrap(), receiver.statistics().unwrap());
        assert_eq!(
            (
                out.queued,
                out.completed,
                out.tx_dropped,
                out.tx_invalid,
                out.disowned
            ),
            (60_000, 60_000, 0, 0, 0)
        );
        assert_eq!(
            (into.received, into.disowned, into.rx_invalid),
            (60_000, 0, 0)
        );
        assert_eq!(
            (into.rx_dropped, into.rx_ring_full, into.rx_fill_ring_empty),
            (0, 0, 0)
        );
        assert!(!sender.needs_kick());
    });
}

#[test]
fn every_queue_has_a_port_of_its_own() {
    with_veth(3, || {
        let redirect = Redirect::attach("b0");
        let mut pairs: Vec<(Port, Port)> = (0..3)
            .map(|queue| {
                let receiver = Port::open(&config("b0", queue, 1, 64)).unwrap();
                redirect.set(queue, &receiver);
                (Port::open(&config("a0", queue, 64, 0)).unwrap(), receiver)
            })
            .collect();
        for (number, (sender, receiver)) in (0..).zip(&mut pairs) {
            assert_eq!(
                sender.transmit_with(1, |buffer| Some(write_frame(buffer, number))),
                1
            );
            sender.kick().unwrap();
            let mut seen = 0;
            let deadline = Instant::now() + Duration::from_secs(5);
            while seen == 0 && Instant::now() < deadline {
                receiver.receive_with(8, |frame| {
                    check_frame(frame, number);
                    seen += 1;
                });
            }
            assert_eq!(seen, 1, "queue {number}");
        }
    });
}

#[test]
fn frames_run_out_and_come_back() {
    with_veth(1, || {
        let mut port = Port::open(&config("a0", 0, 100, 0)).unwrap();
        assert_eq!(port.tx_free(), 100);
        let send_buffer = getsockopt(&port, sockopt::SndBuf).unwrap();
        assert!(send_buffer >= 100 * 4096, "{send_buffer} bytes");
        let mut number = 0;
        let mut fill = |buffer: &mut [u8]| {
            number += 1;
            Some(write_frame(buffer, number))
        };
        assert_eq!(port.transmit_with(30, &mut fill), 30, "budget");
        assert_eq!(port.transmit_with(1000, &mut fill), 70, "no frame left");
        assert_eq!(port.transmit_with(1000, &mut fill), 0);
        assert_eq!((port.tx_in_flight(), port.tx_free()), (100, 0));
        assert!(port.needs_kick());
        port.kick().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while port.tx_in_flight() > 0 {
            assert!(
                Instant::now() < deadline,
                "{} in flight",
                port.tx_in_flight()
            );
            port.reap();
        }
        assert_eq!(port.transmit_with(10, |_| None), 0, "nothing to send");
        assert_eq!((port.tx_in_flight(), port.tx_free()), (0, 100));
    });
}

#[test]
fn a_queue_that_is_taken_is_waited_for() {
    with_veth(2, || {
        let first = Port::open(&config("a0", 0, 64, 0)).unwrap();
        Port::open(&config("a0", 1, 64, 0)).unwrap();
        let freed = thread::spawn(move || {
            thread::sleep(Duration::from_millis(600));
            drop(first);
        });
        let asked = Instant::now();
        let _second = Port::open(&config("a0", 0, 64, 0)).unwrap();
        assert!(asked.elapsed() >= Duration::from_millis(600));
        freed.join().unwrap();
        let error = Port::open(&config("a0", 0, 64, 0)).unwrap_err().to_string();
        assert!(
            error.contains("another process holds this queue"),
            "{error}"
        );
        assert!(asked.elapsed() >= Port::BUSY_RETRY_MAX);
    });
}

#[test]
fn errors_say_what_to_do() {
    with_veth(1, || {
        let refused = |config| Port::open(&config).unwrap_err().to_string();
        let error = refused(config("eth77", 0, 64, 0));
        assert!(
            error.contains("`eth77`") && error.contains("no such interface"),
            "{error}"
        );
        let error = refused(config("a0", 7, 64, 0));
        assert!(
            error.contains("queue 7 of `a0`") && error.contains("does not exist"),
            "{error}"
        );
        let error = refused(Config {
            mode: Mode::ZeroCopy,
            ..config("a0", 0, 64, 0)
        });
        assert!(error.contains("use copy mode"), "{error}");
        let error = refused(config("a-name-that-is-too-long", 0, 64, 0));
        assert!(error.contains("1 to 15 bytes"), "{error}");

        let mut port = Port::open(&config("a0", 0, 64, 64)).unwrap();
        ip("link set a0 down");
        assert_eq!(
            port.transmit_with(1, |buffer| Some(write_frame(buffer, 0))),
            1
        );
        let error = port.kick().unwrap_err().to_string();
        assert!(
            error.contains("cannot send through `a0`") && error.contains("up"),
            "{error}"
        );
        ip("link set a0 up");
        port.kick().unwrap();
        ip("link del a0");
        port.transmit_with(1, |buffer| Some(write_frame(buffer, 1)));
        assert!(port.kick().is_err(), "the device is gone");
    });
}
