//! The host as it really is: each test runs on a thread of its own in a network namespace of its own, which goes with the
//! thread. Needs root; says SKIP where there is none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};
use host::device::{Config, PrivateDevice};
use host::interface::Framing;
use host::{Error, Netlink, Route, RouteWatcher, address, interface, route};
use nix::sched::{CloneFlags, unshare};
use port::{Mode, Port};
use wire::tcp::{Flags, Options};

/// Runs `test` in a fresh network namespace, or says why not.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(|| {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            skip(&format!(
                "cannot make a network namespace ({errno}); run as root"
            ));
            return;
        }
        ip("link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Not through `println!`, which is not shown for a test that passes.
fn skip(why: &str) {
    let _ = writeln!(io::stderr(), "SKIP: {why}");
}

fn ip(arguments: &str) {
    assert!(try_ip(arguments), "ip {arguments}");
}

fn try_ip(arguments: &str) -> bool {
    Command::new("ip")
        .args(arguments.split_whitespace())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

fn output(program: &str, arguments: &str) -> String {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Packets that a device has sent.
fn packets_sent(device: &str) -> u64 {
    let shown = output("ip", &format!("-s -o link show {device}"));
    let (_, counters) = shown.split_once("TX:").unwrap();
    let mut numbers = counters
        .split_whitespace()
        .filter_map(|word| word.parse().ok());
    numbers.nth(1).unwrap()
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A device with an address, so that there are routes. (A veth, since not every kernel has dummy devices.)
fn add_device(name: &str, address: &str) {
    ip(&format!("link add {name} type veth peer name {name}-peer"));
    ip(&format!("link set {name}-peer up"));
    ip(&format!("addr add {address} dev {name} nodad"));
    ip(&format!("link set {name} up"));
}

const PLAIN: Config = Config {
    queues: 1,
    mtu: 1500,
    fifos: false,
};

#[test]
fn the_private_device_is_as_asked_for_and_silent() {
    in_namespace(|| {
        let device = PrivateDevice::create(Config {
            queues: 3,
            mtu: 3500,
            fifos: true,
        })
        .unwrap();
        let netlink = Netlink::open().unwrap();
        for end in [device.outer(), device.inner()] {
            let found = interface::by_name(&netlink, end.name).unwrap();
            assert_eq!(found.index, end.index);
            assert_eq!((found.tx_queues, found.rx_queues, found.mtu), (3, 3, 3500));
            assert_eq!(found.mac, Some(end.mac));
            assert_eq!(
                found.alias,
                Some(format!("tcpcopy pid {}", std::process::id()))
            );
            assert!(found.up);
            assert!(output("ip", &format!("link show {}", end.name)).contains("NOARP"));
        }
        let qdiscs = output("tc", "qdisc show dev tcpcopy0");
        assert!(qdiscs.contains("qdisc mq 1: root"), "{qdiscs}");
        assert_eq!(qdiscs.matches("limit 1000p").count(), 3, "{qdiscs}");

        // Time enough for what IPv6 autoconfiguration would send.
        thread::sleep(Duration::from_millis(1500));
        let own = address::list(&netlink).unwrap();
        let ends = [device.outer().index, device.inner().index];
        assert!(
            own.iter().all(|own| !ends.contains(&own.interface_index)),
            "{own:?}"
        );
        assert_eq!((packets_sent("tcpcopy0"), packets_sent("tcpcopy1")), (0, 0));

        device.remove().unwrap();
        assert!(matches!(
            interface::by_name(&netlink, "tcpcopy0"),
            Err(Error::NoInterface { .. })
        ));
    });
}

#[test]
fn one_queue_gets_one_fifo() {
    in_namespace(|| {
        let _device = PrivateDevice::create(Config {
            fifos: true,
            ..PLAIN
        })
        .unwrap();
        let qdiscs = output("tc", "qdisc show dev tcpcopy0");
        assert!(
            qdiscs.contains("qdisc pfifo")
                && qdiscs.contains("root")
                && qdiscs.contains("limit 1000p"),
            "{qdiscs}"
        );
    });
}

#[test]
fn a_leftover_is_taken_over_and_a_foreign_device_is_not() {
    in_namespace(|| {
        let ours = "link add tcpcopy0 address 02:74:63:70:79:00 type veth peer name tcpcopy1 address 02:74:63:70:79:01";
        ip(ours);
        let device = PrivateDevice::create(Config { queues: 2, ..PLAIN }).unwrap();
        let netlink = Netlink::open().unwrap();
        assert_eq!(
            interface::by_name(&netlink, "tcpcopy0").unwrap().tx_queues,
            2
        );
        drop(device);
        assert!(interface::by_name(&netlink, "tcpcopy0").is_err());

        for foreign in [
            "link add tcpcopy0 type bridge",
            "link add tcpcopy1 type veth peer name other0",
        ] {
            ip(foreign);
            let error = PrivateDevice::create(PLAIN).unwrap_err();
            assert!(matches!(error, Error::ForeignDevice { .. }), "{error}");
            assert!(error.to_string().contains("not made by tcpcopy"), "{error}");
            let name = foreign.split(' ').nth(2).unwrap();
            assert!(
                interface::by_name(&netlink, name).is_ok(),
                "{name} was left alone"
            );
            ip(&format!("link del {name}"));
        }
    });
}

#[test]
fn only_one_process_has_the_private_device() {
    in_namespace(|| {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_holds_the_device", "--nocapture"])
            .env("HOLD_THE_DEVICE", "1")
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("held")));

        let error = PrivateDevice::create(PLAIN).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("another tcpcopy, pid {}", child.id())),
            "{error}"
        );
        child.kill().unwrap();
        // At once, while the kernel takes the child down; it leaves the device behind.
        let device = PrivateDevice::create(PLAIN).unwrap();
        child.wait().unwrap();
        assert!(matches!(
            PrivateDevice::create(PLAIN),
            Err(Error::Occupied { .. })
        ));
        drop(device);
        PrivateDevice::create(PLAIN).unwrap();
    });
}

