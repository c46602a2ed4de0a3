//! `tcpcopy replay`: what tcpdump has captured of real clients and a real server, played to a real target.
//!
//! The target's log must have exactly the online server's requests, whatever the speed, the mode, and the form of the files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lab::access_log::{Comparison, Request};
use lab::copier::{CHANNEL_PORT, Summary, start_intercept};
use lab::net::{ASSISTANT, TARGET};
use lab::{Host, Process, Spec, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, check_nothing_left};
use tests::{Clients, PORT, Stand};

const NEEDS: [&str; 4] = ["nginx", "tcpdump", "editcap", "gzip"];

/// What was captured on the online server, and the requests that it served.
pub(super) struct Recorded {
    pub(super) file: PathBuf,
    pub(super) requests: Vec<Request>,
}

/// Records these loads, one after the other.
fn record(stand: &Stand, loads: &[Clients]) -> Recorded {
    let file = stand.lab.folder().join("recorded.pcap");
    let name = file.display().to_string();
    let filter = format!("tcp port {PORT}");
    let spec = Spec::new("tcpdump", "tcpdump").args([
        "--immediate-mode",
        "-i",
        "eth0",
        "-Z",
        "root",
        "-s",
        "0",
        "-B",
        "65536",
        "-U",
        "-w",
        &name,
        &filter,
    ]);
    let mut online = stand.nginx(Host::Online);
    let mut tcpdump = stand.lab.spawn(Host::Online, &spec).expect("tcpdump");
    let listens = tcpdump.wait_for("listening on", Duration::from_secs(5));
    listens.expect("tcpdump listens");
    for load in loads {
        check_clients(&load.run(stand));
    }
    // The last of what it has to write.
    std::thread::sleep(Duration::from_millis(300));
    let stopped = tcpdump.stop(Signal::SIGINT, Duration::from_secs(5));
    stopped.expect("tcpdump ends");
    let log = tcpdump.log();
    assert!(log.contains("0 packets dropped by kernel"), "{log}");
    Recorded {
        file,
        requests: online.finish().expect("the log"),
    }
}

/// A replay of files with these options, to its end.
pub(super) fn replay(stand: &Stand, files: &[&Path], options: &[&str]) -> (Process, Summary) {
    let rule = format!("{PORT}-{TARGET}:{PORT}");
    let summary = stand.lab.folder().join("replay.json");
    let files = files.iter().map(|file| file.display().to_string());
    let spec = Spec::new("replay", &stand.binaries.tcpcopy)
        .args(["replay", "--pcap"])
        .args(files)
        .args(["-x", &rule, "--workers", "1", "--summary"])
        .args([summary.display()])
        .args(options.iter().copied());
    let mut process = stand.lab.spawn(Host::Online, &spec).expect("a replay");
    let ended = process.wait_success(Duration::from_secs(30));
    ended.unwrap_or_else(|error| panic!("{error}\n{}", process.log()));
    let summary = Summary::read(&summary).expect("a summary");
    let read = &summary.value()["replay"];
    assert_eq!(read["bytes"], read["bytes_total"], "{read}");
    assert_eq!(
        (&read["share"], &read["left_seconds"]),
        (&1.0.into(), &0.0.into())
    );
    check_books(&summary);
    (process, summary)
}

/// Replays to a fresh target, which must have seen each request so many times; gives the log.
pub(super) fn check(
    stand: &Stand,
    recorded: &Recorded,
    files: &[&Path],
    options: &[&str],
    times: usize,
) -> String {
    let mut target = stand.nginx(Host::Target);
    let (process, summary) = replay(stand, files, options);
    let seen = target.finish().expect("the log");
    let expected = recorded.requests.len() * times;
    let context = format!("{options:?}: {}\n{}", summary.ledger(), process.output());
    assert_eq!(
        (seen.len(), summary.captured(), summary.answered()),
        (expected, expected as u64, expected as u64),
        "{context}"
    );
    if times == 1 {
        let comparison = Comparison::of(&recorded.requests, &seen);
        assert!(comparison.is_exact(), "{comparison}: {context}");
    }
    let line = process.output();
    let lag = line.lines().find(|line| line.starts_with("COPY"));
    eprintln!("{options:?}: {expected} requests, {}", lag.unwrap_or(""));
    process.log()
}

