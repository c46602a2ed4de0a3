//! The parts of the lab that run as processes of their own, inside a namespace and pinned to a CPU.
//!
//! `cargo xtask` and the tests carry them as hidden subcommands, so that nothing else must be built and found.

use crate::error::Result;
use crate::part::print_json;
pub use crate::part::{last_line, spec, spec_of};
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
