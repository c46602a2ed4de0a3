//! Capture files as the usual tools write them: whatever the form, the same connections and requests are in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use lab::{Host, Process, Spec, Topology, system};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::copying::check_clients;
use tests::{Clients, PORT, Stand};

/// Bytes that are missing at the end of a torn file.
const TORN: u64 = 37;

/// The folder of a lab, and what is done in it.
struct Folder<'a>(&'a Stand);

impl Folder<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.0.lab.folder().join(name)
    }

    /// A running `tcpdump` on the online host.
    fn capture(&self, name: &str, options: &[&str]) -> Process {
        let path = self.path(name).display().to_string();
        let spec = Spec::new(name, "tcpdump").args(options).args([
            "-Z",
            "root",
            "--immediate-mode",
            "-B",
            "65536",
            "-w",
            &path,
            &format!("tcp port {PORT}"),
        ]);
        let mut process = self.0.lab.spawn(Host::Online, &spec).expect("tcpdump");
        process
            .wait_for("listening on", Duration::from_secs(5))
            .expect("tcpdump");
        process
    }

    /// Runs a tool, some of whose words are files of this folder.
    fn make(&self, program: &str, words: &[&str]) {
        let is_file = |word: &str| word.contains(".pcap");
        let word = |word: &&str| {
            if is_file(word) {
                self.path(word).display().to_string()
            } else {
                (*word).to_owned()
            }
        };
        let words: Vec<String> = words.iter().map(word).collect();
        system::run(program, &words).unwrap_or_else(|error| panic!("{error}"));
    }

    fn inspect(&self, files: &[&Path]) -> Output {
        let mut command = Command::new(&self.0.binaries.tcpcopy);
        command
            .args(["inspect", "--json"])
            .args(files)
            .stdin(Stdio::null());
        command.output().expect("tcpcopy inspect")
    }

    /// What was found in files.
    fn found(&self, files: &[&Path]) -> Value {
        read(&self.inspect(files))
    }
}

