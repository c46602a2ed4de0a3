//! `cargo xtask bench`: what a copy costs and how complete it is, measured in interleaved rounds in the lab.
//!
//! Each round runs every load alone and with each copy, so that the machine's moods fall on all alike; the result is
//! the median over the rounds. CPU 0 runs clients and online server, CPU 1 all the rest.
//!
//! `cargo xtask bench engine` counts what the engine alone costs.

mod callgrind;
mod case;
mod engine;
mod report;
mod run;

use std::path::PathBuf;

use ::lab::{Lab, Topology, interrupt, system};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::{stage, step, workspace};
use case::{Case, Variant};

/// Other benches.
#[derive(Subcommand)]
enum Part {
    /// What the engine alone costs: instructions per turn, by valgrind, and memory per session.
    Engine(engine::Arguments),
}

/// Arguments of `bench`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// How often each run is repeated.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long each load runs, in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// Only loads whose name contains one of these; see --list.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only copies whose name contains one of these, and always the load alone.
    #[arg(long, value_delimiter = ',')]
    copies: Vec<String>,
    /// List loads and copies, and do nothing.
    #[arg(long)]
    list: bool,
    /// Where all numbers go, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Do not look for what is missing on this machine.
    #[arg(long)]
    no_setup: bool,
}

/// Runs the bench.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(Part::Engine(arguments)) = &arguments.part {
        return engine::run(arguments);
    }
    let wanted = |list: &[String], name: &str| {
        list.is_empty() || list.iter().any(|part| name.contains(part.as_str()))
    };
    let cases: Vec<Case> = Case::ALL
        .into_iter()
        .filter(|case| wanted(&arguments.only, case.name()))
        .collect();
    let variants: Vec<Variant> = Variant::all()
        .into_iter()
        .filter(|variant| *variant == Variant::Alone || wanted(&arguments.copies, &variant.name()))
        .collect();
    if arguments.list || cases.is_empty() {
        let copies: Vec<String> = Variant::all().iter().map(Variant::name).collect();
        stage::print(&format!(
            "loads:  {}\ncopies: {}",
            Case::ALL.map(Case::name).join(" "),
            copies.join(" ")
        ))?;
        return if arguments.list {
            Ok(())
        } else {
            bail!("no load is named so")
        };
    }
    // The load alone needs nothing of ours.
    let binaries = if variants.len() > 1 {
        Some(stage::prepare(!arguments.no_setup)?)
    } else {
        None
    };
    let missing = system::missing(&["nginx", "wrk"]);
    if !missing.is_empty() {
        bail!(
            "the bench needs {}: `cargo xtask setup` installs them on Debian and Ubuntu",
            missing.join(" and ")
        );
    }
    interrupt::install()?;
    let mut lab = Lab::up("tcpcopy-bench".parse()?, Topology::Direct)?;
    let mut runs = Vec::new();
    for round in 1..=arguments.rounds {
        for case in &cases {
            for variant in &variants {
                step::say(&format!(
                    "round {round} of {}: {}, {}",
                    arguments.rounds,
                    case.name(),
                    variant.name()
                ));
                let result = run::run(
                    &mut lab,
                    binaries.as_ref(),
                    *case,
                    *variant,
                    arguments.seconds,
                    round,
                )?;
                eprintln!("    {}", report::line(&result));
                runs.push(result);
            }
        }
    }
    drop(lab);
    let medians = report::medians(&runs);
    let file = arguments
        .json
        .clone()
        .unwrap_or_else(|| workspace::target().join("bench.json"));
    let json = serde_json::json!({ "rounds": arguments.rounds, "seconds": arguments.seconds, "medians": medians, "runs": runs });
    std::fs::write(&file, serde_json::to_string_pretty(&json)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    stage::print(&report::table(&medians))?;
    eprintln!("All numbers are in {}.", file.display());
    Ok(())
}