/// Not a test of its own: the child of [`only_one_process_has_the_private_device`].
#[test]
fn child_that_holds_the_device() {
    if std::env::var_os("HOLD_THE_DEVICE").is_some() {
        let _device = PrivateDevice::create(PLAIN).unwrap();
        println!("held");
        thread::sleep(Duration::from_secs(60));
    }
}

#[test]
fn replies_are_routed_to_the_private_device() {
    in_namespace(|| {
        let device = PrivateDevice::create(PLAIN).unwrap();
        let netlink = Netlink::open().unwrap();
        for (prefix, prefix_len, inside) in [
            ("198.18.0.0", 16, "198.18.3.4"),
            ("fd00:18::", 64, "fd00:18::7"),
        ] {
            device.add_reply_route(addr(prefix), prefix_len).unwrap();
            match route::get(&netlink, addr(inside)).unwrap() {
                Route::Device {
                    index,
                    next_hop: None,
                    mtu: 1500,
                    ..
                } => assert_eq!(index, device.outer().index),
                other => panic!("{inside}: {other:?}"),
            }
            let again = device
                .add_reply_route(addr(prefix), prefix_len)
                .unwrap_err();
            assert!(again.to_string().contains("choose another pool"), "{again}");
            device.remove_reply_route(addr(prefix), prefix_len).unwrap();
            assert!(matches!(
                route::get(&netlink, addr(inside)).unwrap(),
                Route::Unreachable { .. }
            ));
        }
        device.allow_loopback_targets().unwrap();
        let setting = |device| {
            std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{device}/route_localnet"))
                .unwrap()
        };
        assert_eq!(
            (setting("tcpcopy0").trim(), setting("all").trim()),
            ("1", "0")
        );
    });
}

#[test]
fn a_target_on_this_host_answers_through_the_private_device() {
    in_namespace(|| {
        // The strictest setting, which a production host may have.
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1").unwrap();
        add_device("lan0", "10.1.1.1/24");
        ip("addr add fd00:1::1/64 dev lan0 nodad");
        let device = PrivateDevice::create(PLAIN).unwrap();
        device.add_reply_route(addr("198.18.0.0"), 16).unwrap();
        device.add_reply_route(addr("fd00:18::"), 64).unwrap();
        let mut port = Port::open(&port::Config {
            interface: PrivateDevice::INNER.into(),
            queue: 0,
            tx_frames: 64,
            rx_frames: 0,
            frame_len: 2048,
            mode: Mode::Copy,
        })
        .unwrap();
        let mut is_answered = |source: &str, target: &str| {
            let listener = TcpListener::bind((addr(target), 0)).unwrap();
            let before = packets_sent("tcpcopy0");
            let syn = |frame: &mut [u8]| {
                Some(write_syn(
                    frame,
                    addr(source),
                    listener.local_addr().unwrap(),
                ))
            };
            assert_eq!(port.transmit_with(1, syn), 1);
            port.kick().unwrap();
            thread::sleep(Duration::from_millis(100));
            packets_sent("tcpcopy0") > before
        };
        assert!(is_answered("198.18.0.5", "10.1.1.1"));
        assert!(is_answered("fd00:18::5", "fd00:1::1"));
        assert!(
            !is_answered("198.18.0.6", "127.0.0.1"),
            "a martian, until it is allowed"
        );
        device.allow_loopback_targets().unwrap();
        assert!(is_answered("198.18.0.7", "127.0.0.1"));
        assert!(is_answered("198.18.0.8", "127.1.2.3"));
    });
}