fn read(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Connections, requests and bytes of the one service.
fn service(found: &Value) -> [u64; 5] {
    let service = &found["services"][0];
    assert_eq!(service["port"], PORT, "{found:#}");
    [
        "connections",
        "whole",
        "requests",
        "request_bytes",
        "response_bytes",
    ]
    .map(|key| service[key].as_u64().expect("a number"))
}

#[test]
fn every_form_of_the_tools_holds_the_same() {
    let needs = [
        "nginx", "tcpdump", "editcap", "mergecap", "gzip", "zstd", "sh",
    ];
    let Some(stand) = super::stand_with(Topology::Direct, &needs) else {
        return;
    };
    let folder = Folder(&stand);
    let _nginx = stand.nginx(Host::Online);
    let mut running = [
        folder.capture("base.pcap", &["-i", "eth0"]),
        folder.capture("sll2.pcap", &["-i", "any", "-y", "LINUX_SLL2"]),
        folder.capture("sll.pcap", &["-i", "any", "-y", "LINUX_SLL"]),
    ];
    let report = Clients::keep_alive(5, 200, 3).run(&stand);
    check_clients(&report);
    for process in &mut running {
        process
            .stop(Signal::SIGINT, Duration::from_secs(10))
            .expect("tcpdump ends");
    }
    let base = folder.path("base.pcap");
    let found = folder.found(&[&base]);
    let expected = service(&found);
    assert_eq!(expected[..3], [5, 5, report.completed]);
    for (name, file) in forms(&folder) {
        let found = folder.found(&[&file]);
        assert_eq!(service(&found), expected, "{name}: {found:#}");
        assert_eq!(found["notes"], Value::Array(Vec::new()), "{name}");
    }
    parts_are_one_stream(&folder, &expected);
    a_torn_file_is_read_to_its_end(&folder, &found);
    what_is_cut_is_counted(&folder, &expected);
    a_pipe_is_read(&folder, &expected);
    what_cannot_be_read_is_refused(&folder);
}

/// The same packets in each form that the tools know.
fn forms(folder: &Folder<'_>) -> Vec<(&'static str, PathBuf)> {
    let keys = folder.path("keys.txt");
    let line = format!("CLIENT_RANDOM {} {}\n", "0".repeat(64), "0".repeat(96));
    std::fs::write(&keys, line).expect("a file");
    let secrets = format!("tls,{}", keys.display());
    for (program, words) in [
        (
            "editcap",
            &["-F", "nsecpcap", "base.pcap", "nanoseconds.pcap"][..],
        ),
        ("editcap", &["-F", "modpcap", "base.pcap", "modified.pcap"]),
        ("editcap", &["-F", "pcapng", "base.pcap", "base.pcapng"]),
        (
            "editcap",
            &[
                "--inject-secrets",
                &secrets,
                "-F",
                "pcapng",
                "base.pcap",
                "secrets.pcapng",
            ],
        ),
        ("tcpdump", &["-r", "base.pcap", "-w", "none.pcap", "arp"]),
        ("editcap", &["-F", "pcapng", "none.pcap", "none.pcapng"]),
        // Two interfaces, one of them without packets.
        (
            "mergecap",
            &[
                "-a",
                "-w",
                "interfaces.pcapng",
                "none.pcapng",
                "base.pcapng",
            ],
        ),
        ("gzip", &["-k", "base.pcap"]),
        ("zstd", &["-q", "base.pcapng"]),
    ] {
        folder.make(program, words);
    }
    [
        ("Linux cooked v1", "sll.pcap"),
        ("Linux cooked v2", "sll2.pcap"),
        ("nanoseconds", "nanoseconds.pcap"),
        ("modified", "modified.pcap"),
        ("pcapng", "base.pcapng"),
        ("secrets", "secrets.pcapng"),
        ("two interfaces", "interfaces.pcapng"),
        ("gzip", "base.pcap.gz"),
        ("zstd", "base.pcapng.zst"),
    ]
    .map(|(name, file)| (name, folder.path(file)))
    .to_vec()
}

fn parts_are_one_stream(folder: &Folder<'_>, expected: &[u64; 5]) {
    folder.make("editcap", &["-c", "7", "base.pcap", "part.pcap"]);
    let listed = std::fs::read_dir(folder.0.lab.folder()).expect("the folder");
    let paths = listed.map(|entry| entry.expect("a file").path());
    let is_part = |path: &PathBuf| path.display().to_string().contains("/part_");
    let mut parts: Vec<PathBuf> = paths.filter(is_part).collect();
    parts.sort();
    assert!(parts.len() > 100, "{parts:?}");
    let parts: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
    assert_eq!(service(&folder.found(&parts)), *expected);
}

fn a_torn_file_is_read_to_its_end(folder: &Folder<'_>, whole: &Value) {
    let torn = folder.path("torn.pcap");
    std::fs::copy(folder.path("base.pcap"), &torn).expect("a copy");
    let file = std::fs::File::options()
        .write(true)
        .open(&torn)
        .expect("the copy");
    let len = file.metadata().expect("the copy").len();
    file.set_len(len - TORN).expect("the copy");
    let found = folder.found(&[&torn]);
    let packets = |found: &Value| found["packets"].as_u64().expect("a number");
    assert_eq!(packets(&found), packets(whole) - 1);
    let note = found["notes"][0].as_str().expect("a note");
    assert!(
        note.contains(&format!("in the middle of packet {}", packets(whole))),
        "{note}"
    );
}

fn what_is_cut_is_counted(folder: &Folder<'_>, expected: &[u64; 5]) {
    folder.make("editcap", &["-s", "96", "base.pcap", "cut.pcap"]);
    let found = folder.found(&[&folder.path("cut.pcap")]);
    // Nothing of it is lost for who counts what was on the wire.
    assert_eq!(service(&found), *expected);
    let missing = found["cut"]["missing_bytes"].as_u64().expect("a number");
    assert!(
        missing > 0 && missing < expected[3] + expected[4],
        "{found:#}"
    );
}

fn a_pipe_is_read(folder: &Folder<'_>, expected: &[u64; 5]) {
    let script = "tcpdump -r \"$1\" -U -w - | \"$0\" inspect --json -";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(&folder.0.binaries.tcpcopy)
        .arg(folder.path("base.pcap"))
        .output()
        .expect("sh");
    assert_eq!(service(&read(&output)), *expected);
}

fn what_cannot_be_read_is_refused(folder: &Folder<'_>) {
    folder.make(
        "editcap",
        &["-T", "ieee-802-11", "base.pcap", "wireless.pcap"],
    );
    let wireless = folder.path("wireless.pcap");
    let none = folder.path("none.pcap");
    let missing = folder.path("missing.pcap");
    for (file, status, words) in [
        (wireless.as_path(), 2, "link type 105 (IEEE802_11)"),
        (missing.as_path(), 2, "there is no such file"),
        (folder.0.lab.folder(), 2, "it is a directory"),
        (Path::new("/dev/null"), 2, "it is empty"),
        (none.as_path(), 3, "there is no TCP packet"),
    ] {
        let output = folder.inspect(&[file]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
    }
}
