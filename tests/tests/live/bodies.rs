//! Bodies of requests: the target must have received the same bytes, whatever the segments looked like on the way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lab::command::spec_of;
use lab::copier::{Capture, Copier, Options};
use lab::service::{Entry, read_record};
use lab::{Host, Process, Topology, Way};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, finish};
use tests::{Clients, PORT, Stand, check_nothing_left};

/// The built-in service, which keeps the digest of each body.
pub(super) struct Service(Process, PathBuf);

impl Service {
    pub(super) fn start(stand: &Stand, host: Host) -> Self {
        Self::start_with(stand, host, &[])
    }

    pub(super) fn start_with(stand: &Stand, host: Host, more: &[&str]) -> Self {
        let address = host.address().expect("a host with an address");
        Self::start_at(stand, host, (address, PORT).into(), more)
    }

    pub(super) fn start_at(stand: &Stand, host: Host, listen: SocketAddr, more: &[&str]) -> Self {
        Self::start_as(stand, host, &host.name(), listen, more)
    }

    /// Under a name of its own: a second one on the same host.
    pub(super) fn start_named(stand: &Stand, host: Host, name: &str, listen: SocketAddr) -> Self {
        Self::start_as(stand, host, name, listen, &[])
    }

    fn start_as(stand: &Stand, host: Host, name: &str, listen: SocketAddr, more: &[&str]) -> Self {
        let record = stand.lab.folder().join(format!("{name}.record"));
        let spec = spec_of(stand.part(), &format!("service-{name}"), "serve");
        let spec = spec.args([
            "--listen",
            &listen.to_string(),
            "--record",
            &record.display().to_string(),
        ]);
        let spec = spec.args(more.iter().copied());
        let mut process = stand.lab.spawn(host, &spec).expect("the service");
        process
            .wait_for("ready", Duration::from_secs(5))
            .expect("the service");
        Self(process, record)
    }

    pub(super) fn finish(mut self) -> BTreeMap<u64, Vec<Entry>> {
        self.0
            .stop(Signal::SIGTERM, Duration::from_secs(5))
            .expect("the service ends");
        let mut entries: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
        for entry in read_record(&self.1).expect("the record") {
            entries.entry(entry.id).or_default().push(entry);
        }
        entries
    }
}

fn posted(topology: Topology, clients: &Clients, offloads: bool) {
    posted_by(Capture::Ring, topology, clients, offloads, None);
}

/// `loss` is a direction in which packets get lost, and the probability.
fn posted_by(
    capture: Capture,
    topology: Topology,
    clients: &Clients,
    offloads: bool,
    loss: Option<(Way, f64)>,
) {
    let needed: &[&str] = if loss.is_some() { &["iptables"] } else { &[] };
    let Some(stand) = super::stand_with(topology, needed) else {
        return;
    };
    for (host, interface) in [
        (Host::Client, "eth0"),
        (Host::Online, "eth0"),
        (Host::Online, "eth1"),
        (Host::Target, "eth0"),
    ] {
        stand
            .lab
            .namespace(host)
            .set_offloads(interface, offloads)
            .expect("ethtool");
    }
    let (online, target) = (
        Service::start(&stand, Host::Online),
        Service::start(&stand, Host::Target),
    );
    let options = Options {
        capture,
        ..stand.options()
    };
    let mut copier = Copier::start(&stand.lab, &stand.binaries, &options)
        .unwrap_or_else(|error| panic!("{error}"));
    if let Some((way, probability)) = loss {
        stand.lab.lose(way, probability).expect("iptables");
    }
    let report = clients.run(&stand);
    let summary = finish(&mut copier);
    if let Some((way, _)) = loss {
        let lost = stand.lab.lost(way).expect("iptables");
        eprintln!(
            "{lost} packets lost; {} of {} segments sent again, {} timeouts, {} tail loss probes; lag {}",
            summary.count("/engine/segments_retransmitted"),
            summary.count("/engine/segments_sent"),
            summary.count("/engine/retransmission_timeouts"),
            summary.count("/engine/tail_probes"),
            summary.value()["latency_us"]["lag"],
        );
        assert!(lost > 0, "nothing was lost");
        stand.lab.lose_no_more(way).expect("iptables");
    }
    let (online, target) = (online.finish(), target.finish());
    check_clients(&report);
    check_books(&summary);
    for (id, entries) in &online {
        assert_eq!(
            target.get(id),
            Some(entries),
            "request {id:016x} differs; {}",
            summary.ledger()
        );
    }
    assert_eq!(
        online.len(),
        target.len(),
        "the target has seen others; {}",
        summary.ledger()
    );
    assert_eq!(
        summary.answered(),
        summary.captured(),
        "{}",
        summary.ledger()
    );
    check_nothing_left(&stand);
}

fn small() -> Clients {
    Clients::keep_alive(20, 500, 2)
        .long(5)
        .and(&["--body", "8000"])
}

fn medium() -> Clients {
    Clients::keep_alive(10, 50, 2)
        .long(5)
        .and(&["--body", "200000"])
}

fn large() -> Clients {
    Clients::keep_alive(2, 4, 2)
        .long(5)
        .and(&["--body", "4000000"])
}

#[test]
fn post_8_kb_direct() {
    posted(Topology::Direct, &small(), true);
}

#[test]
fn post_8_kb_without_offloads_direct() {
    posted(Topology::Direct, &small(), false);
}

#[test]
fn post_200_kb_direct() {
    posted(Topology::Direct, &medium(), true);
}

#[test]
fn post_200_kb_without_offloads_direct() {
    posted(Topology::Direct, &medium(), false);
}

#[test]
fn post_4_mb_direct() {
    posted(Topology::Direct, &large(), true);
}

#[test]
fn post_4_mb_without_offloads_direct() {
    posted(Topology::Direct, &large(), false);
}

#[test]
fn post_200_kb_assistant() {
    posted(Topology::Assistant, &medium(), true);
}

#[test]
fn post_4_mb_assistant() {
    posted(Topology::Assistant, &large(), true);
}

#[test]
fn post_short_connections_direct() {
    posted(
        Topology::Direct,
        &Clients::short(200, 2).long(5).and(&["--body", "20000"]),
        true,
    );
}

/// Super-packets of the clients are cut up again on their way through the private device.
#[test]
fn post_200_kb_af_xdp() {
    posted_by(Capture::AfXdp, Topology::Direct, &medium(), true, None);
}

#[test]
fn post_200_kb_without_offloads_af_xdp() {
    posted_by(Capture::AfXdp, Topology::Direct, &medium(), false, None);
}

/// Several losses in one flight: what the target holds is not sent again, and hardly any of them waits for a timeout.
#[test]
fn post_200_kb_with_loss_towards_the_target_direct() {
    let loss = Some((Way::ToTarget, 0.02));
    posted_by(Capture::Ring, Topology::Direct, &medium(), false, loss);
}

#[test]
fn post_200_kb_with_loss_from_the_target_direct() {
    let loss = Some((Way::FromTarget, 0.02));
    posted_by(Capture::Ring, Topology::Direct, &medium(), false, loss);
}
