//! The parts of the lab that run as processes of their own, inside a namespace and pinned to a CPU.
//!
//! `cargo xtask` and the tests carry them as hidden subcommands, so that nothing else must be built and found.

use std::io::Write;
use std::path::Path;

use crate::error::Result;
use crate::process::Spec;
use crate::{bulk, interrupt, load, readers, service};

/// A part of the lab as a command.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// The built-in HTTP service.
    #[command(hide = true)]
    Serve(service::Options),
    /// The built-in HTTP clients.
    #[command(hide = true)]
    Load(load::Options),
    /// Clients that take a long response slowly.
    #[command(hide = true)]
    ReadSlowly(readers::Options),
    /// A sink for bulk data.
    #[command(hide = true)]
    BulkSink(bulk::SinkOptions),
    /// A sender of bulk data.
    #[command(hide = true)]
    BulkSend(bulk::SendOptions),
}

/// Runs a part of the lab; its results go to standard output, a JSON object per line.
///
/// # Errors
///
/// What the part returns.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Serve(options) => service::serve(options),
        Command::Load(options) => {
            interrupt::install()?;
            print_json(&load::run(options)?);
            Ok(())
        }
        Command::ReadSlowly(options) => {
            interrupt::install()?;
            print_json(&readers::run(options)?);
            Ok(())
        }
        Command::BulkSink(options) => bulk::sink(options),
        Command::BulkSend(options) => {
            print_json(&bulk::send(options)?);
            Ok(())
        }
    }
}

/// This very program, to run a part of the lab as another process; `name` is that of its logs, `part` the
/// subcommand.
#[must_use]
pub fn spec(name: &str, part: &str) -> Spec {
    // Not its path: a build that goes on beside us may have replaced the file, and this still is the running one.
    let program = format!("/proc/{}/exe", std::process::id());
    spec_of(Path::new(&program), name, part)
}

/// Another program that carries the parts of the lab.
#[must_use]
pub fn spec_of(program: &Path, name: &str, part: &str) -> Spec {
    Spec::new(name, program).arg(part)
}

/// Prints a value as one line of JSON. That nobody reads it any more is no reason to stop.
pub(crate) fn print_json<T: serde::Serialize>(value: &T) {
    if let Ok(line) = serde_json::to_string(value) {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// The last line of such an output that can be read as a `T`.
#[must_use]
pub fn last_line<T: serde::de::DeserializeOwned>(output: &str) -> Option<T> {
    output
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
}
