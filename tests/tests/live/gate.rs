//! Whose copies may leave: with the clients' own addresses network by network, by ways that change, past firewalls.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lab::copier::{Copier, Options};
use lab::net::{CLIENT, ONLINE, ONLINE_INSIDE, TARGET};
use lab::nginx::{Config, Nginx};
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, check_nothing_left, finish};
use tests::{Clients, PORT, Stand};

use super::robust::pause;

/// Clients of another network: an address of the client's host, and the address of the online server that they ask.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 2);
const STRANGER_PREFIX: &str = "10.9.9.0/24";
const ONLINE_SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 11);

/// Adds the clients of another network, whom the target answers through the online host, which forwards.
pub(super) fn add_strangers(stand: &Stand) -> Nginx {
    let online = stand.lab.namespace(Host::Online);
    let client = stand.lab.namespace(Host::Client);
    let target = stand.lab.namespace(Host::Target);
    online
        .add_address("eth0", &format!("{ONLINE_SECOND}/32"))
        .expect("address");
    client
        .add_address("lo", &format!("{STRANGER}/32"))
        .expect("address");
    let (second, stranger) = (ONLINE_SECOND.to_string(), STRANGER.to_string());
    let own = ["route", "add", &second, "dev", "eth0", "src", &stranger];
    client.ip(&own).expect("route");
    let back = ["route", "add", STRANGER_PREFIX, "via", &CLIENT.to_string()];
    online.ip(&back).expect("route");
    let astray = [
        "route",
        "add",
        STRANGER_PREFIX,
        "via",
        &ONLINE_INSIDE.to_string(),
    ];
    target.ip(&astray).expect("route");
    online.set("net.ipv4.ip_forward", "1").expect("sysctl");
    for interface in ["all", "eth0", "eth1"] {
        let name = format!("net.ipv4.conf.{interface}.rp_filter");
        online.set(&name, "0").expect("sysctl");
    }
    let config = Config::new("nginx-second", (ONLINE_SECOND, PORT).into());
    Nginx::start(&stand.lab, Host::Online, &config).expect("nginx")
}

/// Clients of the other network.
pub(super) fn strangers(rate: u32, seconds: u64) -> Clients {
    Clients::short(rate, seconds).at((ONLINE_SECOND, PORT).into())
}

/// A copy of both services.
fn options(stand: &Stand) -> Options {
    let mut options = stand.options();
    options.rules = format!("{PORT}-{TARGET}:{PORT}");
    options
}

/// Has the client's host count what `source` answers to it out of nothing.
fn count_answers(stand: &Stand, source: &str) {
    let rule = [
        "-w",
        "-A",
        "INPUT",
        "-p",
        "tcp",
        "-s",
        source,
        "--tcp-flags",
        "SYN,ACK",
        "SYN,ACK",
    ];
    stand
        .lab
        .run(Host::Client, "iptables", &rule)
        .expect("iptables");
}

fn answers(stand: &Stand) -> u64 {
    let list = ["-w", "-L", "INPUT", "-v", "-x", "-n"];
    let text = stand
        .lab
        .run(Host::Client, "iptables", &list)
        .expect("iptables");
    let rule = text.lines().nth(2).expect("one rule");
    let count = rule.split_whitespace().next().expect("a count");
    count.parse().expect("a number")
}

/// The command that the run says to run on the target.
fn advice(copier: &Copier) -> String {
    let log = copier.tcpcopy.log();
    let (_, rest) = log
        .split_once("run on the target: `")
        .unwrap_or_else(|| panic!("no advice in {log}"));
    let (command, _) = rest.split_once('`').expect("an end");
    command.to_owned()
}

/// Waits until what waited has been copied.
fn nothing_waits(copier: &Copier) {
    let what = "what waited to be copied";
    lab::interrupt::wait_until(what, Duration::from_secs(18), || {
        Ok(copier.next_summary()?.outcome("pending") == 0)
    })
    .unwrap_or_else(|error| panic!("{error}"));
}

