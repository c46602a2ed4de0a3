//! The table of planted faults.

use std::any::Any;
use std::net::TcpListener;
use std::time::Duration;

use aya::EbpfLoader;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use lab::copier::{self, CHANNEL_PORT};
use lab::net::{ASSISTANT, ONLINE_INSIDE, TARGET};
use lab::{Host, Process, Spec, Topology};
use nix::sys::signal::Signal;
use tests::copying::check_nothing_left;
use tests::{PORT, Stand};

use super::arguments;
use super::examination::{Examination, examine};

/// What is planted stays as long as this does.
type Planted = Vec<Box<dyn Any>>;

/// One fault.
struct Fault {
    name: &'static str,
    topology: Topology,
    /// Plants it. A server listens at the target and, in assistant mode, intercept runs, unless `bare`.
    plant: fn(&Stand) -> Planted,
    bare: bool,
    /// More arguments of the doctor; an `-x` takes the place of the lab's.
    more: &'static [&'static str],
    /// The finding that names it, and the exit status.
    finding: &'static str,
    exit: i32,
    /// What is said.
    said: &'static [&'static str],
    /// The command that is offered, and whether it mends the fault when it is copied as it stands.
    fix: &'static str,
    mend: Mend,
}

enum Mend {
    /// The command that was offered, run where it was said.
    AsSaid,
    /// What it amounts to, by hand.
    By(fn(&Stand) -> Planted),
    /// What was planted goes.
    Uproot,
}

const NOTHING: fn(&Stand) -> Planted = |_| Vec::new();

/// Parts that most faults share.
const DIRECT: Fault = Fault {
    name: "",
    topology: Topology::Direct,
    plant: NOTHING,
    bare: false,
    more: &[],
    finding: "",
    exit: 1,
    said: &[],
    fix: "",
    mend: Mend::AsSaid,
};
const THROUGH_INTERCEPT: Fault = Fault {
    topology: Topology::Assistant,
    ..DIRECT
};

