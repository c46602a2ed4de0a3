//! `cargo xtask bench programs`: what each program costs per packet, by the kind of packet, as a ratio to a program that does nothing.
//!
//! The kernel runs the programs on packets of ours (`BPF_PROG_TEST_RUN`); `tests/tests/programs/costs.rs` does that, and says how.
//! With the objects of an earlier build both are measured in the same rounds, which is the only comparison that a busy machine
//! does not spoil.

use std::path::PathBuf;
use std::process::Command;

use ::lab::system;
use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{build_ebpf, step, workspace};

/// Arguments of `bench programs`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How often everything is measured.
    #[arg(long, default_value_t = 30)]
    rounds: u32,
    /// Only programs and packets, separated by a space, that hold this: "observe", "bare ACK", "capture reply".
    #[arg(long, default_value = "")]
    only: String,
    /// Measure another object of tcpcopy's programs beside this tree's: a copy of an earlier target/bpf/tcpcopy.o.
    #[arg(long, value_name = "OLD.o")]
    against: Option<PathBuf>,
    /// The same for intercept's.
    #[arg(long, value_name = "OLD.o")]
    against_intercept: Option<PathBuf>,
}

/// Runs the bench.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    if !system::is_root() {
        bail!("BPF programs need root: run this as root");
    }
    build_ebpf::run()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut test = Command::new(cargo);
    test.current_dir(workspace::root())
        .args(["test", "--locked", "--quiet", "--package", "tests"])
        .args(["--test", "programs", "--", "costs::costs", "--nocapture"])
        .env("TCPCOPY_NO_SKIP", "1")
        .env("TCPCOPY_COST_ROUNDS", arguments.rounds.to_string())
        .env("TCPCOPY_COST_ONLY", &arguments.only);
    for (name, object) in [
        ("TCPCOPY_COST_AGAINST", &arguments.against),
        (
            "TCPCOPY_COST_AGAINST_INTERCEPT",
            &arguments.against_intercept,
        ),
    ] {
        if let Some(object) = object {
            let object = object
                .canonicalize()
                .with_context(|| format!("cannot find {}", object.display()))?;
            test.env(name, object);
        }
    }
    step::run("programs, per packet", &mut test)
}
