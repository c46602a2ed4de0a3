//! Packets that get lost on the wire: every turn is answered all the same, within the drain.
//!
//! The shares are those of lossy mobile and long-distance paths: 0.1 %, 1 % and 5 % of the packets of one direction, or
//! of both between clients and online server. All shares with all loads: `cargo xtask bench --only loss`.

use lab::{Host, Topology, Way};
use tests::copying::{finish, start};
use tests::{Clients, check_complete, check_nothing_left};

const TO_TARGET: &[Way] = &[Way::ToTarget];
const FROM_TARGET: &[Way] = &[Way::FromTarget];
/// Between clients and online server.
const CLIENTS: &[Way] = &[Way::ToOnline, Way::FromOnline];

/// 50 connections, 20 requests per second on each.
fn keep_alive() -> Clients {
    Clients::keep_alive(50, 1000, 3).long(5)
}

fn short() -> Clients {
    Clients::short(500, 3).long(5)
}

fn lossy(topology: Topology, ways: &[Way], probability: f64, offloads: bool, clients: &Clients) {
    let Some(stand) = super::stand_with(topology, &["nginx", "iptables"]) else {
        return;
    };
    stand.lab.insert_wire().expect("a bridge");
    if !offloads {
        for (host, interface) in [
            (Host::Client, "eth0"),
            (Host::Online, "eth0"),
            (Host::Online, "eth1"),
            (Host::Target, "eth0"),
        ] {
            let namespace = stand.lab.namespace(host);
            namespace.set_offloads(interface, false).expect("ethtool");
        }
    }
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    for way in ways {
        stand.lab.lose(*way, probability).expect("iptables");
    }
    let report = clients.run(&stand);
    let summary = finish(&mut copier);
    let lost = stand.lab.lost(ways[0]).expect("iptables");
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    eprintln!(
        "{lost} packets lost, {} segments sent again, {} timeouts; lag {}; {}",
        summary.count("/engine/segments_retransmitted"),
        summary.count("/engine/retransmission_timeouts"),
        summary.value()["latency_us"]["lag"],
        summary.ledger(),
    );
    assert!(lost > 0, "nothing was lost");
    check_complete(&report, &online, &target, &summary);
    stand.lab.lose_no_more(ways[0]).expect("iptables");
    check_nothing_left(&stand);
}

#[test]
fn loss_of_1_percent_towards_the_target_direct() {
    lossy(Topology::Direct, TO_TARGET, 0.01, true, &keep_alive());
}

#[test]
fn loss_of_1_percent_towards_the_target_short_direct() {
    lossy(Topology::Direct, TO_TARGET, 0.01, false, &short());
}

#[test]
fn loss_of_5_percent_towards_the_target_direct() {
    lossy(Topology::Direct, TO_TARGET, 0.05, false, &keep_alive());
}

#[test]
fn loss_of_1_percent_from_the_target_direct() {
    lossy(Topology::Direct, FROM_TARGET, 0.01, true, &keep_alive());
}

#[test]
fn loss_of_1_percent_from_the_target_short_direct() {
    lossy(Topology::Direct, FROM_TARGET, 0.01, false, &short());
}

#[test]
fn loss_of_5_percent_from_the_target_assistant() {
    lossy(Topology::Assistant, FROM_TARGET, 0.05, true, &keep_alive());
}

#[test]
fn loss_of_1_percent_between_clients_and_online_server_direct() {
    lossy(Topology::Direct, CLIENTS, 0.01, true, &keep_alive());
}

#[test]
fn loss_of_1_percent_between_clients_and_online_server_short_assistant() {
    lossy(Topology::Assistant, CLIENTS, 0.01, true, &short());
}

#[test]
fn loss_of_5_percent_between_clients_and_online_server_direct() {
    lossy(Topology::Direct, CLIENTS, 0.05, true, &keep_alive());
}
