//! `tcpcopy record`: what it writes is what passed, a replay of it brings every request to the target, and others read it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::{Host, Process, Spec, Topology};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::copying::{check_clients, check_nothing_left};
use tests::{Clients, PORT, Stand};

use super::replay::{Recorded, check};

const NEEDS: [&str; 2] = ["nginx", "tshark"];

/// A recorder on a server's host, which is ready.
pub(super) fn recorder(stand: &Stand, host: Host, file: &Path, options: &[&str]) -> Process {
    let (port, file) = (PORT.to_string(), file.display().to_string());
    let spec = Spec::new("record", &stand.binaries.tcpcopy)
        .args(["record", "-x", &port, "--json", "-o", &file])
        .args(options.iter().copied());
    let mut process = stand.lab.spawn(host, &spec).expect("a recorder");
    let ready = process.wait_for("into       ", Duration::from_secs(10));
    ready.unwrap_or_else(|error| panic!("{error}\n{}", process.log()));
    process
}

/// Records these loads, one after the other; returns what the recorder says of it, too.
pub(super) fn record(
    stand: &Stand,
    file: &str,
    options: &[&str],
    loads: &[Clients],
) -> (Recorded, Value) {
    let file = stand.lab.folder().join(file);
    let mut online = stand.nginx(Host::Online);
    let process = recorder(stand, Host::Online, &file, options);
    for load in loads {
        check_clients(&load.run(stand));
    }
    let told = end(process);
    let requests = online.finish().expect("the log");
    (Recorded { file, requests }, told)
}

/// Ends a recorder; gives what it says of what it has written.
pub(super) fn end(mut process: Process) -> Value {
    let ended = process.stop(Signal::SIGINT, Duration::from_secs(10));
    let ended = ended.expect("it ends");
    assert!(ended.success(), "{ended}: {}", process.log());
    let told = process.output();
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// A packet as tshark reads it.
#[derive(Debug)]
struct Packet {
    at_seconds: f64,
    is_cut: bool,
    /// By its Ethernet address.
    is_client: bool,
    to_port: u16,
    payload_len: u32,
}

/// The packets of a file, all of which must be TCP.
fn read(file: &Path) -> Vec<Packet> {
    let fields = [
        "frame.time_epoch",
        "frame.cap_len",
        "frame.len",
        "eth.src",
        "tcp.dstport",
        "tcp.len",
    ];
    let fields = fields.iter().flat_map(|field| ["-e", field]);
    let mut tshark = Command::new("tshark");
    tshark
        .args(["-n", "-T", "fields"])
        .args(fields)
        .arg("-r")
        .arg(file);
    let ended = tshark.output().expect("tshark");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{errors}");
    let text = String::from_utf8(ended.stdout).expect("text");
    let packet = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [at, cap_len, len, source, to_port, payload_len] = fields[..] else {
            return None;
        };
        Some(Packet {
            at_seconds: at.parse().ok()?,
            is_cut: cap_len.parse::<u32>().ok()? < len.parse().ok()?,
            is_client: source == "02:00:00:00:00:01",
            to_port: to_port.parse().ok()?,
            payload_len: payload_len.parse().ok()?,
        })
    };
    let lines = text.lines();
    lines
        .map(|line| packet(line).unwrap_or_else(|| panic!("{line}")))
        .collect()
}

fn unix_seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later than 1970").as_secs_f64()
}

pub(super) fn number(told: &Value, name: &str) -> u64 {
    let number = told[name].as_u64();
    number.unwrap_or_else(|| panic!("there is no {name} in {told}"))
}

