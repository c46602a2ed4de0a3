//! Emulated network cards for capture, egress and `intercept`: real drivers, with interrupts, offloads and XDP of their own.

use lab::copier::{Capture, Options};
use lab::{Host, Lab, Topology};
use tests::{Stand, figures};

use super::copy::{complete, loads};

#[test]
fn direct() {
    let Some(stand) = stand(Topology::Direct) else {
        return;
    };
    complete(&stand, &stand.options(), &loads(), |_| {});
}

#[test]
fn direct_af_xdp() {
    let Some(stand) = stand(Topology::Direct) else {
        return;
    };
    let options = Options {
        capture: Capture::AfXdp,
        ..stand.options()
    };
    complete(&stand, &options, &loads(), |_| {});
}

/// `intercept` says which mode of XDP the driver gave it.
#[test]
fn assistant() {
    let Some(stand) = stand(Topology::Assistant) else {
        return;
    };
    complete(&stand, &stand.options(), &loads(), |copier| {
        let intercept = copier.intercept.as_ref().expect("an intercept");
        let log = intercept.log();
        let told = log.lines().filter_map(|line| line.split_once("XDP mode "));
        let got = told
            .map(|(_, mode)| mode)
            .find(|mode| !mode.contains("does not work"));
        let got = got.unwrap_or_else(|| panic!("no XDP mode: {log}"));
        let native = if got.starts_with("generic") {
            "not native"
        } else {
            "native"
        };
        figures::note(&format!("intercept: XDP mode {got} ({native})"));
    });
}

/// A lab on the cards of this machine.
fn stand(topology: Topology) -> Option<Stand> {
    // In a machine of `cargo xtask vm` the cards are there, or come back from the lab before this one.
    if !figures::alone() && !Lab::has_devices() {
        return tests::stand::skip(
            "this machine has no emulated cards: `cargo xtask vm` makes one that has",
        );
    }
    let stand = super::stand(topology, &["nginx", "bpftool"])?;
    stand.lab.use_devices().expect("cards");
    let driver = stand.lab.run(Host::Online, "ethtool", &["-i", "eth0"]);
    let driver = driver.expect("ethtool");
    let name = driver.lines().next().unwrap_or_default();
    figures::note(&format!("online server and assistant: {name}"));
    Some(stand)
}
