//! What a process owes to its host: it ends in order whatever happens to the terminal, to standard error and to standard output;
//! it goes on where it was stopped for a while.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::access_log::Comparison;
use lab::copier::Summary;
use lab::net::{ASSISTANT, TARGET};
use lab::{Host, Process, Spec, Topology, interrupt};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tests::copying::{check_books, check_clients, check_nothing_left};
use tests::{Clients, PORT, Stand, check_clean};

/// How long an end may take: drain, close, and a printer that waits for its reader in vain, twice.
pub(super) const END_WITHIN: Duration = Duration::from_secs(20);

/// The summary of the run of this test.
pub(super) fn summary_file(stand: &Stand) -> PathBuf {
    stand.lab.folder().join("manners.json")
}

/// `tcpcopy` by way of a shell: `script` runs it as `"$@"`.
pub(super) fn start(stand: &Stand, script: &str, more: &[&str]) -> Process {
    let summary = summary_file(stand);
    let _ = fs::remove_file(&summary);
    let options = stand.options();
    let mut spec = Spec::new("manners", "sh").args(["-c", script, "sh"]);
    spec = spec
        .arg(stand.binaries.tcpcopy.display().to_string())
        .args(["-x", &options.rules, "-i", "eth0,eth1", "--workers", "1"])
        .args(["--summary", &summary.display().to_string()])
        .args(more);
    stand.lab.spawn(Host::Online, &spec).expect("sh")
}

/// Waits until a run copies, as its summary says: the log may be what is broken.
pub(super) fn wait_copying(process: &mut Process, file: &Path) {
    let what = "the run to copy";
    let copies = || {
        let state = Summary::read(file).ok();
        let state = state.and_then(|summary| summary.value()["state"].as_str().map(str::to_owned));
        Ok(state.as_deref() == Some("copying"))
    };
    interrupt::wait_until(what, Duration::from_secs(20), copies)
        .unwrap_or_else(|error| panic!("{error}: {}", process.tail()));
}

/// The run ended in order, and everything was copied.
pub(super) fn check_ended(stand: &Stand, file: &Path, requests: u64) {
    let summary = Summary::read(file).expect("a summary");
    check_books(&summary);
    assert_eq!(summary.value()["state"], "ended", "{}", summary.value());
    assert_eq!(
        (summary.captured(), summary.answered()),
        (requests, requests),
        "{}",
        summary.ledger()
    );
    check_nothing_left(stand);
}

