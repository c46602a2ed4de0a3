//! What goes with binaries on paper: whose code is in them under which licence, the bill of materials, checksums.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::release::{Release, files, name_of, read, write};
use super::{BINARIES, tools};
use crate::{step, workspace};

/// The workspaces and packages whose crates end up in what is shipped.
const SHIPPED: [&str; 4] = [
    "tcpcopy-userspace",
    "intercept-userspace",
    "tcpcopy-ebpf",
    "intercept-ebpf",
];
/// Checksums of all else.
const SUMS: &str = "SHA256SUMS";

/// Writes the notice: C libraries by hand, crates by their own licence files.
pub(super) fn notice(to: &Path) -> Result<()> {
    let packages = workspace::root().join("deploy/packages");
    let mut text = read(&packages.join("third-party.txt"))?;
    for package in SHIPPED {
        let manifest = workspace::root().join(package).join("Cargo.toml");
        // Crates for other systems than this one, too: the notice is made without the network.
        let mut fetch = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        fetch
            .args(["fetch", "--locked", "--quiet", "--manifest-path"])
            .arg(&manifest);
        step::run(&format!("crates of {package}"), &mut fetch)?;
        let part = to.with_extension("part");
        let mut about = tools::NOTICE.command()?;
        about
            .args(["generate", "--locked", "--offline", "--fail", "--config"])
            .arg(packages.join("about.toml"))
            .arg("--manifest-path")
            .arg(&manifest)
            .arg("--output-file")
            .arg(&part)
            .arg(packages.join("notice.hbs"));
        step::run(&format!("licences of the crates in {package}"), &mut about)?;
        let _ = write!(text, "\n{}\nCrates in {package}\n\n", "=".repeat(80));
        text.push_str(&read(&part)?);
        fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    write(to, text)
}

/// Writes the bill of materials of each binary, in CycloneDX's form.
pub(super) fn bills(release: &Release) -> Result<()> {
    for name in BINARIES {
        let manifest = workspace::root().join(format!("{name}-userspace/Cargo.toml"));
        let mut bill = tools::BILL.command()?;
        bill.args([
            "--format",
            "json",
            "--describe",
            "binaries",
            "--spec-version",
            "1.5",
        ])
        .args(["--no-build-deps", "--quiet", "--manifest-path"])
        .arg(&manifest)
        .env("SOURCE_DATE_EPOCH", &release.epoch);
        let written = step::run(&format!("bill of materials of {name}"), &mut bill);
        // It writes one beside each binary's manifest in this workspace, and there they are litter.
        let text = collect(&format!("{name}-userspace/{name}_bin.cdx.json"));
        written?;
        write(&release.folder.join(format!("{name}.cdx.json")), text?)?;
    }
    Ok(())
}

/// Takes one bill, and removes all.
fn collect(wanted: &str) -> Result<String> {
    let text = read(&workspace::root().join(wanted));
    let folders = fs::read_dir(workspace::root()).context("cannot list this repository")?;
    for folder in folders.flatten().filter(|entry| entry.path().is_dir()) {
        for file in files(&folder.path())? {
            if name_of(&file).ends_with("_bin.cdx.json") {
                fs::remove_file(&file)
                    .with_context(|| format!("cannot remove {}", file.display()))?;
            }
        }
    }
    text
}

/// Writes the checksums of all files in the release's folder, and has them checked.
pub(super) fn sums(release: &Release) -> Result<()> {
    let names: Vec<String> = files(&release.folder)?
        .iter()
        .map(|file| name_of(file))
        .filter(|name| name != SUMS)
        .collect();
    let mut sums = Command::new("sha256sum");
    sums.current_dir(&release.folder).arg("--").args(&names);
    let text = step::output(&mut sums).context("sha256sum (package coreutils) fails")?;
    write(&release.folder.join(SUMS), text)?;
    let mut check = Command::new("sha256sum");
    check
        .current_dir(&release.folder)
        .args(["--check", "--strict", "--quiet", SUMS]);
    step::run("checksums", &mut check)
}
