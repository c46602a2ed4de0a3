//! A run that sees half, or nothing, or has lost a device, says so within seconds, wherever it is asked; one that sees a service
//! which is only slow, silent or one-way says nothing.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lab::access_log::Comparison;
use lab::copier::{Copier, Options, Summary};
use lab::net::{CLIENT, ONLINE, TARGET};
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::copying::{check_books, check_clients, check_nothing_left, finish, start_with};
use tests::{Clients, PORT, Stand, check_clean};

use super::metrics::{get, tcpcopy};
use super::options::with;
use super::robust::pause;

/// How soon it must have been said. Nothing is said after 5 s, half after 2 s; the rest is for a busy machine.
const SAID_WITHIN: Duration = Duration::from_secs(20);
/// Where the figures are asked for.
const METRICS: [&str; 2] = ["--listen", "127.0.0.1:9524"];

/// The texts of the warnings of a kind in a summary.
fn warnings(summary: &Value, kind: &str) -> Vec<String> {
    let all = summary["warnings"].as_array();
    let all = all.unwrap_or_else(|| panic!("no warnings in {summary}"));
    all.iter()
        .filter(|warning| warning["kind"] == kind)
        .map(|warning| warning["text"].as_str().expect("a text").to_owned())
        .collect()
}

/// The only warning of a kind, which holds all of these words and stands everywhere it should.
fn told_everywhere(stand: &Stand, host: Host, copier: &mut Copier, kind: &str, words: &[&str]) {
    let first = words.first().expect("a word");
    copier
        .tcpcopy
        .wait_for(first, SAID_WITHIN)
        .unwrap_or_else(|error| panic!("{error}"));
    // What is said is published in the same second.
    let gauge = format!("tcpcopy_warnings{{kind=\"{kind}\"}} 1");
    let mut metrics = String::new();
    for _ in 0..30 {
        metrics = get(stand, host, tcpcopy(), "/metrics").body;
        if metrics.contains(&gauge) {
            break;
        }
        pause(100);
    }
    assert!(metrics.contains(&gauge), "{gauge} is not in {metrics}");
    let live = get(stand, host, tcpcopy(), "/summary.json").body;
    let live: Value = serde_json::from_str(&live).expect("a summary");
    let texts = warnings(&live, kind);
    let [text] = &texts[..] else {
        panic!("{texts:?} in {live}")
    };
    for word in words {
        assert!(text.contains(word), "`{word}` is not in {text}");
    }
    assert!(copier.tcpcopy.log().contains(text.as_str()), "{text}");
}

/// A copy on a host of the lab with these arguments, and the metrics.
fn copier_on(stand: &Stand, host: Host, options: &Options) -> Copier {
    let options = with(options.clone(), &METRICS);
    let mut copier = Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, host)
        .unwrap_or_else(|error| panic!("{error}"));
    copier
        .tcpcopy
        .wait_for("ready", SAID_WITHIN)
        .unwrap_or_else(|error| panic!("{error}"));
    copier
}

/// Requests are mirrored to another machine, which copies from there and never sees an answer.
#[test]
fn a_mirror_of_one_direction() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "tc"]) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let (online, monitor) = (
        stand.lab.namespace(Host::Online),
        stand.lab.namespace(Host::Assistant),
    );
    let link = online
        .run("cat", &["/sys/class/net/eth0/address"])
        .expect("an Ethernet address");
    let name = monitor.name();
    online
        .ip(&[
            "link", "add", "span1", "type", "veth", "peer", "name", "span0", "netns", name,
        ])
        .expect("a link");
    // As if the copies were its own: what is for another address is left out, which is said too.
    monitor
        .ip(&["link", "set", "span0", "address", link.trim(), "up"])
        .expect("up");
    online.set_link("span1", true).expect("up");
    online
        .run("tc", &["qdisc", "add", "dev", "eth0", "clsact"])
        .expect("a hook");
    let mirror =
        "filter add dev eth0 ingress u32 match u32 0 0 action mirred egress mirror dev span1";
    online
        .run("tc", &mirror.split(' ').collect::<Vec<_>>())
        .expect("a mirror");
    let options = with(stand.options(), &["-i", "span0"]);
    let mut copier = copier_on(&stand, Host::Assistant, &options);
    let clients = Clients::short(50, 8).start(&stand);
    let words = [
        "no answer of the online server to any of them",
        "10.0.1.1 is no address of this host",
        "-i span0:mirror",
    ];
    told_everywhere(&stand, Host::Assistant, &mut copier, "no_answers", &words);
    check_clients(&clients.stop());
    let summary = finish(&mut copier);
    check_books(&summary);
    // What is seen of one side alone is a request that was missed, and no request is sent.
    let missed = summary.outcome("missed");
    assert_eq!(summary.captured(), missed, "{}", summary.ledger());
    assert!(target.finish().expect("log").is_empty());
}

