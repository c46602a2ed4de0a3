//! `--netns`: `tcpcopy`, its doctor and `intercept` are started on one host and work on another.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::copier::{Copier, Options};
use lab::net::{ONLINE, TARGET};
use lab::{Host, Process, Spec, Topology};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Clients, PORT, Stand};

use super::{END_WITHIN, Servers, check_nothing_on, start_on, wait_ready};

/// Where the programs are started: nobody's server, and nothing of ours may be seen there.
const OUTSIDE: Host = Host::Switch;
/// Where metrics are shown, outside.
const METRICS: &str = "127.0.0.1:9524";

/// A process whose network namespace is a host's, as the first one of a container is.
fn pod(stand: &Stand, host: Host) -> Process {
    let spec = Spec::new("pod", "sleep").arg("120");
    stand.lab.spawn(host, &spec).expect("sleep")
}

/// A copy that works inside `place`.
fn options(stand: &Stand, place: &str) -> Options {
    stand
        .options()
        .more("-i")
        .more("eth0,eth1")
        .more("--netns")
        .more(place)
}

fn servers(stand: &Stand) -> Servers {
    Servers {
        online: stand.nginx(Host::Online),
        target: stand.nginx(Host::Target),
    }
}

fn load() -> Clients {
    Clients::keep_alive(10, 300, 2)
}

/// Nothing is left of a run, neither outside nor inside.
fn check_nothing_left(stand: &Stand) {
    for host in [OUTSIDE, Host::Online, Host::Assistant] {
        check_nothing_on(stand, host);
    }
}

/// Runs the doctor outside, for the inside.
fn doctor(stand: &Stand, more: &[&str]) -> (Option<i32>, Value) {
    let rule = format!("{ONLINE}:{PORT}-{TARGET}:{PORT}");
    let arguments: Vec<&str> = ["-x", &rule].iter().chain(more).copied().collect();
    super::doctor(stand, OUTSIDE, &arguments)
}

/// The commands of a finding.
fn commands(document: &Value, finding: &str) -> Vec<String> {
    let findings = document["findings"].as_array().cloned().unwrap_or_default();
    let meant = findings
        .into_iter()
        .filter(|found| found["finding"] == finding);
    meant
        .flat_map(|found| found["fixes"].as_array().cloned().unwrap_or_default())
        .filter_map(|fix| fix["command"].as_str().map(str::to_owned))
        .collect()
}

/// By name, by process and by file, each from start to end; and the doctor proves the path.
#[test]
fn a_copy_works_inside_another_namespace() {
    let Some(stand) = super::super::stand_with(Topology::Direct, &["nginx", "curl"]) else {
        return;
    };
    let pod = pod(&stand, Host::Online);
    let namespace = stand.lab.namespace(Host::Online);
    let path = namespace.path().display().to_string();
    for place in [namespace.name(), &pod.pid().to_string(), &path] {
        let servers = servers(&stand);
        let copier = start_on(
            &stand,
            OUTSIDE,
            &options(&stand, place).more("--listen").more(METRICS),
        );
        check_places(&stand, copier.tcpcopy.pid());
        servers.check_copied(&stand, copier, &load());
        check_nothing_left(&stand);
    }
    let _servers = servers(&stand);
    for place in [namespace.name(), &pod.pid().to_string()] {
        let (exit, document) = doctor(&stand, &["--netns", place]);
        assert_eq!(exit, Some(0), "{document:#}");
        check_nothing_left(&stand);
    }
    // Inside there is no such device: what shows more is to be asked inside too, and what is outside is asked outside.
    let held = namespace.name().to_owned();
    let (exit, document) = doctor(&stand, &["--netns", &held, "-i", "eth7"]);
    assert_eq!(exit, Some(2), "{document:#}");
    assert_eq!(
        commands(&document, "no-interface"),
        [format!("ip netns exec {held} ip -brief link")],
        "{document:#}"
    );
}

