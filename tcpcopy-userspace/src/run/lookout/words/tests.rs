//! What is said of each place that traffic takes.

use std::net::IpAddr;

use host::Route;
use wire::flow::{Addr, Endpoint};

use super::{Connection, Half, Listening, Scene, Sight, half, nothing};

fn through(name: &str) -> Option<Route> {
    Some(Route::Device {
        index: 3,
        name: name.to_owned(),
        next_hop: None,
        source: None,
        mtu: 1500,
    })
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn said_of_half(seen: Sight, route: Option<Route>, is_own: bool) -> String {
    let named = ["eth0".to_owned()];
    let is_looked_at = route == through("eth0");
    half(&Half {
        rule: "10.0.1.1:80 -> 10.0.2.2:80",
        seen,
        flows: 7,
        flow: Some((ip("10.0.1.2"), ip("10.0.1.1"), route)),
        is_own,
        is_looked_at,
        named: &named,
    })
}

#[test]
fn half_names_the_device_that_the_routing_table_names() {
    for (seen, route, is_own, expected) in [
        (Sight::Requests, through("eth2"), true, "-i eth0,eth2"),
        (Sight::Requests, through("eth0"), true, "firewall"),
        (Sight::Requests, through("eth0"), false, "-i eth0:mirror"),
        (Sight::Requests, through("eth0"), false, "-i eth0:host"),
        (
            Sight::Requests,
            Some(Route::Local { source: None }),
            true,
            "-i eth0,lo",
        ),
        (
            Sight::RequestsAndSomeAnswers,
            through("eth2"),
            true,
            "some clients",
        ),
        (Sight::Answers, through("eth2"), true, "-i eth0,eth2"),
        (Sight::Answers, through("eth0"), true, "-i eth0:host"),
        (Sight::Requests, None, true, "some 7 connections"),
    ] {
        let words = said_of_half(seen, route, is_own);
        assert!(words.contains(expected), "{words}");
        assert!(words.contains("10.0.1.1:80 -> 10.0.2.2:80"), "{words}");
    }
}

fn scene(service: &str, port: u16) -> Scene {
    let addr = match service {
        "" => Addr::UNSPECIFIED,
        named => ip(named).into(),
    };
    Scene {
        rules: vec![("the rule".to_owned(), Endpoint::new(addr, port))],
        rules_unnamed: 0,
        captured: vec![("eth0".to_owned(), Some("veth".to_owned()))],
        named: vec!["eth0".to_owned()],
        listening: Listening::Known(vec![
            "0.0.0.0:80".parse().expect("a socket"),
            "127.0.0.1:81".parse().expect("a socket"),
            "10.0.1.1:82".parse().expect("a socket"),
        ]),
        own: vec![ip("10.0.1.1"), ip("10.0.1.7"), ip("127.0.0.1")],
        connections: Vec::new(),
        tagged: 0,
        other_host: 0,
    }
}

#[test]
fn nothing_names_what_listens_where() {
    for (service, port, expected) in [
        (
            "",
            8080,
            "nobody listens on port 8080 of this host, but on 80, 81, 82",
        ),
        ("", 81, "-i lo"),
        (
            "10.0.1.7",
            82,
            "port 82 is listened to on 10.0.1.1, and -x names 10.0.1.7",
        ),
        ("10.0.1.7", 80, "port 80 is listened to on 0.0.0.0"),
        ("10.0.9.9", 80, "-i eth0:host"),
    ] {
        let words = nothing(&scene(service, port));
        assert!(words.contains(expected), "{words}");
    }
}

#[test]
fn nothing_names_where_clients_are_connected() {
    let connection = |here: &str, route| Connection {
        here: here.parse().expect("a socket"),
        there: "10.0.3.3:40000".parse().expect("a socket"),
        route,
    };
    let mut found = scene("10.0.1.1", 80);
    found.connections = vec![connection("10.0.1.1:80", through("eth5"))];
    assert!(nothing(&found).contains("-i eth5"), "{}", nothing(&found));
    found.connections = vec![connection("10.0.1.7:80", through("eth5"))];
    let words = nothing(&found);
    assert!(
        words.contains("is connected to 10.0.1.7:80, and -x names 10.0.1.1:80"),
        "{words}"
    );
}

#[test]
fn what_the_programs_left_out_is_told() {
    let mut found = scene("", 80);
    (found.tagged, found.other_host) = (5, 6);
    let words = nothing(&found);
    assert!(words.contains("5 packet(s) had a VLAN tag"), "{words}");
    assert!(words.contains("-i DEVICE:mirror"), "{words}");
}

#[test]
fn the_other_ways_to_name_a_device_are_named() {
    for (said, others) in [
        ("eth0", ["-i eth0:mirror", "-i eth0:host"]),
        ("eth0:host", ["-i eth0,", "-i eth0:mirror"]),
        ("eth0:mirror", ["-i eth0,", "-i eth0:host"]),
    ] {
        let words = super::other_places(&[said.to_owned()]);
        assert!(others.iter().all(|other| words.contains(other)), "{words}");
    }
    let named = ["eth0:host".to_owned(), "eth1".to_owned()];
    assert_eq!(super::and(&named, "eth0"), "eth0:host,eth1");
    assert_eq!(super::and(&named, "eth2"), "eth0:host,eth1,eth2");
}