/// Requests come in by one device, answers leave by another, and -i names the first alone: all is copied, or it is told.
#[test]
fn answers_that_leave_by_another_device() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut server, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let (client, online) = (
        stand.lab.namespace(Host::Client),
        stand.lab.namespace(Host::Online),
    );
    let pair = [
        "link",
        "add",
        "back0",
        "type",
        "veth",
        "peer",
        "name",
        "back0",
        "netns",
        client.name(),
    ];
    online.ip(&pair).expect("a link");
    for (end, address) in [(&online, "10.0.9.1/24"), (&client, "10.0.9.2/24")] {
        for name in ["all", "back0", "eth0"] {
            let name = format!("net.ipv4.conf.{name}.rp_filter");
            end.set(&name, "0").expect("a setting");
        }
        end.add_address("back0", address).expect("an address");
        end.set_link("back0", true).expect("up");
    }
    let back = format!("route replace {CLIENT}/32 via 10.0.9.2 dev back0");
    online
        .ip(&back.split(' ').collect::<Vec<_>>())
        .expect("a route");
    let options = with(stand.options(), &["-i", "eth0"]);
    let mut copier = copier_on(&stand, Host::Online, &options);
    let report = Clients::short(50, 5).run(&stand);
    check_clients(&report);
    let summary = finish(&mut copier);
    check_books(&summary);
    let (server, target) = (server.finish().expect("log"), target.finish().expect("log"));
    let comparison = Comparison::of(&server, &target);
    let told = warnings(summary.value(), "no_answers");
    if !comparison.is_exact() {
        let [text] = &told[..] else {
            panic!("{comparison}; {}", summary.value())
        };
        assert!(text.contains("-i eth0,back0"), "{text}");
    }
    check_clean(&stand);
}

/// A container's service, and the host's end of its veth named as if it were an ordinary device.
#[test]
fn a_container_seen_from_its_host() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    // The client's end of the pair is the host's; the service lives at the other.
    let at = SocketAddr::from((ONLINE, PORT));
    let (_service, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let rules = format!("{at}-{CLIENT}:{}", PORT + 1);
    let options = Options::new(Topology::Direct, &at.to_string(), "unused");
    let options = Options {
        rules,
        ..with(options, &["-i", "eth0"])
    };
    let mut copier = copier_on(&stand, Host::Client, &options);
    let clients = Clients::short(50, 8).start(&stand);
    let words = [
        "NOTHING IS CAPTURED",
        "10.0.1.1 is no address of this host",
        "-i eth0:host",
        "--netns",
    ];
    told_everywhere(&stand, Host::Client, &mut copier, "nothing_seen", &words);
    check_clients(&clients.stop());
    let summary = finish(&mut copier);
    assert_eq!(summary.captured(), 0, "{}", summary.ledger());
}

