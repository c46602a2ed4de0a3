//! `tcpcopy`: copies live TCP traffic of this online server to a target server.
//!
//! | module | holds |
//! |---|---|
//! | [`args`] | the command line |
//! | [`plan`] | what follows from it on this host, or why nothing does |
//! | [`ctl`] | control of a run that goes on |
//! | [`dials`] | what of it may be turned while a run goes on |
//! | [`loader`] | everything that is changed in the kernel, and undone |
//! | [`worker`] | the threads that own rings, ports and sessions |
//! | [`assistant`] | the threads that talk to `intercept` |
//! | [`doctor`] | what keeps a run from working here, and what to do |
//! | [`playback`] | the thread that reads capture files for a replay |
//! | [`inspect`] | what is in a capture file |
//! | [`report`] | the report of a run that is over |
//! | [`run`] | the course of a run: start, ready, drain, end, summary |
//! | [`cpu`], [`clock`] | how busy the machine is; what time it is |
#![forbid(unsafe_code)]

mod advice;
mod args;
mod assistant;
mod bandwidth;
mod clock;
mod cpu;
mod ctl;
mod dials;
mod doctor;
mod inspect;
mod loader;
mod made_up;
mod plan;
mod playback;
mod report;
mod run;
mod worker;

use std::io::{self, Write as _, stderr};
use std::process::ExitCode;

use command_line::complaint::{command, complaint};
use process::log::Form;
use process::rights;
use tracing_subscriber::filter::LevelFilter;

use args::{CommandLine, Priority, Task};
use run::Ending;

fn main() -> ExitCode {
    let task = CommandLine::task();
    // Before dumps are forbidden, after which the file belongs to root.
    let yielded = match &task {
        Task::Run(args) if args.priority == Priority::Low => process::priority::go_first(),
        Task::Record(args) if args.priority == Priority::Low => process::priority::go_first(),
        _ => Ok(()),
    };
    rights::never_more();
    rights::keep_only(match &task {
        Task::Janitor => rights::REMOVE,
        Task::Inspect(_) | Task::Report(_) | Task::Version => rights::FILES,
        _ => rights::SET_UP,
    });
    // Not the janitor: it has to be small and to live on whatever happens, so it has no log and no threads.
    if !matches!(task, Task::Janitor) {
        process::dumps::forbid();
    }
    match &task {
        Task::Janitor => ExitCode::from(loader::hooks::janitor::run()),
        Task::Doctor(args) => with_log(SILENT, |_| doctor::run(args)),
        Task::Inspect(args) => with_log(SILENT, |_| inspect::run(args)),
        Task::Ctl(args) => ExitCode::from(ctl::client::run(args)),
        Task::Report(args) => with_log(SILENT, |_| report::run(args)),
        Task::PrintConfig(text) => {
            // A reader that is gone needs it no more.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Task::Keygen(args) => keygen(args),
        // The command line has shown it.
        Task::Version => ExitCode::SUCCESS,
        Task::Record(args) => with_log((args.log.level(), args.log.form()), |printer| {
            let ending = run::record(args);
            complain(&args.as_run(), &ending, printer);
            ending.code()
        }),
        Task::Replay(_) => unreachable!("the command line makes a run of it"),
        Task::Run(args) => with_log((args.log.level(), args.log.form()), |printer| {
            let ending = run(args, printer, yielded);
            complain(args, &ending, printer);
            ending.code()
        }),
    }
}

/// What a run logs on its way, another command says in its own form.
const SILENT: (LevelFilter, Form) = (LevelFilter::OFF, Form::Text);

fn with_log(
    (level, form): (LevelFilter, Form),
    body: impl FnOnce(&process::Printer) -> u8,
) -> ExitCode {
    match process::log::start(level, form) {
        Ok(printer) => {
            let code = body(&printer);
            // What could not be written there is lost, and nobody is left who could be told.
            let _ = printer.finish();
            ExitCode::from(code)
        }
        Err(error) => {
            let words = format!(
                "cannot start the thread that writes the log: {error}; is a limit of this process too low (`ulimit -n`, `ulimit -u`)?"
            );
            let _ = write!(stderr(), "{}", complaint(&words, "limit-short", None));
            ExitCode::from(Ending::UNUSABLE)
        }
    }
}

/// Makes a key, or says why there is none.
fn keygen(args: &args::KeygenArgs) -> ExitCode {
    let made = if args.rotate {
        key_file::rotate(&args.file)
    } else {
        key_file::create(&args.file)
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = complaint(&error.to_string(), "key-file", None);
            let _ = write!(stderr(), "{text}");
            ExitCode::from(Ending::UNUSABLE)
        }
    }
}

/// Says why a run did not begin, or did not end well.
fn complain(args: &args::Args, ending: &Ending, printer: &process::Printer) {
    match ending {
        // A line of JSON has its time, whenever it is.
        Ending::Unusable(unusable) if args.log.form() == Form::Text => {
            let mut words = std::env::args().skip(1).peekable();
            let _ = words.next_if(|word| word == "run");
            let look = command("tcpcopy doctor", words);
            // The doctor looks at a path, which files and a recorder have none of.
            let has_path = args.rules.iter().all(args::RuleArg::has_target);
            let look = (has_path && args.replay.is_none()).then_some(look);
            let text = complaint(&unusable.words, unusable.finding, look.as_deref());
            printer.print_surely(text.into_bytes());
        }
        ending => {
            if let Some(words) = ending.complaint() {
                tracing::error!(finding = ending.finding(), "{words}");
            }
        }
    }
}

fn run(args: &args::Args, printer: &process::Printer, yielded: io::Result<()>) -> Ending {
    if let Err(error) = yielded {
        tracing::warn!(
            finding = "no-priority",
            "cannot have the kernel end tcpcopy first where memory runs out (/proc/self/oom_score_adj): {error}"
        );
    }
    run::run(args, printer)
}
