//! Tables of command lines on a host that exists on paper only.

mod mistakes;
mod places;
mod pools;
mod tcpcopy;

use std::net::IpAddr;

use clap::Parser;
use host::address::Own;
use host::exits::Exits;
use host::interface::Framing;
use host::kernel::Tcx;
use host::{Firewall, Interface, Route};
use session::Source;
use telemetry::Mode;
use wire::flow::{Addr, Endpoint, FlowKey, SAMPLE_ALL};

use super::facts::Facts;
use super::pool::home;
use super::{Hook, Plan, Refusal};
use crate::args::Args;

fn interface(index: u32, name: &str, framing: Framing, up: bool) -> Interface {
    Interface {
        index,
        name: name.to_owned(),
        up,
        promiscuous: false,
        framing,
        mtu: 1500,
        tx_queues: 1,
        rx_queues: 1,
        mac: None,
        alias: None,
        kind: None,
        xdp: None,
    }
}

fn own(address: &str, interface_index: u32) -> Own {
    Own {
        address: address.parse().unwrap(),
        prefix_len: 24,
        interface_index,
    }
}

fn device(index: u32, name: &str, source: &str) -> Route {
    Route::Device {
        index,
        name: name.to_owned(),
        next_hop: None,
        source: source.parse().ok(),
        mtu: 1500,
    }
}

/// eth0 10.0.0.1 and fd00::1 (clients), eth1 10.1.0.1 (targets), eth2 down, tun0, lo.
fn facts() -> Facts {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let local = |text: &str| {
        (
            ip(text),
            Route::Local {
                source: Some(ip(text)),
            },
        )
    };
    Facts {
        link_bits_per_second: Some(10_000_000_000),
        tcx: Tcx::Yes,
        interfaces: vec![
            interface(1, "lo", Framing::Loopback, true),
            interface(2, "eth0", Framing::Ethernet, true),
            interface(3, "eth1", Framing::Ethernet, true),
            interface(4, "eth2", Framing::Ethernet, false),
            interface(5, "tun0", Framing::Other("tun".to_owned()), true),
        ],
        addresses: vec![
            own("127.0.0.1", 1),
            own("10.0.0.1", 2),
            own("fd00::1", 2),
            own("10.1.0.1", 3),
            own("10.2.0.1", 4),
            own("10.3.0.1", 5),
        ],
        default_device: Some("eth0".to_owned()),
        exits: Exits {
            names: vec!["eth0".to_owned()],
            left_out: 0,
        },
        routes: vec![
            (ip("10.1.0.9"), device(3, "eth1", "10.1.0.1")),
            (ip("10.0.0.9"), device(2, "eth0", "10.0.0.1")),
            (ip("fd00::9"), device(2, "eth0", "fd00::1")),
            (ip("10.3.0.9"), device(5, "tun0", "10.3.0.1")),
            (
                ip("10.9.0.9"),
                Route::Unreachable {
                    why: "network unreachable".to_owned(),
                },
            ),
            local("10.0.0.1"),
            local("127.0.0.1"),
            local("::1"),
        ],
        elsewhere: Vec::new(),
        ephemeral: 32_768..=60_999,
        reserved: vec![20_000..=20_001],
        listening: vec![
            "0.0.0.0:80".parse().unwrap(),
            "10.1.0.1:11211".parse().unwrap(),
        ],
        connections: Vec::new(),
        tracked: None,
        intercepts: Vec::new(),
        firewall: Firewall::Open,
        processors: 8,
        memory_available: Some(8 << 30),
        hash_seed: 1,
        outside: host::netns::Outside::default(),
    }
}

fn plan_on(line: &str, facts: &Facts) -> Result<Plan, Refusal> {
    let args =
        Args::try_parse_from(std::iter::once("tcpcopy").chain(line.split_ascii_whitespace()))
            .expect(line);
    let mut facts = facts.clone();
    facts.intercepts = args
        .intercepts
        .iter()
        .map(|address| {
            (
                address.clone(),
                vec![address.parse::<std::net::SocketAddr>().unwrap().ip()],
            )
        })
        .collect();
    let elsewhere = args.pool.iter().filter_map(|pool| {
        let address = home::elsewhere(pool, |address| facts.is_own(address))?;
        Some((*pool, address))
    });
    facts.elsewhere = elsewhere.collect();
    Plan::new(&args, &facts)
}

fn plan(line: &str) -> Result<Plan, Refusal> {
    plan_on(line, &facts())
}

