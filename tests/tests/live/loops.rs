//! Never a loop: a target that calls back to the online service must not make its clients' requests come again for ever.
//!
//! Where the target's own address is seen, its flows are left out. Where NAT hides it, the run finds out by an experiment
//! (`run::brake`) and ends; whoever only repeats himself must never be taken for a loop.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::copier::{Copier, Options, Summary};
use lab::interrupt;
use lab::net::{ASSISTANT, ONLINE, ONLINE_INSIDE, TARGET};
use lab::nginx::{Answer, Config, Nginx, wait_listening};
use lab::redis::Redis;
use lab::{Host, Process, Spec, Topology};
use tests::copying::{check_books, check_clients, check_nothing_left, finish, start, start_with};
use tests::{Clients, PORT, Stand, check_clean};

/// How long a loop may turn before the run has found it and has ended, on a machine that is busy otherwise.
const END_WITHIN: Duration = Duration::from_secs(60);

fn pause(milliseconds: u64) {
    interrupt::sleep(Duration::from_millis(milliseconds)).expect("no signal");
}

/// The target is a proxy, and its upstream the online service.
fn nginx_back(stand: &Stand) -> Nginx {
    let mut config = Config::new("nginx-back", (TARGET, PORT).into());
    config.answer = Answer::Proxy((ONLINE, PORT).into());
    Nginx::start(&stand.lab, Host::Target, &config).expect("the proxy")
}

/// The same with haproxy, which keeps its connections and adds a header each time.
fn haproxy_back(stand: &Stand, more: &str) -> Process {
    let text = format!(
        "global
    maxconn 2000
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend front
    bind {TARGET}:{PORT}
    {more}
    default_backend online
backend online
    # Another each time, as where each adds itself; but a list that grew would end the loop after a thousand rounds, when nginx
    # refuses the request.
    http-request set-header X-Forwarded-For %[rand(1000000)],%[src]
    http-reuse always
    server online {ONLINE}:{PORT}
"
    );
    let file = stand.lab.folder().join("haproxy.cfg");
    std::fs::write(&file, text).expect("a file");
    let spec = Spec::new("haproxy", "haproxy").args(["-db", "-f", &file.display().to_string()]);
    let mut process = stand.lab.spawn(Host::Target, &spec).expect("haproxy");
    let listen = (TARGET, PORT).into();
    wait_listening(&stand.lab, Host::Target, listen, &mut process).expect("haproxy listens");
    process
}

/// From here on the target's calls to the online service go through the assistant's host, which puts its own address in
/// their place.
fn hide_target(stand: &Stand) {
    stand
        .lab
        .namespace(Host::Target)
        .ip(&[
            "route",
            "replace",
            &format!("{ONLINE}/32"),
            "via",
            &ASSISTANT.to_string(),
        ])
        .expect("a route");
    let middle = stand.lab.namespace(Host::Assistant);
    middle.set("net.ipv4.ip_forward", "1").expect("sysctl");
    let conditions = ["-s", &TARGET.to_string(), "-d", &ONLINE.to_string()];
    let rule = [
        &["-t", "nat", "-A", "POSTROUTING"],
        &conditions[..],
        &["-j", "MASQUERADE"],
    ];
    middle.run("iptables", &rule.concat()).expect("iptables");
    let way = [
        "route",
        "replace",
        &format!("{ONLINE}/32"),
        "via",
        &ONLINE_INSIDE.to_string(),
    ];
    middle.ip(&way).expect("a route");
}

/// One request of one client.
fn ask_once(stand: &Stand) {
    let report = Clients::keep_alive(1, 1, 1).run(stand);
    check_clients(&report);
    assert_eq!(report.sent, 1);
}

/// The target calls by an address that it has: what it asks is not copied.
fn known_by_its_address(topology: Topology) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    // Its calls, and only these, go straight to the online server: what it answers clients goes where it went before.
    let target = stand.lab.namespace(Host::Target);
    let (online, port) = (ONLINE.to_string(), PORT.to_string());
    let calls = [
        "rule", "add", "to", &online, "ipproto", "tcp", "dport", &port,
    ];
    target
        .ip(&[&calls[..], &["lookup", "100"]].concat())
        .expect("a rule");
    let way = ["default", "via", &ONLINE_INSIDE.to_string(), "table", "100"];
    target
        .ip(&[&["route", "add"], &way[..]].concat())
        .expect("a route");
    let mut online = stand.nginx(Host::Online);
    let _target = nginx_back(&stand);
    let mut copier = start(&stand);
    ask_once(&stand);
    pause(1500);
    let requests = online.requests().expect("log").len();
    let log = copier.tcpcopy.log();
    let summary = finish(&mut copier);
    eprintln!(
        "{requests} requests at the online server for one; {}",
        summary.ledger()
    );
    assert!(
        (1..=2).contains(&requests),
        "{requests} requests at the online server"
    );
    assert_eq!(summary.captured(), 1, "{}", summary.ledger());
    assert_eq!(
        summary.count("/engine/flows_from_target"),
        1,
        "{}",
        summary.value()
    );
    assert_eq!(log.matches("FLOWS OF A TARGET").count(), 1, "{log}");
    assert!(log.contains("proxy"), "it says what to do: {log}");
    check_books(&summary);
    check_clean(&stand);
}

