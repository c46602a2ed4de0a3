//! The service and the clients of the lab as a program of their own, for the live tests.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

/// Parts of the lab.
#[derive(Parser)]
#[command(name = "lab-part")]
struct Arguments {
    #[command(subcommand)]
    part: lab::command::Command,
}

fn main() -> ExitCode {
    match lab::command::run(&Arguments::parse().part) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-part: {error}");
            ExitCode::FAILURE
        }
    }
}
