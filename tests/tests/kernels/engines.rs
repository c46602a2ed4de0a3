//! Both ways of capture, several workers, and a protocol module. On four emulated processors four workers really run at once.

use std::net::SocketAddr;
use std::time::Duration;

use lab::copier::{Capture, Options};
use lab::{Host, Topology, http, interrupt};

use super::copy::{complete, loads};

#[test]
fn af_xdp_direct() {
    with(Topology::Direct, Capture::AfXdp, "1");
}

#[test]
fn af_xdp_assistant() {
    with(Topology::Assistant, Capture::AfXdp, "1");
}

#[test]
fn four_workers_direct() {
    with(Topology::Direct, Capture::Ring, "4");
}

#[test]
fn four_workers_assistant() {
    with(Topology::Assistant, Capture::Ring, "4");
}

#[test]
fn four_workers_af_xdp() {
    with(Topology::Direct, Capture::AfXdp, "4");
}

#[test]
fn module_direct() {
    with_module(Topology::Direct);
}

#[test]
fn module_assistant() {
    with_module(Topology::Assistant);
}

/// Responses of both servers are recorded and reported whole.
fn with_module(topology: Topology) {
    let Some(stand) = super::stand(topology, &["nginx", "bpftool"]) else {
        return;
    };
    let listen: SocketAddr = ([127, 0, 0, 1], 9524).into();
    let mut options = stand.options().more("--listen").more(&listen.to_string());
    options.rules.push_str("/protocol=http1");
    complete(&stand, &options, &loads(), |_| {
        let namespace = stand.lab.namespace(Host::Online);
        let what = "payload of both servers' responses to be counted";
        interrupt::wait_until(what, Duration::from_secs(60), || {
            let text = http::get(&namespace, listen, "/metrics")?.body;
            let metric = "tcpcopy_response_payload_bytes_total{";
            let counted = |side: &str, result: &str| {
                let is_it = |line: &&str| {
                    let has = |it: &str| line.contains(&format!("\"{it}\""));
                    line.starts_with(metric) && has(side) && has(result)
                };
                text.lines()
                    .any(|line| is_it(&line) && !line.ends_with(" 0"))
            };
            for side in ["online", "target"] {
                assert!(!counted(side, "missing"), "{text}");
            }
            Ok(counted("online", "seen") && counted("target", "seen"))
        })
        .expect(what);
    });
}

fn with(topology: Topology, capture: Capture, workers: &str) {
    let Some(stand) = super::stand(topology, &["nginx", "bpftool"]) else {
        return;
    };
    let options = Options {
        capture,
        ..stand.options().more("--workers").more(workers)
    };
    complete(&stand, &options, &loads(), |_| {});
}