#[test]
fn known_by_its_address_direct() {
    known_by_its_address(Topology::Direct);
}

#[test]
fn known_by_its_address_assistant() {
    known_by_its_address(Topology::Assistant);
}

/// What the log of a run says with `-v` where it looks for loops.
const WORDS: [&str; 6] = [
    "an experiment",
    "a watch is void",
    "Evidence",
    "all suspects go on",
    "few connections are opened",
    "LOOP",
];
/// From here on a run has taken so long that one wants to know why.
const LONG: Duration = Duration::from_secs(20);

/// What was looked for and found, step by step, for whoever has to find out why a loop was not found: what the log tells of
/// suspects, watches and judgements, and what looking has cost.
fn course(copier: &Copier) -> String {
    let log = copier.tcpcopy.log();
    let lines = log
        .lines()
        .filter(|line| WORDS.iter().any(|word| line.contains(word)));
    let summary = copier.summary();
    let value = summary.as_ref().map(Summary::value);
    let part = |name: &str| value.map_or_else(|error| error.to_string(), |it| it[name].to_string());
    format!(
        "{}\nincidents {}\nloop {}\nsessions {}\nledger {}",
        lines.collect::<Vec<_>>().join("\n"),
        part("incidents"),
        part("loop"),
        part("sessions"),
        part("ledger"),
    )
}

/// Waits until the run has ended by itself, and returns its log.
fn wait_ended(copier: &mut Copier, began: Instant) -> String {
    let status = match copier.tcpcopy.wait(END_WITHIN) {
        Ok(status) => status,
        Err(error) => panic!(
            "the run does not end by itself: {error}\n{}",
            course(copier)
        ),
    };
    let log = copier.tcpcopy.log();
    assert_eq!(status.code(), Some(1), "{log}");
    let took = began.elapsed();
    let found = log.lines().filter(|line| line.contains("LOOP"));
    let found = match took >= LONG {
        true => course(copier),
        false => found.collect::<Vec<_>>().join("\n"),
    };
    eprintln!("ended after {:.1} s\n{found}", took.as_secs_f64());
    log
}

/// The run ends by itself, says what it found, and the loop is over.
fn check_ended(stand: &Stand, copier: &mut Copier, online: &mut Nginx, began: Instant) -> Summary {
    let log = wait_ended(copier, began);
    let first = online.requests().expect("log").len();
    pause(1000);
    let second = online.requests().expect("log").len();
    eprintln!("{first} requests at the online server");
    let address = ASSISTANT.to_string();
    assert!(
        log.contains(&format!("LOOP: {address}")),
        "it names the address: {log}"
    );
    assert!(
        log.contains(&format!("{TARGET}:{PORT}")),
        "it names the target: {log}"
    );
    let summary = copier.summary().expect("a summary");
    let found = summary
        .value()
        .pointer("/loop/client")
        .and_then(|client| client.as_str());
    assert_eq!(found, Some(address.as_str()), "{}", summary.value());
    check_books(&summary);
    check_nothing_left(stand);
    assert!(
        summary.count("/incidents/holds") >= 5,
        "{}",
        summary.value()
    );
    assert!(
        second <= first + 2,
        "the loop goes on: {first}, then {second} requests"
    );
    summary
}

/// What a loop looks like on today's path: through NAT.
fn hidden(needs: &[&str], more: &[&str], back: impl FnOnce(&Stand) -> Box<dyn std::any::Any>) {
    let needs = [&["nginx", "iptables"], needs].concat();
    let Some(stand) = super::stand_with(Topology::Direct, &needs) else {
        return;
    };
    hide_target(&stand);
    let mut online = stand.nginx(Host::Online);
    let _target = back(&stand);
    let options = super::options::with(stand.options().more("-v"), more);
    let mut copier = start_with(&stand, &options);
    let began = Instant::now();
    // On a machine that is busy otherwise a request may fall out of its loop, which is then over.
    let mut asked = 0;
    while asked < 5 && copier.tcpcopy.poll().expect("a status").is_none() {
        ask_once(&stand);
        asked += 1;
        let ends = || Ok(copier.tcpcopy.poll()?.is_some());
        let _ = interrupt::wait_until("the end", END_WITHIN / 2, ends);
    }
    check_ended(&stand, &mut copier, &mut online, began);
}