const FAULTS: &[Fault] = &[
    Fault {
        name: "the target's port is closed",
        bare: true,
        finding: "target-port-closed",
        said: &["answered by RST", "nobody listens on port 8080 of 10.0.2.2"],
        fix: "ss -tln 'sport = :8080'",
        mend: Mend::By(|stand| vec![Box::new(server(stand))]),
        ..DIRECT
    },
    Fault {
        name: "the target filters",
        plant: |stand| {
            target_drops(stand);
            Vec::new()
        },
        finding: "target-silent",
        said: &[
            "out by eth1",
            "was handed to 10.0.2.2",
            "no RST either",
            "firewall",
        ],
        fix: "iptables -I INPUT -p tcp -s 10.0.2.1 --dport 8080 -j ACCEPT",
        ..DIRECT
    },
    Fault {
        name: "the target's firewall rejects",
        plant: |stand| {
            let port = PORT.to_string();
            let mut rule = vec!["-w", "-A", "INPUT", "-p", "tcp", "--dport", &port];
            rule.extend(["-j", "REJECT", "--reject-with", "icmp-host-prohibited"]);
            stand
                .lab
                .run(Host::Target, "iptables", &rule)
                .expect("iptables");
            Vec::new()
        },
        finding: "rejected",
        said: &["the target 10.0.2.2 itself answers by ICMP: administratively prohibited"],
        fix: "iptables -I INPUT -p tcp -s 10.0.2.1 -d 10.0.2.2 --dport 8080 -j ACCEPT",
        ..DIRECT
    },
    Fault {
        name: "there is no route to the target",
        plant: |stand| {
            on(
                stand,
                Host::Target,
                &["address", "add", "203.0.113.9/32", "dev", "lo"],
            );
            Vec::new()
        },
        more: &["-x", "10.0.1.1:8080-203.0.113.9:8080"],
        finding: "no-route",
        exit: 2,
        said: &["no route to the target 203.0.113.9"],
        fix: "ip route add 203.0.113.9 via GATEWAY",
        mend: Mend::By(|stand| {
            on(
                stand,
                Host::Online,
                &["route", "add", "203.0.113.9", "via", "10.0.2.2"],
            );
            Vec::new()
        }),
        ..DIRECT
    },
    Fault {
        name: "the router does not answer",
        plant: |stand| {
            on(
                stand,
                Host::Target,
                &["address", "add", "203.0.113.9/32", "dev", "lo"],
            );
            on(
                stand,
                Host::Online,
                &["route", "add", "203.0.113.9", "via", "10.0.2.99"],
            );
            Vec::new()
        },
        more: &["-x", "10.0.1.1:8080-203.0.113.9:8080"],
        finding: "neighbour-silent",
        said: &["the router 10.0.2.99", "answers no ARP"],
        fix: "ip route replace 203.0.113.9 via OTHER_ROUTER",
        mend: Mend::By(|stand| {
            on(
                stand,
                Host::Online,
                &["route", "replace", "203.0.113.9", "via", "10.0.2.2"],
            );
            Vec::new()
        }),
        ..DIRECT
    },
    Fault {
        name: "the target is down",
        plant: |stand| {
            on(stand, Host::Target, &["link", "set", "eth0", "down"]);
            Vec::new()
        },
        finding: "neighbour-silent",
        said: &["the target 10.0.2.2", "answers no ARP"],
        fix: "ping -c 3 -I eth1 10.0.2.2",
        mend: Mend::By(|stand| {
            on(stand, Host::Target, &["link", "set", "eth0", "up"]);
            Vec::new()
        }),
        ..DIRECT
    },
    Fault {
        name: "the online interface is down",
        plant: |stand| {
            let pair = [
                "link", "add", "down0", "type", "veth", "peer", "name", "down1",
            ];
            on(stand, Host::Online, &pair);
            Vec::new()
        },
        more: &["-i", "down0"],
        finding: "interface-down",
        exit: 2,
        said: &["`down0` is down"],
        fix: "ip link set down0 up",
        ..DIRECT
    },
    Fault {
        name: "the online interface has another name",
        more: &["-i", "nosuch0"],
        finding: "no-interface",
        exit: 2,
        said: &["no interface `nosuch0`", "eth0"],
        fix: "ip -brief link",
        mend: Mend::By(|stand| {
            on(
                stand,
                Host::Online,
                &[
                    "link", "add", "nosuch0", "type", "veth", "peer", "name", "nosuch1",
                ],
            );
            on(stand, Host::Online, &["link", "set", "nosuch0", "up"]);
            Vec::new()
        }),
        ..DIRECT
    },
    Fault {
        name: "somebody listens in the reply pool",
        plant: |stand| vec![Box::new(tests::stand::listen(stand, Host::Online, 12_000))],
        more: &["-c", "10.0.2.1:11990-12010"],
        finding: "pool-port-in-use",
        exit: 2,
        said: &["contains port 12000"],
        fix: "ss -tlnp 'sport = :12000'",
        mend: Mend::Uproot,
        ..DIRECT
    },
    Fault {
        name: "the reply pool overlaps the kernel's ports",
        more: &["-c", "10.0.2.1:30000-40000"],
        finding: "pool-ephemeral",
        exit: 2,
        said: &["outgoing connections"],
        fix: "sysctl -w net.ipv4.ip_local_reserved_ports=30000-40000",
        ..DIRECT
    },
    Fault {
        name: "nobody routes the reply pool to this host",
        plant: |stand| {
            on(stand, Host::Target, &["route", "del", "62.135.200.0/24"]);
            Vec::new()
        },
        more: &["-c", "62.135.200.x"],
        finding: "pool-not-routed",
        said: &["it lives and listens", "62.135.200.0/24 is not routed here"],
        fix: "ip route replace 62.135.200.0/24 via 10.0.2.1",
        ..DIRECT
    },
    Fault {
        name: "a link on the way carries less",
        plant: |stand| {
            on(
                stand,
                Host::Switch,
                &["link", "set", "target-eth0", "mtu", "1400"],
            );
            Vec::new()
        },
        finding: "mtu-narrow",
        exit: 0,
        said: &["packets of 1500 bytes to 10.0.2.2:8080 are lost and those of 1400 bytes arrive"],
        fix: "ip route replace 10.0.2.2 dev eth1 mtu 1400",
        ..DIRECT
    },
    Fault {
        name: "a program of somebody else drops copies",
        plant: |stand| vec![stranger(stand, "eth1", TcAttachType::Egress)],
        finding: "target-silent",
        said: &[
            "`inject` (id ",
            "at tcx egress of eth1, which may have dropped it",
        ],
        fix: "tcpdump",
        mend: Mend::Uproot,
        ..DIRECT
    },
    Fault {
        name: "somebody else's device has the name of ours",
        plant: |stand| {
            on(
                stand,
                Host::Online,
                &["link", "add", "tcpcopy0", "type", "bridge"],
            );
            Vec::new()
        },
        finding: "foreign-device",
        exit: 2,
        said: &["it was not made by tcpcopy"],
        fix: "ip link del tcpcopy0",
        ..DIRECT
    },
    Fault {
        name: "a firewall of this host stands before a target on it",
        plant: |stand| {
            let namespace = stand.lab.namespace(Host::Online);
            namespace
                .drop_matching(&["-i", "tcpcopy0"])
                .expect("iptables");
            vec![Box::new(tests::stand::listen(stand, Host::Online, 8081))]
        },
        more: &["-x", "10.0.1.1:8080-10.0.1.1:8081"],
        finding: "local-target-silent",
        said: &["up this host's own stack", "firewall on this host"],
        fix: "iptables -I INPUT -i tcpcopy0 -p tcp --dport 8081 -j ACCEPT",
        ..DIRECT
    },
    Fault {
        name: "intercept does not run",
        bare: true,
        plant: |stand| vec![Box::new(server(stand))],
        finding: "intercept-absent",
        said: &["cannot connect to intercept at 10.0.2.3:36524"],
        fix: "intercept -i IFACE -x 10.0.2.2:8080 -b 10.0.2.3 -p 36524 --insecure",
        mend: Mend::By(|stand| vec![Box::new(intercept(stand))]),
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "intercept watches another port",
        bare: true,
        plant: |stand| {
            let spec = Spec::new("intercept", &stand.binaries.intercept).args([
                "-i",
                "eth0",
                "-x",
                &format!("{TARGET}:{}", PORT + 1),
                "-b",
                &ASSISTANT.to_string(),
                "--insecure",
            ]);
            let mut other = stand.lab.spawn(Host::Assistant, &spec).expect("it starts");
            other
                .wait_for("ready", Duration::from_secs(20))
                .expect("ready");
            vec![Box::new(other), Box::new(server(stand))]
        },
        finding: "intercept-other-target",
        said: &["target 10.0.2.2:8080 is not in its -x list"],
        fix: "intercept -i IFACE -x 10.0.2.2:8080 -b 10.0.2.3 -p 36524 --insecure",
        mend: Mend::Uproot,
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "intercept hangs",
        bare: true,
        plant: |stand| {
            let mut hangs = intercept(stand);
            hangs.signal(Signal::SIGSTOP).expect("it stops");
            vec![Box::new(hangs), Box::new(server(stand))]
        },
        finding: "intercept-mute",
        said: &["says nothing"],
        fix: "ss -tlnp 'sport = :36524'",
        mend: Mend::Uproot,
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "the target has no route for the replies",
        plant: |stand| {
            on(stand, Host::Target, &["route", "del", "10.0.1.0/24"]);
            Vec::new()
        },
        finding: "reply-lost",
        said: &[
            "it lives and listens",
            "neither by intercept (its program counted no reply of any target meanwhile) nor here",
            "no route for 10.0.1.0/24",
        ],
        fix: "ip route replace 10.0.1.0/24 via 10.0.2.3",
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "the target's route for the replies leads here",
        plant: |stand| {
            let here = ONLINE_INSIDE.to_string();
            on(
                stand,
                Host::Target,
                &["route", "replace", "10.0.1.0/24", "via", &here],
            );
            Vec::new()
        },
        finding: "reply-came-here",
        said: &["came back to this host instead of the assistant 10.0.2.3"],
        fix: "ip route replace 10.0.1.0/24 via 10.0.2.3",
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "a filter against forged addresses before the target",
        plant: |stand| {
            let namespace = stand.lab.namespace(Host::Target);
            namespace
                .drop_matching(&["-s", "10.0.1.0/24"])
                .expect("iptables");
            Vec::new()
        },
        finding: "reply-lost",
        said: &["it lives and listens", "a filter against forged addresses"],
        fix: "iptables -I INPUT -p tcp -s 10.0.1.0/24 --dport 8080 -j ACCEPT",
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "the assistant forwards, and is told not to",
        plant: forwarding_assistant,
        finding: "assistant-forwards",
        said: &["DANGER", "has a route for 10.0.1.0/24", "real clients"],
        fix: "sysctl -w net.ipv4.ip_forward=0",
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "the assistant forwards, and gets a black hole",
        plant: forwarding_assistant,
        finding: "assistant-forwards",
        fix: "ip route replace blackhole 10.0.1.0/24",
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "an address of the pool is the assistant's own",
        plant: |stand| {
            on(
                stand,
                Host::Assistant,
                &["address", "add", "62.135.200.255/32", "dev", "lo"],
            );
            Vec::new()
        },
        more: &["-c", "62.135.200.x"],
        finding: "address-is-assistants",
        said: &[
            "62.135.200.255",
            "is an address of the assistant 10.0.2.3 itself",
        ],
        fix: "ip address show to 62.135.200.255",
        mend: Mend::By(|stand| {
            on(
                stand,
                Host::Assistant,
                &["address", "del", "62.135.200.255/32", "dev", "lo"],
            );
            Vec::new()
        }),
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "the target's rp_filter is strict and its way back another one",
        plant: strict_target,
        finding: "reply-lost",
        said: &["it lives and listens", "rp_filter"],
        fix: "sysctl -w net.ipv4.conf.all.rp_filter=2",
        ..THROUGH_INTERCEPT
    },
];