/// A wrong port: told with what listens, over with the first packet, and nothing to judge where none comes.
#[test]
fn nothing_is_told_and_not_judged() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let wrong = PORT + 1;
    let rules = format!("{ONLINE}:{wrong}-{TARGET}:{PORT}");
    let options = Options {
        rules,
        ..with(stand.options(), &["--min-fidelity", "99.9"])
    };
    let mut copier = copier_on(&stand, Host::Online, &options);
    let report = Clients::short(50, 1).run(&stand);
    check_clients(&report);
    let words = [
        "NOTHING IS CAPTURED",
        "eth0, eth1",
        "nobody listens on port 8081 of this host, but on 8080",
    ];
    told_everywhere(&stand, Host::Online, &mut copier, "nothing_seen", &words);
    let status = copier
        .tcpcopy
        .stop(Signal::SIGINT, Duration::from_secs(20))
        .expect("it ends");
    let log = copier.tcpcopy.log();
    assert_eq!(status.code(), Some(4), "{log}");
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains("nothing was captured"), "{log}");
    let summary = copier.summary().expect("a summary");
    assert_eq!(summary.captured(), 0, "{}", summary.ledger());

    // A wrong device: where clients are connected says which is right.
    let options = with(stand.options(), &["-i", "eth1"]);
    let mut copier = copier_on(&stand, Host::Online, &options);
    let clients = Clients::keep_alive(5, 50, 8).start(&stand);
    copier
        .tcpcopy
        .wait_for("name it", SAID_WITHIN)
        .unwrap_or_else(|error| panic!("{error}"));
    check_clients(&clients.stop());
    let log = copier.tcpcopy.log();
    let told = ["name it, -i eth0", "name it too, -i eth1,eth0"];
    assert!(told.iter().any(|words| log.contains(words)), "{log}");
    finish(&mut copier);

    // Without a gate it is no failure, but the last word; and it is over once somebody asks.
    let mut copier = copier_on(&stand, Host::Online, &stand.options());
    copier
        .tcpcopy
        .wait_for("NOTHING IS CAPTURED", SAID_WITHIN)
        .unwrap_or_else(|error| panic!("{error}"));
    check_clients(&Clients::short(50, 1).run(&stand));
    copier
        .tcpcopy
        .wait_for("packets of a rule are seen now", SAID_WITHIN)
        .unwrap_or_else(|error| panic!("{error}"));
    let summary = finish(&mut copier);
    let over = &summary.value()["warnings"][0]["over"];
    assert!(over.is_string(), "{}", summary.value());
    let mut copier = start_with(&stand, &stand.options());
    finish(&mut copier);
    let log = copier.tcpcopy.log();
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains("nothing was captured"), "{log}");
    check_nothing_left(&stand);
}

/// What budgets leave out counts once, stands in the headline, and fails the gate.
#[test]
fn what_is_left_out_fails_the_gate() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let gate = ["--max-new-sessions", "5", "--min-fidelity", "90"];
    let mut copier = start_with(&stand, &with(stand.options(), &gate));
    let report = Clients::short(100, 3).run(&stand);
    check_clients(&report);
    let status = copier
        .tcpcopy
        .stop(Signal::SIGINT, Duration::from_secs(20))
        .expect("it ends");
    let log = copier.tcpcopy.log();
    assert_eq!(status.code(), Some(3), "{log}");
    let summary = copier.summary().expect("a summary");
    check_books(&summary);
    let left_out = summary.count("/left_out/turns");
    assert_eq!(
        summary.captured() + left_out,
        report.completed,
        "{}",
        summary.value()
    );
    let said = copier.tcpcopy.output();
    let line = format!("{left_out} left out by --max-sessions");
    assert!(said.contains(&line), "`{line}` is not in {said}");
    let copied = target.finish().expect("log").len() as u64;
    assert_eq!(copied, summary.captured(), "{}", summary.ledger());
}

/// Joins client and online server by a new pair, as [`lab::Lab::up`] did.
fn join_again(stand: &Stand) {
    let (client, online) = (
        stand.lab.namespace(Host::Client),
        stand.lab.namespace(Host::Online),
    );
    let pair = [
        "link",
        "add",
        "eth0",
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        online.name(),
    ];
    client.ip(&pair).expect("a link");
    for (end, address) in [
        (&client, format!("{CLIENT}/24")),
        (&online, format!("{ONLINE}/24")),
    ] {
        end.add_address("eth0", &address).expect("an address");
        end.set_link("eth0", true).expect("up");
    }
    let online = ONLINE.to_string();
    client
        .ip(&["route", "replace", "default", "via", &online])
        .expect("a route");
}

/// Of the requests that come once the device is there again.
const FIRST_ID: u64 = 900_000_000;