/// Copies a load while `script` runs `tcpcopy` in bad surroundings, ends it by a signal, and checks that the end is in order.
fn survives(script: &str, more: &[&str], signal: Signal, status: i32) -> String {
    let Some(stand) = super::stand(Topology::Direct) else {
        return String::new();
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut process = start(&stand, script, more);
    let file = summary_file(&stand);
    wait_copying(&mut process, &file);
    let report = Clients::keep_alive(10, 200, 3).run(&stand);
    process.expect_alive().expect("it runs");
    let ended = process.stop(signal, END_WITHIN).expect("it ends");
    let log = process.log();
    assert_eq!(ended.code(), Some(status), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    check_ended(&stand, &file, report.completed);
    check_clean(&stand);
    log
}

#[test]
fn a_hangup_ends_a_run_in_order() {
    let log = survives(r#"exec "$@""#, &[], Signal::SIGHUP, 0);
    assert!(log.is_empty() || log.contains("stopping"), "{log}");
}

/// The shell says so to its jobs, and the kernel to what runs in the foreground: two hangups are not two wishes.
#[test]
fn two_hangups_do_not_cut_the_drain_short() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let _online = super::bodies::Service::start(&stand, Host::Online);
    let _target = super::bodies::Service::start_with(&stand, Host::Target, &["--delay-ms", "3000"]);
    let mut process = start(&stand, r#"exec "$@""#, &[]);
    let file = summary_file(&stand);
    wait_copying(&mut process, &file);
    let report = Clients::keep_alive(1, 1, 1).run(&stand);
    process.signal(Signal::SIGHUP).expect("it runs");
    super::robust::pause(500);
    let ended = process.stop(Signal::SIGHUP, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    check_ended(&stand, &file, report.completed);
}

/// Whoever said `nohup` means it.
#[test]
fn under_nohup_a_hangup_is_ignored() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let mut process = start(&stand, r#"trap "" HUP; exec "$@""#, &[]);
    wait_copying(&mut process, &summary_file(&stand));
    process.signal(Signal::SIGHUP).expect("it runs");
    super::robust::pause(1500);
    process.expect_alive().expect("it goes on");
    let ended = process.stop(Signal::SIGTERM, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    check_nothing_left(&stand);
}

#[test]
fn standard_error_and_output_are_closed() {
    survives(r#"exec "$@" 2>&- >&- <&-"#, &["--json"], Signal::SIGTERM, 0);
}

#[test]
fn standard_error_is_full() {
    let more = ["--progress", "always"];
    survives(r#"exec "$@" 2>/dev/full"#, &more, Signal::SIGINT, 0);
}

/// Who asks for JSON and gets none must hear of it: the run is in order, its end is not.
#[test]
fn standard_output_is_full() {
    let log = survives(r#"exec "$@" >/dev/full"#, &["--json"], Signal::SIGINT, 1);
    assert!(log.is_empty() || log.contains("standard output"), "{log}");
}

/// A pipe that is full, and that nobody reads.
const UNREAD: &str =
    r#"mkfifo "$PIPE" && exec 3<>"$PIPE" && rm "$PIPE" && head -c 65536 /dev/zero >&3"#;

#[test]
fn nobody_reads_standard_error() {
    let script = format!("PIPE=$(mktemp -u); {UNREAD} && exec \"$@\" 2>&3");
    let more = ["--progress", "always"];
    survives(&script, &more, Signal::SIGINT, 0);
}

#[test]
fn nobody_reads_standard_output() {
    let script = format!("PIPE=$(mktemp -u); {UNREAD} && exec \"$@\" >&3");
    survives(&script, &["--json"], Signal::SIGINT, 0);
}

/// `tcpcopy ... 2>&1 | tee log` and Ctrl-C: the whole group gets the signal, and `tee` is gone first.
#[test]
fn a_pipe_to_tee_and_control_c() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "tee"]) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let status = stand.lab.folder().join("status");
    let script = format!(
        r#"(trap : INT; "$@" 2>&1; echo $? >{}) | tee {}"#,
        status.display(),
        stand.lab.folder().join("tee.log").display()
    );
    let mut process = start(&stand, &script, &["--json", "--progress", "always"]);
    let file = summary_file(&stand);
    wait_copying(&mut process, &file);
    let report = Clients::keep_alive(10, 200, 3).run(&stand);
    let group = Pid::from_raw(process.pid().cast_signed());
    killpg(group, Signal::SIGINT).expect("the group");
    let code = || Ok(fs::read_to_string(&status).is_ok_and(|text| text.ends_with('\n')));
    interrupt::wait_until("the end", END_WITHIN, code).expect("it ends");
    let code = fs::read_to_string(&status).expect("a status");
    assert_eq!(code.trim(), "0");
    check_ended(&stand, &file, report.completed);
}

/// `intercept` in the same surroundings: it ends in order, and its program is gone.
#[test]
fn intercept_too() {
    let Some(stand) = super::stand_with(Topology::Assistant, &[]) else {
        return;
    };
    let address = "127.0.0.1:9525";
    // A pipe whose reader has gone, as after `| tee` and Ctrl-C.
    let gone = r#"PIPE=$(mktemp -u); mkfifo "$PIPE"; (exec 3<"$PIPE") & exec 4>"$PIPE"; wait; rm "$PIPE"; exec "$@" 2>&4 >&4"#;
    let cases = [
        (r#"exec "$@""#.to_owned(), Signal::SIGHUP),
        (gone.to_owned(), Signal::SIGINT),
        (r#"exec "$@" 2>&- >&- <&-"#.to_owned(), Signal::SIGTERM),
        (r#"exec "$@" 2>/dev/full"#.to_owned(), Signal::SIGINT),
        (
            format!("PIPE=$(mktemp -u); {UNREAD} && exec \"$@\" 2>&3"),
            Signal::SIGTERM,
        ),
    ];
    for (script, signal) in &cases {
        let spec = Spec::new("intercept", "sh")
            .args(["-c", script, "sh"])
            .arg(stand.binaries.intercept.display().to_string())
            .args(["-i", "eth0", "-x", &format!("{TARGET}:{PORT}")])
            .args(["-b", &ASSISTANT.to_string(), "--insecure"])
            .args(["--listen", address]);
        let mut process = stand.lab.spawn(Host::Assistant, &spec).expect("sh");
        let ready = || {
            let there = stand.lab.namespace(Host::Assistant);
            let asked = b"GET /ready HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
            let answer = lab::http::ask(&there, address.parse().expect("an address"), asked);
            Ok(answer
                .ok()
                .flatten()
                .is_some_and(|answer| answer.status == 200))
        };
        interrupt::wait_until("intercept to be ready", Duration::from_secs(20), ready)
            .unwrap_or_else(|error| panic!("{script}: {error}: {}", process.tail()));
        let ended = process.stop(*signal, END_WITHIN).expect("it ends");
        assert_eq!(ended.code(), Some(0), "{script}: {}", process.log());
        assert!(!process.log().contains("panicked"), "{}", process.log());
        check_nothing_left(&stand);
    }
}

/// Whoever stops a run for a while, or a machine that is suspended, loses nothing of it: what comes meanwhile waits in the ring, and
/// the deadline of clsact filters is longer.
#[test]
fn a_run_that_was_stopped_for_five_seconds() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut process = start(&stand, r#"exec "$@""#, &["--hook", "clsact"]);
    let file = summary_file(&stand);
    wait_copying(&mut process, &file);
    let clients = Clients::keep_alive(20, 200, 9).start(&stand);
    super::robust::pause(1500);
    process.signal(Signal::SIGSTOP).expect("it runs");
    super::robust::pause(5000);
    process.signal(Signal::SIGCONT).expect("it is there");
    let report = clients.wait();
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    let summary = Summary::read(&file).expect("a summary");
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    tests::check_complete(&report, &online, &target, &summary);
    check_clean(&stand);
}

/// A longer stop, and longer requests: the ring is full long before it is over. What was lost then is in no outcome, and nobody knows
/// how many requests it was; the run says about how many, and warns.
#[test]
fn a_run_that_was_stopped_for_longer_than_its_ring_lasts() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut process = start(&stand, r#"exec "$@""#, &[]);
    let file = summary_file(&stand);
    wait_copying(&mut process, &file);
    // 32 MB a second into a ring of 64 MiB.
    let clients = Clients::keep_alive(20, 1000, 8).and(&["--body", "32000"]);
    let clients = clients.start(&stand);
    super::robust::pause(1000);
    process.signal(Signal::SIGSTOP).expect("it runs");
    super::robust::pause(4500);
    process.signal(Signal::SIGCONT).expect("it is there");
    check_clients(&clients.wait());
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    let summary = Summary::read(&file).expect("a summary");
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    let copied = Comparison::of(&online, &target).fidelity();
    assert!(copied < 0.9, "nothing was lost: {copied}");
    let told = summary.fidelity();
    assert!((copied - told).abs() < 0.03, "{copied} copied, {told} told");
    assert!(summary.count("/left_out/lost_packets") > 0);
    assert!(process.log().contains("whose ring was full"));
    check_clean(&stand);
}
