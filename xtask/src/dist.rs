//! The binaries as others get them: built for release, stripped, their debug information beside them, and shown to need nothing but
//! glibc.
//!
//! What they need is looked up in every run (`cargo xtask test` does the same); with `--check` they are also started on a system
//! of base packages alone, which debootstrap makes once and keeps in `target`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{stage, step, workspace};

/// The binaries.
const BINARIES: [&str; 2] = ["tcpcopy", "intercept"];
/// What they may need: parts of glibc, and libgcc_s, which every base system has.
const ALLOWED: [&str; 4] = ["ld-linux", "libc.so", "libgcc_s.so", "libm.so"];
/// What `ldd` lists besides, which is no file.
const OF_THE_KERNEL: &str = "linux-vdso";
/// The newest version of glibc that they may need: docs/binaries.md promises it.
const GLIBC_MAX: (u32, u32) = (2, 34);
/// What is started on a base system, and a word that it must print.
const TRIALS: [(&[&str], &str); 5] = [
    (&["tcpcopy", "--version"], "tcpcopy"),
    (&["tcpcopy", "--help"], "--netns"),
    (&["tcpcopy", "doctor", "--help"], "proves the path"),
    (&["intercept", "--version"], "intercept"),
    (&["intercept", "--help"], "--netns"),
];

/// Arguments of `dist`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Start the binaries on a system of base packages alone, too: needs root, debootstrap and a Debian archive.
    #[arg(long)]
    check: bool,
    /// The release of Debian that this system is.
    #[arg(long, value_name = "NAME", default_value = "bookworm")]
    suite: String,
    /// Where its packages come from [default: debootstrap's own].
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Take a system that cannot be made here for a failure; implied where the environment has CI=true.
    #[arg(long)]
    no_skip: bool,
}

/// Builds, strips, looks, and with `--check` starts.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    stage::build()?;
    let folder = workspace::target().join("dist");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in BINARIES {
        strip(&workspace::target().join("release").join(name), &folder)?;
    }
    check_links(&folder)?;
    if !arguments.check {
        return Ok(());
    }
    match base_system(arguments) {
        Ok(root) => start_in(&root, &folder),
        Err(error) if arguments.no_skip || std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            Err(error)
        }
        Err(error) => {
            step::say(&format!("SKIP: {error:#}"));
            Ok(())
        }
    }
}

/// Fails where one of the binaries in a folder needs more than glibc, or a newer one than is promised.
pub(crate) fn check_links(folder: &Path) -> Result<()> {
    for name in BINARIES {
        let binary = folder.join(name);
        let libraries = listed(&binary, "-d", |line| {
            let (_, rest) = line.split_once("Shared library: [")?;
            rest.split(']').next()
        })?;
        let foreign: Vec<&String> = libraries
            .iter()
            .filter(|library| !is_allowed(library))
            .collect();
        if libraries.is_empty() || !foreign.is_empty() {
            bail!(
                "{} needs {foreign:?} beyond glibc (of {libraries:?}): it would not start everywhere; has a crate been added that \
                 links a library of the system? libbpf-rs links its own statically (`static`)",
                binary.display()
            );
        }
        let versions = listed(&binary, "-V", |line| {
            let (_, rest) = line.split_once("Name: GLIBC_")?;
            rest.split(' ').next()
        })?;
        let newest = versions
            .iter()
            .filter_map(|version| version_of(version))
            .max()
            .unwrap_or_default();
        if newest > GLIBC_MAX {
            bail!(
                "{} needs glibc {}.{}, and docs/binaries.md promises {}.{}: build on an older system, or change the promise",
                binary.display(),
                newest.0,
                newest.1,
                GLIBC_MAX.0,
                GLIBC_MAX.1
            );
        }
        step::say(&format!(
            "{name}: needs glibc {}.{} and nothing else ({}), {:.1} MB",
            newest.0,
            newest.1,
            libraries.into_iter().collect::<Vec<_>>().join(", "),
            size_mb(&binary)
        ));
    }
    Ok(())
}

fn is_allowed(library: &str) -> bool {
    ALLOWED.iter().any(|allowed| library.starts_with(allowed))
}

fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse::<u32>);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn size_mb(file: &Path) -> f64 {
    fs::metadata(file).map_or(0, |about| about.len()) as f64 / 1e6
}

/// What `readelf` says of a binary, line by line.
fn listed(
    binary: &Path,
    option: &str,
    pick: impl Fn(&str) -> Option<&str>,
) -> Result<BTreeSet<String>> {
    let mut readelf = Command::new("readelf");
    readelf
        .args(["--wide", option])
        .arg(binary)
        .env("LC_ALL", "C");
    let text = step::output(&mut readelf).with_context(|| {
        format!(
            "readelf (package binutils) cannot read {}",
            binary.display()
        )
    })?;
    Ok(text.lines().filter_map(&pick).map(str::to_owned).collect())
}

/// Puts a binary into a folder without its debug information, and that beside it, where a debugger looks for it.
fn strip(built: &Path, folder: &Path) -> Result<()> {
    let name = built
        .file_name()
        .context("a binary has a name")?
        .to_string_lossy();
    let (stripped, debug) = (folder.join(&*name), folder.join(format!("{name}.debug")));
    // A link to a debug file that is there already is refused.
    for old in [&stripped, &debug] {
        match fs::remove_file(old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", old.display()));
            }
            _ => {}
        }
    }
    let mut keep = Command::new("objcopy");
    step::run(
        &format!("debug information of {name}"),
        keep.arg("--only-keep-debug")
            .arg("--compress-debug-sections")
            .arg(built)
            .arg(&debug),
    )?;
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    let mut strip = Command::new("objcopy");
    step::run(
        &format!("{name} without it"),
        strip.arg("--strip-all").arg(link).arg(built).arg(&stripped),
    )
}

/// The root of a system of base packages alone.
fn base_system(arguments: &Arguments) -> Result<PathBuf> {
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
fn start_in(root: &Path, folder: &Path) -> Result<()> {
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
fn inside(root: &Path, line: &[&str]) -> Result<String> {
    let chroot = step::find("chroot").context("chroot is not installed (package coreutils)")?;
    let mut command = Command::new(chroot);
    command.arg(root).args(line);
    // Nothing of this machine's settings: libraries are to be found as they are there.
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
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

#[cfg(test)]
mod tests {
    use super::{is_allowed, version_of};

    #[test]
    fn what_is_glibc_and_what_is_not() {
        for library in [
            "libc.so.6",
            "libm.so.6",
            "libgcc_s.so.1",
            "ld-linux-x86-64.so.2",
        ] {
            assert!(is_allowed(library), "{library}");
        }
        for library in [
            "libelf.so.1",
            "libz.so.1",
            "libzstd.so.1",
            "libcrypt.so.1",
            "libbpf.so.1",
        ] {
            assert!(!is_allowed(library), "{library}");
        }
        assert!(version_of("2.34") > version_of("2.4"));
        assert_eq!(version_of("2.2.5"), Some((2, 2)));
    }
}
