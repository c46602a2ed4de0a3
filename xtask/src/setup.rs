//! Brings what is missing on this machine.

use anyhow::Result;

/// Arguments of `setup`.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {}

/// Brings what is missing.
pub(crate) fn run(_arguments: &Arguments) -> Result<()> {
    Ok(())
}
