//! The parts of the lab by hand: `lab serve`, `lab load`, ...
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

/// Parts of the lab.
#[derive(Parser)]
#[command(name = "lab")]
struct Arguments {
    #[command(subcommand)]
    command: lab::command::Command,
}

fn main() -> ExitCode {
    match lab::command::run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}
