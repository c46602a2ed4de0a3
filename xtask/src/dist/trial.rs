//! `--check`: the package is installed on a fresh system of base packages, copies live traffic from there, is upgraded and removed, and
//! leaves nothing; the image copies likewise.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::lab::command::{last_line, spec};
use ::lab::copier::{Binaries, Copier, Options};
use ::lab::net::{ONLINE, TARGET};
use ::lab::{Host, Lab, Topology, interrupt, load};
use anyhow::{Context, Result, bail};

use super::BINARIES;
use super::image::Image;
use super::release::{Release, fresh, read, write};
use super::root::inside;
use crate::step;

const PORT: u16 = 8080;
const RATE: u64 = 500;
const SECONDS: u64 = 3;
/// How much longer than its load a process may take.
const GRACE: Duration = Duration::from_secs(20);
/// What dpkg keeps for itself, and what it and others write down.
const OF_DPKG: [&str; 4] = ["var/lib/dpkg", "var/log", "var/cache", "proc"];
/// Settings that an administrator has changed, which an upgrade must leave alone.
const CHANGED: &str = "TCPCOPY_ARGS=-x 80-192.0.2.9:80\n";
const SETTINGS: &str = "etc/tcpcopy/tcpcopy.env";

/// Installs, copies, upgrades, removes.
pub(super) fn of_package(release: &Release, base: &Path, deb: &Path) -> Result<()> {
    let root = release.work().join("trial");
    fresh(&root)?;
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--no-target-directory"])
        .arg(base)
        .arg(&root);
    step::run("a fresh system for the package", &mut copy)?;
    let before = listed(&root)?;
    install(&root, deb)?;
    for name in BINARIES {
        let said = inside(&root, &[name, "--version"])?;
        if !said.contains(release.version) {
            bail!("{name} of the package says {said}");
        }
    }
    for folder in ["etc/systemd/system", "var/lib/systemd"] {
        let enabled = listed(&root.join(folder))?;
        if enabled
            .iter()
            .any(|file| BINARIES.iter().any(|name| file.contains(name)))
        {
            bail!("the package has enabled something: {enabled:?}");
        }
    }
    copies(&binaries_in(release, &root)?, "the package")?;

    write(&root.join(SETTINGS), CHANGED)?;
    install(&root, &next(release, deb)?)?;
    let version = inside(&root, &["dpkg-query", "-W", "-f", "${Version}", "tcpcopy"])?;
    if version != "99-1" || read(&root.join(SETTINGS))? != CHANGED {
        bail!(
            "after the upgrade the version is {version}, the settings {}",
            read(&root.join(SETTINGS))?
        );
    }
    inside(&root, &["dpkg", "--remove", "tcpcopy"])?;
    if root.join("usr/sbin/tcpcopy").exists() || !root.join(SETTINGS).exists() {
        bail!("a removed package keeps its settings and nothing else");
    }
    inside(&root, &["dpkg", "--purge", "tcpcopy"])?;
    let after = listed(&root)?;
    let left: Vec<&String> = after.difference(&before).collect();
    if !left.is_empty() {
        bail!("a purged package leaves {left:?}");
    }
    step::say(
        "the package was installed, copied, was upgraded, removed and purged: nothing is left",
    );
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))
}

/// Runs what is in the image.
pub(super) fn of_image(release: &Release, image: &Image) -> Result<()> {
    let folder = release.work().join("trial-image");
    fresh(&folder)?;
    let script = |name: &str| {
        // Inside `ip netns exec`, which has mounts of its own and no control groups among them. The capabilities are those that a run
        // needs, without `--privileged`; podman's own limits may be higher than this machine's. The filter of system calls that
        // comes with podman 4 lets nobody call bpf() but who has CAP_SYS_ADMIN.
        format!(
            "#!/bin/sh\nset -e\nmount -t cgroup2 none /sys/fs/cgroup\n\
             exec podman run --rm --pull=never --cgroups=disabled --network=host --ulimit=nofile=1024:1024 --ulimit=nproc=4096:4096 \
             --cap-drop=all --cap-add=NET_ADMIN,NET_RAW,BPF,PERFMON,IPC_LOCK --security-opt=seccomp=unconfined --volume=\"$PWD:$PWD\" --workdir=\"$PWD\" \
             --entrypoint=/usr/sbin/{name} {} \"$@\"\n",
            image.name
        )
    };
    let binaries = scripts(&folder, script)?;
    let lab = lab()?;
    let said = lab.run(Host::Online, &text(&binaries.tcpcopy), &["--version"])?;
    if !said.contains(release.version) {
        bail!("tcpcopy of the image says {said}");
    }
    let said = lab.run(Host::Online, &text(&binaries.intercept), &["--version"])?;
    if !said.contains(release.version) {
        bail!("intercept of the image says {said}");
    }
    drop(lab);
    copies(&binaries, "the image")
}

