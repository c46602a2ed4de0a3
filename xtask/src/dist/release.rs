//! What is built, and where it goes: names, version, time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{step, workspace};

/// A release that is being made.
pub(super) struct Release {
    /// As in `Cargo.toml`.
    pub version: &'static str,
    /// As the kernel names this machine's kind: `x86_64`.
    pub arch: &'static str,
    /// The time of the commit, in seconds: whatever is built from one commit has one time.
    pub epoch: String,
    /// Where everything goes that is handed on.
    pub folder: PathBuf,
}

impl Release {
    /// The release that this tree makes on this machine.
    pub(super) fn here() -> Self {
        let mut time = Command::new("git");
        time.current_dir(workspace::root())
            .args(["log", "-1", "--format=%ct"]);
        // Sources out of a tarball have no commit.
        let epoch = step::output(&mut time).map(|text| text.trim().to_owned());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            arch: std::env::consts::ARCH,
            epoch: epoch.unwrap_or_else(|| "0".to_owned()),
            folder: workspace::target().join("dist"),
        }
    }

    /// The file system of a system that has this release, as far as it is ours.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// What is made on the way.
    pub(super) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// `tcpcopy-0.1.0-x86_64-linux`, the name of the tarball and of its folder.
    pub(super) fn full_name(&self) -> String {
        format!("tcpcopy-{}-{}-linux", self.version, self.arch)
    }
}

/// Makes a folder anew, empty.
pub(super) fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Copies a file into a place, whose folder is made.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file stands in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Writes a file, whose folder is made.
pub(super) fn write(to: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    let folder = to.parent().context("a file stands in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))
}

/// Reads a text of this repository or of what was made.
pub(super) fn read(from: &Path) -> Result<String> {
    fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))
}

/// The files of a folder, by name.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in listed {
        let path = entry
            .with_context(|| format!("cannot list {}", folder.display()))?
            .path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A file's own name.
pub(super) fn name_of(file: &Path) -> String {
    file.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
