//! Runs another program: says so before, and names the whole command where it fails.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Says what is done next.
pub(crate) fn say(what: &str) {
    eprintln!("==> {what}");
}

/// Says what is done, and does it with the terminal's own output.
///
/// # Errors
///
/// The program could not be started, or did not succeed.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    say(what);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{what}: `{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a program silently and returns what it printed, or `None` where it is missing or did not succeed.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program stands in `PATH`, if it does.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // A plain user's PATH lacks the sbin folders, where some of what we look for lives.
    let sbin = [Path::new("/usr/sbin"), Path::new("/sbin")].map(Path::to_path_buf);
    std::env::split_paths(&path)
        .chain(sbin)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A command without what the `cargo` that runs us has put into the environment: its choice of compiler, of tool
/// chain and of flags is for this workspace, not for the one that is built.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let leaks = name_text == "RUSTFLAGS"
            || name_text == "RUSTDOCFLAGS"
            || name_text == "RUSTUP_TOOLCHAIN"
            || name_text == "RUST_RECURSION_COUNT"
            || name_text.starts_with("RUSTC")
            || name_text == "CARGO"
            || name_text == "CARGO_ENCODED_RUSTFLAGS"
            || name_text == "CARGO_MAKEFLAGS"
            || name_text == "CARGO_TARGET_DIR"
            || name_text.starts_with("CARGO_BUILD_")
            || name_text.starts_with("CARGO_PKG_")
            || name_text.starts_with("CARGO_MANIFEST_")
            || name_text.starts_with("CARGO_PROFILE_")
            || name_text.starts_with("CARGO_TARGET_BPFEL");
        if leaks {
            command.env_remove(&name);
        }
    }
    command
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
