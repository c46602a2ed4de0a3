//! `cargo xtask deny`: licences, sources and banned crates of everything that is built with, by cargo-deny; and known weaknesses, where the
//! advisory database can be fetched.

use anyhow::{Result, bail};

use crate::dist::tools::Tool;
use crate::{step, workspace};

const DENY: Tool = Tool::new("cargo-deny", "=0.20.2");
/// The workspaces: the programs and the fuzzer have their own lock files.
const WORKSPACES: [&str; 4] = [".", "tcpcopy-ebpf", "intercept-ebpf", "fuzz"];

/// Arguments of `deny`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave known weaknesses out: without a network they cannot be asked for.
    #[arg(long)]
    no_advisories: bool,
}

/// Asks of each workspace.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut checks = vec!["licenses", "bans", "sources"];
    if !arguments.no_advisories {
        checks.push("advisories");
    }
    let mut failed = Vec::new();
    for name in WORKSPACES {
        let mut deny = DENY.command()?;
        deny.args(["--locked", "--log-level", "error", "--manifest-path"])
            .arg(workspace::root().join(name).join("Cargo.toml"))
            .arg("--config")
            .arg(workspace::root().join("deny.toml"))
            .arg("check")
            .args(&checks);
        if let Err(error) = step::run(&format!("{} of {name}", checks.join(", ")), &mut deny) {
            step::say(&format!("{error:#}"));
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {}: see above. Where it is the advisory database that cannot be fetched: --no-advisories",
        checks.join(", "),
        failed.join(", ")
    );
}
