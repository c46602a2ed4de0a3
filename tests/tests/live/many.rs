//! Many to many: several `tcpcopy` with the same clients' addresses, several `intercept`, and each of them may go.

use std::net::Ipv4Addr;
use std::time::Duration;

use lab::access_log::Request;
use lab::copier::{self, CHANNEL_PORT, Copier, Options, Summary};
use lab::load::Report;
use lab::nginx::Nginx;
use lab::{Host, Process, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, check_nothing_left};
use tests::{Clients, PORT, Stand};

use super::robust::pause;

const SECOND_ASSISTANT: u8 = 9;
const SECOND_ONLINE: u8 = 11;
/// Connections per second of each online server, each with one request; `MANY_RATE` says another figure. `MANY_KEPT=1` makes it requests on
/// 50 connections that stay open.
const RATE: u32 = 150;
/// How long a `tcpcopy` is frozen; `MANY_FROZEN` says how many seconds.
const FROZEN_S: u64 = 2;

fn told(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |told| told.parse().expect("a number"))
}

/// An online server with its client and its `tcpcopy`.
struct Site {
    client: Host,
    online: Nginx,
    copier: Copier,
}

impl Site {
    fn start(stand: &Stand, name: &str, (online, client): (Host, Host), pool: &str) -> Self {
        let assistants = [Host::Assistant, Host::Further(SECOND_ASSISTANT)];
        let channels = assistants.map(|host| format!("{}:{CHANNEL_PORT}", address(host)));
        let mut options = options(stand);
        name.clone_into(&mut options.name);
        for argument in [
            "-s",
            &channels.join(","),
            "-c",
            pool,
            "-i",
            "eth0,eth1",
            "--drain",
            "2s",
        ] {
            options = options.more(argument);
        }
        // With -s of one's own the lab says nothing of the key.
        let key = copier::key_file(&stand.lab).display().to_string();
        options = options.more("--key-file").more(&key);
        let nginx = stand.nginx_with(online, |config| {
            config.listen = (lab::net::ONLINE, PORT).into();
        });
        let copier = Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, online);
        let mut copier = copier.expect("tcpcopy");
        let ready = copier.tcpcopy.wait_for("ready", Duration::from_secs(20));
        ready.expect("it proves the path");
        Self {
            client,
            online: nginx,
            copier,
        }
    }

    fn finish(&mut self, report: &Report) -> (Summary, Vec<Request>) {
        check_clients(report);
        let summary = self.copier.finish().expect("it ends well");
        check_books(&summary);
        (summary, self.online.finish().expect("log"))
    }
}

fn options(stand: &Stand) -> Options {
    let mut options = stand.options();
    options.has_key = true;
    options
}

fn address(host: Host) -> Ipv4Addr {
    host.address().expect("an address")
}

/// The target answers the pools through these, by the hash of a connection's addresses and ports.
fn answer_through(stand: &Stand, assistants: &[Host]) {
    let target = stand.lab.namespace(Host::Target);
    let mut words = ["route", "replace", lab::net::POOL_PREFIX].join(" ");
    for host in assistants {
        words.push_str(&format!(" nexthop via {}", address(*host)));
    }
    let words: Vec<&str> = words.split(' ').collect();
    target.ip(&words).expect("a route");
}

fn intercept(stand: &Stand, host: Host) -> Process {
    copier::start_intercept_on(&stand.lab, &stand.binaries, &options(stand), host)
        .expect("intercept")
}

/// Kills an assistant's `intercept` and starts it again, then freezes a `tcpcopy` for so many seconds and kills it; gives the new `intercept`.
fn molest(stand: &Stand, mut intercept_there: Process, site: &mut Site, frozen: u64) -> Process {
    let second = Host::Further(SECOND_ASSISTANT);
    pause(2000);
    let killed = intercept_there.stop(Signal::SIGKILL, Duration::from_secs(2));
    killed.expect("it dies");
    answer_through(stand, &[Host::Assistant]);
    pause(2000);
    let started = intercept(stand, second);
    answer_through(stand, &[Host::Assistant, second]);
    pause(2000);
    site.copier
        .tcpcopy
        .signal(Signal::SIGSTOP)
        .expect("it is frozen");
    pause(frozen * 1000);
    site.copier
        .tcpcopy
        .signal(Signal::SIGCONT)
        .expect("it goes on");
    pause(1000);
    let killed = site
        .copier
        .tcpcopy
        .stop(Signal::SIGKILL, Duration::from_secs(2));
    killed.expect("it dies");
    started
}

/// Two online servers with the same clients, two assistants between whom the target's answers are split, each with a key. One assistant is
/// killed and comes back, one `tcpcopy` is frozen and then killed: the other one's requests are all answered but for those that were
/// under way at the assistant that was killed.
#[test]
fn each_of_several_may_go_and_come_back() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let second = stand.lab.add_assistant(SECOND_ASSISTANT).expect("a host");
    let elsewhere = stand.lab.add_online(SECOND_ONLINE).expect("two hosts");
    let target = stand.lab.namespace(Host::Target);
    let by_ports = ["-qw", "net.ipv4.fib_multipath_hash_policy=1"];
    target.run("sysctl", &by_ports).expect("a setting");
    answer_through(&stand, &[Host::Assistant, second]);
    let mut first_intercept = intercept(&stand, Host::Assistant);
    let second_intercept = intercept(&stand, second);
    let mut at_target = stand.nginx(Host::Target);
    let here = (Host::Online, Host::Client);
    let mut one = Site::start(&stand, "one", here, "62.135.200.0/25");
    let mut two = Site::start(&stand, "two", elsewhere, "62.135.200.128/25");

    let rate = told("MANY_RATE", RATE.into()) as u32;
    let frozen = told("MANY_FROZEN", FROZEN_S);
    let load = |site: &Site| {
        let seconds = 9 + frozen;
        let clients = match told("MANY_KEPT", 0) {
            0 => Clients::short(rate, seconds),
            _ => Clients::keep_alive(50, rate, seconds),
        };
        clients.from(site.client).start(&stand)
    };
    let (of_one, of_two) = (load(&one), load(&two));
    let mut second_intercept = molest(&stand, second_intercept, &mut two, frozen);
    let (report, report_of_two) = (of_one.wait(), of_two.wait());
    let (summary, online) = one.finish(&report);
    check_clients(&report_of_two);
    for intercept in [&mut first_intercept, &mut second_intercept] {
        intercept
            .stop(Signal::SIGTERM, Duration::from_secs(5))
            .expect("it ends");
    }
    let requests = at_target.finish().expect("log");
    let (answered, captured) = (summary.answered(), summary.captured());
    println!(
        "{rate}/s each: clients of the one {} (p99 {}), of the other {}; the one's: {}; {} requests at the target",
        report.completed,
        report.latency.p99,
        report_of_two.completed,
        summary.ledger(),
        requests.len()
    );
    assert_eq!(captured, online.len() as u64, "{}", summary.ledger());
    // What came in while one of two ways was broken: a second at the most, and half of it.
    let lost = captured - answered;
    assert!(lost <= u64::from(rate), "{}", summary.ledger());
    check_nothing_left(&stand);
}
