//! Files that a run leaves: a full disk, a disk that hangs, and what is no file.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::copier::Summary;
use lab::{Host, Process, Spec, Topology, system};
use nix::sys::signal::Signal;
use tests::copying::check_nothing_left;
use tests::{Clients, Stand};

use super::robust::pause;

/// A file system of this test's own; it goes with it.
struct Disk {
    folder: PathBuf,
    is_frozen: bool,
}

impl Disk {
    /// In memory, of so many bytes.
    fn small(stand: &Stand, bytes: u32) -> Self {
        let folder = stand.lab.folder().join("small");
        fs::create_dir(&folder).expect("a folder");
        let size = format!("size={bytes}");
        mount(&["-t", "tmpfs", "-o", &size, "none", &text(&folder)]);
        Self {
            folder,
            is_frozen: false,
        }
    }

    /// In a file, so that it can be frozen.
    fn on_loop(stand: &Stand) -> Self {
        let (folder, image) = (
            stand.lab.folder().join("frozen"),
            stand.lab.folder().join("frozen.img"),
        );
        fs::create_dir(&folder).expect("a folder");
        let file = fs::File::create(&image).expect("an image");
        file.set_len(16 << 20).expect("an image");
        system::run("mkfs.ext4", &["-q", "-F", &text(&image)]).expect("mkfs");
        mount(&["-o", "loop", &text(&image), &text(&folder)]);
        Self {
            folder,
            is_frozen: false,
        }
    }

    fn freeze(&mut self, is_frozen: bool) {
        let way = if is_frozen { "-f" } else { "-u" };
        system::run("fsfreeze", &[way, &text(&self.folder)]).expect("fsfreeze");
        self.is_frozen = is_frozen;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_frozen {
            let _ = system::run("fsfreeze", &["-u", &text(&self.folder)]);
        }
        let _ = system::run("umount", &["-l", &text(&self.folder)]);
    }
}

fn mount(arguments: &[&str]) {
    system::run("mount", arguments).expect("mount");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A run that copies, with these arguments.
fn start(stand: &Stand, more: &[&str]) -> Process {
    let options = stand.options();
    let spec = Spec::new("files", &stand.binaries.tcpcopy)
        .args(["-x", &options.rules, "-i", "eth0,eth1", "--workers", "1"])
        .args(more);
    let mut process = stand.lab.spawn(Host::Online, &spec).expect("it starts");
    process
        .wait_for("ready", Duration::from_secs(20))
        .expect("it is ready");
    process
}

/// A full disk is one warning, the file of before is whole, and the end says that the last one is missing.
#[test]
fn a_full_disk() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let disk = Disk::small(&stand, 256 << 10);
    let file = disk.folder.join("run.json");
    let mut process = start(&stand, &["--summary", &text(&file)]);
    let clients = Clients::keep_alive(10, 200, 8).start(&stand);
    pause(2500);
    let before = Summary::read(&file).expect("a summary");
    assert_eq!(before.value()["state"], "copying");
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Whatever is left of it.
    let filler = disk.folder.join("filler");
    let _ = fs::write(&filler, vec![b'x'; 256 << 10]);
    pause(4000);
    let report = clients.wait();
    tests::copying::check_clients(&report);
    let status = process.stop(Signal::SIGINT, Duration::from_secs(20));
    let status = status.expect("it ends");
    let log = process.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert_eq!(log.matches("WARN cannot write").count(), 1, "{log}");
    assert!(log.contains("the summary is missing"), "{log}");
    let left = Summary::read(&file).expect("the old file is whole");
    assert_eq!(left.value()["state"], "copying");
    let names = fs::read_dir(&disk.folder).expect("a folder").count();
    assert_eq!(names, 2, "the summary and the filler");
    check_nothing_left(&stand);
}

/// Once there is room again, the summary is written again, and the end is as if nothing had been.
#[test]
fn a_disk_that_was_full() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let disk = Disk::small(&stand, 256 << 10);
    let (file, filler) = (disk.folder.join("run.json"), disk.folder.join("filler"));
    let mut process = start(&stand, &["--summary", &text(&file)]);
    pause(1500);
    let _ = fs::write(&filler, vec![b'x'; 256 << 10]);
    pause(2500);
    fs::remove_file(&filler).expect("the filler");
    let status = process.stop(Signal::SIGINT, Duration::from_secs(20));
    assert_eq!(
        status.expect("it ends").code(),
        Some(0),
        "{}",
        process.log()
    );
    let summary = Summary::read(&file).expect("a summary");
    assert_eq!(summary.value()["state"], "ended");
}

