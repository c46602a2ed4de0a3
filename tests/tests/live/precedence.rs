//! The online server goes first: processors, memory and the network are its own where they run short.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::copier::Summary;
use lab::{Host, Topology, interrupt};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use tests::copying::check_nothing_left;
use tests::{Clients, Stand};

use super::manners::{END_WITHIN, check_ended, start, summary_file, wait_copying};

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
    for (more, nice, score) in [
        (&["-v"][..], 10, 500),
        (&["-v", "--priority", "normal"][..], 0, 0),
    ] {
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

/// A process that goes with the test, before its group does.
struct Started {
    child: std::process::Child,
    _group: MemoryGroup,
}

impl Started {
    fn end(mut self) -> std::process::ExitStatus {
        self.child.wait().expect("our child")
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
        Some(Started {
            child: child.expect("sh"),
            _group: group,
        })
    };
    let log = stand.lab.folder().join("little.log");
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let Some(process) = started(128 << 20, &log) else {
        eprintln!("SKIP: no control group that limits memory can be made here");
        return;
    };
    let ready = || Ok(said().contains("ready"));
    interrupt::wait_until("ready", Duration::from_secs(20), ready)
        .unwrap_or_else(|error| panic!("{error}: {}", said()));
    assert!(said().contains("MiB of memory are free"), "{}", said());
    let report = Clients::keep_alive(50, 2000, 4).run(&stand);
    let pid = Pid::from_raw(process.child.id().cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGINT).expect("it runs");
    let status = process.end();
    assert_eq!(status.code(), Some(0), "{}", said());
    check_ended(&stand, &file, report.completed);
    let status = started(24 << 20, &log).expect("a group").end();
    assert_eq!(status.code(), Some(2), "{}", said());
    assert!(said().contains("need at least"), "{}", said());
    check_nothing_left(&stand);
}

/// A figure of the notes.
fn note(summary: &Summary, name: &str) -> u64 {
    summary.value()["incidents"][name]
        .as_u64()
        .unwrap_or_else(|| {
            let notes: &Value = &summary.value()["incidents"];
            panic!("{name} is not in {notes}")
        })
}
