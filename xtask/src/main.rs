//! `cargo xtask`: everything that is done with this repository beyond `cargo build` and `cargo test`.
//!
//! | module | command | does |
//! |---|---|---|
//! | [`setup`] | `setup` | brings what is missing on this machine: packages and the BPF tool chain |
//! | [`build_ebpf`] | `build-ebpf` | builds the programs into `target/bpf` |
//! | [`workspace`] | | where this repository's folders are |
//! | [`step`] | | runs another program and says so |
#![forbid(unsafe_code)]

mod build_ebpf;
mod setup;
mod step;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the tcpcopy repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Bring what is missing on this machine: system packages and the BPF tool chain.
    Setup(setup::Arguments),
    /// Build the programs (tcpcopy-ebpf, intercept-ebpf) into target/bpf.
    BuildEbpf,
}

fn main() -> ExitCode {
    let result = match Command::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::BuildEbpf => build_ebpf::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
