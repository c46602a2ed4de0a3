//! `cargo xtask bench`: what a copy costs and how complete it is, measured in interleaved rounds in the lab.
//!
//! Each round runs every load alone and with each copy, so that the machine's moods fall on all alike; the result is
//! the median over the rounds. CPU 0 runs clients and online server, CPU 1 all the rest.
//!
//! The measure is a plain client: a program on the online server that sends the same load to the target through the kernel's
//! sockets. What a copy adds to the machine's work is told as a ratio to what that client adds, in the same rounds.
//!
//! `cargo xtask bench engine` counts what the engine alone costs, `cargo xtask bench programs` what a program does per packet, `cargo xtask bench metrics` what showing metrics does,
//! `cargo xtask bench paired` holds the times that a copy tells against those that clients see, and `cargo xtask bench hurt`
//! measures whether clients feel a copy when something is wrong.

mod budget;
mod callgrind;
mod case;
mod clients;
mod compare;
pub(crate) mod engine;
mod hurt;
mod metrics;
mod network;
mod paired;
mod programs;
mod quiet;
mod report;
mod run;

use std::path::PathBuf;

use ::lab::copier::Binaries;
use ::lab::{Lab, Topology, interrupt, system};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::setup::Purpose;
use crate::{stage, step, workspace};
use case::{Case, Variant};
use compare::Earlier;

/// Other benches.
#[derive(Subcommand)]
enum Part {
    /// What the engine alone costs: instructions per turn, by valgrind, and memory per session.
    Engine(engine::Arguments),
    /// What each program costs per packet, as a ratio to a program that does nothing.
    Programs(programs::Arguments),
    /// What it costs to show metrics: CPU of the thread, time of a scrape.
    Metrics(metrics::Arguments),
    /// Whether the times that a copy tells are those that clients see.
    Paired(paired::Arguments),
    /// Whether the online server's clients feel a copy while target, link, assistant or memory are in trouble.
    #[command(long_about = hurt::ABOUT)]
    Hurt(hurt::Arguments),
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
    /// Only copies whose name contains one of these, and always the load alone and with a plain client.
    #[arg(long, value_delimiter = ',')]
    copies: Vec<String>,
    /// With flat-out loads: stamp packets on the device towards the target as well, which costs time itself.
    #[arg(long)]
    stamps: bool,
    /// List loads and copies, and do nothing.
    #[arg(long)]
    list: bool,
    /// Where all numbers go, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Compare with the numbers of an earlier bench, as --json has written them.
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Measure although the machine is busy otherwise: the figures mean little then.
    #[arg(long)]
    busy: bool,
    /// Do not look for what is missing on this machine.
    #[arg(long)]
    no_setup: bool,
}

/// The networks that loads run in, each made when it is needed.
#[derive(Default)]
struct Labs {
    plain: Option<Lab>,
    /// With a bridge between clients and online server, on which packets can be lost.
    lossy: Option<Lab>,
}

impl Labs {
    fn of(&mut self, case: Case) -> Result<&mut Lab> {
        let lossy = case.losses().is_some();
        let (name, place) = if lossy {
            ("tcpcopy-bench-loss", &mut self.lossy)
        } else {
            ("tcpcopy-bench", &mut self.plain)
        };
        match place {
            Some(lab) => Ok(lab),
            None => {
                let lab = Lab::up(name.parse()?, Topology::Direct)?;
                if lossy {
                    lab.insert_wire()?;
                }
                Ok(place.insert(lab))
            }
        }
    }
}

/// Names all loads and copies.
fn list() -> Result<()> {
    let loads: Vec<String> = Case::all().into_iter().map(Case::name).collect();
    let copies: Vec<String> = Variant::all().iter().map(Variant::name).collect();
    stage::print(&format!(
        "loads:  {}\ncopies: {}",
        loads.join(" "),
        copies.join(" ")
    ))
}

/// Runs every load with every way to copy, round after round.
fn all_rounds(
    arguments: &Arguments,
    binaries: Option<&Binaries>,
    cases: &[Case],
    variants: &[Variant],
) -> Result<Vec<run::Run>> {
    let mut labs = Labs::default();
    let mut runs = Vec::new();
    for round in 1..=arguments.rounds {
        for case in cases {
            for variant in variants {
                if !case.runs_with(*variant) {
                    continue;
                }
                if !arguments.busy {
                    quiet::wait()?;
                }
                step::say(&format!(
                    "round {round} of {}: {}, {}",
                    arguments.rounds,
                    case.name(),
                    variant.name()
                ));
                let result = run::run(
                    labs.of(*case)?,
                    binaries,
                    *case,
                    *variant,
                    run::Times {
                        seconds: arguments.seconds,
                        round,
                        stamps: arguments.stamps,
                    },
                )?;
                eprintln!("    {}", report::line(&result));
                runs.push(result);
            }
        }
    }
    Ok(runs)
}

/// Runs the bench.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.part {
        Some(Part::Engine(arguments)) => return engine::run(arguments),
        Some(Part::Programs(arguments)) => return programs::run(arguments),
        Some(Part::Metrics(arguments)) => return metrics::run(arguments),
        Some(Part::Paired(arguments)) => return paired::run(arguments),
        Some(Part::Hurt(arguments)) => return hurt::run(arguments),
        None => {}
    }
    let wanted = |list: &[String], name: &str| {
        list.is_empty() || list.iter().any(|part| name.contains(part.as_str()))
    };
    let mut cases = if arguments.only.is_empty() {
        Case::DEFAULT.to_vec()
    } else {
        Case::all()
    };
    cases.retain(|case| wanted(&arguments.only, &case.name()));
    let variants: Vec<Variant> = Variant::all()
        .into_iter()
        .filter(|variant| {
            !matches!(variant, Variant::Copied(..)) || wanted(&arguments.copies, &variant.name())
        })
        .collect();
    if arguments.list || cases.is_empty() {
        list()?;
        return if arguments.list {
            Ok(())
        } else {
            bail!("no load is named so")
        };
    }
    let earlier = arguments
        .compare
        .as_deref()
        .map(Earlier::read)
        .transpose()?;
    // The load alone needs nothing of ours.
    let is_copied = |variant: &Variant| matches!(variant, Variant::Copied(..));
    let binaries = if variants.iter().any(is_copied) {
        Some(stage::prepare(
            (!arguments.no_setup).then_some(Purpose::Tests),
        )?)
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
    let runs = all_rounds(arguments, binaries.as_ref(), &cases, &variants)?;
    let medians = report::medians(&runs);
    let file = arguments
        .json
        .clone()
        .unwrap_or_else(|| workspace::target().join("bench.json"));
    let json = serde_json::json!({ "rounds": arguments.rounds, "seconds": arguments.seconds, "medians": medians, "runs": runs });
    std::fs::write(&file, serde_json::to_string_pretty(&json)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    stage::print(&report::table(&medians))?;
    if let Some(earlier) = earlier {
        stage::print(&earlier.against(&medians))?;
    }
    eprintln!("All numbers are in {}.", file.display());
    Ok(())
}
