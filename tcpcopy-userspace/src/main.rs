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

use std::io::{self, Write as _, stderr};
use std::process::ExitCode;

use tracing_subscriber::filter::LevelFilter;

use args::{CommandLine, Priority, Task};
use run::Ending;

fn main() -> ExitCode {
    let task = CommandLine::task();
    // Before dumps are forbidden, after which the file belongs to root.
    let yielded = match &task {
        Task::Run(args) if args.priority == Priority::Low => process::priority::go_first(),
        _ => Ok(()),
    };
    // Not the janitor: it has to be small and to live on whatever happens, so it has no log and no threads.
    if !matches!(task, Task::Janitor) {
        process::dumps::forbid();
    }
    match &task {
        Task::Janitor => ExitCode::from(loader::hooks::janitor::run()),
        Task::Doctor(args) => with_log(LevelFilter::OFF, |_| doctor::run(args)),
        Task::Report(args) => with_log(LevelFilter::OFF, |_| report::run(args)),
        // The command line has shown it.
        Task::Version => ExitCode::SUCCESS,
        Task::Run(args) => with_log(LevelFilter::INFO, |printer| {
            let ending = run(args, printer, yielded);
            if let Some(words) = ending.complaint() {
                tracing::error!("{words}");
            }
            ending.code()
        }),
    }
}

/// What a run logs on its way, another command says in its own form: hence the level.
fn with_log(level: LevelFilter, body: impl FnOnce(&process::Printer) -> u8) -> ExitCode {
    match process::log::start(level) {
        Ok(printer) => {
            let code = body(&printer);
            // What could not be written there is lost, and nobody is left who could be told.
            let _ = printer.finish();
            ExitCode::from(code)
        }
        Err(error) => {
            let _ = writeln!(
                stderr(),
                "cannot start the thread that writes the log: {error}; is a limit of this process too low (`ulimit -n`, `ulimit -u`)?"
            );
            ExitCode::from(Ending::UNUSABLE)
        }
    }
}

fn run(args: &args::Args, printer: &process::Printer, yielded: io::Result<()>) -> Ending {
    if let Err(error) = yielded {
        tracing::warn!(
            "cannot have the kernel end tcpcopy first where memory runs out (/proc/self/oom_score_adj): {error}"
        );
    }
    run::run(args, printer)
}