/// The target routes one of two client networks to the assistant. Clients of that one are copied whole; the others get the
/// SYN-ACKs of a few probes, the run names them, and the command that it prints mends it.
#[test]
fn a_proof_holds_for_its_own_network() {
    let Some(stand) = super::stand_with(Topology::Assistant, &["nginx", "iptables"]) else {
        return;
    };
    let (mut first, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut second = add_strangers(&stand);
    count_answers(&stand, &TARGET.to_string());
    let mut copier = tests::copying::start_with(&stand, &options(&stand));
    let strange = strangers(20, 8).start(&stand);
    let report = Clients::short(100, 8).run(&stand);
    let strange = strange.wait();
    let astray = answers(&stand);
    eprintln!("{astray} SYN-ACKs of the target reached the real client in 8 s");
    check_clients(&report);
    check_clients(&strange);
    assert!(
        (1..=6).contains(&astray),
        "{astray}: {}",
        copier.tcpcopy.log()
    );
    let log = copier.tcpcopy.log();
    let warned = log.matches("clients in 10.9.9.0/24").count();
    assert_eq!(warned, 1, "{log}");

    let command = advice(&copier);
    stand
        .lab
        .run(Host::Target, "sh", &["-c", &command])
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    // Within one more wait they are tried again, and let in.
    nothing_waits(&copier);
    let again = strangers(20, 3).run(&stand);
    check_clients(&again);
    let summary = finish(&mut copier);
    let wanted = first.finish().expect("log");
    let strange = second.finish().expect("log");
    let got = target.finish().expect("log");
    check_books(&summary);
    let missing = |requests: &[lab::access_log::Request]| {
        let comparison = lab::access_log::Comparison::of(requests, &got);
        comparison.to_string()
    };
    let ids = |requests: &[lab::access_log::Request]| -> std::collections::BTreeSet<String> {
        requests.iter().map(|request| request.id.clone()).collect()
    };
    let got_ids = ids(&got);
    let lost: Vec<_> = ids(&wanted).difference(&got_ids).cloned().collect();
    assert!(
        lost.is_empty(),
        "{} of the proven network: {}",
        lost.len(),
        missing(&wanted)
    );
    let lost = ids(&strange).difference(&got_ids).count();
    assert_eq!(
        lost,
        0,
        "what waited is copied, too: {}; {}",
        missing(&strange),
        summary.ledger()
    );
    assert_eq!(answers(&stand), astray, "none any more");
    assert_eq!(
        summary.answered(),
        summary.captured(),
        "{}",
        summary.ledger()
    );
    check_nothing_left(&stand);
}

/// The address of the target comes to the online host while a run goes on: its clients hear nothing of the production server
/// in the target's name, and copying goes on when the address has gone back.
#[test]
fn a_target_whose_address_comes_to_this_host_is_left_alone() {
    let Some(stand) = super::stand_with(Topology::Assistant, &["nginx", "iptables"]) else {
        return;
    };
    let vip = "10.9.8.8";
    let online_host = stand.lab.namespace(Host::Online);
    stand
        .lab
        .namespace(Host::Target)
        .add_address("lo", &format!("{vip}/32"))
        .expect("address");
    let route = ["route", "add", vip, "via", &TARGET.to_string()];
    online_host.ip(&route).expect("route");
    for interface in ["all", "default", "eth0", "eth1"] {
        let name = format!("net.ipv4.conf.{interface}.rp_filter");
        online_host.set(&name, "0").expect("sysctl");
    }
    // The production server listens everywhere.
    let everywhere = Config::new("nginx-online", (Ipv4Addr::UNSPECIFIED, PORT).into());
    let _online = Nginx::start(&stand.lab, Host::Online, &everywhere).expect("nginx");
    let far: SocketAddr = format!("{vip}:{PORT}").parse().expect("an address");
    let mut target =
        Nginx::start(&stand.lab, Host::Target, &Config::new("nginx-far", far)).expect("nginx");
    count_answers(&stand, vip);
    let mut options = Options::new(
        Topology::Assistant,
        &format!("{ONLINE}:{PORT}"),
        &far.to_string(),
    );
    options.name = "moving".to_owned();
    let mut copier = tests::copying::start_with(&stand, &options);
    let clients = Clients::short(100, 12).start(&stand);
    pause(3000);
    online_host
        .add_address("lo", &format!("{vip}/32"))
        .expect("address");
    pause(5000);
    let before = copier.next_summary().expect("a summary").answered();
    pause(1000);
    let during = copier.next_summary().expect("a summary").answered();
    online_host
        .ip(&["address", "del", &format!("{vip}/32"), "dev", "lo"])
        .expect("address");
    let report = clients.wait();
    check_clients(&report);
    let summary = finish(&mut copier);
    let astray = answers(&stand);
    let log = copier.tcpcopy.log();
    assert_eq!(
        astray, 0,
        "the production server has answered a client in the target's name: {log}"
    );
    assert_eq!(during, before, "nothing was copied meanwhile");
    assert_eq!(
        log.matches("stops until its way is fit again").count(),
        1,
        "{log}"
    );
    assert!(log.contains("goes on"), "{log}");
    assert!(summary.answered() > during + 100, "{}", summary.ledger());
    assert!(!target.finish().expect("log").is_empty());
    check_nothing_left(&stand);
}

/// SYN and SYN-ACK pass, nothing after them does.
#[test]
fn a_firewall_that_sees_one_direction_is_named() {
    let Some(stand) = super::stand_with(Topology::Assistant, &["nginx", "iptables"]) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let port = PORT.to_string();
    let rule = ["-p", "tcp", "--dport", &port, "!", "--syn"];
    let namespace = stand.lab.namespace(Host::Target);
    namespace.drop_matching(&rule).expect("iptables");
    for pool in [None, Some("62.135.200.x")] {
        // Nothing is to come of what waits at the end.
        let mut options = stand.options().more("--drain").more("1s");
        if let Some(pool) = pool {
            options = options.more("-c").more(pool);
        }
        let mut intercept =
            lab::copier::start_intercept(&stand.lab, &stand.binaries, &options).expect("intercept");
        let mut copier =
            Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online)
                .expect("tcpcopy");
        copier
            .tcpcopy
            .wait_for("accepts connections, and nothing", Duration::from_secs(10))
            .expect("it is named");
        let report = Clients::short(20, 5).run(&stand);
        check_clients(&report);
        copier.tcpcopy.signal(Signal::SIGINT).expect("signal");
        let _ = copier
            .tcpcopy
            .wait(Duration::from_secs(20))
            .expect("it ends");
        let log = copier.tcpcopy.log();
        assert!(!log.lines().any(|line| line.contains(" ready ")), "{log}");
        let summary = copier.summary().expect("a summary");
        assert_eq!(summary.answered(), 0, "{}", summary.ledger());
        let sent = summary.count("/engine/segments_sent");
        eprintln!("{pool:?}: {sent} segments sent to a target that hears none");
        assert!(sent < 400, "{sent}");
        intercept
            .stop(Signal::SIGTERM, Duration::from_secs(5))
            .expect("intercept ends");
    }
    assert!(target.finish().expect("log").is_empty());
    check_nothing_left(&stand);
}

