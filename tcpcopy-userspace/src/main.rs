//! `tcpcopy`: copies live TCP traffic of this online server to a target server.
//!
//! | module | holds |
//! |---|---|
//! | [`args`] | the command line |
//! | [`plan`] | what follows from it on this host, or why nothing does |
//! | [`loader`] | everything that is changed in the kernel, and undone |
//! | [`worker`] | the threads that own rings, ports and sessions |
//! | [`assistant`] | the threads that talk to `intercept` |
//! | [`doctor`] | what keeps a run from working here, and what to do |
//! | [`report`] | the report of a run that is over |
//! | [`run`] | the course of a run: start, ready, drain, end, summary |
//! | [`cpu`], [`clock`] | how busy the machine is; what time it is |
#![forbid(unsafe_code)]

mod advice;
mod args;
mod assistant;
mod clock;
mod cpu;
mod doctor;
mod loader;
mod plan;
mod report;
mod run;
mod worker;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use args::{CommandLine, Errand, Wish};

fn main() -> ExitCode {
    let wish = CommandLine::wish();
    // What a run logs on its way, an errand says in its own form.
    let level = match &wish {
        Wish::Run(_) => LevelFilter::INFO,
        Wish::Errand(_) => LevelFilter::OFF,
    };
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .with_env_filter(
            EnvFilter::builder()
                .with_default_directive(level.into())
                .from_env_lossy(),
        )
        .init();
    let args = match &wish {
        Wish::Run(args) => args,
        Wish::Errand(Errand::Doctor(args)) => return ExitCode::from(doctor::run(args)),
        Wish::Errand(Errand::Report(args)) => return ExitCode::from(report::run(args)),
    };
    let ending = run::run(args);
    if let Some(words) = ending.complaint() {
        tracing::error!("{words}");
    }
    ExitCode::from(ending.code())
}