#[test]
fn a_capture_is_replayed_at_any_speed() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let recorded = record(
        &stand,
        &[Clients::keep_alive(20, 1000, 2), Clients::short(500, 1)],
    );
    let file = [recorded.file.as_path()];
    let log = check(
        &stand,
        &recorded,
        &file,
        &["--speed", "1", "--progress", "always"],
        1,
    );
    says_how_far_it_is(&log);
    for options in [&["--speed", "10"][..], &["--speed", "max"]] {
        check(&stand, &recorded, &file, options, 1);
    }
    check(
        &stand,
        &recorded,
        &file,
        &["--speed", "max", "--loop", "2"],
        2,
    );
    check(&stand, &recorded, &file, &["--speed", "max", "-n", "3"], 3);
    // As fast as can be, but for how many connections may begin in a second: they wait, and none is left out.
    let began = Instant::now();
    let options = ["--speed", "max", "--max-new-sessions", "200"];
    check(&stand, &recorded, &file, &options, 1);
    let took = began.elapsed();
    // The first of three seconds may be short.
    assert!(took > Duration::from_secs(1), "520 connections in {took:?}");
    // A capture in parts of another form: connections go on from one to the next.
    let folder = recorded.file.parent().expect("a folder");
    let parts = parts_of(&recorded.file, folder);
    let parts: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
    check(&stand, &recorded, &parts, &["--speed", "max"], 1);
    clients_alone(&stand, &recorded);
    nothing_of_a_rule(&stand, &recorded);
    without_an_end(&stand, &recorded);
    check_nothing_left(&stand);
}

/// In the middle of a replay of a few seconds: so much is read, so long it will still take.
fn says_how_far_it_is(log: &str) {
    let is_in_the_middle = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, read, left, packets, ..] = words[..] else {
            return false;
        };
        let percent = read.strip_suffix('%').and_then(|read| read.parse().ok());
        let is_expected = ["0:00:01", "0:00:02", "0:00:03"].contains(&left);
        percent.is_some_and(|percent: u32| (10..=90).contains(&percent))
            && is_expected
            && packets.parse::<u32>().is_ok_and(|packets| packets > 100)
    };
    assert!(log.lines().any(is_in_the_middle), "{log}");
}

/// Without what the online server answered every request is copied, and there is nothing to compare the target with.
fn clients_alone(stand: &Stand, recorded: &Recorded) {
    let clients = recorded.file.with_file_name("clients.pcap");
    let ended = Command::new("tcpdump")
        .args(["-Z", "root", "-r"])
        .arg(&recorded.file)
        .arg("-w")
        .arg(&clients)
        .arg(format!("tcp dst port {PORT}"))
        .status();
    assert!(ended.expect("tcpdump").success());
    let mut target = stand.nginx(Host::Target);
    let (process, summary) = replay(stand, &[&clients], &["--speed", "max"]);
    let seen = target.finish().expect("the log");
    let comparison = Comparison::of(&recorded.requests, &seen);
    assert!(comparison.is_exact(), "{comparison}: {}", process.output());
    assert_eq!(summary.count("/differences/compared"), 0);
    assert!(process.log().contains("[one-side-of-a-file]"));
}

/// A file that may still grow, and a pipe that nobody closes: Ctrl-C ends both, and what came until then was copied.
fn without_an_end(stand: &Stand, recorded: &Recorded) {
    let file = recorded.file.display();
    let pipe = stand.lab.folder().join("pipe");
    let pipe = pipe.display();
    let followed = format!("exec \"$0\" replay --pcap {file} --follow \"$@\"");
    let piped = format!(
        "mkfifo {pipe}; (cat {file}; exec sleep 8) > {pipe} & exec \"$0\" replay --pcap {pipe} \"$@\""
    );
    for line in [followed, piped] {
        let mut target = stand.nginx(Host::Target);
        let rule = format!("{PORT}-{TARGET}:{PORT}");
        let program = stand.binaries.tcpcopy.display().to_string();
        let spec = Spec::new("endless", "sh").args(["-c", &line, &program]);
        let spec = spec.args(["-x", &rule, "--speed", "max", "--workers", "1"]);
        let mut process = stand.lab.spawn(Host::Online, &spec).expect("a replay");
        let ready = process.wait_for("ready", Duration::from_secs(5));
        ready.unwrap_or_else(|error| panic!("{error}"));
        let expected = recorded.requests.len();
        let seen = target.requests().expect("the log").len();
        let began = Instant::now();
        process.signal(Signal::SIGINT).expect("a signal");
        let ended = process.wait(Duration::from_secs(10));
        ended.unwrap_or_else(|error| panic!("{line}: {error}\n{}", process.log()));
        assert!(began.elapsed() < Duration::from_secs(5), "{line}");
        assert_eq!(seen, expected, "{line}: {}", process.output());
        assert!(
            process
                .output()
                .contains(&format!("{} of", grouped(expected))),
            "{}",
            process.output()
        );
    }
}

/// A number as the table has it.
fn grouped(number: usize) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}

/// The capture in parts, each a pcapng file that is compressed.
fn parts_of(file: &Path, folder: &Path) -> Vec<PathBuf> {
    let run = |program: &str, arguments: &[&str]| {
        let ended = Command::new(program).args(arguments).status();
        assert!(ended.expect(program).success(), "{program} {arguments:?}");
    };
    let part = folder.join("part.pcapng").display().to_string();
    run(
        "editcap",
        &[
            "-F",
            "pcapng",
            "-c",
            "3000",
            &file.display().to_string(),
            &part,
        ],
    );
    let named = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path.file_name()?.to_str()?;
        name.starts_with("part_").then_some(path)
    };
    let mut parts: Vec<PathBuf> = folder
        .read_dir()
        .expect("a folder")
        .filter_map(named)
        .collect();
    assert!(parts.len() > 1, "{parts:?}");
    parts.sort();
    for part in &mut parts {
        run("gzip", &["-q", &part.display().to_string()]);
        part.set_extension("pcapng.gz");
    }
    parts
}

