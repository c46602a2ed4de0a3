//! bpf-linker, built for this repository alone.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::{step, workspace};

/// The version that is known to work with LLVM 22 and with what aya-ebpf makes: one, and with the versions of its own lock file, since it is
/// compiled and run by who sets up.
const VERSION: &str = "=0.13.0";
/// Where Debian puts LLVM 22.
const LLVM: &str = "/usr/lib/llvm-22";

/// Builds bpf-linker into `target/tools`.
pub(super) fn install() -> Result<()> {
    if !Path::new(LLVM).join("bin/llvm-config").is_file() {
        bail!(
            "bpf-linker is built with LLVM 22, which is not in {LLVM}: install llvm-22-dev and libpolly-22-dev"
        );
    }
    // A folder of its own: cargo would otherwise build it for our profile, and we it for its own.
    let build = workspace::target().join("tools-build");
    let mut cargo = step::clean(
        std::env::var_os("CARGO")
            .as_deref()
            .unwrap_or(OsStr::new("cargo")),
    );
    cargo
        .args(["install", "bpf-linker", "--version", VERSION])
        .args(["--locked", "--quiet"])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(workspace::tools())
        .arg("--target-dir")
        .arg(&build)
        // Two of its dependencies look for LLVM, each under a name of its own.
        .env("LLVM_PREFIX", LLVM)
        .env("LLVM_SYS_221_PREFIX", LLVM);
    step::run(
        "building bpf-linker into target/tools (about two minutes, once)",
        &mut cargo,
    )?;
    // Several hundred megabytes that nobody needs again.
    fs::remove_dir_all(&build).or_else(|error| {
        step::say(&format!("cannot remove {}: {error}", build.display()));
        Ok(())
    })
}
