//! `cargo xtask demo`: a live copy on this machine, from a fresh clone to a table.
//!
//! It sets up and builds what is missing, makes the lab, starts the built-in service on the online and the target
//! server and the built-in clients, and copies in direct, then in assistant mode. Whatever ends it, everything that it
//! started and made is removed.

mod report;
mod scene;

use ::lab::{Lab, Topology, interrupt};
use anyhow::Result;
use clap::Args;

use crate::setup::Purpose;
use crate::{stage, step, workspace};

/// Arguments of `demo`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How long to copy in each mode, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Requests per second; three of four on keep-alive connections, one on a connection of its own.
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// Only this mode.
    #[arg(long, value_enum)]
    mode: Option<Topology>,
    /// Do not look for what is missing on this machine.
    #[arg(long)]
    no_setup: bool,
    /// Take the binaries of target/release as they are: nothing is installed and nothing compiled, so root runs no compiler.
    #[arg(long)]
    prebuilt: bool,
}

/// What the first demo on a machine takes; docs/install.md says how that was measured.
const FIRST_TIME: &str = "the first demo sets this machine up and builds, some 7 minutes on two processors: at most 390 MB of Debian packages to \
    download (2.1 GB on disk), bpf-linker, and tcpcopy itself (1.4 GB in target/). What tests need besides comes with `cargo xtask test`";

/// Runs the demo.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let binaries = if arguments.prebuilt {
        stage::prebuilt()?
    } else {
        if !workspace::target().join("release/tcpcopy").is_file() {
            step::say(FIRST_TIME);
        }
        stage::prepare((!arguments.no_setup).then_some(Purpose::Demo))?
    };
    interrupt::install()?;
    let modes = match arguments.mode {
        Some(mode) => vec![mode],
        None => vec![Topology::Direct, Topology::Assistant],
    };
    let mut lab = Lab::up("tcpcopy-demo".parse()?, Topology::Direct)?;
    let mut results = Vec::new();
    for mode in modes {
        lab.set_topology(mode)?;
        results.push(scene::play(&lab, &binaries, mode, arguments)?);
    }
    drop(lab);
    stage::print(&report::closing(&results))
}
