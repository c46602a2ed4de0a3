//! `--tap`: what is in the file is what the target has seen, request by request, and what the run has counted, packet by packet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::access_log::{Comparison, Request};
use lab::copier::{Options, Summary};
use lab::net::{ONLINE, ONLINE_INSIDE, TARGET};
use lab::nginx::{Config, Nginx};
use lab::{Host, Spec, Topology};
use tests::copying::{check_clients, check_nothing_left, finish, start_with};
use tests::{Clients, PORT, Stand, check_complete};

use super::record::{SmallDisk, record};
use super::replay::check;

const NEEDS: [&str; 2] = ["nginx", "tshark"];
/// What tshark makes of a packet.
const FIELDS: [&str; 9] = [
    "frame.interface_name",
    "frame.packet_flags_direction",
    "eth.src",
    "tcp.srcport",
    "tcp.dstport",
    "http.request.uri",
    "_ws.malformed",
    "tcp.checksum.status",
    "ip.checksum.status",
];

/// A tap as tshark reads it.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Devices of what was sent, and of what was received, with the number of packets.
    pub(super) sent: BTreeMap<String, u64>,
    pub(super) received: BTreeMap<String, u64>,
    /// The ids of the requests that each session sent, by its port and in their order.
    requests: BTreeMap<u16, Vec<String>>,
}

impl Read {
    /// All packets of a tap; none may be malformed or have a wrong checksum.
    pub(super) fn new(file: &Path) -> Self {
        let fields = FIELDS.iter().flat_map(|field| ["-e", field]);
        let decoded = format!("tcp.port=={PORT},http");
        let ended = Command::new("tshark")
            .args(["-n", "-T", "fields", "-d", &decoded])
            .args(["-o", "tcp.check_checksum:TRUE"])
            .args(["-o", "ip.check_checksum:TRUE"])
            .args(fields)
            .arg("-r")
            .arg(file)
            .output()
            .expect("tshark");
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{errors}");
        let mut read = Self::default();
        for line in String::from_utf8(ended.stdout).expect("text").lines() {
            read.take(line);
        }
        read
    }

    fn take(&mut self, line: &str) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [device, way, source, from, to, uri, malformed, sum, ip_sum] = fields[..] else {
            panic!("{line}");
        };
        assert!(malformed.is_empty(), "{line}");
        // 1 is good, and 2 is what nobody can tell: of a packet that was cut.
        assert!(sum == "1" || sum == "2", "{line}");
        assert_eq!(ip_sum, "1", "{line}");
        let port = PORT.to_string();
        let (devices, far, mac) = match way {
            "0x00000002" | "2" => (&mut self.sent, to, "02:00:00:00:00:01"),
            "0x00000001" | "1" => (&mut self.received, from, "02:00:00:00:00:02"),
            _ => panic!("no direction: {line}"),
        };
        assert_eq!((far, source), (port.as_str(), mac), "{line}");
        *devices.entry(device.to_owned()).or_default() += 1;
        // Several requests may end in one packet.
        for uri in uri.split(',').filter(|uri| !uri.is_empty()) {
            let id = uri
                .split(['?', '&'])
                .find_map(|word| word.strip_prefix("id="));
            let session = self.requests.entry(from.parse().expect("a port"));
            session.or_default().push(id.expect(line).to_owned());
        }
    }

    /// The requests as the target's log would have them, but for what it says of them.
    pub(super) fn as_log(&self) -> Vec<Request> {
        let sessions = self.requests.iter();
        let all = sessions.flat_map(|(port, ids)| ids.iter().map(move |id| (*port, id)));
        all.map(|(client_port, id)| Request {
            id: id.clone(),
            status: 200,
            body_len: 0,
            sent_len: 0,
            client_port,
        })
        .collect()
    }
}

/// What a log says that each session has asked for, in its order.
fn by_session(log: &[Request]) -> BTreeMap<u16, Vec<String>> {
    let mut sessions: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for request in log {
        let session = sessions.entry(request.client_port).or_default();
        session.push(request.id.clone());
    }
    sessions
}

