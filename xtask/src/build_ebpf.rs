//! Builds the programs into `target/bpf`.

use anyhow::Result;

/// Builds both objects.
pub(crate) fn run() -> Result<()> {
    Ok(())
}
