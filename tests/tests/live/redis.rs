//! Redis to Redis: afterwards both hold the same data. It is the hardest test of exactly-once and of order within a
//! connection: INCR twice, or RPUSH out of order, shows for ever.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lab::net::{ONLINE, TARGET};
use lab::redis::Redis;
use lab::{Host, Spec, Topology};
use tests::copying::{check_books, finish, start_with};
use tests::{PORT, Stand, check_nothing_left};

use super::options::with;
use super::waiting::Waiting;

/// Runs a load between two empty servers and compares what they hold.
fn copied(topology: Topology, load: impl FnOnce(&Stand)) {
    copied_with(topology, &[], load);
}

fn copied_with(topology: Topology, options: &[&str], load: impl FnOnce(&Stand)) {
    let Some(stand) =
        super::stand_with(topology, &["redis-server", "redis-cli", "redis-benchmark"])
    else {
        return;
    };
    let online = Redis::start(
        &stand.lab,
        Host::Online,
        "redis-online",
        (ONLINE, PORT).into(),
    )
    .expect("redis");
    let target = Redis::start(
        &stand.lab,
        Host::Target,
        "redis-target",
        (TARGET, PORT).into(),
    )
    .expect("redis");
    let mut copier = start_with(&stand, &with(stand.options(), options));
    load(&stand);
    let summary = finish(&mut copier);
    check_books(&summary);
    let (online, target) = (
        online.contents(&stand.lab).expect("contents"),
        target.contents(&stand.lab).expect("contents"),
    );
    assert_ne!(online.0, "0", "the load stored nothing");
    assert_eq!(online, target, "{}", summary.ledger());
    assert_eq!(
        summary.answered(),
        summary.captured(),
        "{}",
        summary.ledger()
    );
    check_nothing_left(&stand);
}

fn benchmark(stand: &Stand, arguments: &[&str]) {
    let (address, port) = (ONLINE.to_string(), PORT.to_string());
    let spec =
        Spec::new("redis-benchmark", "redis-benchmark").args(["-h", &address, "-p", &port, "-q"]);
    let mut process = stand
        .lab
        .spawn(Host::Client, &spec.args(arguments))
        .expect("redis-benchmark");
    process
        .wait_success(Duration::from_secs(60))
        .expect("redis-benchmark ends");
}

const PLAIN: [&str; 8] = [
    "-t",
    "set,incr,lpush",
    "-n",
    "30000",
    "-c",
    "20",
    "-r",
    "1000",
];
const PIPELINED: [&str; 10] = [
    "-t",
    "set,incr,lpush",
    "-n",
    "60000",
    "-c",
    "20",
    "-r",
    "1000",
    "-P",
    "16",
];

/// The same by the module: each command is a request of its own, in pipelines as well.
fn copied_by_module(topology: Topology) {
    for options in [["--protocol", "redis"], ["--protocol", "auto"]] {
        copied_with(topology, &options, |stand| {
            benchmark(stand, &PLAIN);
            benchmark(stand, &PIPELINED);
        });
    }
}

#[test]
fn by_module_direct() {
    copied_by_module(Topology::Direct);
}

#[test]
fn by_module_assistant() {
    copied_by_module(Topology::Assistant);
}

#[test]
fn redis_benchmark_direct() {
    copied(Topology::Direct, |stand| benchmark(stand, &PLAIN));
}

#[test]
fn redis_benchmark_pipelined_direct() {
    copied(Topology::Direct, |stand| benchmark(stand, &PIPELINED));
}

#[test]
fn redis_benchmark_assistant() {
    copied(Topology::Assistant, |stand| benchmark(stand, &PLAIN));
}

#[test]
fn redis_numbered_lists_direct() {
    copied(Topology::Direct, numbered_lists);
}

#[test]
fn redis_numbered_lists_assistant() {
    copied(Topology::Assistant, numbered_lists);
}

/// 20 connections, each of which pushes the numbers from 0 to 999 to a list of its own.
fn numbered_lists(stand: &Stand) {
    let server: SocketAddr = (ONLINE, PORT).into();
    let pushed = stand.lab.namespace(Host::Client).enter(|| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..20)
                .map(|list| scope.spawn(move || push(server, list)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect::<std::io::Result<Vec<()>>>()
        })
    });
    pushed
        .expect("the namespace")
        .expect("every value is pushed");
}

pub(super) fn push(server: SocketAddr, list: u32) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut replies = BufReader::new(stream.try_clone()?);
    for number in 0..1000 {
        let (key, value) = (format!("list:{list}"), format!("{number}"));
        let command = format!(
            "*3\r\n$5\r\nRPUSH\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
            key.len(),
            value.len()
        );
        stream.write_all(command.as_bytes())?;
        let expected = format!(":{}\r\n", number + 1);
        let mut reply = vec![0; expected.len()];
        replies.read_exact(&mut reply)?;
        if reply != expected.as_bytes() {
            return Err(std::io::Error::other(format!(
                "{key}: {:?}",
                String::from_utf8_lossy(&reply)
            )));
        }
    }
    Ok(())
}

/// Connections that were open before the start, and are silent then, are copied from their next command on, as those that come later.
#[test]
fn from_before() {
    let Some(stand) = super::stand_with(Topology::Direct, &["redis-server", "redis-cli"]) else {
        return;
    };
    let start = |host, name, address: std::net::Ipv4Addr| {
        Redis::start(&stand.lab, host, name, (address, PORT).into()).expect("redis")
    };
    let online = start(Host::Online, "redis-online", ONLINE);
    let target = start(Host::Target, "redis-target", TARGET);
    let cli = format!("redis-cli -h {ONLINE} -p {PORT}");
    let client = |list: u32| {
        let push = |number: u32| {
            format!(
                "RPUSH list:{list} {number}\nMULTI\nINCR count:{list}\nINCRBY sum:{list} {number}\nEXEC\n"
            )
        };
        let later: String = (0..50).map(push).collect();
        let (name, command) = (format!("cli-{list}"), (&*cli, ("NOTHING", "")));
        Waiting::start(&stand, &name, command, "ECHO ready\n", &later)
    };
    let before: Vec<_> = (0..4).map(client).collect();
    let logins = stand.lab.folder().join("logins");
    std::fs::write(&logins, "default \"\"\n").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&logins, mode).expect("its mode");
    let logins = logins.display().to_string();
    let options = ["--protocol", "redis", "--login", &logins];
    let mut copier = start_with(&stand, &with(stand.options(), &options));
    let later: Vec<_> = (4..8).map(client).collect();
    let all: Vec<_> = before.into_iter().chain(later).collect();
    all.iter().for_each(Waiting::go);
    all.into_iter().for_each(Waiting::finish);
    let summary = finish(&mut copier);
    check_books(&summary);
    let context = summary.ledger();
    let contents = [&online, &target].map(|it| it.contents(&stand.lab).expect("contents"));
    assert_eq!(contents[0].0, "24", "{context}");
    assert_eq!(contents[0], contents[1], "{context}");
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    assert_eq!(
        summary.count("/engine/module_logins"),
        4,
        "{}",
        summary.value()["engine"]
    );
    check_nothing_left(&stand);
}