/// A file that would grow beyond the limit of file sizes is a failed writing, and no signal that kills.
#[test]
fn a_limit_of_file_sizes() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let file = stand.lab.folder().join("run.json");
    // In blocks of 512 bytes. The log is a file as well.
    let script = r#"ulimit -f 4; exec "$@""#;
    let spec = Spec::new("files", "sh")
        .args(["-c", script, "sh"])
        .arg(text(&stand.binaries.tcpcopy))
        .args(["-x", &stand.options().rules, "-i", "eth0,eth1"])
        .args(["--workers", "1", "--summary", &text(&file)])
        .args(["--progress", "always", "--duration", "2s"]);
    let mut process = stand.lab.spawn(Host::Online, &spec).expect("sh");
    let status = process.wait(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(1), "{status}: {}", process.log());
    assert!(!file.exists());
    check_nothing_left(&stand);
}

/// A disk that hangs holds nobody: signals, `--duration` and the end go on, and nothing is left behind while it does.
#[test]
fn a_disk_that_hangs() {
    let needs = ["nginx", "mkfs.ext4", "fsfreeze"];
    let Some(stand) = super::stand_with(Topology::Direct, &needs) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let disk = Disk::on_loop(&stand);
    let (file, folder) = (disk.folder.join("run.json"), disk.folder.join("hgrm"));
    let more = [
        "--summary",
        &text(&file),
        "--hgrm",
        &text(&folder),
        "--duration",
        "8s",
    ];
    let mut process = start(&stand, &more);
    pause(1500);
    // Declared after the process, so that it is thawed before somebody waits for that to end.
    let mut disk = disk;
    disk.freeze(true);
    let report = Clients::keep_alive(10, 200, 3).run(&stand);
    tests::copying::check_clients(&report);
    let said = process.wait_for("the run failed", Duration::from_secs(40));
    said.unwrap_or_else(|error| panic!("{error}"));
    assert!(process.log().contains("hang"), "{}", process.log());
    // A frozen disk keeps the thread that writes, whatever ends the process: but nothing else.
    check_nothing_left(&stand);
    disk.freeze(false);
    let status = process.wait(Duration::from_secs(10)).expect("it ends");
    assert_eq!(status.code(), Some(1), "{}", process.log());
    let table = process.output();
    let answered = format!("{} of {} requests", report.completed, report.completed);
    assert!(table.contains(&answered), "{answered}: {table}");
}

/// What is no regular file is refused at the start, and left as it was.
#[test]
fn what_is_no_file() {
    let Some(stand) = super::stand_with(Topology::Direct, &["mkfifo"]) else {
        return;
    };
    let folder = stand.lab.folder();
    let at = |name: &str| text(&folder.join(name));
    system::run("mkfifo", &[at("pipe")]).expect("a pipe");
    // One of our own: the whole host's is not a thing to try this on.
    system::run("mknod", &[at("null").as_str(), "c", "1", "3"]).expect("a device");
    std::os::unix::fs::symlink(folder.join("pipe"), folder.join("link")).expect("a link");
    fs::create_dir(folder.join("histograms")).expect("a folder");
    std::os::unix::fs::symlink(at("pipe"), at("histograms/tcpcopy.hlog")).expect("a link");
    let rules = stand.options().rules;
    for (option, path, words) in [
        ("--summary", at("null"), "a device"),
        ("--summary", at("pipe"), "a pipe"),
        ("--summary", at("link"), "a symbolic link"),
        ("--summary", text(folder), "a folder"),
        ("--summary", at("nowhere/run.json"), "nowhere"),
        ("--hgrm", at("histograms"), "a symbolic link"),
        ("--hgrm", at("null"), "histograms"),
    ] {
        let spec = Spec::new("refused", &stand.binaries.tcpcopy).args([
            "-x",
            &rules,
            "-i",
            "eth0,eth1",
            option,
            &path,
        ]);
        let mut process = stand.lab.spawn(Host::Online, &spec).expect("it starts");
        let status = process.wait(Duration::from_secs(10)).expect("it ends");
        assert_eq!(status.code(), Some(2), "{path}: {}", process.log());
        assert!(process.log().contains(words), "{path}: {}", process.log());
        check_nothing_left(&stand);
    }
    let kind = |name: &str| fs::symlink_metadata(folder.join(name)).expect("still there");
    assert!(kind("null").file_type().is_char_device());
    assert!(kind("pipe").file_type().is_fifo());
    // A report reads no pipe that nobody writes, and no device that never ends.
    for input in [at("pipe"), "/dev/zero".to_owned()] {
        let spec = Spec::new("report", &stand.binaries.tcpcopy).args([
            "report",
            &input,
            "--out",
            &at("report.html"),
        ]);
        let mut process = stand.lab.spawn(Host::Online, &spec).expect("it starts");
        let status = process.wait(Duration::from_secs(5)).expect("it ends");
        assert_eq!(status.code(), Some(2), "{input}: {}", process.log());
    }
}