/// A SYN as a session sends it, addressed to `tcpcopy0`, since there is no `inject` here to say that it is for this host.
fn write_syn(frame: &mut [u8], source: IpAddr, target: SocketAddr) -> usize {
    let header = wire::tcp::Header {
        source: SocketAddr::new(source, 10_000).into(),
        destination: target.into(),
        seq: 1,
        ack: 0,
        flags: Flags::SYN,
        window: 65_535,
        urgent: 0,
        options: Options::default(),
    };
    let len = header.payload_offset();
    assert!(header.emit(&mut frame[..len]));
    frame[..6].copy_from_slice(&PrivateDevice::OUTER_MAC);
    len
}

#[test]
fn a_missing_capability_is_named() {
    in_namespace(|| {
        // Capabilities are a thread's own.
        host::capability::require().unwrap();
        host::kernel::require().unwrap();
        host::kernel::require_af_xdp().unwrap();
        caps::drop(None, CapSet::Effective, Capability::CAP_NET_RAW).unwrap();
        let error = host::capability::require().unwrap_err().to_string();
        assert!(
            error.contains("CAP_NET_RAW (for AF_XDP sockets) missing")
                && error.contains("'CAP_NET_ADMIN CAP_NET_RAW CAP_BPF CAP_PERFMON'"),
            "{error}"
        );
        let error = host::kernel::require_af_xdp().unwrap_err().to_string();
        assert!(
            error.contains("AF_XDP") && error.contains("run as root"),
            "{error}"
        );
        caps::drop(None, CapSet::Effective, Capability::CAP_NET_ADMIN).unwrap();
        let error = PrivateDevice::create(PLAIN).unwrap_err().to_string();
        assert!(
            error.contains("private device") && error.contains("CAP_NET_ADMIN"),
            "{error}"
        );
    });
}

#[test]
fn routes_are_what_the_kernel_would_do() {
    in_namespace(|| {
        let netlink = Netlink::open().unwrap();
        add_device("lan0", "10.1.1.1/24");
        ip("addr add fd00:1::1/64 dev lan0 nodad");
        ip("route add 10.2.0.0/16 via 10.1.1.2 mtu 1400");
        ip("route add 10.5.0.0/16 via inet6 fd00:1::2");
        ip("route add blackhole 10.6.0.0/16");
        ip("route add unreachable 10.7.0.0/16");
        ip("route add prohibit 10.8.0.0/16");
        ip("route add fd00:2::/64 via fd00:1::2 mtu 1300");
        ip("route add blackhole fd00:6::/64");
        let get = |target| route::get(&netlink, addr(target)).unwrap();
        let index = interface::by_name(&netlink, "lan0").unwrap().index;
        let way = |next_hop: Option<&str>, source, mtu| Route::Device {
            index,
            name: "lan0".into(),
            next_hop: next_hop.map(addr),
            source: Some(addr(source)),
            mtu,
        };
        assert_eq!(get("10.1.1.9"), way(None, "10.1.1.1", 1500));
        assert_eq!(get("10.2.0.1"), way(Some("10.1.1.2"), "10.1.1.1", 1400));
        assert_eq!(get("10.5.0.1"), way(Some("fd00:1::2"), "10.1.1.1", 1500));
        assert_eq!(get("fd00:1::9"), way(None, "fd00:1::1", 1500));
        assert_eq!(get("fd00:2::1"), way(Some("fd00:1::2"), "fd00:1::1", 1300));
        for own in ["127.0.0.1", "127.9.9.9", "10.1.1.1", "::1", "fd00:1::1"] {
            assert!(
                matches!(get(own), Route::Local { .. }),
                "{own}: {:?}",
                get(own)
            );
        }
        for nowhere in [
            "10.3.0.1",
            "10.6.0.1",
            "10.7.0.1",
            "10.8.0.1",
            "fd00:3::1",
            "fd00:6::1",
        ] {
            assert!(
                matches!(get(nowhere), Route::Unreachable { .. }),
                "{nowhere}: {:?}",
                get(nowhere)
            );
        }
    });
}