#[test]
fn every_planted_fault_is_found_and_its_fix_named() {
    let only = std::env::var("FAULT").ok();
    for fault in FAULTS {
        if only
            .as_ref()
            .is_some_and(|only| !fault.name.contains(only.as_str()))
        {
            continue;
        }
        let Some(stand) = super::super::stand_with(fault.topology, &["iptables", "nginx"]) else {
            return;
        };
        check(fault, &stand);
    }
}

fn check(fault: &Fault, stand: &Stand) {
    eprintln!("-- {}", fault.name);
    let mut planted = Planted::new();
    if !fault.bare {
        planted.push(Box::new(server(stand)));
        if fault.topology == Topology::Assistant {
            planted.push(Box::new(intercept(stand)));
        }
    }
    let base = planted.len();
    planted.extend((fault.plant)(stand));
    let mut arguments = arguments(fault.topology);
    if fault.more.first() == Some(&"-x") {
        arguments.drain(..2);
    }
    arguments.extend(fault.more.iter().map(|more| (*more).to_owned()));

    let sick = examine(stand, &arguments);
    let command = found(fault, &sick);
    match fault.mend {
        Mend::AsSaid => {
            let (host, command) = command;
            stand
                .lab
                .run(host, "sh", &["-c", &command])
                .unwrap_or_else(|error| panic!("{}: {command}: {error}", fault.name));
        }
        Mend::By(mend) => planted.extend(mend(stand)),
        Mend::Uproot => planted.truncate(base),
    }
    // Where what was planted was the server or intercept itself, the sound ones take its place.
    if matches!(fault.mend, Mend::Uproot) && fault.bare {
        planted.push(Box::new(server(stand)));
        planted.push(Box::new(intercept(stand)));
    }
    let sound = examine(stand, &arguments);
    assert_eq!(sound.exit, Some(0), "{} was mended: {sound}", fault.name);
    assert!(
        sound.find(fault.finding).is_none(),
        "{}: {sound}",
        fault.name
    );
    drop(planted);
    check_nothing_left(stand);
}