/// The tap has every frame that was put into the ring and every packet that was taken of a target, by these devices.
fn check_numbers(summary: &Summary, read: &Read, sent_by: &str, received_by: &str) {
    let count = |path: &str| summary.count(path);
    let told = &summary.value()["tap"];
    assert_eq!(count("/tap/dropped_packets"), 0, "{told}");
    assert_eq!(count("/incidents/tap_dropped"), 0, "{told}");
    let taken = [
        "reply_packets",
        "reply_malformed",
        "too_big_believed",
        "too_big_ignored",
    ];
    let taken: u64 = taken
        .iter()
        .map(|name| count(&format!("/engine/{name}")))
        .sum();
    let (sent, received) = (count("/tap/sent_packets"), count("/tap/received_packets"));
    assert_eq!(
        (sent, received),
        (count("/hooks/frames/sent"), taken),
        "{told}"
    );
    let only = |device: &str, packets| BTreeMap::from([(device.to_owned(), packets)]);
    assert_eq!(read.sent, only(sent_by, sent), "{told}");
    assert_eq!(read.received, only(received_by, received), "{told}");
    assert!(sent > 0 && received > 0, "{told}");
}

/// A copy to this target that is tapped; sent by and received by these devices.
fn tapped(
    stand: &Stand,
    file: &Path,
    mut target: Nginx,
    options: Options,
    [sent_by, received_by]: [&str; 2],
) {
    let mut online = stand.nginx(Host::Online);
    let options = options.more("--tap").more(&file.display().to_string());
    let mut copier = start_with(stand, &options);
    let mut report = Clients::keep_alive(20, 1000, 1).run(stand);
    let short = Clients::short(300, 1).run(stand);
    check_clients(&short);
    report.sent += short.sent;
    report.completed += short.completed;
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    let read = Read::new(file);
    check_numbers(&summary, &read, sent_by, received_by);
    let asked = by_session(&target);
    let other = asked
        .iter()
        .find(|(port, ids)| read.requests.get(port) != Some(*ids));
    assert_eq!(
        other.map(|(port, ids)| (ids, read.requests.get(port))),
        None
    );
    assert_eq!(read.requests.len(), asked.len());
}

/// Runs a command of tcpcopy's to its end; gives its exit status, its output and its log.
fn run(stand: &Stand, words: &[&str]) -> (Option<i32>, String, String) {
    let spec = Spec::new("words", &stand.binaries.tcpcopy).args(words.iter().copied());
    let mut process = stand.lab.spawn(Host::Online, &spec).expect("it starts");
    let ended = process.wait(Duration::from_secs(10)).expect("it ends");
    (ended.code(), process.output(), process.log())
}

#[test]
fn a_tap_has_what_the_target_has_seen() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let file = stand.lab.folder().join("tap.pcapng");
    let target = || stand.nginx(Host::Target);
    let by = ["eth1", "eth1"];
    tapped(&stand, &file, target(), stand.options(), by);
    it_is_there_already(&stand, &file);
    is_inspected_and_never_replayed(&stand, &file);
    let options = stand.options().more("--force").more("--workers").more("2");
    tapped(&stand, &file, target(), options, by);
    on_this_host(&stand);
    // A replay is tapped as well.
    let loads = [Clients::keep_alive(20, 1000, 1), Clients::short(300, 1)];
    let (recorded, _) = record(&stand, "recorded.pcapng", &[], &loads);
    let file = stand.lab.folder().join("replayed.pcapng.zst");
    let name = file.display().to_string();
    let options = ["--speed", "max", "--tap", &name];
    check(&stand, &recorded, &[&recorded.file], &options, 1);
    let summary = Summary::read(&stand.lab.folder().join("replay.json")).expect("a summary");
    let read = Read::new(&file);
    check_numbers(&summary, &read, "eth1", "eth1");
    let comparison = Comparison::of(&recorded.requests, &read.as_log());
    assert!(comparison.is_exact(), "{comparison}");
    check_nothing_left(&stand);
}

/// Frames to a target on this host leave by no device, and its own stack leaves checksums undone.
fn on_this_host(stand: &Stand) {
    let here = SocketAddr::from((ONLINE_INSIDE, PORT));
    let config = Config::new("nginx-here", here);
    let target = Nginx::start(&stand.lab, Host::Online, &config).expect("nginx");
    let online = SocketAddr::from((ONLINE, PORT));
    let options = Options::new(Topology::Direct, &online.to_string(), &here.to_string());
    let file = stand.lab.folder().join("here.pcapng");
    tapped(stand, &file, target, options, ["tcpcopy0", "tcpcopy0"]);
}

