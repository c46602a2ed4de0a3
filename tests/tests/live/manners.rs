//! What a process owes to its host: it ends in order whatever happens to the terminal, to standard error and to standard output;
//! it lets the online server go first.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::copier::Summary;
use lab::net::{ASSISTANT, TARGET};
use lab::{Host, Process, Spec, Topology, interrupt};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use tests::copying::{check_books, check_nothing_left};
use tests::{Clients, PORT, Stand, check_clean};

/// How long an end may take: drain, close, and a printer that waits for its reader in vain, twice.
const END_WITHIN: Duration = Duration::from_secs(20);

/// The summary of the run of this test.
fn summary_file(stand: &Stand) -> PathBuf {
    stand.lab.folder().join("manners.json")
}

/// `tcpcopy` by way of a shell: `script` runs it as `"$@"`.
fn start(stand: &Stand, script: &str, more: &[&str]) -> Process {
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
fn wait_copying(process: &mut Process, file: &Path) {
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
fn check_ended(stand: &Stand, file: &Path, requests: u64) {
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
const UNREAD: &str = r#"mkfifo "$PIPE" && exec 3<>"$PIPE" && head -c 65536 /dev/zero >&3"#;

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
    let cases = [
        (r#"exec "$@""#.to_owned(), Signal::SIGHUP),
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
            .args(["--metrics", address]);
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

/// A number of a file below `/proc` of a thread or process.
fn nice_of(stat: &str) -> i32 {
    let tail = stat.rsplit_once(')').map_or("", |(_, tail)| tail);
    let field = tail.split_ascii_whitespace().nth(16).expect("proc(5)");
    field.parse().expect("a number")
}

/// Niceness of each thread by name, the OOM score, and the limit of core dumps.
fn manners_of(pid: u32) -> (Vec<(String, i32)>, i32, String) {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let threads = threads.map(|task| {
        let stat = fs::read_to_string(task.expect("a thread").path().join("stat"));
        let stat = stat.expect("a thread");
        let name = stat.split(['(', ')']).nth(1).expect("a name").to_owned();
        (name, nice_of(&stat))
    });
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core"));
    (
        threads.collect(),
        score.trim().parse().expect("a number"),
        core.unwrap_or_default().to_owned(),
    )
}

/// The online server goes first where processors or memory run short, and a crash writes no client's bytes to a disk.
#[test]
fn production_goes_first() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    for (more, nice, score) in [(&[][..], 10, 500), (&["--priority", "normal"][..], 0, 0)] {
        let mut process = start(&stand, r#"exec "$@""#, more);
        wait_copying(&mut process, &summary_file(&stand));
        let (threads, oom, core) = manners_of(process.pid());
        let workers: Vec<_> = threads
            .iter()
            .filter(|(name, _)| name.starts_with("worker"))
            .collect();
        assert!(!workers.is_empty(), "{threads:?}");
        assert!(workers.iter().all(|(_, of)| *of == nice), "{threads:?}");
        assert_eq!(oom, score);
        let zeros: Vec<&str> = core.split_ascii_whitespace().collect();
        assert!(zeros.contains(&"0"), "{core}");
        let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
        assert_eq!(ended.code(), Some(0), "{}", process.log());
        let told = process.log();
        assert!(told.contains("priority"), "{told}");
    }
}

/// Takes the name of the claim, and keeps it.
const SQUAT: &str = r#"
    socket(S, PF_UNIX, SOCK_STREAM, 0) or die;
    bind(S, pack("S a*", AF_UNIX, "\0tcpcopy/private-device")) or die;
    listen(S, 128) or die;
    syswrite(STDOUT, "squatting\n");
    sleep(120);
"#;

/// Any local user can take the name by which one tcpcopy knows of another. It must not keep us from starting, nor have us end an
/// innocent process.
#[test]
fn nobody_can_sit_on_the_claim() {
    let Some(stand) = super::stand_with(Topology::Direct, &["setpriv", "perl"]) else {
        return;
    };
    let spec = Spec::new("squatter", "setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["perl", "-MSocket", "-e", SQUAT]);
    let mut squatter = stand.lab.spawn(Host::Online, &spec).expect("setpriv");
    squatter
        .wait_for("squatting", Duration::from_secs(5))
        .expect("it squats");
    let mut process = start(&stand, r#"exec "$@""#, &[]);
    wait_copying(&mut process, &summary_file(&stand));
    assert!(process.log().contains("uid 65534"), "{}", process.log());
    // A second one still sees the first, squatter or not, and takes nothing away from it.
    let pid = process.pid();
    let mut options = stand.options();
    options.name = "second".to_owned();
    let second = Spec::new("second", &stand.binaries.tcpcopy).args([
        "-x",
        &options.rules,
        "-i",
        "eth0,eth1",
    ]);
    let mut second = stand.lab.spawn(Host::Online, &second).expect("tcpcopy");
    let ended = second.wait(Duration::from_secs(15)).expect("it ends");
    assert_eq!(ended.code(), Some(2), "{}", second.log());
    let said = second.log();
    assert!(said.contains("another tcpcopy"), "{said}");
    assert!(!said.contains(&format!("pid {}", squatter.pid())), "{said}");
    // Also once the squatter is gone and the name is free.
    squatter
        .stop(Signal::SIGKILL, Duration::from_secs(5))
        .expect("it ends");
    let third =
        Spec::new("third", &stand.binaries.tcpcopy).args(["-x", &options.rules, "-i", "eth0,eth1"]);
    let mut third = stand.lab.spawn(Host::Online, &third).expect("tcpcopy");
    let ended = third.wait(Duration::from_secs(15)).expect("it ends");
    assert_eq!(ended.code(), Some(2), "{}", third.log());
    process.expect_alive().expect("it goes on");
    assert_eq!(process.pid(), pid);
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    check_nothing_left(&stand);
}

/// Small limits are raised where that is allowed, else named with the number that is needed.
#[test]
fn small_limits() {
    let Some(stand) = super::stand_with(Topology::Direct, &["setpriv"]) else {
        return;
    };
    let mut process = start(&stand, r#"ulimit -S -n 16; exec "$@""#, &[]);
    wait_copying(&mut process, &summary_file(&stand));
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    // Without the right to raise them.
    let bound = "setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource";
    let unlocked = "--bounding-set=-sys_resource,-ipc_lock --inh-caps=-sys_resource,-ipc_lock";
    for (script, words) in [
        (format!(r#"ulimit -n 16; exec {bound} "$@""#), "ulimit -n "),
        (
            format!(r#"ulimit -l 64; exec setpriv {unlocked} "$@""#),
            "ulimit -l ",
        ),
    ] {
        let mut process = start(&stand, &script, &[]);
        let ended = process.wait(Duration::from_secs(10)).expect("it ends");
        assert_eq!(ended.code(), Some(2), "{script}: {}", process.log());
        assert!(process.log().contains(words), "{}", process.log());
        check_nothing_left(&stand);
    }
}

/// The advice for missing capabilities is enough for a run, and a binary that gives them to everybody is refused.
#[test]
fn capabilities_are_for_a_few() {
    let needs = ["setpriv", "setcap", "install"];
    let Some(stand) = super::stand_with(Topology::Direct, &needs) else {
        return;
    };
    let folder = stand.lab.folder();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(folder, mode).expect("mode");
    let binary = folder.join("tcpcopy-with-powers").display().to_string();
    let install = r#"install -m 0755 "$1" BINARY && shift &&"#.replace("BINARY", &binary);
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let all = "+net_admin,+net_raw,+bpf,+perfmon";
    // As the advice says, but for systemd.
    let script = format!(
        r#"{install} ulimit -l unlimited; exec {nobody} --inh-caps={all} --ambient-caps={all} {binary} "$@""#
    );
    let mut process = start(&stand, &script, &[]);
    wait_copying(&mut process, &summary_file(&stand));
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    let setcap = format!("setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon+ep {binary}");
    for (script, words) in [
        (
            format!(r#"{install} exec {nobody} {binary} "$@""#),
            "AmbientCapabilities='CAP_NET_ADMIN CAP_NET_RAW CAP_BPF CAP_PERFMON'",
        ),
        (
            format!(r#"{install} {setcap} && exec {binary} "$@""#),
            "chmod 0750",
        ),
    ] {
        let mut process = start(&stand, &script, &[]);
        let ended = process.wait(Duration::from_secs(10)).expect("it ends");
        assert_eq!(ended.code(), Some(2), "{script}: {}", process.log());
        assert!(process.log().contains(words), "{}", process.log());
        check_nothing_left(&stand);
    }
    let script = format!(r#"{install} chmod 0750 {binary} && {setcap} && exec {binary} "$@""#);
    let mut process = start(&stand, &script, &[]);
    wait_copying(&mut process, &summary_file(&stand));
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
}

/// Bytes that a device has sent.
fn sent_by(stand: &Stand, device: &str) -> u64 {
    let file = format!("/sys/class/net/{device}/statistics/tx_bytes");
    let text = stand.lab.run(Host::Online, "cat", &[&file]).expect("cat");
    text.trim().parse().expect("a number")
}

/// What clients send beyond `--max-bandwidth` is late, and none of it is lost.
#[test]
fn no_more_leaves_than_max_bandwidth() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    // 1,000 requests per second in frames of some 200 bytes, and an acknowledgement for each, are nearly twice that.
    let more = ["--max-bandwidth", "500K", "--drain", "60s"];
    let mut process = start(&stand, r#"exec "$@""#, &more);
    let file = summary_file(&stand);
    wait_copying(&mut process, &file);
    let (began, before) = (Instant::now(), sent_by(&stand, "eth1"));
    let clients = Clients::keep_alive(20, 1000, 5).start(&stand);
    super::robust::pause(4000);
    let (time, bytes) = (began.elapsed(), sent_by(&stand, "eth1") - before);
    let report = clients.wait();
    let ended = process.stop(Signal::SIGINT, Duration::from_secs(90));
    assert_eq!(ended.expect("it ends").code(), Some(0), "{}", process.log());
    let summary = Summary::read(&file).expect("a summary");
    let bits = bytes as f64 * 8.0 / time.as_secs_f64();
    eprintln!(
        "{bits:.0} bit/s left; lag {}; {}",
        summary.value()["latency_us"]["lag"],
        summary.ledger()
    );
    // Little else leaves by this device, and a burst.
    assert!((350_000.0..600_000.0).contains(&bits), "{bits} bit/s");
    assert!(note(&summary, "max_bandwidth_reached") > 0);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    tests::check_complete(&report, &online, &target, &summary);
    check_nothing_left(&stand);
}

/// A control group that limits memory, of either version; it goes with the test.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(limit: u64) -> Option<Self> {
        let name = format!("tcpcopy-test-{}", std::process::id());
        let v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control");
        let (root, file) = if v2.is_ok_and(|controllers| controllers.contains("memory")) {
            ("/sys/fs/cgroup", "memory.max")
        } else {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        };
        let group = Self(Path::new(root).join(name));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(file), limit.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Rings and frames are part of the budget, and the budget is part of what is free: in a small control group the numbers shrink
/// and nobody is killed, and in one that is too small nothing starts.
#[test]
fn little_memory() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "nsenter"]) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let namespace = stand.lab.namespace(Host::Online);
    let file = summary_file(&stand);
    let started = |limit: u64, log: &Path| {
        let group = MemoryGroup::new(limit)?;
        // Not `ip netns exec`, which hides the control groups.
        let script = r#"echo $$ >"$GROUP/cgroup.procs"; exec nsenter --net="$NETNS" "$@""#;
        let log = fs::File::create(log).expect("a log");
        let child = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&stand.binaries.tcpcopy)
            .args(["-x", &stand.options().rules, "-i", "eth0,eth1"])
            .args(["--workers", "1", "--summary", &file.display().to_string()])
            .env("GROUP", &group.0)
            .env("NETNS", namespace.path())
            .stdin(std::process::Stdio::null())
            .stderr(log)
            .spawn();
        Some((group, child.expect("sh")))
    };
    let log = stand.lab.folder().join("little.log");
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let Some((_group, mut child)) = started(128 << 20, &log) else {
        eprintln!("SKIP: no control group that limits memory can be made here");
        return;
    };
    let ready = || Ok(said().contains("ready"));
    interrupt::wait_until("ready", Duration::from_secs(20), ready)
        .unwrap_or_else(|error| panic!("{error}: {}", said()));
    assert!(said().contains("MiB of memory are free"), "{}", said());
    let report = Clients::keep_alive(50, 2000, 4).run(&stand);
    let pid = Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGINT).expect("it runs");
    let status = child.wait().expect("our child");
    assert_eq!(status.code(), Some(0), "{}", said());
    check_ended(&stand, &file, report.completed);
    drop(_group);
    let (_group, mut child) = started(24 << 20, &log).expect("a group");
    let status = child.wait().expect("our child");
    assert_eq!(status.code(), Some(2), "{}", said());
    assert!(said().contains("need at least"), "{}", said());
    check_nothing_left(&stand);
}

/// systemd understands the units, every line of them.
#[test]
fn units_are_understood() {
    let Some(stand) = super::stand_with(Topology::Direct, &["systemd-analyze"]) else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let units = root.expect("a folder above").join("deploy/systemd");
    for name in ["tcpcopy", "intercept"] {
        let unit = fs::read_to_string(units.join(format!("{name}.service"))).expect("a unit");
        for line in [
            "LimitCORE=0",
            "MemoryMax=",
            "PrivateDevices=yes",
            "ProtectProc=",
        ] {
            assert!(unit.contains(line), "{name}: {line}");
        }
        // It wants the program to be where the unit says.
        let here = format!("ExecStart={}", stand.binaries.tcpcopy.display());
        let there = format!("ExecStart=/usr/local/sbin/{name}");
        assert!(unit.contains(&there));
        let file = stand.lab.folder().join(format!("{name}.service"));
        fs::write(&file, unit.replace(&there, &here)).expect("a file");
        let file = file.display().to_string();
        let said = lab::system::output("systemd-analyze", &["verify", &file]).expect("it runs");
        let words = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success() && words.is_empty(), "{words}");
    }
}

/// A figure of the notes.
fn note(summary: &Summary, name: &str) -> u64 {
    summary.value()["notes"][name].as_u64().unwrap_or_else(|| {
        let notes: &Value = &summary.value()["notes"];
        panic!("{name} is not in {notes}")
    })
}
