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