/// A server that takes what it is sent, answers each piece with as many bytes, and remembers it.
fn recorder(stand: &Stand, host: Host) -> Arc<Mutex<Vec<u8>>> {
    let listener: TcpListener = tests::stand::listen(stand, host, PORT);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let remembered = Arc::clone(&heard);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let remembered = Arc::clone(&remembered);
            thread::spawn(move || answer(stream, &remembered));
        }
    });
    heard
}

fn answer(mut stream: TcpStream, remembered: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        remembered
            .lock()
            .expect("a lock")
            .extend_from_slice(&buffer[..len]);
        if stream.write_all(&buffer[..len]).is_err() {
            return;
        }
    }
}

/// A firewall of the online host drops a request in the middle of an open connection. What the online server never got, the
/// target never gets: `--confirmed auto` has seen the rule.
#[test]
fn what_a_firewall_drops_the_target_never_gets() {
    let Some(stand) = super::stand_with(Topology::Direct, &["iptables", "nft"]) else {
        return;
    };
    let online = recorder(&stand, Host::Online);
    let target = recorder(&stand, Host::Target);
    let namespace = stand.lab.namespace(Host::Online);
    let port = PORT.to_string();
    let rule = [
        "-p", "tcp", "--dport", &port, "-m", "string", "--string", "evil",
    ];
    namespace
        .drop_matching(&[&rule[..], &["--algo", "bm"]].concat())
        .expect("iptables");
    let mut copier = tests::copying::start(&stand);
    let log = copier.tcpcopy.log();
    assert!(log.contains("--confirmed auto: bytes leave once"), "{log}");
    let client = stand.lab.namespace(Host::Client);
    let server = SocketAddr::from((ONLINE, PORT));
    let mut stream = lab::http::connect(&client, server).expect("a connection");
    let mut answer = [0; 64];
    stream.write_all(b"good").expect("sent");
    assert!(stream.read(&mut answer).expect("an answer") > 0);
    stream.write_all(b"evil").expect("sent");
    // It is sent again and again meanwhile.
    pause(3000);
    drop(stream);
    pause(500);
    let summary = finish(&mut copier);
    let of = |heard: &Mutex<Vec<u8>>| {
        let heard = heard.lock().expect("a lock");
        String::from_utf8_lossy(&heard).into_owned()
    };
    assert_eq!(of(&online), "good");
    assert_eq!(of(&target), "good", "{}", summary.ledger());
    check_nothing_left(&stand);
}
