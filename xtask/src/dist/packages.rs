//! The tarball, the Debian package and the RPM package, out of what [`layout`](super::layout) has laid out.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::release::{Release, copy, files, fresh, name_of};
use super::{BINARIES, tools};
use crate::{step, workspace};

/// Who makes packages of it has to say so in the metadata.
const PACKAGE: &str = "tcpcopy-userspace";

/// A tarball for whoever wants no package: copy one file to the online server.
pub(super) fn tarball(release: &Release) -> Result<PathBuf> {
    let name = release.full_name();
    let folder = release.work().join(&name);
    fresh(&folder)?;
    let (root, sources) = (release.root(), workspace::root());
    for binary in BINARIES {
        copy(&release.folder.join(binary), &folder.join(binary))?;
    }
    copy_all(&root.join("usr/share/man/man8"), &folder.join("man"))?;
    let completions = release.work().join("manual/completions");
    copy_all(&completions, &folder.join("completions"))?;
    copy_all(&sources.join("deploy/systemd"), &folder.join("systemd"))?;
    copy_all(&root.join("etc/tcpcopy"), &folder.join("systemd"))?;
    for paper in [
        "README.md",
        "CHANGELOG.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "LICENSE-GPL2",
    ] {
        copy(&sources.join(paper), &folder.join(paper))?;
    }
    let notice = "THIRD-PARTY.txt.gz";
    copy(
        &root.join("usr/share/doc/tcpcopy").join(notice),
        &folder.join(notice),
    )?;
    let to = release.folder.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.current_dir(release.work())
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", release.epoch))
        .arg("--use-compress-program=gzip -9 -n")
        .arg("-cf")
        .arg(&to)
        .arg(&name);
    step::run("the tarball", &mut tar)?;
    Ok(to)
}

/// The Debian package.
pub(super) fn deb(release: &Release) -> Result<PathBuf> {
    let to = release.folder.join(format!(
        "tcpcopy_{}-1_{}.deb",
        release.version,
        of_debian(release.arch)
    ));
    let mut deb = tools::DEB.command()?;
    deb.args([
        "--locked",
        "--no-build",
        "--no-strip",
        "--quiet",
        "--package",
        PACKAGE,
    ])
    .arg("--output")
    .arg(&to)
    .env("SOURCE_DATE_EPOCH", &release.epoch);
    step::run("the Debian package", &mut deb)?;
    Ok(to)
}

/// The RPM package.
pub(super) fn rpm(release: &Release) -> Result<PathBuf> {
    let to = release.folder.join(format!(
        "tcpcopy-{}-1.{}.rpm",
        release.version, release.arch
    ));
    let mut rpm = tools::RPM.command()?;
    rpm.args(["--package", PACKAGE, "--payload-compress", "zstd"])
        .arg("--source-date")
        .arg(&release.epoch)
        .arg("--output")
        .arg(&to);
    step::run("the RPM package", &mut rpm)?;
    Ok(to)
}

/// Has lintian and rpm look at the packages, where they are.
///
/// # Errors
///
/// They find something that is wrong, or are not there.
pub(super) fn judge(deb: &Path, rpm: &Path) -> Result<()> {
    step::find("lintian").context("lintian is not installed (package lintian)")?;
    let mut lintian = Command::new("lintian");
    lintian
        .args([
            "--allow-root",
            "--fail-on",
            "error,warning",
            "--tag-display-limit",
            "0",
        ])
        .arg(deb);
    step::run("lintian on the Debian package", &mut lintian)?;
    step::find("rpm").context("rpm is not installed (package rpm)")?;
    let mut check = Command::new("rpm");
    check.arg("--checksig").arg(rpm);
    step::run("digests of the RPM package", &mut check)
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        copy(&file, &to.join(name_of(&file)))?;
    }
    Ok(())
}

/// What Debian calls a kind of machine.
fn of_debian(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