fn install(root: &Path, deb: &Path) -> Result<()> {
    let inner = Path::new("/root").join(deb.file_name().context("a package has a name")?);
    let there = root.join(inner.strip_prefix("/").unwrap_or(&inner));
    fs::copy(deb, &there).with_context(|| format!("cannot copy {}", deb.display()))?;
    inside(root, &["dpkg", "--install", &text(&inner)])?;
    fs::remove_file(&there).with_context(|| format!("cannot remove {}", there.display()))
}

/// The same package of a later version.
fn next(release: &Release, deb: &Path) -> Result<PathBuf> {
    let folder = release.work().join("next");
    fresh(&folder)?;
    let contents = folder.join("contents");
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--raw-extract").arg(deb).arg(&contents);
    step::run("a later version of the package", &mut unpack)?;
    let control = contents.join("DEBIAN/control");
    let text = read(&control)?.replace(&format!("Version: {}-1", release.version), "Version: 99-1");
    write(&control, text)?;
    let later = folder.join("tcpcopy_99-1.deb");
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "-Zgzip", "--build"])
        .arg(&contents)
        .arg(&later)
        .stdout(std::process::Stdio::null());
    step::run("packing it", &mut pack)?;
    Ok(later)
}

/// What is in a root, but for what dpkg keeps.
fn listed(root: &Path) -> Result<BTreeSet<String>> {
    let mut find = Command::new("find");
    find.arg(root).args(["-xdev", "-printf", "%P\\n"]);
    let text = step::output(&mut find).unwrap_or_default();
    let is_ours = |line: &&str| !OF_DPKG.iter().any(|other| line.starts_with(other));
    Ok(text.lines().filter(is_ours).map(str::to_owned).collect())
}

/// The binaries of a root, each as a script that starts it there: what is there it finds, and of this machine the kernel alone, and
/// the folder in which it is started.
fn binaries_in(release: &Release, root: &Path) -> Result<Binaries> {
    let folder = release.work().join("trial-scripts");
    fresh(&folder)?;
    let root = root.display();
    scripts(&folder, |name| {
        format!(
            "#!/bin/sh\nset -e\n# Inside `ip netns exec`, which has mounts of its own.\nroot='{root}'\n\
             mount --rbind /proc \"$root/proc\"\nmount --rbind /sys \"$root/sys\"\n\
             mount -t tmpfs none \"$root/tmp\"\nmount -t tmpfs none \"$root/run\"\n\
             # What is started elsewhere needs no folder, and must leave none in the root.\ncase \"$PWD\" in /tmp/*) ;; *) cd /tmp ;; esac\n\
             mkdir -p \"$root$PWD\"\nmount --bind \"$PWD\" \"$root$PWD\"\n\
             exec chroot \"$root\" /usr/bin/env -C \"$PWD\" /usr/sbin/{name} \"$@\"\n"
        )
    })
}

fn scripts(folder: &Path, script: impl Fn(&str) -> String) -> Result<Binaries> {
    use std::os::unix::fs::PermissionsExt as _;
    for name in BINARIES {
        let file = folder.join(name);
        write(&file, script(name))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} a program", file.display()))?;
    }
    Binaries::in_folder(folder).context("the scripts were written just now")
}

fn lab() -> Result<Lab> {
    interrupt::install()?;
    Ok(Lab::up("tcpcopy-dist".parse()?, Topology::Direct)?)
}

/// Has these binaries copy some seconds of traffic in both modes, and looks what arrived.
fn copies(binaries: &Binaries, whose: &str) -> Result<()> {
    let mut lab = lab()?;
    for mode in [Topology::Direct, Topology::Assistant] {
        lab.set_topology(mode)?;
        let mut servers = Vec::new();
        for (host, address) in [(Host::Online, ONLINE), (Host::Target, TARGET)] {
            let name = format!("{}-service", host.name());
            let listen = format!("{address}:{PORT}");
            let mut server = lab.spawn(host, &spec(&name, "serve").args(["--listen", &listen]))?;
            server.wait_for("ready", Duration::from_secs(5))?;
            servers.push(server);
        }
        let options = Options::new(
            mode,
            &format!("{ONLINE}:{PORT}"),
            &format!("{TARGET}:{PORT}"),
        );
        let mut copier = Copier::start(&lab, binaries, &options)
            .with_context(|| format!("{whose} does not copy"))?;
        let load_spec = spec("clients", "load")
            .args(["--to", &format!("{ONLINE}:{PORT}")])
            .args(["--rate", &RATE.to_string()])
            .args(["--seconds", &SECONDS.to_string()])
            .args(["--connections", "10"]);
        let mut clients = lab.spawn(Host::Client, &load_spec)?;
        clients.wait_success(GRACE + Duration::from_secs(SECONDS))?;
        let report: load::Report =
            last_line(&clients.output()).context("the clients left no report")?;
        let summary = copier.finish().context("the copy did not end well")?;
        let (sent, answered) = (report.completed, summary.answered());
        step::say(&format!(
            "{whose}, {mode:?} mode: {sent} requests, {answered} of them answered by the target"
        ));
        if sent < RATE * SECONDS / 2 || answered < sent * 99 / 100 {
            bail!("{whose} copied too little: {}", summary.ledger());
        }
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