#[test]
fn what_was_recorded_is_replayed_and_read_by_others() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let loads = [Clients::keep_alive(20, 1000, 1), Clients::short(500, 1)];
    let began = unix_seconds();
    let (recorded, told) = record(&stand, "recorded.pcapng", &[], &loads);
    let times = began..=unix_seconds();
    assert_eq!(number(&told, "lost_packets"), 0, "{told}");
    let packets = read(&recorded.file);
    let clients = packets.iter().filter(|packet| packet.is_client).count() as u64;
    let online = packets.len() as u64 - clients;
    let expected = ["client_packets", "online_packets"].map(|name| number(&told, name));
    assert_eq!([clients, online], expected, "{told}");
    assert!(online > recorded.requests.len() as u64, "{told}");
    for packet in &packets {
        assert!(times.contains(&packet.at_seconds), "{packet:?}");
        assert_eq!(packet.is_client, packet.to_port == PORT, "{packet:?}");
        let is_cut = !packet.is_client && packet.payload_len > 0;
        assert_eq!(packet.is_cut, is_cut, "{packet:?}");
    }
    check(&stand, &recorded, &[&recorded.file], &["--speed", "max"], 1);
    it_is_there_already(&stand, &recorded.file);

    // All of the answers, compressed, in several files.
    let options = ["--responses", "whole", "--rotate-size", "20K", "--mask"];
    let loads = [Clients::keep_alive(10, 1000, 1)];
    let (recorded, told) = record(&stand, "whole.pcapng.zst", &options, &loads);
    let files: Vec<PathBuf> = told["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| PathBuf::from(file.as_str().expect("a name")))
        .collect();
    assert!(files.len() > 1, "{told}");
    for file in &files {
        assert!(read(file).iter().all(|packet| !packet.is_cut), "{told}");
    }
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    check(&stand, &recorded, &files, &["--speed", "max"], 1);
    check_nothing_left(&stand);
}

/// What exists is left alone, and a recording of nothing says so.
fn it_is_there_already(stand: &Stand, file: &Path) {
    let (port, name) = (PORT.to_string(), file.display().to_string());
    let ends = |words: &[&str]| {
        let spec = Spec::new("again", &stand.binaries.tcpcopy).args(words.iter().copied());
        let mut process = stand.lab.spawn(Host::Online, &spec).expect("a recorder");
        let ended = process.wait(Duration::from_secs(10)).expect("it ends");
        (ended.code(), process.log())
    };
    let before = std::fs::read(file).expect("the file");
    let (code, log) = ends(&["record", "-x", &port, "-o", &name]);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("exists") && log.contains("--force"), "{log}");
    assert_eq!(std::fs::read(file).expect("the file"), before);
    let other = format!("{name}.nothing.pcapng");
    let (code, log) = ends(&["record", "-x", "1", "-o", &other, "--duration", "1s"]);
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("nothing was recorded"), "{log}");
}

/// A file system of one megabyte, which goes with its test.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(super) fn mount(path: PathBuf) -> Self {
        std::fs::create_dir(&path).expect("a folder");
        let arguments = ["-t", "tmpfs", "-o", "size=1m", "none"];
        let mounted = Command::new("mount").args(arguments).arg(&path).status();
        assert!(mounted.expect("mount").success());
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|it| it.success()), "{:?} stays", self.0);
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_what_is_there_is_read() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let disk = SmallDisk::mount(stand.lab.folder().join("small"));
    let _online = stand.nginx(Host::Online);
    for name in ["full.pcapng", "full.pcapng.zst"] {
        let file = disk.0.join(name);
        let mut process = recorder(&stand, Host::Online, &file, &["--responses", "whole"]);
        let load = Clients::keep_alive(20, 4000, 60).start(&stand);
        let ended = process.wait(Duration::from_secs(30)).expect("it ends");
        drop(load);
        let log = process.log();
        assert_eq!(ended.code(), Some(1), "{log}");
        assert_eq!(log.matches("No space left on device").count(), 1, "{log}");
        let told: Value = serde_json::from_str(&process.output()).expect("JSON");
        assert!(number(&told, "online_packets") > 500, "{told}");
        let spec = Spec::new("inspect", &stand.binaries.tcpcopy);
        let spec = spec.args(["inspect", &file.display().to_string()]);
        let mut inspect = stand.lab.spawn(Host::Online, &spec).expect("inspect");
        let read = inspect.wait_success(Duration::from_secs(10));
        read.unwrap_or_else(|error| panic!("{error}: {}", inspect.log()));
        std::fs::remove_file(&file).expect("it is there");
    }
}