/// The device is inside, metrics are outside.
fn check_places(stand: &Stand, pid: u32) {
    let links = |host| {
        stand
            .lab
            .run(host, "ip", &["-brief", "link"])
            .expect("ip link")
    };
    assert!(links(Host::Online).contains("tcpcopy0"));
    assert!(
        !links(OUTSIDE).contains("tcpcopy0"),
        "the device is outside"
    );
    let url = format!("http://{METRICS}/ready");
    let ask = |host| {
        stand.lab.run(
            host,
            "curl",
            &["--silent", "--fail", "--max-time", "2", &url],
        )
    };
    ask(OUTSIDE).expect("metrics are shown outside");
    assert!(ask(Host::Online).is_err(), "metrics are shown inside");
    check_threads(stand, pid);
}

/// The process is outside, for whoever asks (`ip netns pids`), and so is every thread that needs nothing of the inside.
fn check_threads(stand: &Stand, pid: u32) {
    let number = |file: &Path| {
        let about = std::fs::metadata(file).expect("a namespace");
        std::os::unix::fs::MetadataExt::ino(&about)
    };
    let inside = number(&stand.lab.namespace(Host::Online).path());
    let process = PathBuf::from(format!("/proc/{pid}"));
    assert_ne!(
        number(&process.join("ns/net")),
        inside,
        "the process is inside"
    );
    let threads = std::fs::read_dir(process.join("task")).expect("threads");
    let threads: Vec<(String, bool)> = threads
        .flatten()
        .map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).expect("a name");
            let is_inside = number(&task.path().join("ns/net")) == inside;
            (name.trim().to_owned(), is_inside)
        })
        .collect();
    for (name, is_inside) in [("inside", true), ("worker-0", false), ("metrics", false)] {
        let mut meant = threads.iter().filter(|(of, _)| of == name);
        assert!(
            meant.next().is_some_and(|(_, found)| *found == is_inside),
            "{name} is not where it should be: {threads:?}"
        );
    }
}

/// Both programs are outside, each works inside another host, and the channel between them is the loopback device outside, which
/// needs no --insecure.
#[test]
fn assistant_mode_with_both_inside_and_the_channel_outside() {
    let Some(stand) = super::super::stand(Topology::Assistant) else {
        return;
    };
    let (online, assistant) = (
        stand.lab.namespace(Host::Online),
        stand.lab.namespace(Host::Assistant),
    );
    let servers = servers(&stand);
    let target = format!("{TARGET}:{PORT}");
    let spec = Spec::new("intercept", &stand.binaries.intercept);
    let spec = spec.args(["--netns", assistant.name(), "-i", "eth0", "-x", &target]);
    let mut intercept = stand.lab.spawn(OUTSIDE, &spec).expect("intercept");
    wait_ready(&mut intercept);
    let (exit, document) = doctor(
        &stand,
        &[
            "--netns",
            online.name(),
            "-i",
            "eth0,eth1",
            "-s",
            "127.0.0.1",
        ],
    );
    assert_eq!(exit, Some(0), "{document:#}");
    let options = options(&stand, online.name()).more("-s").more("127.0.0.1");
    let copier = start_on(&stand, OUTSIDE, &options);
    servers.check_copied(&stand, copier, &load());
    let ended = intercept
        .stop(Signal::SIGTERM, END_WITHIN)
        .expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", intercept.log());
    check_nothing_left(&stand);
}

/// Nothing works on inside after a SIGKILL, by whichever hooks; and two do not work in one namespace, however it is named.
#[test]
fn a_killed_run_inside_hurts_nobody() {
    let Some(stand) = super::super::stand(Topology::Direct) else {
        return;
    };
    let namespace = stand.lab.namespace(Host::Online);
    let path = namespace.path().display().to_string();
    let servers = servers(&stand);
    for hook in ["auto", "clsact"] {
        let options = options(&stand, namespace.name()).more("--hook").more(hook);
        let mut copier = start_on(&stand, OUTSIDE, &options);
        refuses_a_second(&stand, &path);
        let tcpcopy = &mut copier.tcpcopy;
        tcpcopy.stop(Signal::SIGKILL, END_WITHIN).expect("it ends");
        let attached = || {
            let shown = stand.lab.run(Host::Online, "bpftool", &["net", "show"]);
            Ok(shown.unwrap_or_default().contains("capture"))
        };
        lab::interrupt::wait_until("the programs to go", Duration::from_secs(3), || {
            attached().map(|attached| !attached)
        })
        .unwrap_or_else(|error| panic!("{error} ({hook})"));
    }
    // The same from inside: it is one namespace.
    let copier = start_on(&stand, Host::Online, &stand.options());
    servers.check_copied(&stand, copier, &load());
    check_nothing_left(&stand);
}