/// Checks that the fault was named, and gives the command that was to be offered and its host.
fn found(fault: &Fault, sick: &Examination) -> (Host, String) {
    let name = fault.name;
    assert_eq!(sick.exit, Some(fault.exit), "{name}: {sick}");
    let finding = sick
        .find(fault.finding)
        .unwrap_or_else(|| panic!("{name}: no {}: {sick}", fault.finding));
    for words in fault.said {
        assert!(
            finding.text("said").contains(words),
            "{name}: no `{words}`: {sick}"
        );
    }
    let offered = finding.fixes();
    offered
        .into_iter()
        .find(|(_, command)| command.contains(fault.fix))
        .unwrap_or_else(|| panic!("{name}: no `{}`: {sick}", fault.fix))
}

fn on(stand: &Stand, host: Host, arguments: &[&str]) {
    stand.lab.namespace(host).ip(arguments).expect("ip");
}

/// Somebody who takes connections at the target.
fn server(stand: &Stand) -> TcpListener {
    tests::stand::listen(stand, Host::Target, PORT)
}

/// An intercept that serves the lab's target.
pub(super) fn intercept(stand: &Stand) -> Process {
    let options = stand.options();
    assert_eq!(CHANNEL_PORT, 36_524, "as the table says");
    copier::start_intercept(&stand.lab, &stand.binaries, &options).expect("intercept")
}