#[test]
fn changes_of_routes_are_followed() {
    in_namespace(|| {
        add_device("lan0", "10.1.1.1/24");
        ip("link add lan1 type veth peer name lan1-peer");
        ip("route add 10.2.0.0/16 via 10.1.1.2");
        let targets = vec![addr("10.2.0.1"), addr("10.3.0.1")];
        let watcher = RouteWatcher::start(targets).unwrap();
        // Sooner than the kernel is asked though no message came, however busy the machine is: it is the messages that tell.
        let soon = RouteWatcher::ASK_EVERY - Duration::from_secs(1);
        let next = || watcher.changes().recv_timeout(soon).unwrap();
        let (first, second) = (next(), next());
        assert_eq!(
            (first.target, first.route.mtu()),
            (addr("10.2.0.1"), Some(1500))
        );
        assert!(
            matches!(second.route, Route::Unreachable { .. }),
            "{second:?}"
        );

        let steps: [(&str, Option<u32>); 5] = [
            (
                "route replace 10.2.0.0/16 via 10.1.1.2 mtu 1400",
                Some(1400),
            ),
            ("link set lan0 mtu 1300", Some(1300)),
            ("route del 10.2.0.0/16", None),
            ("route add 10.2.0.0/16 dev lan0", Some(1300)),
            ("link set lan0 down", None),
        ];
        for (step, mtu) in steps {
            ip(step);
            let change = next();
            assert_eq!(
                (change.target, change.route.mtu()),
                (addr("10.2.0.1"), mtu),
                "{step}"
            );
        }
        ip("link set lan1 up");
        assert!(
            watcher
                .changes()
                .recv_timeout(Duration::from_millis(200))
                .is_err(),
            "nothing that matters changed"
        );
        let stopping = Instant::now();
        drop(watcher);
        assert!(stopping.elapsed() < soon, "its end waits for nothing");
    });
}

/// Whatever table a route stands in; and neither what only stands for addresses nor what is down.
#[test]
fn devices_that_routes_leave_by_are_found_and_followed() {
    in_namespace(|| {
        add_device("wide", "10.1.0.1/24");
        add_device("narrow", "10.2.0.1/24");
        add_device("ruled", "10.3.0.1/32");
        add_device("bare", "10.4.0.1/32");
        ip("route add default via 10.1.0.9");
        ip("route add default dev ruled table 77");
        let netlink = Netlink::open().unwrap();
        let found = host::exits::list(&netlink).unwrap();
        assert_eq!(found.names, ["wide", "ruled", "narrow"]);
        assert_eq!(found.left_out, 0);

        let watcher = host::ExitWatcher::start().unwrap();
        let next = || {
            watcher
                .changes()
                .recv_timeout(Duration::from_secs(5))
                .unwrap()
        };
        assert_eq!(next(), found);
        ip("route add 10.9.0.0/16 nexthop dev bare nexthop via 10.2.0.9");
        assert_eq!(next().names, ["wide", "ruled", "narrow", "bare"]);
        // Made anew under its old name it is another device.
        ip("link del bare");
        add_device("bare", "10.4.0.1/16");
        let names = (0..9).map(|_| next().names);
        let mut names = names.skip_while(|names| names.iter().all(|name| name != "bare"));
        assert!(names.next().is_some());

        for number in 0..15 {
            add_device(
                &format!("many{number}"),
                &format!("10.{}.0.1/30", 100 + number),
            );
        }
        let many = host::exits::list(&netlink).unwrap();
        assert_eq!(
            (many.names.len(), many.left_out),
            (host::exits::EXITS_MAX, 3)
        );
        assert_eq!(many.names[..2], ["wide", "ruled"]);
    });
}

#[test]
fn interfaces_are_told_apart() {
    in_namespace(|| {
        let netlink = Netlink::open().unwrap();
        assert!(matches!(
            interface::default_route(&netlink),
            Err(Error::NoDefaultRoute)
        ));
        ip("link add lan0 numtxqueues 2 numrxqueues 4 type veth peer name peer0");
        ip("addr add 10.1.1.1/24 dev lan0");
        let lan0 = interface::by_name(&netlink, "lan0").unwrap();
        assert_eq!(
            (lan0.framing.clone(), lan0.tx_queues, lan0.rx_queues),
            (Framing::Ethernet, 2, 4)
        );
        assert!(matches!(lan0.require_usable(), Err(Error::Down { .. })));
        ip("link set peer0 up");
        ip("link set lan0 up");
        let lan0 = interface::by_name(&netlink, "lan0").unwrap();
        lan0.require_usable().unwrap();

        add_device("lan1", "10.2.2.1/24");
        ip("route add default via 10.2.2.2 metric 50");
        ip("route add default via 10.1.1.2 metric 20");
        assert_eq!(interface::default_route(&netlink).unwrap().name, "lan0");
        let error = interface::by_name(&netlink, "eth7")
            .unwrap_err()
            .to_string();
        assert!(error.contains("eth7") && error.contains("lan0"), "{error}");
        let others = [
            ("wg0", "link add wg0 type wireguard"),
            ("tun0", "tuntap add tun0 mode tun"),
            ("gre1", "link add gre1 type gre local 10.1.1.1"),
        ];
        for (name, command) in others {
            if !try_ip(command) {
                let _ = writeln!(
                    io::stderr(),
                    "note: this kernel makes no {name}, so it is not tried"
                );
                continue;
            }
            let error = interface::by_name(&netlink, name)
                .unwrap()
                .require_usable()
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(name) && error.contains("Ethernet"),
                "{error}"
            );
        }
    });
}