fn refuses_a_second(stand: &Stand, place: &str) {
    let mut options = options(stand, place);
    options.name = "second".to_owned();
    let second = Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, OUTSIDE);
    let mut second = second.expect("it starts").tcpcopy;
    let ended = second.wait(END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(2), "{}", second.log());
    assert!(second.log().contains("another tcpcopy"), "{}", second.log());
}

/// What is no network namespace is refused, and nothing was changed.
#[test]
fn what_is_no_network_namespace_is_refused() {
    let Some(stand) = super::super::stand_with(Topology::Direct, &["setpriv"]) else {
        return;
    };
    let file = stand.lab.folder().join("no-namespace");
    std::fs::write(&file, "").expect("a file");
    let file = file.display().to_string();
    let pod = pod(&stand, Host::Online);
    // A namespace whose name is a number, of a process that there cannot be.
    let ambiguous = Numbered("4194398".to_owned());
    lab::system::run("ip", &["netns", "add", &ambiguous.0]).expect("a namespace");
    let of_another_kind = format!("/proc/{}/ns/mnt", pod.pid());
    let rule = format!("{ONLINE}:{PORT}-{TARGET}:{PORT}");
    let target = format!("{TARGET}:{PORT}");
    for (place, word) in [
        ("no-such-namespace", "there is none of that name"),
        ("4194399", "there is no process 4194399"),
        (&file, "a file of another kind"),
        (&of_another_kind, "none of the network"),
        ("/no/such/file", "/no/such/file"),
        ("0", "no number of a process"),
        (&ambiguous.0, "write /run/netns/"),
    ] {
        refused(&stand, "tcpcopy", &["-x", &rule, "--netns", place], word);
        refused(
            &stand,
            "tcpcopy",
            &["doctor", "-x", &rule, "--netns", place],
            word,
        );
        refused(
            &stand,
            "intercept",
            &["-i", "eth0", "-x", &target, "--netns", place],
            word,
        );
    }
    // Without the right to enter one.
    let program = stand.lab.folder().join("tcpcopy-for-all");
    std::fs::copy(&stand.binaries.tcpcopy, &program).expect("copy");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(stand.lab.folder(), mode).expect("mode");
    let program = program.display().to_string();
    let namespace = stand.lab.namespace(Host::Online);
    let arguments = [
        "--bounding-set=-sys_admin",
        "--inh-caps=-sys_admin",
        &program,
        "-x",
        &rule,
        "--netns",
        namespace.name(),
    ];
    refused(&stand, "setpriv", &arguments, "CAP_SYS_ADMIN");
}

/// A namespace beside the lab's; it goes with this value.
struct Numbered(String);

impl Drop for Numbered {
    fn drop(&mut self) {
        let _ = lab::system::run("ip", &["netns", "delete", &self.0]);
    }
}

fn refused(stand: &Stand, program: &str, arguments: &[&str], word: &str) {
    let path = match program {
        "tcpcopy" => stand.binaries.tcpcopy.clone(),
        "intercept" => stand.binaries.intercept.clone(),
        other => other.into(),
    };
    let spec = Spec::new("refused", path).args(arguments);
    let mut process = stand.lab.spawn(OUTSIDE, &spec).expect("it starts");
    let status = process.wait(Duration::from_secs(10)).expect("it ends");
    let said = format!("{arguments:?}: {}{}", process.log(), process.output());
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains(word), "`{word}` is not in {said}");
    check_nothing_left(stand);
}
