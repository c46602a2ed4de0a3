//! A way to the target that delays packets by turns, changes their order or loses some: every request arrives all the same.

use lab::copier::Options;
use lab::{Host, Topology};
use tests::Stand;

use super::copy::{complete, loads};

/// The switch's port to the target: what leaves by it are copies.
const PORT: &str = "target-eth0";

#[test]
fn delay_with_jitter() {
    let Some(stand) = slow(&["delay", "20ms", "10ms"]) else {
        return;
    };
    copied(&stand);
}

#[test]
fn reorder() {
    let Some(stand) = slow(&["delay", "10ms", "reorder", "25%", "50%"]) else {
        return;
    };
    copied(&stand);
}

#[test]
fn loss_of_1_percent() {
    let Some(stand) = slow(&["loss", "1%"]) else {
        return;
    };
    copied(&stand);
    let told = stand
        .lab
        .run(Host::Switch, "tc", &["-s", "qdisc", "show", "dev", PORT])
        .expect("tc");
    assert!(!told.contains("dropped 0,"), "nothing was lost: {told}");
}

/// A lab in which the way to the target is bad.
fn slow(how: &[&str]) -> Option<Stand> {
    let stand = super::stand(Topology::Direct, &["nginx", "bpftool", "tc"])?;
    let mut arguments = vec!["qdisc", "add", "dev", PORT, "root", "netem"];
    arguments.extend(how);
    let made = stand.lab.run(Host::Switch, "tc", &arguments);
    made.expect("netem, which this kernel may lack");
    Some(stand)
}

fn copied(stand: &Stand) {
    let options: Options = stand.options();
    complete(stand, &options, &loads(), |_| {});
}
