//! A recording of a small load with whole responses: what was recorded is whole, is read again, and nothing of it is left.

use std::time::Duration;

use capture::{Files, Unwrapper};
use lab::{Host, Spec, Topology};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::copying::{check_clients, check_nothing_left};
use tests::{PORT, figures};
use wire::segment::Segment;

use super::copy::{check_kernel_is_clean, loads, run};

#[test]
fn whole_responses_are_recorded() {
    let Some(stand) = super::stand(Topology::Direct, &["nginx", "bpftool"]) else {
        return;
    };
    let file = stand.lab.folder().join("recorded.pcapng");
    let (port, name) = (PORT.to_string(), file.display().to_string());
    let mut online = stand.nginx(Host::Online);
    let spec = Spec::new("record", &stand.binaries.tcpcopy).args(["record", "-x", &port, "--json"]);
    let spec = spec.args(["--responses", "whole", "-o", &name]);
    let mut recorder = stand.lab.spawn(Host::Online, &spec).expect("a recorder");
    let ready = recorder.wait_for("into       ", Duration::from_secs(60));
    ready.unwrap_or_else(|error| panic!("{error}\n{}", recorder.log()));
    check_clients(&run(&stand, &loads()));
    let ended = recorder.stop(Signal::SIGINT, Duration::from_secs(60));
    assert!(ended.expect("it ends").success(), "{}", recorder.log());
    let told: Value = serde_json::from_str(&recorder.output()).expect("JSON");
    let requests = online.finish().expect("the log").len();

    let mut files = Files::open(&[file], false).expect("a capture");
    let (mut unwrapper, mut asked, mut answered) = (Unwrapper::new(), 0, 0);
    while let Some(frame) = files.next().expect("it is whole") {
        unwrapper.unwrap(&frame, &mut |packet| {
            assert_eq!(packet.missing, 0, "a packet is cut");
            let segment = Segment::parse(packet.bytes, 0).expect("a segment");
            let payload = &packet.bytes[usize::from(segment.payload_offset)..];
            asked += usize::from(payload.starts_with(b"GET "));
            answered += usize::from(payload.starts_with(b"HTTP/1.1 200"));
        });
    }
    assert_eq!((asked, answered), (requests, requests), "{told}");
    assert_eq!(told["lost_packets"], 0, "{told}");
    figures::note(&format!("{requests} requests recorded: {told}"));
    check_nothing_left(&stand);
    check_kernel_is_clean();
}