#[test]
fn what_cannot_work_is_refused_in_clear_words() {
    for (line, words) in [
        ("-x 80-10.1.0.9:80 -i eth9", "no interface `eth9`"),
        ("-x 80-10.1.0.9:80 -i eth2", "`eth2` is down"),
        ("-x 80-10.1.0.9:80 -i tun0", "no Ethernet header"),
        ("-x 10.2.0.1:80-10.1.0.9:80", "`eth2` is down"),
        ("-x 80-10.3.0.9:80", "whose frames have no Ethernet header"),
        (
            "-x 80-10.1.0.9:80,80-10.0.0.9:80",
            "the same online endpoint twice",
        ),
        (
            "-x 80-10.1.0.9:80,10.0.0.1:80-10.0.0.9:80",
            "the same online endpoint twice",
        ),
        ("-x 10.0.0.1:80-10.0.0.1:80", "is a loop"),
        ("-x 80-10.0.0.1:80", "is a loop"),
        ("-x 80-127.0.0.1:80", "is a loop"),
        ("-x 80-10.1.0.9:80,81-10.0.0.1:80", "is a loop"),
        (
            "-x 80-10.9.0.9:80",
            "no route to the target 10.9.0.9: network unreachable",
        ),
        ("-x 80-[fe80::1]:80", "link-local"),
        (
            "-x 80-10.1.0.9:80 -n 2 -s 127.0.0.1",
            "give them a reply pool with -c",
        ),
        ("-x 80-10.1.0.9:80 -s 10.1.0.7", "--insecure"),
        ("-x 80-127.0.0.1:81 -s 127.0.0.1", "never pass an assistant"),
        (
            "-x 80-10.1.0.9:80 -c 10.1.0.1:11200-11220",
            "contains port 11211",
        ),
        (
            "-x 80-10.1.0.9:80 -c 10.1.0.1:33000-40000",
            "ip_local_reserved_ports=33000-40000",
        ),
        ("-x 80-10.1.0.9:80 -c fd00:9::/64", "names no IPv4 range"),
        (
            "-x 80-10.1.0.9:80 -c 10.7.0.0/16,10.7.9.x",
            "the same addresses and ports twice",
        ),
        (
            "-x 80-10.1.0.9:80 -c 10.7.0.0/16,10.8.0.0/16 --pool-is-routed",
            "more than 64 addresses together",
        ),
        (
            "-x 80-127.0.0.1:81 -c 10.0.0.1:1000-2000",
            "like 198.18.0.0/16",
        ),
        (
            "-x 80-10.1.0.9:80 -c 10.1.0.9:1000-2000",
            "contains the target 10.1.0.9",
        ),
        (
            "-x 80-10.1.0.9:80 -s 127.0.0.1 -c 10.1.0.x",
            "contains the target 10.1.0.9",
        ),
        (
            "-x 80-10.1.0.9:80,81-10.0.0.9:80",
            "need different source addresses",
        ),
        (
            "-x 80-10.1.0.9:80,82-127.0.0.1:81",
            "need different source addresses",
        ),
        (
            "-x 80-10.1.0.9:80 -n 500 -c 10.1.0.1:20000-20099",
            "-n 500 with 2 workers needs 1000",
        ),
        (
            "-x 80-10.1.0.9:80 --max-new-sessions 101 -c 10.1.0.1:20000-20099",
            "1 x 100 ports less 0 in use or reserved are 100",
        ),
        (
            "-x 80-10.1.0.9:80 --max-sessions 22766",
            "1 x 22768 ports less 3 in use or reserved are 22765",
        ),
    ] {
        match plan(line) {
            Ok(_) => panic!("{line} was taken"),
            Err(refusal) => assert!(refusal.to_string().contains(words), "{line}: {refusal}"),
        }
    }
}

#[test]
fn direct_mode_uses_this_hosts_address_and_captures_where_replies_come_in() {
    let plan = plan("-x 10.0.0.1:80-10.1.0.9:8080").unwrap();
    assert_eq!(plan.mode, Mode::Direct);
    assert_eq!(plan.observe_on, ["eth0"]);
    assert_eq!(plan.capture_on, ["eth0", "eth1"]);
    let Source::Pool {
        ranges,
        excluded_ports,
    } = &plan.source
    else {
        panic!("a pool")
    };
    assert_eq!(excluded_ports, &[11_211, 20_000, 20_001]);
    assert!(ranges[0].contains(&Endpoint::new(Addr::v4([10, 1, 0, 1]), 10_000)));
    assert!(!ranges[0].contains(&Endpoint::new(Addr::v4([10, 1, 0, 1]), 32_768)));
    assert_eq!((plan.filter.replies.len(), plan.filter.slots), (1, 1));
    assert_eq!(plan.exclusions.pools.len(), 1);
    assert_eq!(
        (plan.workers, plan.sessions_max, plan.tuning().threshold()),
        (2, 262_144, SAMPLE_ALL)
    );
    let room = &plan.room.as_ref().expect("a pool").words;
    for words in [
        "22765 addresses and ports",
        "11382 per worker",
        "22765 flows",
    ] {
        assert!(room.contains(words), "{room}");
    }
    assert!(plan.warnings.is_empty());
    assert!(plan.reply_routes.is_empty());
    assert_eq!(plan.probes.len(), 1, "{:?}", plan.probes);
    let probes = plan.for_probes(&["eth1".to_owned()]);
    assert!(probes.rules.is_empty(), "no client is captured");
    let (source, target) = plan.probes[0];
    let elsewhere = Endpoint::new(Addr::v4([10, 1, 0, 2]), source.port);
    for (client, heard) in [(source, true), (elsewhere, false)] {
        let flow = FlowKey {
            client,
            server: target,
        };
        assert_eq!(probes.filter.bit(&flow).is_some(), heard, "{client}");
    }
    assert!(!plan.engine_config(0, 1).prove_path);
    assert_eq!(plan.rules[0].mtu, 1500);
}

