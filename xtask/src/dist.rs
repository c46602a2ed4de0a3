//! A release as others get it: binaries that are stripped and shown to need nothing but glibc; a tarball, a Debian and an RPM package, an
//! image; whose code is in them, and checksums of it all.
//!
//! | module | holds |
//! |---|---|
//! | [`release`] | what is built, and where it goes |
//! | [`tools`] | the tools that packages are made with |
//! | [`layout`] | what packages install, as it stands in a system's root |
//! | [`packages`] | tarball, Debian package, RPM package |
//! | [`image`] | the image for containers |
//! | [`papers`] | notice, bills of materials, checksums |
//! | [`root`] | a system of base packages alone |
//! | [`trial`] | `--check`: packages and image installed, copying, removed |
//!
//! What the binaries need is looked up in every `cargo xtask test`; the rest takes tools and time that it has not, and is done by hand
//! before a release.

mod image;
mod layout;
mod packages;
mod papers;
mod release;
mod root;
pub(crate) mod tools;
mod trial;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{stage, step, workspace};
use release::Release;

/// The binaries.
const BINARIES: [&str; 2] = ["tcpcopy", "intercept"];
/// What they may need: parts of glibc, and libgcc_s, which every base system has.
const ALLOWED: [&str; 4] = ["ld-linux", "libc.so", "libgcc_s.so", "libm.so"];
/// The newest version of glibc that they may need: docs/binaries.md promises it.
const GLIBC_MAX: (u32, u32) = (2, 34);
/// Arguments of `dist`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The binaries alone, without packages and image: quick, and needs no tools.
    #[arg(long)]
    binaries: bool,
    /// Try it all: start the binaries on a system of base packages alone, install, copy with, upgrade and remove the package there, copy
    /// with the image. Needs root, debootstrap, a Debian archive, lintian, rpm and podman.
    #[arg(long)]
    check: bool,
    /// The release of Debian that this system is.
    #[arg(long, value_name = "NAME", default_value = "bookworm")]
    suite: String,
    /// Where its packages come from [default: debootstrap's own].
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Take what cannot be done here for a failure; implied where the environment has CI=true.
    #[arg(long)]
    no_skip: bool,
}

/// Builds, strips, looks, packs, and with `--check` tries.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let release = Release::here();
    stage::build()?;
    release::fresh(&release.folder)?;
    for name in BINARIES {
        let built = workspace::target().join("release").join(name);
        strip(&built, &release.folder)?;
    }
    check_links(&release.folder)?;
    let base = arguments
        .check
        .then(|| skip(arguments, root::base_system(arguments)))
        .transpose()?
        .flatten();
    if let Some(base) = &base {
        root::start_in(base, &release.folder)?;
    }
    if arguments.binaries {
        return papers::sums(&release);
    }
    layout::lay(&release)?;
    packages::tarball(&release)?;
    let (deb, rpm) = (packages::deb(&release)?, packages::rpm(&release)?);
    let image = skip(arguments, image::build(&release))?;
    papers::bills(&release)?;
    papers::sums(&release)?;
    if arguments.check {
        skip(arguments, packages::judge(&deb, &rpm))?;
        if let Some(base) = &base {
            trial::of_package(&release, base, &deb)?;
        }
        if let Some(image) = &image {
            skip(arguments, trial::of_image(&release, image))?;
        }
    }
    step::say(&format!("ready: {}", release.folder.display()));
    Ok(())
}

/// What cannot be done here is skipped, and said, unless that is a failure.
fn skip<T>(arguments: &Arguments, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if arguments.no_skip || std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            Err(error)
        }
        Err(error) => {
            step::say(&format!("SKIP: {error:#}"));
            Ok(None)
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
