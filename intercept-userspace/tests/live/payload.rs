//! Payload goes to those alone who ask for it.

use nix::sys::signal::Signal;

use crate::client::Client;
use crate::pair::{SECRET, with_pair};
use crate::process::Intercept;
use crate::{LINE, PORT, flow, target};

fn payloads(client: &Client) -> Vec<&[u8]> {
    client
        .reports
        .iter()
        .map(|seen| seen.payload.as_slice())
        .collect()
}

/// Whole segments of the sessions that it announced, and of no others; who asks for headers gets headers of its own.
#[test]
fn whole_replies_go_to_those_alone_who_ask_for_them() {
    with_pair(|pair| {
        for mode in ["copy", "generic"] {
            let intercept = Intercept::start(&format!("{LINE} --xdp-mode {mode}"));
            let mut none = Client::subscribe(PORT, &[target(80)]);
            let mut whole = Client::subscribe_whole(PORT, &[target(80)]);
            for (client, port) in [&mut none, &mut whole].into_iter().zip(1..) {
                client.open([flow(port)]);
                for payload in [0, 1, 1400, 1460] {
                    pair.send_segments(target(80), flow(port).client, payload, 1);
                }
            }
            for client in [&mut none, &mut whole] {
                client.until("the reports", |client| client.reports.len() >= 4);
                let lengths = client.reports.iter().map(|seen| seen.packet_len);
                assert!(lengths.eq([40, 41, 1440, 1500]), "{mode}");
            }
            assert_eq!(payloads(&none), [b""; 4], "{mode}");
            let lengths = payloads(&whole).into_iter().map(<[u8]>::len);
            assert!(lengths.eq([0, 1, 1400, 1460]), "{mode}");

            drop(whole);
            std::thread::sleep(std::time::Duration::from_millis(100));
            pair.send_segments(target(80), flow(1).client, 1400, 1);
            none.until("the report", |client| client.reports.len() >= 5);
            assert_eq!(payloads(&none), [b""; 5], "{mode}");
            let (_, log) = intercept.end(Signal::SIGTERM);
            assert!(
                log.contains("asks for all payload of the replies of"),
                "{log}"
            );
            assert!(!log.contains("residue"), "{log}");
        }
    });
}

/// In either mode, with segments that have none, less and more than is asked for, one of them longer than a frame.
#[test]
fn payload_goes_to_those_alone_who_ask_for_it() {
    with_pair(|pair| {
        for mode in ["copy", "generic"] {
            let intercept = Intercept::start(&format!("{LINE} --xdp-mode {mode}"));
            let mut none = Client::subscribe(PORT, &[target(80)]);
            let mut some = Client::subscribe_for(PORT, &[target(80)], 4);
            let mut most = Client::subscribe_for(PORT, &[target(80)], 128);
            for (client, port) in [&mut none, &mut some, &mut most].into_iter().zip(1..) {
                client.open([flow(port)]);
                for payload in [0, 1, 6, 1400] {
                    pair.send_segments(target(80), flow(port).client, payload, 1);
                }
            }
            for client in [&mut none, &mut some, &mut most] {
                client.until("the reports", |client| client.reports.len() >= 4);
                let lengths = client.reports.iter().map(|seen| seen.packet_len);
                assert!(lengths.eq([40, 41, 46, 1440]), "{mode}");
                assert!(client.reports.iter().all(|seen| seen.headers.len() == 40));
            }
            let long = SECRET.repeat(22);
            let all: [&[u8]; 4] = [b"", &SECRET[..1], SECRET, &long[..128]];
            assert_eq!(payloads(&none), [b""; 4], "{mode}");
            assert_eq!(payloads(&some), all.map(|all| &all[..all.len().min(4)]));
            assert_eq!(payloads(&most), all, "{mode}");

            // Those who asked are gone: nothing is left in place any more.
            drop((some, most));
            std::thread::sleep(std::time::Duration::from_millis(100));
            pair.send_segments(target(80), flow(1).client, 1400, 1);
            none.until("the report", |client| client.reports.len() >= 5);
            assert_eq!(payloads(&none), [b""; 5], "{mode}");
            let (_, log) = intercept.end(Signal::SIGTERM);
            assert!(
                log.contains("asks for the first 4 payload bytes of each reply"),
                "{log}"
            );
            assert!(!log.contains("residue"), "{log}");
        }
    });
}
