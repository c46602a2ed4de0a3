//! Fuzzing: libFuzzer on the targets of `fuzz/`, which begin with the corpus that is in the tree.
//!
//! What is found stays outside the tree: new inputs in `target/fuzz`, crashes in `fuzz/artifacts`. Ordinary tests replay
//! the corpus without any of this (`crates/fuzzing/tests/replay.rs`).

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{step, workspace};

/// Arguments of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The fuzz target: wire, channel, engine, capture, player, http1, redis, postgres, mysql or digest; all of them, one after the other, where none is named.
    target: Option<String>,
    /// How long each runs, in seconds.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
}

/// Longest input, in bytes.
const INPUT_LEN_MAX: usize = 4096;

/// Runs one target, or all.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    check_tools()?;
    let mut targets = targets()?;
    if let Some(wanted) = &arguments.target {
        if !targets.contains(wanted) {
            bail!("there is no fuzz target {wanted}: {}", targets.join(", "));
        }
        targets.retain(|target| target == wanted);
    }
    targets
        .iter()
        .try_for_each(|target| fuzz(target, arguments.seconds))
}

/// Every fuzz target: each is a file of `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let files =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut targets: Vec<String> = files
        .flatten()
        .filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    targets.sort();
    Ok(targets)
}

fn check_tools() -> Result<()> {
    if step::output(step::clean("cargo").args(["+nightly", "--version"])).is_none() {
        bail!("fuzzing needs a nightly tool chain: rustup toolchain install nightly");
    }
    if step::output(step::clean("cargo").args(["fuzz", "--version"])).is_none() {
        bail!("fuzzing needs cargo-fuzz: cargo install cargo-fuzz");
    }
    Ok(())
}

fn fuzz(target: &str, seconds: u32) -> Result<()> {
    let found = workspace::target().join("fuzz").join(target);
    fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let folder = workspace::root().join("fuzz");
    let mut fuzz: Command = step::clean("cargo");
    // No sanitizer: there is no unsafe code in what is fuzzed.
    fuzz.args([
        "+nightly",
        "fuzz",
        "run",
        "--sanitizer",
        "none",
        "--fuzz-dir",
    ])
    .arg(&folder)
    .arg(target)
    // What is new goes into the first folder.
    .args([&found, &folder.join("corpus").join(target)])
    .arg("--")
    .arg(format!("-max_total_time={seconds}"))
    .arg(format!("-max_len={INPUT_LEN_MAX}"));
    step::run(&format!("fuzz {target}, {seconds} s"), &mut fuzz)
}
