//! Builds the programs into `target/bpf`, from where `crates/programs` embeds them.
//!
//! They need a compiler with `core` for the BPF target, of which there are two, and bpf-linker. Either compiler is
//! run with an environment of its own: what the outer `cargo` wants of its compiler is not for this one.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{step, workspace};

const TARGET: &str = "bpfel-unknown-none";
/// The compiler of Debian's package rustc-web.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The newest instruction set that every kernel has which the programs are for (it came with 5.1); 32-bit arithmetic makes the
/// programs shorter.
const TARGET_CPU: &str = "v3";

/// The workspaces of the programs; each makes one object.
const OBJECTS: [&str; 2] = ["tcpcopy", "intercept"];

/// A compiler that can build the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToolChain {
    /// rustup's nightly, which builds `core` itself from rust-src.
    Nightly,
    /// Debian's rustc-web with libstd-rust-web-dev-bpf, which has `core` ready.
    Debian,
}

impl ToolChain {
    /// The tool chain that this machine has.
    pub(crate) fn find() -> Option<Self> {
        if has_nightly_source() {
            return Some(Self::Nightly);
        }
        has_debian_core().then_some(Self::Debian)
    }

    fn cargo(self) -> Command {
        match self {
            Self::Nightly => {
                let mut command = step::clean("rustup");
                command.args(["run", "nightly", "cargo", "build", "-Z", "build-std=core"]);
                command
            }
            Self::Debian => {
                // The `cargo` that runs us knows nothing about the target; only the compiler has to.
                let mut command = step::clean(
                    std::env::var_os("CARGO")
                        .as_deref()
                        .unwrap_or(OsStr::new("cargo")),
                );
                command
                    .arg("build")
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nightly => "rustup's nightly",
            Self::Debian => "Debian's rustc-web",
        }
    }
}

/// Builds both objects.
///
/// # Errors
///
/// There is no tool chain or no bpf-linker, or the build fails.
pub(crate) fn run() -> Result<()> {
    let Some(tool_chain) = ToolChain::find() else {
        bail!(
            "no compiler for {TARGET}: looked for rustup's nightly with rust-src and for Debian's rustc-web with \
             libstd-rust-web-dev-bpf; run `cargo xtask setup`, or `rustup toolchain install nightly --component rust-src`"
        );
    };
    let Some(linker) = find_linker() else {
        bail!("no bpf-linker in target/tools/bin or PATH: run `cargo xtask setup`");
    };
    fs::create_dir_all(workspace::bpf()).context("cannot make target/bpf")?;
    for name in OBJECTS {
        build(tool_chain, &linker, name)?;
    }
    Ok(())
}

/// bpf-linker: the one that `setup` built for us, else the machine's own.
pub(crate) fn find_linker() -> Option<PathBuf> {
    let ours = workspace::tools().join("bin/bpf-linker");
    if ours.is_file() {
        Some(ours)
    } else {
        step::find("bpf-linker")
    }
}

fn build(tool_chain: ToolChain, linker: &Path, name: &str) -> Result<()> {
    let target_folder = workspace::target().join("bpf-build");
    let arch = std::env::consts::ARCH;
    let flags = [
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        format!("-Clinker={}", linker.display()),
        "-Clink-arg=--btf".to_owned(),
        format!("-Ctarget-cpu={TARGET_CPU}"),
        // The objects are embedded in what is shipped: they need not say where they were built.
        format!("--remap-path-prefix={}=.", workspace::root().display()),
    ];
    let mut cargo = tool_chain.cargo();
    cargo
        .current_dir(workspace::root().join(format!("{name}-ebpf")))
        .args([
            "--release",
            "--locked",
            "--quiet",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(&target_folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_CFG_BPF_TARGET_ARCH", arch);
    step::run(
        &format!("building the programs of {name} with {}", tool_chain.name()),
        &mut cargo,
    )?;

    let built = target_folder.join(TARGET).join("release").join(name);
    let object = workspace::bpf().join(format!("{name}.o"));
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    // What embeds the object is built again when it is written, so it is written only when it differs.
    let verb = if fs::read(&object).is_ok_and(|old| old == bytes) {
        "unchanged"
    } else {
        let fresh = object.with_extension("o.new");
        fs::write(&fresh, &bytes).with_context(|| format!("cannot write {}", fresh.display()))?;
        fs::rename(&fresh, &object)
            .with_context(|| format!("cannot write {}", object.display()))?;
        "written"
    };
    step::say(&format!(
        "target/bpf/{name}.o: {} kB, {verb}",
        bytes.len() / 1000
    ));
    Ok(())
}

fn has_nightly_source() -> bool {
    // `which` only looks; other commands of rustup may fetch what they miss.
    let mut command = step::clean("rustup");
    command.args(["which", "--toolchain", "nightly", "rustc"]);
    let compiler = step::output(&mut command).map(|path| PathBuf::from(path.trim()));
    let sysroot = compiler
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::parent);
    sysroot.is_some_and(|folder| {
        folder
            .join("lib/rustlib/src/rust/library/core/src/lib.rs")
            .is_file()
    })
}

fn has_debian_core() -> bool {
    if !Path::new(DEBIAN_RUSTC).is_file() {
        return false;
    }
    let mut command = step::clean(DEBIAN_RUSTC);
    command.args(["--print", "target-libdir", "--target", TARGET]);
    step::output(&mut command).is_some_and(|folder| {
        fs::read_dir(folder.trim()).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
        })
    })
}