/// The device that clients come in by is removed and made again under load.
#[test]
fn a_clients_device_that_is_made_anew() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut server, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = copier_on(&stand, Host::Online, &stand.options());
    // Their errors are the missing device's doing.
    let under_load = Clients::short(100, 4).start(&stand);
    pause(1000);
    let online = stand.lab.namespace(Host::Online);
    online.ip(&["link", "delete", "eth0"]).expect("gone");
    let words = ["the device eth0 is gone"];
    told_everywhere(&stand, Host::Online, &mut copier, "device_missing", &words);
    let ready = get(&stand, Host::Online, tcpcopy(), "/ready");
    assert_eq!((ready.status, ready.body.trim()), (503, "impaired"));
    join_again(&stand);
    copier
        .tcpcopy
        .wait_for("the device eth0 is there again", SAID_WITHIN)
        .unwrap_or_else(|error| panic!("{error}"));
    let ready = get(&stand, Host::Online, tcpcopy(), "/ready");
    assert_eq!(ready.status, 200, "{}", ready.body);
    drop(under_load.wait());
    let first_id = format!("{FIRST_ID:x}");
    let after = Clients::keep_alive(20, 300, 2).and(&["--first-id", &first_id]);
    let report = after.run(&stand);
    check_clients(&report);
    let summary = finish(&mut copier);
    check_books(&summary);
    let is_after = |request: &lab::access_log::Request| {
        let id = u64::from_str_radix(&request.id, 16);
        id.is_ok_and(|id| (FIRST_ID..FIRST_ID + report.sent).contains(&id))
    };
    let (mut server, mut target) = (server.finish().expect("log"), target.finish().expect("log"));
    server.retain(is_after);
    target.retain(is_after);
    let comparison = Comparison::of(&server, &target);
    assert_eq!(server.len() as u64, report.completed);
    assert!(comparison.is_exact(), "{comparison}; {}", summary.ledger());
    let missing = &summary.value()["warnings"][0];
    assert_eq!(missing["kind"], "device_missing", "{}", summary.value());
    assert!(missing["over"].is_string(), "{missing}");
    assert_eq!(summary.count("/incidents/devices_attached_again"), 1);
    assert!(summary.count("/incidents/device_missing_ms") > 0);
    check_clean(&stand);
}

/// What a service does with each connection.
type Habit = fn(TcpStream);

/// Never answers, but takes everything.
fn silent(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Answers each piece after three seconds.
fn slow(mut stream: TcpStream) {
    let mut piece = [0; 1024];
    while stream.read(&mut piece).is_ok_and(|len| len > 0) {
        thread::sleep(Duration::from_secs(3));
        let _ = stream.write_all(b"at last\n");
    }
}

/// Sends without being asked again.
fn pushing(mut stream: TcpStream) {
    let mut piece = [0; 1024];
    let _ = stream.read(&mut piece);
    while stream.write_all(&[b'.'; 500]).is_ok() {
        thread::sleep(Duration::from_millis(20));
    }
}

const HABITS: [Habit; 3] = [silent, slow, pushing];

/// Serves by habit, each at a port of its own from [`PORT`] on, until the listeners' hosts go.
fn serve(stand: &Stand, host: Host) {
    for (port, habit) in (PORT..).zip(HABITS) {
        let listener: TcpListener = tests::stand::listen(stand, host, port);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || habit(stream));
            }
        });
    }
}

/// Slow, silent and one-way services, a flood of SYNs, and a port where nobody listens: nothing is missing, so nothing is said.
#[test]
fn no_false_alarm() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    serve(&stand, Host::Online);
    serve(&stand, Host::Target);
    let closed = PORT + 3;
    let rules: Vec<String> = (PORT..=closed)
        .map(|port| format!("{ONLINE}:{port}-{TARGET}:{port}"))
        .collect();
    let options = Options {
        rules: rules.join(","),
        ..with(stand.options(), &["--drain", "1s"])
    };
    let mut copier = start_with(&stand, &options);
    let client = stand.lab.namespace(Host::Client);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for port in PORT..PORT + 3 {
            for _ in 0..5 {
                let (client, is_over) = (&client, &is_over);
                scope.spawn(move || {
                    let stream = client.enter(|| TcpStream::connect((ONLINE, port)));
                    let mut stream = stream.expect("the namespace").expect("a connection");
                    // The third service is asked once.
                    let again = port != PORT + 2;
                    let mut first = true;
                    while !is_over.load(Ordering::Relaxed) {
                        if std::mem::take(&mut first) || again {
                            stream.write_all(b"a line\n").expect("it is taken");
                        }
                        if again {
                            thread::sleep(Duration::from_millis(50));
                        } else {
                            let _ = stream.read(&mut [0; 4096]);
                        }
                    }
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        }
        for _ in 0..30 {
            let refused = client.enter(|| TcpStream::connect((ONLINE, closed)));
            assert!(refused.expect("the namespace").is_err());
            pause(100);
        }
        let sent = client.enter(|| super::flood::syn_flood(ONLINE, PORT, 5_000));
        assert!(sent.expect("the namespace").expect("raw socket") >= 5_000);
        pause(3000);
        is_over.store(true, Ordering::Relaxed);
    });
    let summary: Summary = finish(&mut copier);
    check_books(&summary);
    assert!(summary.captured() > 0, "{}", summary.ledger());
    for kind in ["no_answers", "no_requests", "nothing_seen"] {
        let said = warnings(summary.value(), kind);
        assert!(said.is_empty(), "{said:?}");
    }
    check_nothing_left(&stand);
}