#[test]
fn any_address_means_every_interface_that_has_one_and_is_usable() {
    let plan = plan("-x 80-10.1.0.9:8080").unwrap();
    assert_eq!(plan.observe_on, ["eth0", "eth1"]);
    assert_eq!(plan.notes.len(), 2, "{:?}", plan.notes);
}

#[test]
fn a_target_on_this_host_gets_sources_that_nobody_owns() {
    let plan = plan("-x 10.0.0.1:80-127.0.0.1:81,10.0.0.1:82-[::1]:81").unwrap();
    assert_eq!(plan.reply_routes.len(), 2);
    assert_eq!(plan.reply_routes[0], ("198.18.0.0".parse().unwrap(), 16));
    assert!(plan.loopback_target);
    assert!(plan.notes.is_empty());
    let mut facts = facts();
    facts.tracked = Some(host::conntrack::Tracked { count: 7, max: 9 });
    let tracked = plan_on("-x 10.0.0.1:80-127.0.0.1:81", &facts).unwrap();
    assert!(
        tracked.notes[0].contains("7 of 9 are taken"),
        "{:?}",
        tracked.notes
    );
    assert!(
        plan_on("-x 10.0.0.1:80-10.1.0.9:80", &facts)
            .unwrap()
            .notes
            .is_empty()
    );
    assert_eq!(plan.capture_on, ["eth0"]);
}

#[test]
fn assistant_mode_keeps_the_clients_addresses_and_proves_the_path_first() {
    let plan = plan("-x 10.0.0.1:80-10.1.0.9:8080 -s 10.1.0.7 --insecure").unwrap();
    assert_eq!(
        (plan.mode, &plan.source),
        (Mode::Assistant, &Source::Clients)
    );
    assert!(plan.filter.replies.is_empty() && plan.exclusions.pools.is_empty());
    assert_eq!(plan.capture_on, ["eth0"]);
    assert!(plan.engine_config(1, 1).prove_path);
    let sources: Vec<_> = plan.probes.iter().map(|(source, _)| source.addr).collect();
    assert_eq!(sources, [Addr::v4([10, 0, 0, 1]), Addr::v4([192, 0, 2, 1])]);
    let (source, target) = plan.probes[0];
    assert!(!facts().ephemeral.contains(&source.port));
    assert_eq!(target.port, 8080);
}

#[test]
fn assistant_mode_takes_a_pool_and_copies() {
    let plan = plan("-x 80-10.1.0.9:8080 -s 127.0.0.1 -c 10.7.0.0/24 -n 3").unwrap();
    assert_eq!(plan.dials.copies_max(), 3);
    assert_eq!(
        plan.probes[0].0,
        Endpoint::new(Addr::v4([10, 7, 0, 255]), 65_535)
    );
    assert!(!plan.engine_config(0, 1).prove_path);
}

#[test]
fn a_pool_that_is_small_for_the_copies_is_warned_of_with_the_arithmetic() {
    let plan = plan("-x 80-10.1.0.9:80 -n 10 -c 10.7.0.1:1000-1159 --pool-is-routed").unwrap();
    let [warning] = &plan.warnings[..] else {
        panic!("{:?}", plan.warnings)
    };
    for words in [
        "160 addresses and ports per target",
        "about 80 per worker",
        "10 session(s) per flow that is 16 flows at a time",
        "`collision`",
    ] {
        assert!(warning.contains(words), "{warning}");
    }
}

#[test]
fn what_fits_into_a_pool_is_reckoned() {
    let fits = |line: &str| plan(line).unwrap().room.unwrap().fits;
    let line = "-x 80-10.1.0.9:80 -c 10.7.0.1:1000-1999,10.8.0.1:2000-2999 --pool-is-routed -n 2";
    assert_eq!(
        fits(line),
        "1 address x 1000 ports + 1 address x 1000 ports = 2000, 2 for each connection; with 1 s of rest after each that is 500 \
         new connections per second if they last 1 s, 90 if 10 s, 16 if 60 s"
    );
}

