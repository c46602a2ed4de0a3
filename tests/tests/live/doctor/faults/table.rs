//! The table of planted faults.

use std::time::Duration;

use aya::programs::TcAttachType;
use lab::net::{ASSISTANT, ONLINE_INSIDE, TARGET};
use lab::{Host, Spec};
use nix::sys::signal::Signal;
use tests::PORT;

use super::planting::{
    connection_from, forwarding_assistant, intercept, on, one_sided, server, stranger,
    strict_target, target_drops,
};
use super::{DIRECT, Fault, Mend, THROUGH_INTERCEPT};

/// What is planted, what is to be found, and what mends it.
pub(super) const FAULTS: &[Fault] = &[
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
        name: "a firewall of the target sees one direction",
        plant: one_sided,
        finding: "one-sided",
        said: &[
            "the SYN-ACK came back",
            "nothing that was sent after it was answered",
        ],
        fix: "iptables -t raw -I PREROUTING -p tcp -d 10.0.2.2 --dport 8080 -j CT --notrack",
        ..DIRECT
    },
    Fault {
        name: "a firewall of the target sees one direction, with an assistant",
        plant: one_sided,
        finding: "one-sided",
        fix: "iptables -I INPUT -p tcp -d 10.0.2.2 --dport 8080 -j ACCEPT",
        ..THROUGH_INTERCEPT
    },
    Fault {
        name: "the target has a connection to the online service",
        plant: |stand| {
            let online = tests::stand::listen(stand, Host::Online, PORT);
            let target = stand.lab.namespace(Host::Target);
            let service = std::net::SocketAddr::from((lab::net::ONLINE_INSIDE, PORT));
            let calls = target
                .enter(|| std::net::TcpStream::connect(service))
                .expect("the namespace")
                .expect("a connection");
            vec![Box::new(calls), Box::new(online)]
        },
        more: &["-x", "8080-10.0.2.2:8080"],
        finding: "target-calls-back",
        said: &[
            "has a connection to the online service right now",
            "a proxy",
        ],
        fix: "ss -tnp 'sport = :8080 and dst 10.0.2.2'",
        mend: Mend::Uproot,
        ..DIRECT
    },
    Fault {
        name: "a firewall of this host drops by payload",
        plant: |stand| {
            let rule = [
                "-p", "tcp", "--dport", "8080", "-m", "string", "--string", "evil",
            ];
            let namespace = stand.lab.namespace(Host::Online);
            namespace
                .drop_matching(&[&rule[..], &["--algo", "bm"]].concat())
                .expect("iptables");
            Vec::new()
        },
        finding: "firewall-before-service",
        exit: 0,
        said: &["--confirmed", "drop in chain ip filter INPUT"],
        fix: "nft list ruleset",
        mend: Mend::By(|stand| {
            let flush = stand.lab.run(Host::Online, "iptables", &["-F", "INPUT"]);
            flush.expect("iptables");
            Vec::new()
        }),
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
        more: &["-c", "10.0.2.1:33000-40000"],
        finding: "pool-ephemeral",
        exit: 2,
        said: &["outgoing connections"],
        fix: "sysctl -w net.ipv4.ip_local_reserved_ports=33000-40000",
        ..DIRECT
    },
    Fault {
        name: "every port of this host may be the kernel's",
        plant: |stand| {
            let range = "net.ipv4.ip_local_port_range=1024 65535";
            stand
                .lab
                .run(Host::Online, "sysctl", &["-q", "-w", range])
                .expect("sysctl");
            Vec::new()
        },
        finding: "no-default-pool",
        exit: 2,
        said: &["none are reserved"],
        fix: "sysctl -w net.ipv4.ip_local_reserved_ports=20000-29999",
        ..DIRECT
    },
    Fault {
        name: "this host has a connection of its own in the reply pool",
        plant: |stand| vec![Box::new(connection_from(stand, 12_000))],
        finding: "pool-connection",
        exit: 0,
        said: &["a connection of its own from 10.0.2.1:12000 to the target 10.0.2.2:8080"],
        fix: "ss -tnp 'sport = :12000'",
        mend: Mend::Uproot,
        ..DIRECT
    },
    Fault {
        name: "somebody has the address of --listen",
        plant: |stand| vec![Box::new(tests::stand::listen(stand, Host::Online, 9525))],
        more: &["--listen", "127.0.0.1:9525"],
        finding: "metrics-address",
        exit: 2,
        said: &["127.0.0.1:9525"],
        fix: "ss -tlnp 'sport = :9525'",
        mend: Mend::Uproot,
        ..DIRECT
    },
    Fault {
        name: "nobody routes the reply pool to this host",
        plant: |stand| {
            on(stand, Host::Target, &["route", "del", "62.135.200.0/24"]);
            Vec::new()
        },
        more: &["-c", "62.135.200.x", "--pool-is-routed"],
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
        fix: "ip rule add ipproto tcp sport 8080 lookup 36524",
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
        fix: "ip rule add ipproto tcp sport 8080 lookup 36524",
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
