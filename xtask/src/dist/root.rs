//! A system of base packages alone, which debootstrap makes once and keeps in `target`, and the binaries started on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Arguments, BINARIES, is_allowed};
use crate::{step, workspace};

/// What `ldd` lists besides, which is no file.
const OF_THE_KERNEL: &str = "linux-vdso";
/// What is started on a base system, and a word that it must print.
const TRIALS: [(&[&str], &str); 5] = [
    (&["tcpcopy", "--version"], "tcpcopy"),
    (&["tcpcopy", "--help"], "--netns"),
    (&["tcpcopy", "doctor", "--help"], "proves the path"),
    (&["intercept", "--version"], "intercept"),
    (&["intercept", "--help"], "--netns"),
];

/// The root of a system of base packages alone.
pub(super) fn base_system(arguments: &Arguments) -> Result<PathBuf> {
    let suite = &arguments.suite;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if suite.is_empty() || !suite.bytes().all(is_name) {
        bail!("--suite {suite} is no name of a release: bookworm, trixie");
    }
    let root = workspace::target().join(format!("root-{suite}"));
    if root.is_dir() {
        return Ok(root);
    }
    if !::lab::system::is_root() {
        bail!("to make a base system needs root");
    }
    if step::find("debootstrap").is_none() {
        bail!("debootstrap is not installed (package debootstrap; `cargo xtask setup` does it)");
    }
    // One that was interrupted must not be taken for whole.
    let making = workspace::target().join(format!("root-{suite}-{}", std::process::id()));
    let mut debootstrap = Command::new("debootstrap");
    debootstrap
        .args(["--variant=minbase", suite])
        .arg(&making)
        .args(&arguments.mirror);
    // Its log is long, and stands in the root.
    debootstrap.stdout(std::process::Stdio::null());
    let made = step::run(
        &format!("a base system of {suite}, 200 MB, half a minute"),
        &mut debootstrap,
    );
    if let Err(error) = made {
        let _ = fs::remove_dir_all(&making);
        return Err(error).context(
            "no base system could be made: is an archive reachable? (--mirror names another)",
        );
    }
    fs::rename(&making, &root).with_context(|| format!("cannot make {}", root.display()))?;
    Ok(root)
}

/// Starts the binaries of a folder in a root.
pub(super) fn start_in(root: &Path, folder: &Path) -> Result<()> {
    let place = root.join("usr/local/bin");
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    for name in BINARIES {
        let (from, to) = (folder.join(name), place.join(name));
        fs::copy(&from, &to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    for (line, word) in TRIALS {
        let text = inside(root, line)?;
        if !text.contains(word) {
            bail!(
                "`{}` on a base system does not say `{word}`: {text}",
                line.join(" ")
            );
        }
    }
    for name in BINARIES {
        let text = inside(root, &["ldd", &format!("/usr/local/bin/{name}")])?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let file = line.split(' ').next().unwrap_or_default();
            let library = file.rsplit('/').next().unwrap_or_default();
            if line.contains("not found")
                || !(is_allowed(library) || library.starts_with(OF_THE_KERNEL))
            {
                bail!("{name} on a base system: `{line}`");
            }
        }
        step::say(&format!(
            "{name} starts on a base system ({})",
            root.display()
        ));
    }
    Ok(())
}

/// Runs something in a root; what it printed.
pub(super) fn inside(root: &Path, line: &[&str]) -> Result<String> {
    let chroot = step::find("chroot").context("chroot is not installed (package coreutils)")?;
    let mut command = Command::new(chroot);
    command.arg(root).args(line);
    // Nothing of this machine's settings: libraries are to be found as they are there.
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("DEBIAN_FRONTEND", "noninteractive");
    let output = command.output().context("cannot start chroot")?;
    if !output.status.success() {
        bail!(
            "`{}` fails in {} ({}): {}",
            line.join(" "),
            root.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