/// What exists is left alone, and nothing is changed on the host then.
fn it_is_there_already(stand: &Stand, file: &Path) {
    let before = std::fs::read(file).expect("the file");
    let rule = format!("{PORT}-{TARGET}:{PORT}");
    let name = file.display().to_string();
    let (code, _, log) = run(stand, &["-x", &rule, "--tap", &name]);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("exists") && log.contains("--force"), "{log}");
    assert!(log.contains("[tap-file]"), "{log}");
    assert_eq!(std::fs::read(file).expect("the file"), before);
    // A run that does not begin leaves no file, which would be in the way of the next.
    let other = format!("{name}.other.pcapng");
    let (code, _, log) = run(stand, &["-x", &rule, "--tap", &other, "-i", "nowhere"]);
    assert_eq!(code, Some(2), "{log}");
    assert!(!Path::new(&other).exists(), "{log}");
    check_nothing_left(stand);
}

/// Everybody can see what is in it, and no copy is copied again.
fn is_inspected_and_never_replayed(stand: &Stand, file: &Path) {
    let name = file.display().to_string();
    let (code, output, log) = run(stand, &["inspect", &name, "--json"]);
    assert_eq!(code, Some(0), "{log}");
    let told: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    let service = &told["services"][0];
    assert_eq!(service["requests"], 1300, "{told}");
    assert_eq!(service["responses_only"], 0, "{told}");
    let rule = format!("{PORT}-{TARGET}:{PORT}");
    let mut target = stand.nginx(Host::Target);
    let summary = stand.lab.folder().join("of-a-tap.json");
    let summary = summary.display().to_string();
    let line = [
        "replay",
        "--pcap",
        &name,
        "-x",
        &rule,
        "--speed",
        "max",
        "--summary",
        &summary,
    ];
    let (_, _, log) = run(stand, &line);
    assert_eq!(target.finish().expect("the log").len(), 0, "{log}");
    let summary = Summary::read(Path::new(&summary)).expect("a summary");
    assert!(
        summary.count("/incidents/replay_copies_left_out") > 0,
        "{log}"
    );
}

#[test]
fn a_tap_in_assistant_mode_has_what_intercept_reports() {
    let Some(stand) = super::stand_with(Topology::Assistant, &NEEDS) else {
        return;
    };
    let file = stand.lab.folder().join("tap.pcapng");
    let target = stand.nginx(Host::Target);
    let by = ["eth1", "intercept"];
    tapped(&stand, &file, target, stand.options(), by);
    check_nothing_left(&stand);
}

#[test]
fn a_full_disk_ends_the_tap_and_copying_goes_on() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let disk = SmallDisk::mount(stand.lab.folder().join("small"));
    let file = disk.path().join("full.pcapng");
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = stand
        .options()
        .more("--tap")
        .more(&file.display().to_string());
    let mut copier = start_with(&stand, &options);
    let report = Clients::keep_alive(20, 5000, 3).run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    let log = copier.tcpcopy.log();
    assert_eq!(log.matches("THE TAP ENDS HERE").count(), 1, "{log}");
    assert!(log.contains("No space left on device"), "{log}");
    assert!(!log.contains("tap-dropped"), "one warning is enough: {log}");
    // Nothing is in the file twice, and nothing is forgotten.
    let count = |path: &str| summary.count(path);
    let in_file = count("/tap/sent_packets") + count("/tap/received_packets");
    let all = count("/hooks/frames/sent") + count("/engine/reply_packets");
    assert_eq!(
        in_file + count("/tap/dropped_packets"),
        all,
        "{}",
        summary.value()["tap"]
    );
    assert!(in_file > 1000 && in_file < all);
    let (code, _, log) = run(&stand, &["inspect", &file.display().to_string()]);
    assert_eq!(code, Some(0), "{log}");
    std::fs::remove_file(&file).expect("it is there");
    check_nothing_left(&stand);
}