/// The target drops what is for its port.
pub(super) fn target_drops(stand: &Stand) {
    let port = PORT.to_string();
    let namespace = stand.lab.namespace(Host::Target);
    namespace
        .drop_matching(&["-p", "tcp", "--dport", &port])
        .expect("iptables");
}

/// A program of somebody else that drops copies: `inject`, which knows no way out for them.
fn stranger(stand: &Stand, interface: &'static str, hook: TcAttachType) -> Box<dyn Any> {
    let namespace = stand.lab.namespace(Host::Online);
    let attached = namespace.enter(|| {
        let object = programs::tcpcopy().expect("the programs are built");
        let mut ebpf = EbpfLoader::new().load(object).expect("they load");
        let program: &mut SchedClassifier = ebpf
            .program_mut(programs::name::INJECT)
            .expect("it is there")
            .try_into()
            .expect("a classifier");
        program.load().expect("it loads");
        let order = TcAttachOptions::TcxOrder(LinkOrder::first());
        program
            .attach_with_options(interface, hook, order)
            .expect("it attaches");
        ebpf
    });
    Box::new(attached.expect("the namespace"))
}

/// An assistant that sends on to the clients what intercept does not take.
fn forwarding_assistant(stand: &Stand) -> Planted {
    let assistant = stand.lab.namespace(Host::Assistant);
    assistant.set("net.ipv4.ip_forward", "1").expect("sysctl");
    let online = ONLINE_INSIDE.to_string();
    on(
        stand,
        Host::Assistant,
        &["route", "add", "10.0.1.0/24", "via", &online],
    );
    Vec::new()
}

/// A target with two interfaces: copies come in by one, and its way to the clients goes out by the other.
fn strict_target(stand: &Stand) -> Planted {
    let (target, switch) = (
        stand.lab.namespace(Host::Target),
        stand.lab.namespace(Host::Switch),
    );
    // Each interface answers ARP for its own address only, or copies would come in by the other one.
    target
        .set("net.ipv4.conf.all.arp_ignore", "1")
        .expect("sysctl");
    on(
        stand,
        Host::Target,
        &[
            "link",
            "add",
            "eth1",
            "type",
            "veth",
            "peer",
            "name",
            "target-eth1",
            "netns",
            switch.name(),
        ],
    );
    on(
        stand,
        Host::Switch,
        &["link", "set", "target-eth1", "master", "br0", "up"],
    );
    on(
        stand,
        Host::Target,
        &["address", "add", "10.0.4.2/24", "dev", "eth1"],
    );
    on(stand, Host::Target, &["link", "set", "eth1", "up"]);
    on(
        stand,
        Host::Assistant,
        &["address", "add", "10.0.4.3/24", "dev", "eth0"],
    );
    on(
        stand,
        Host::Target,
        &["route", "replace", "10.0.1.0/24", "via", "10.0.4.3"],
    );
    for interface in ["all", "eth0"] {
        let name = format!("net.ipv4.conf.{interface}.rp_filter");
        target.set(&name, "1").expect("sysctl");
    }
    Vec::new()
}