#[test]
fn hidden_by_nat_short_connections() {
    hidden(&[], &[], |stand| Box::new(nginx_back(stand)));
}

#[test]
fn hidden_by_nat_keep_alive_and_forwarded_for() {
    hidden(&["haproxy"], &[], |stand| Box::new(haproxy_back(stand, "")));
}

/// Where turns do not wait for responses, holding back must hold all the same.
#[test]
fn hidden_by_nat_without_waiting() {
    hidden(&[], &["-W"], |stand| Box::new(nginx_back(stand)));
}

/// The copies leave by another worker than their requests come in by.
#[test]
fn hidden_by_nat_two_workers() {
    hidden(&[], &["--workers", "2"], |stand| {
        Box::new(nginx_back(stand))
    });
}

/// A target that takes a while: few requests per second go round. Longer where `LOOPS_DELAY_MS` says so; beyond 30 ms the
/// suspicion alone takes 20 s.
#[test]
fn hidden_by_nat_slow_target() {
    let said = std::env::var("LOOPS_DELAY_MS").ok();
    let delay = said.and_then(|said| said.parse().ok()).unwrap_or(15);
    hidden(&[], &[], |stand| {
        slow_back(stand, Duration::from_millis(delay));
        Box::new(())
    });
}

/// A proxy that lets each request wait before it asks the online service. It ends with the test.
fn slow_back(stand: &Stand, delay: Duration) {
    let listener = tests::stand::listen(stand, Host::Target, PORT);
    let namespace = stand.lab.namespace(Host::Target);
    let pass_on = move |mut client: TcpStream| -> std::io::Result<()> {
        let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
        while !request.ends_with(b"\r\n\r\n") {
            let read = client.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            request.extend_from_slice(&buffer[..read]);
        }
        std::thread::sleep(delay);
        let mut server = TcpStream::connect((ONLINE, PORT))?;
        server.write_all(&request)?;
        let read = server.read(&mut buffer)?;
        client.write_all(&buffer[..read])
    };
    std::thread::spawn(move || {
        // A thread stays where it was born.
        namespace.enter(|| {
            for client in listener.incoming().flatten() {
                std::thread::spawn(move || pass_on(client));
            }
        })
    });
}

/// Beside real clients, each of whose requests begins to go round: a few seconds later the target cannot keep up.
fn hidden_beside_others(clients: &Clients) {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "iptables"]) else {
        return;
    };
    hide_target(&stand);
    let mut online = stand.nginx(Host::Online);
    let _target = nginx_back(&stand);
    let mut copier = start_with(&stand, &stand.options().more("-v"));
    let began = Instant::now();
    let clients = clients.start(&stand);
    let log = wait_ended(&mut copier, began);
    let summary = copier.summary().expect("a summary");
    eprintln!(
        "{} requests at the online server; sessions {}",
        online.requests().expect("log").len(),
        summary.value()["sessions"]
    );
    assert!(log.contains(&format!("LOOP: {ASSISTANT}")), "{log}");
    let _ = clients.stop();
    pause(1000);
    // The clients are through; what they asked is not asked again.
    let first = online.requests().expect("log").len();
    pause(1000);
    assert_eq!(
        online.requests().expect("log").len(),
        first,
        "the loop goes on"
    );
    check_nothing_left(&stand);
}

#[test]
fn hidden_by_nat_beside_keep_alive_clients() {
    hidden_beside_others(&Clients::keep_alive(20, 200, 30));
}

#[test]
fn hidden_by_nat_beside_short_connections() {
    hidden_beside_others(&Clients::short(200, 30));
}

/// How long loads run that must not be taken for loops, in seconds: more where `LOOPS_SECONDS` says so.
fn seconds() -> u64 {
    let said = std::env::var("LOOPS_SECONDS").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(5)
}

/// A copy of a load that is no loop; what the experiments cost it is printed.
fn innocent(stand: &Stand, options: &Options, load: impl FnOnce(&Stand)) {
    let mut copier = start_with(stand, options);
    load(stand);
    copier.tcpcopy.expect_alive().expect("the run goes on");
    let summary = finish(&mut copier);
    let lag = |name: &str| summary.count(&format!("/latency_us/lag/{name}"));
    eprintln!(
        "holds {}, experiments {}; lag p50 {} us, p99 {} us, p99.9 {} us, max {} us; {}",
        summary.count("/incidents/holds"),
        summary.count("/incidents/loop_experiments"),
        lag("p50"),
        lag("p99"),
        lag("p999"),
        lag("max"),
        summary.ledger()
    );
    assert!(summary.value().get("loop").is_none(), "{}", summary.value());
    assert!(
        summary.count("/incidents/holds") <= 4 + seconds() / 20,
        "{}",
        summary.value()
    );
    check_books(&summary);
    check_clean(stand);
}

