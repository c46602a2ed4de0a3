//! `intercept`: consumes target servers' replies on the assistant server and reports them to tcpcopy.
//!
//! | module | noun |
//! |---|---|
//! | `args` | the command line, checked |
//! | `xdp_mode` | the ways in which XDP can take packets |
//! | `run` | one run: prepared, then working until a signal |
//! | `sink` | the XDP program: loaded, told what to take, attached |
//! | `intake` | a port per rx queue, in the best mode that works |
//! | `forwarding` | whether this host would forward what is consumed |
//! | `team` | the threads |
//! | `worker`, `pace` | packets to reports; when to spin and when to sleep |
//! | `outlets` | a worker's view of the connections: a batch for each |
//! | `router` | whose flow is whose |
//! | `server` | accepts connections |
//! | `connection`, `reader`, `writer` | one tcpcopy: its queue and its two threads |
//! | `witness` | what the doctor of a tcpcopy asks |
//! | `tally` | what all connections together did |
//! | `metrics` | what is shown at `--listen` |
//! | `summary` | the closing table |
//!
//! **Architecture invariant:** a worker never waits for a connection, and no peer can end anything but its own
//! connection.
#![forbid(unsafe_code)]

mod admission;
mod args;
mod connection;
mod error;
mod forwarding;
mod intake;
mod limit;
mod metrics;
mod outlets;
mod pace;
mod reader;
mod router;
mod run;
mod server;
mod sink;
mod stop;
mod summary;
mod tally;
mod team;
mod witness;
mod worker;
mod writer;
mod xdp_mode;

use std::io::Write as _;
use std::process::ExitCode;

use command_line::complaint;
use host::netns::{Namespace, Outside};
use process::log::Form;
use process::{Printer, rights};

use error::Unusable;

/// Something failed while it ran.
const FAILED: u8 = 1;
/// Arguments or environment cannot be used; nothing was changed.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let args = args::Args::of_process();
    rights::never_more();
    rights::keep_only(rights::SET_UP);
    process::dumps::forbid();
    let printer = match process::log::start(args.log.level(), args.log.form()) {
        Ok(printer) => printer,
        Err(error) => {
            let words = format!(
                "cannot start the thread that writes the log: {error}; is a limit of this process too low (`ulimit -n`, `ulimit -u`)?"
            );
            let text = complaint(&words, "limit-short", None);
            let _ = write!(std::io::stderr(), "{text}");
            return ExitCode::from(UNUSABLE);
        }
    };
    let code = run(args, &printer);
    // What could not be written there is lost, and nobody is left who could be told.
    let _ = printer.finish();
    ExitCode::from(code)
}

/// Runs to the end; gives the exit status.
fn run(args: args::Args, printer: &Printer) -> u8 {
    let form = args.log.form();
    let options = match args::Options::try_from(args) {
        Ok(options) => options,
        Err(unusable) => return refuse(form, printer, &unusable),
    };
    let Some(place) = &options.netns else {
        return course(&options, form, printer, &Outside::default());
    };
    let inside = |outside: &Outside| course(&options, form, printer, outside);
    // This thread waits for the other, and then ends the process.
    let meanwhile = || rights::keep_only(rights::NOTHING);
    let code = Namespace::open(place).and_then(|namespace| namespace.run(meanwhile, inside));
    code.unwrap_or_else(|error| refuse(form, printer, &error.into()))
}

/// A run, in the network namespace that it works in.
fn course(options: &args::Options, form: Form, printer: &Printer, outside: &Outside) -> u8 {
    match run::prepare(options, outside) {
        Err(unusable) => refuse(form, printer, &unusable),
        Ok(prepared) => match prepared.run(options, printer) {
            Ok(()) => 0,
            Err(failed) => {
                tracing::error!(finding = "run-failed", "{failed}");
                FAILED
            }
        },
    }
}

/// Says why nothing begins.
fn refuse(form: Form, printer: &Printer, unusable: &Unusable) -> u8 {
    match form {
        Form::Text => {
            let text = complaint(&unusable.to_string(), unusable.finding(), None);
            printer.print_surely(text.into_bytes());
        }
        // A line of JSON has its time, whenever it is.
        Form::Json => tracing::error!(finding = unusable.finding(), "{unusable}"),
    }
    UNUSABLE
}