#[test]
fn ipv6_is_planned_like_ipv4() {
    let plan = plan("-x [fd00::1]:80-[fd00::9]:80").unwrap();
    let Source::Pool { ranges, .. } = &plan.source else {
        panic!("a pool")
    };
    assert_eq!(
        IpAddr::from(ranges[0].prefix),
        "fd00::1".parse::<IpAddr>().unwrap()
    );
}

#[test]
fn two_targets_split_a_service_by_weight() {
    let plan = plan("-x 80-10.1.0.9:80/weight=3,80-10.1.0.9:81/weight=1").unwrap();
    assert_eq!((plan.rules.len(), plan.targets().len()), (2, 2));
    for line in [
        "-x 80-10.1.0.9:80/weight=1,80-10.1.0.9:80/weight=2",
        "-x 80-10.1.0.9:80/weight=1,10.0.0.1:80-10.1.0.9:81/weight=2",
    ] {
        let refusal = super::tests::plan(line).unwrap_err().to_string();
        assert!(
            refusal.contains("the same online endpoint twice"),
            "{refusal}"
        );
    }
}

#[test]
fn a_way_that_changes_while_running_is_judged_as_at_the_start() {
    use super::rules::way_of_run;
    let target = Endpoint::new(Addr::v4([10, 1, 0, 9]), 80);
    let out = device(3, "eth1", "10.1.0.1");
    let here = Route::Local { source: None };
    let gone = Route::Unreachable {
        why: "no route".to_owned(),
    };
    let tun = Framing::Other("tun".to_owned());
    let judge = |route: &Route, framing, mode, was_local| {
        way_of_run(target, route, framing, mode, was_local).map_err(|refusal| refusal.to_string())
    };
    for mode in [Mode::Direct, Mode::Assistant] {
        for framing in [None, Some(&Framing::Ethernet)] {
            assert!(judge(&out, framing, mode, false).is_ok());
        }
        let said = judge(&out, Some(&tun), mode, false).unwrap_err();
        assert!(said.contains("no Ethernet header"), "{said}");
        let said = judge(&gone, None, mode, false).unwrap_err();
        assert!(said.contains("no route to the target"), "{said}");
        // The VIP of the target has come to this host: the production server would answer.
        let said = judge(&here, None, mode, false).unwrap_err();
        assert!(said.contains("this very host"), "{said}");
    }
    assert!(judge(&here, None, Mode::Direct, true).is_ok());
    let said = judge(&out, None, Mode::Direct, true).unwrap_err();
    assert!(said.contains("elsewhere now"), "{said}");
}

#[test]
fn bytes_wait_for_the_online_server_where_a_firewall_may_drop_them() {
    let rule = || Firewall::Guards {
        rule: "-A INPUT -m string --string evil -j DROP".to_owned(),
    };
    let unknown = || Firewall::Unknown {
        why: "nft is not installed".to_owned(),
    };
    for (firewall, option, confirmed) in [
        (Firewall::Open, "auto", false),
        (rule(), "auto", true),
        (unknown(), "auto", false),
        (Firewall::Open, "always", true),
        (rule(), "never", false),
    ] {
        let facts = Facts {
            firewall: firewall.clone(),
            ..facts()
        };
        let line = ["tcpcopy", "-x", "80-10.1.0.9:80", "--confirmed", option];
        let args = Args::try_parse_from(line).unwrap();
        let plan = Plan::new(&args, &facts).unwrap();
        assert_eq!(plan.confirmed, confirmed, "{firewall:?} {option}");
        assert_eq!(plan.engine_config(0, 0).confirmed, confirmed);
    }
}

#[test]
fn programs_are_attached_by_what_was_asked_for_or_by_the_best_there_is() {
    for (option, tcx, expected) in [
        ("auto", Tcx::Yes, Some(Hook::Tcx)),
        ("auto", Tcx::No, Some(Hook::Clsact)),
        ("auto", Tcx::Unknown, Some(Hook::Tcx)),
        ("tcx", Tcx::Yes, Some(Hook::Tcx)),
        ("tcx", Tcx::No, None),
        ("clsact", Tcx::Yes, Some(Hook::Clsact)),
        ("clsact", Tcx::No, Some(Hook::Clsact)),
    ] {
        let facts = Facts { tcx, ..facts() };
        let line = ["tcpcopy", "-x", "80-10.1.0.9:80", "--hook", option];
        let plan = Plan::new(&Args::try_parse_from(line).unwrap(), &facts);
        match expected {
            Some(expected) => assert_eq!(plan.unwrap().hook, expected, "{option} {tcx:?}"),
            None => {
                let said = plan.unwrap_err().to_string();
                assert!(said.contains("--hook clsact"), "{said}");
            }
        }
    }
}
