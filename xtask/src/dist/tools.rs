//! What packages are made with: built for this repository alone, of one version each, with the versions of its own lock file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{step, workspace};

/// A tool of crates.io.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
    features: &'static [&'static str],
}

/// Writes the Debian package, and its maintainer scripts for units.
pub(super) const DEB: Tool = Tool::new("cargo-deb", "=3.8.0");
/// Writes the RPM package, without rpmbuild.
pub(super) const RPM: Tool = Tool::new("cargo-generate-rpm", "=0.21.1");
/// Writes which crates are in the binaries, in CycloneDX's form.
pub(super) const BILL: Tool = Tool::new("cargo-cyclonedx", "=0.5.9");
/// Collects the licences of the crates.
pub(super) const NOTICE: Tool = Tool {
    features: &["cli"],
    ..Tool::new("cargo-about", "=0.9.3")
};

impl Tool {
    /// A tool by its name and one version (`=1.2.3`).
    pub(crate) const fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            features: &[],
        }
    }

    /// A command of it: built first, where it is not there in this version.
    pub(crate) fn command(&self) -> Result<Command> {
        let path = workspace::tools().join("bin").join(self.name);
        if !self.is_there() {
            self.install()?;
        }
        let mut command = step::clean(path);
        command
            .current_dir(workspace::root())
            .arg(self.subcommand());
        Ok(command)
    }

    /// What cargo would say to it: `cargo deb` runs `cargo-deb deb`.
    fn subcommand(&self) -> &'static str {
        self.name.trim_start_matches("cargo-")
    }

    /// Whether cargo has noted that it was installed in this version.
    fn is_there(&self) -> bool {
        let note = workspace::tools().join(".crates.toml");
        let wanted = format!("\"{} {} (", self.name, self.version.trim_start_matches('='));
        std::fs::read_to_string(note).is_ok_and(|text| text.contains(&wanted))
            && workspace::tools().join("bin").join(self.name).is_file()
    }

    fn install(&self) -> Result<()> {
        let mut cargo = step::clean(
            std::env::var_os("CARGO")
                .as_deref()
                .unwrap_or(OsStr::new("cargo")),
        );
        // By rustup's rustc a crate of theirs that names an old tool chain for itself would ask for that one.
        let compiler =
            std::env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
        if let Some(compiler) = compiler.filter(|compiler| compiler.is_file()) {
            cargo.env("RUSTC", compiler);
        }
        cargo
            .args(["install", self.name, "--version", self.version])
            .args(["--locked", "--quiet", "--root"])
            .arg(workspace::tools())
            .arg("--target-dir")
            .arg(build_folder());
        if !self.features.is_empty() {
            cargo.args(["--features", &self.features.join(",")]);
        }
        step::run(
            &format!(
                "building {} {} into target/tools (some two minutes, once)",
                self.name,
                self.version.trim_start_matches('=')
            ),
            &mut cargo,
        )
    }
}

/// A folder of its own: cargo would otherwise build for our profile, and we for its own.
fn build_folder() -> PathBuf {
    workspace::target().join("tools-build")
}
