//! `cargo xtask bench hurt`: whether the online server's clients feel a copy when something is wrong with all the rest.
//!
//! The first law as a measurement. Each case has a lab of its own, in which the same load runs without and with a copy by
//! turns, so that the machine's moods fall on both alike; a row holds the medians, and what the rounds without a copy say
//! of the machine. CPU 0 runs clients and online server, CPU 1 all the rest. Figures are judged by people: a high one is
//! no failure of the command.

mod case;
mod figures;
mod run;
mod scene;

use std::path::PathBuf;

use ::lab::copier::Binaries;
use ::lab::{interrupt, system};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::setup::Purpose;
use crate::{stage, step, workspace};
use case::Case;
use figures::{Row, TIMES_MAX};
use run::Run;
use scene::Scene;

/// What `--help` says of it.
pub(super) const ABOUT: &str = "\
Whether the online server's clients feel a copy while target, link, assistant or memory are in trouble

The online server's p50 and p99 as its clients see them, without and with a copy by turns, case by case. The measured load \
is 2,000 requests per second on 50 keep-alive connections. Times run from the moment when a request should have left, so \
that a server that stands still is seen.

A row is `ok` where both medians with a copy are at most 1.25 times those without, no more requests failed, and as many \
left in time. Beside the medians stand the lowest and the highest round without a copy: where what is too long lies within \
them, the row is `unclear`, and a quieter machine or more rounds may tell. On two shared processors some hundred \
microseconds of p99 are noise as well. The command succeeds whatever the figures are.

All cases with the usual rounds take about half an hour of a machine that does nothing else.";

/// Arguments of `bench hurt`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these cases.
    #[arg(long, value_delimiter = ',', value_name = "CASE,...")]
    only: Vec<Case>,
    /// How often each case runs, each time without and then with a copy.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each load runs, in seconds: more than 1, when targets stop and intercept is killed.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=600))]
    seconds: u32,
    /// Where all numbers go, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure the tcpcopy and intercept of this folder, instead of building this tree's: an earlier build, say.
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
    /// Do not look for what is missing on this machine.
    #[arg(long)]
    no_setup: bool,
}

/// Runs the bench.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let binaries = match &arguments.binaries {
        None => stage::prepare((!arguments.no_setup).then_some(Purpose::Tests))?,
        Some(folder) => Binaries::in_folder(folder)
            .with_context(|| format!("no tcpcopy and intercept in {}", folder.display()))?,
    };
    let missing = system::missing(&["nginx", "tc"]);
    if !missing.is_empty() {
        bail!(
            "the bench needs {}: `cargo xtask setup` installs them on Debian and Ubuntu",
            missing.join(" and ")
        );
    }
    interrupt::install()?;
    let mut cases = if arguments.only.is_empty() {
        Case::value_variants().to_vec()
    } else {
        arguments.only.clone()
    };
    cases.retain(|case| is_known(*case, &binaries));
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for case in &cases {
        match rounds(*case, &binaries, arguments, &mut runs) {
            Ok(()) => {}
            // Half an hour of figures is not thrown away for one case.
            Err(error) if !interrupt::interrupted() => {
                let failure = format!("{}: {error:#}", case.name());
                step::say(&failure);
                failures.push(failure);
            }
            Err(error) => return Err(error),
        }
    }
    let rows: Vec<Row> = cases.iter().map(|case| Row::of(*case, &runs)).collect();
    let file = arguments
        .json
        .clone()
        .unwrap_or_else(|| workspace::target().join("bench-hurt.json"));
    let json = serde_json::json!({
        "rounds": arguments.rounds, "seconds": arguments.seconds, "rows": rows, "failures": failures, "runs": runs,
    });
    std::fs::write(&file, serde_json::to_string_pretty(&json)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    stage::print(&figures::table(&rows))?;
    stage::print(&format!(
        "Times in us; `rounds`: lowest and highest without a copy; `failed` and `unsent` (all connections \
         waited): requests of all rounds, without/with a copy; `captured`: turns.\n\
         {} requests per second on {} connections, {} rounds of {} s; `ok` is at most {TIMES_MAX} times, p50 and p99; `unclear` is more, \
         and within the rounds without a copy.",
        run::RATE,
        run::CONNECTIONS,
        arguments.rounds,
        arguments.seconds
    ))?;
    for note in notes(&runs).into_iter().chain(failures) {
        stage::print(&note)?;
    }
    eprintln!("All numbers are in {}.", file.display());
    Ok(())
}

/// Whether the copy knows the option that a case is about.
fn is_known(case: Case, binaries: &Binaries) -> bool {
    let Some(option) = case.plan().needs else {
        return true;
    };
    let help = system::run(&binaries.tcpcopy.display().to_string(), &["--help"]);
    let known = help.is_ok_and(|help| help.contains(option));
    if !known {
        step::say(&format!(
            "{} is left out: this tcpcopy has no {option}",
            case.name()
        ));
    }
    known
}

/// All rounds of a case, in a lab of its own.
fn rounds(
    case: Case,
    binaries: &Binaries,
    arguments: &Arguments,
    runs: &mut Vec<Run>,
) -> Result<()> {
    let scene = Scene::up(case)?;
    for round in 1..=arguments.rounds {
        for (word, binaries) in [("without", None), ("with", Some(binaries))] {
            step::say(&format!(
                "{}, round {round} of {}, {word} a copy",
                case.name(),
                arguments.rounds
            ));
            let run = run::run(&scene, case, binaries, round, arguments.seconds)?;
            eprintln!("    {}", run.line());
            runs.push(run);
        }
    }
    Ok(())
}

/// What is to be known about copies, a line for each case and note.
fn notes(runs: &[Run]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for run in runs {
        if let Some(note) = &run.note {
            let line = format!("{}: {note}", run.case.name());
            if !notes.contains(&line) {
                notes.push(line);
            }
        }
    }
    notes
}