fn wrk(more: &[&str]) {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "wrk"]) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = super::options::with(stand.options(), more);
    innocent(&stand, &options, |stand| {
        let url = format!("http://{ONLINE}:{PORT}/?id=wrk");
        let time = format!("-d{}s", seconds());
        let wrk = Spec::new("wrk", "wrk").args(["-t1", "-c50", &time, "--latency", &url]);
        let mut wrk = stand.lab.spawn(Host::Client, &wrk).expect("wrk");
        wrk.wait_success(Duration::from_secs(seconds() + 30))
            .expect("wrk ends");
        let load = lab::wrk::parse(&wrk.output()).expect("a result of wrk");
        eprintln!("wrk: {:.0} requests/s", load.rate);
        assert_eq!(load.errors, 0, "{}", wrk.output());
    });
}

#[test]
fn wrk_is_no_loop() {
    wrk(&[]);
}

#[test]
fn wrk_copied_three_times_is_no_loop() {
    wrk(&["-n", "3"]);
}

fn redis_benchmark(more: &[&str]) {
    let needs = ["redis-server", "redis-cli", "redis-benchmark"];
    let Some(stand) = super::stand_with(Topology::Direct, &needs) else {
        return;
    };
    let (here, there) = ((ONLINE, PORT).into(), (TARGET, PORT).into());
    let _online = Redis::start(&stand.lab, Host::Online, "redis-online", here).expect("redis");
    let _target = Redis::start(&stand.lab, Host::Target, "redis-target", there).expect("redis");
    let options = super::options::with(stand.options(), more);
    innocent(&stand, &options, |stand| {
        let (address, port) = (ONLINE.to_string(), PORT.to_string());
        let spec = Spec::new("redis-benchmark", "redis-benchmark");
        let spec = spec.args(["-h", &address, "-p", &port, "-q", "-t", "set", "-c", "50"]);
        let spec = spec.args(["-n", "100000000"]);
        let mut process = stand
            .lab
            .spawn(Host::Client, &spec)
            .expect("redis-benchmark");
        pause(seconds() * 1000);
        let stopped = process.stop(nix::sys::signal::Signal::SIGTERM, Duration::from_secs(5));
        stopped.expect("it ends");
    });
}

#[test]
fn redis_benchmark_is_no_loop() {
    redis_benchmark(&[]);
}

#[test]
fn redis_benchmark_copied_three_times_is_no_loop() {
    redis_benchmark(&["-n", "3"]);
}

/// Asks the same, at a fixed interval, `clients` times side by side, by one connection each or by one for each request.
/// Returns how many responses came.
fn poll(stand: &Stand, clients: u32, interval: Duration, keep_alive: bool) -> JoinHandle<u64> {
    let namespace = stand.lab.namespace(Host::Client);
    let until = Instant::now() + Duration::from_secs(seconds());
    let poller = move || {
        let connect = || {
            let stream = TcpStream::connect((ONLINE, PORT)).expect("a connection");
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .expect("a time");
            stream
        };
        let (mut stream, mut responses, mut buffer) = (connect(), 0, [0; 4096]);
        let mut at = Instant::now();
        while at < until {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            at += interval;
            stream
                .write_all(b"GET /same HTTP/1.1\r\nHost: x\r\n\r\n")
                .expect("a request");
            responses += u64::from(stream.read(&mut buffer).expect("a response") > 0);
            if !keep_alive {
                stream = connect();
            }
        }
        responses
    };
    std::thread::spawn(move || {
        let poll = || {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..clients).map(|_| scope.spawn(poller)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("a client"))
                    .sum()
            })
        };
        namespace.enter(poll).expect("the namespace")
    })
}

/// Clients whose requests are all alike, at a rate that everybody can keep up with: what the experiments cost is seen best here.
#[test]
fn steady_clients_are_no_loop() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    innocent(&stand, &stand.options(), |stand| {
        let responses = poll(stand, 20, Duration::from_millis(20), true).join();
        eprintln!("{} requests", responses.expect("clients"));
    });
}

/// Clients that ask the same at fixed intervals, faster and slower than any hold.
#[test]
fn polling_is_no_loop() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    innocent(&stand, &stand.options(), |stand| {
        let slow = poll(stand, 1, Duration::from_millis(500), true);
        let fast = poll(stand, 2, Duration::from_millis(150), false);
        let responses = slow.join().expect("clients") + fast.join().expect("clients");
        eprintln!("{responses} requests");
    });
}
