//! Both ways of capture, and several workers. On four emulated processors four workers really run at once.

use lab::Topology;
use lab::copier::{Capture, Options};

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