/// What the files have instead is named, and the exit status says that nothing was asked for.
fn nothing_of_a_rule(stand: &Stand, recorded: &Recorded) {
    let file = recorded.file.display().to_string();
    let rule = format!("1-{TARGET}:{PORT}");
    let spec = Spec::new("nothing", &stand.binaries.tcpcopy);
    let spec = spec.args(["replay", "--pcap", &file, "-x", &rule, "--speed", "max"]);
    let mut process = stand.lab.spawn(Host::Online, &spec).expect("a replay");
    let ended = process.wait(Duration::from_secs(10)).expect("it ends");
    let log = process.log();
    assert_eq!(ended.code(), Some(3), "{log}");
    assert!(
        log.contains(&format!("busiest server ports are {PORT}")),
        "{log}"
    );
}

#[test]
fn a_capture_is_replayed_with_the_clients_own_addresses() {
    let Some(stand) = super::stand_with(Topology::Assistant, &NEEDS) else {
        return;
    };
    let recorded = record(
        &stand,
        &[Clients::keep_alive(20, 1000, 1), Clients::short(500, 1)],
    );
    let _intercept = start_intercept(&stand.lab, &stand.binaries, &stand.options())
        .unwrap_or_else(|error| panic!("{error}"));
    let intercept = format!("{ASSISTANT}:{CHANNEL_PORT}");
    let options = ["--speed", "max", "-s", &intercept, "--insecure"];
    let file = [recorded.file.as_path()];
    check(&stand, &recorded, &file, &options, 1);
}

#[test]
fn what_is_wrong_with_a_file_is_told() {
    let Some(stand) = super::stand_with(Topology::Direct, &[&NEEDS[..], &["script"]].concat())
    else {
        return;
    };
    let recorded = record(&stand, &[Clients::keep_alive(5, 500, 1)]);
    let folder = stand.lab.folder();
    let written = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    };
    let whole = std::fs::read(&recorded.file).expect("the capture");
    let head = &whole[..24];
    // A record of 4 GB, and nothing that makes sense behind it: everything before is replayed.
    let torn = [&whole[..], &[0xff; 16], &[0x5a; 4000]].concat();
    let torn = written("torn.pcap", &torn);
    let said = check(&stand, &recorded, &[&torn], &["--speed", "max"], 1);
    assert!(said.contains("[file-damaged]"), "{said}");
    // Anything at all behind a head: nothing is replayed, and the run says so.
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect();
    let noise = written("noise.pcap", &[head, &noise].concat());
    let (status, said) = replay_ends(&stand, &["--pcap", &noise.display().to_string()]);
    assert_eq!(status, Some(3), "{said}");
    // What cannot be read at all changes nothing, and is told in a line.
    let empty = written("empty.pcap", b"").display().to_string();
    let text = written("text.pcap", b"no capture").display().to_string();
    for (file, words) in [
        ("/no/such.pcap", "there is no such file"),
        ("/tmp", "it is a directory"),
        (&empty, "it is empty"),
        (&text, "which is text"),
    ] {
        let (status, said) = replay_ends(&stand, &["--pcap", file]);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains(words) && said.contains(file), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
    let (status, said) = replay_ends_at_a_terminal(&stand);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("standard input: it is a terminal"), "{said}");
    check_nothing_left(&stand);
}

/// How a replay with these options ends, and what it says.
fn replay_ends(stand: &Stand, options: &[&str]) -> (Option<i32>, String) {
    let rule = format!("{PORT}-{TARGET}:{PORT}");
    let spec = Spec::new("refused", &stand.binaries.tcpcopy)
        .args(["replay", "-x", &rule, "--speed", "max"])
        .args(options.iter().copied());
    ended(stand, &spec)
}

/// How a replay of standard input ends where that is a terminal.
fn replay_ends_at_a_terminal(stand: &Stand) -> (Option<i32>, String) {
    let program = stand.binaries.tcpcopy.display();
    let line = format!("{program} replay --pcap - -x {PORT}-{TARGET}:{PORT}");
    let spec = Spec::new("terminal", "script").args(["-qefc", &line, "/dev/null"]);
    ended(stand, &spec)
}

fn ended(stand: &Stand, spec: &Spec) -> (Option<i32>, String) {
    let mut process = stand.lab.spawn(Host::Online, spec).expect("a replay");
    let status = process.wait(Duration::from_secs(20));
    let said = format!("{}{}", process.log(), process.output());
    let status = status.unwrap_or_else(|error| panic!("{error}: {said}"));
    (status.code(), said)
}
