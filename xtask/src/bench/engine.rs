//! `cargo xtask bench engine`: instructions of a turn, where they go, and the memory of a session, of the engine alone.
//!
//! The workload is `crates/session/benches/cost.rs`. callgrind counts what it does inside the engine, twice with
//! different numbers of turns: the difference is free of what happens once. Counts do not depend on the machine's mood;
//! the time of a turn does, and is criterion's (`cargo bench -p session --bench turn`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::budget::Budget;
use super::callgrind::Profile;
use crate::{stage, step, workspace};

/// Turns (or connections) of the shorter run; the longer one has twice as many.
const COUNT: u32 = 4000;
/// Most bytes of an idle session that the tests allow.
const IDLE_BYTES_MAX: u64 = 531;
/// Functions that are listed.
const FUNCTIONS: usize = 16;
/// The functions of the workload that call the engine, and what they stand for.
const STAGES: [(&str, &str); 7] = [
    ("client_segment", "client's segment"),
    ("online_record", "online server's header"),
    ("target_reply", "target's reply"),
    ("transmit", "transmit"),
    ("timers", "timers"),
    ("next_timeout", "next timeout"),
    ("events", "events"),
];
/// What is run under callgrind: words of the workload before and after the count, and what it is.
const LOADS: [(&str, &[&str], &str); 5] = [
    ("turns", &["1"], "turn"),
    ("turns-at-once", &["1"], "turn, at once"),
    ("turns", &["1000"], "turn of 1,000"),
    ("connections", &[], "connection"),
    ("messages", &["1"], "message of http1"),
];

/// Arguments of `bench engine`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Sessions whose memory is measured.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: u32,
    /// Only count instructions.
    #[arg(long)]
    no_memory: bool,
    /// Fail if something takes 3 % more instructions than crates/session/benches/budget.txt allows, or an idle session more than
    /// 531 bytes.
    #[arg(long)]
    check: bool,
    /// Fail if a turn takes more instructions than this.
    #[arg(long)]
    instructions_max: Option<u64>,
    /// Fail if an idle session takes more bytes than this.
    #[arg(long)]
    idle_bytes_max: Option<u64>,
}

impl Arguments {
    /// What the tests ask for.
    pub(crate) const fn check() -> Self {
        Self {
            sessions: 1_000_000,
            no_memory: false,
            check: true,
            instructions_max: None,
            idle_bytes_max: None,
        }
    }
}

/// Runs the bench.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if step::find("valgrind").is_none() {
        bail!(
            "instructions are counted by valgrind: install the package of that name (apt-get install valgrind)"
        );
    }
    let workload = build()?;
    let mut profiles = Vec::new();
    for (load, rest, name) in LOADS {
        step::say(&format!(
            "{name}: {COUNT} and {} under callgrind",
            2 * COUNT
        ));
        let short = count(&workload, load, COUNT, rest)?;
        let long = count(&workload, load, 2 * COUNT, rest)?;
        profiles.push((name, long.per_unit(&short, COUNT)));
    }
    stage::print(&stages(&profiles))?;
    stage::print(&functions(&profiles))?;
    if arguments.check {
        let totals = profiles
            .iter()
            .map(|(name, profile)| (*name, profile.total()));
        Budget::read()?.check(&totals.collect::<Vec<_>>())?;
    }
    let turn = profiles.first().map_or(0.0, |(_, profile)| profile.total());
    if let Some(max) = arguments.instructions_max.filter(|max| turn > *max as f64) {
        bail!("a turn takes {turn:.0} instructions, more than {max}");
    }
    if arguments.no_memory {
        return Ok(());
    }
    let idle = memory(&workload, arguments.sessions)?;
    let allowed = arguments.check.then_some(IDLE_BYTES_MAX);
    let max = arguments.idle_bytes_max.or(allowed);
    if let Some(max) = max.filter(|max| idle > *max as f64) {
        bail!("an idle session takes {idle:.0} bytes, more than {max}");
    }
    Ok(())
}

/// Builds the workload and returns where it stands.
fn build() -> Result<PathBuf> {
    step::say("building the workload");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace::root()).args([
        "bench",
        "--package=session",
        "--bench=cost",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    let output = cargo
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the workload (crates/session/benches/cost.rs) does not build");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .context("cargo did not say where it put the workload")
}

fn count(workload: &Path, load: &str, count: u32, rest: &[&str]) -> Result<Profile> {
    let file = workspace::target().join("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind"])
        .arg("--toggle-collect=cost::load::stage::*")
        .args(["--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(workload)
        .args([load, &count.to_string()])
        .args(rest);
    let output = valgrind.output().context("cannot start valgrind")?;
    if !output.status.success() {
        bail!(
            "`{load}` under callgrind failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("callgrind left no {}", file.display()))?;
    Ok(Profile::parse(&text))
}

/// Instructions by stage.
fn stages(profiles: &[(&str, Profile)]) -> String {
    let mut rows = vec![row("instructions per", profiles, |_| None)];
    rows[0].truncate(1);
    rows[0].extend(profiles.iter().map(|(name, _)| (*name).to_owned()));
    for (function, name) in STAGES {
        let function = format!("cost::load::stage::{function}");
        rows.push(row(name, profiles, |profile| {
            Some(profile.inclusive(&function))
        }));
    }
    rows.push(row("all", profiles, |profile| Some(profile.total())));
    stage::table(&rows)
}

/// The functions of the first profile that cost most by themselves, inlined ones counted to where they went.
fn functions(profiles: &[(&str, Profile)]) -> String {
    let Some((_, first)) = profiles.first() else {
        return String::new();
    };
    let mut by_cost: Vec<(&String, &f64)> = first.functions().iter().collect();
    by_cost.sort_by(|a, b| b.1.total_cmp(a.1));
    let mut rows = vec![vec!["by themselves".to_owned()]];
    rows[0].extend(profiles.iter().map(|(name, _)| (*name).to_owned()));
    for (function, _) in by_cost.into_iter().take(FUNCTIONS) {
        rows.push(row(function, profiles, |profile| {
            profile.functions().get(function).copied()
        }));
    }
    stage::table(&rows)
}

fn row(
    name: &str,
    profiles: &[(&str, Profile)],
    figure: impl Fn(&Profile) -> Option<f64>,
) -> Vec<String> {
    let figures = profiles.iter().map(|(_, profile)| {
        figure(profile).map_or_else(|| "-".to_owned(), |figure| format!("{figure:.0}"))
    });
    std::iter::once(name.to_owned()).chain(figures).collect()
}

/// Prints what sessions weigh, and returns the bytes of an idle one.
fn memory(workload: &Path, sessions: u32) -> Result<f64> {
    step::say(&format!("memory of {sessions} sessions"));
    let output = step::output(Command::new(workload).args(["memory", &sessions.to_string()]))
        .context("the workload's `memory` failed")?;
    let figures: BTreeMap<String, f64> =
        serde_json::from_str(&output).context("the workload's figures cannot be read")?;
    let figure = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
    let idle = figure("idle_bytes") / figure("sessions");
    let active = idle + figure("active_bytes") / figure("active");
    stage::print(&format!(
        "resident: {:.0} MB for {sessions} idle sessions, {idle:.0} bytes each; {active:.0} bytes with a request in flight",
        figure("idle_bytes") / 1e6,
    ))?;
    stage::print(&format!(
        "while all but one rest and that one has 100 turns per second: {:.3} % of a processor",
        figure("resting_share") * 100.0,
    ))?;
    stage::print(&format!(
        "end of a run with all of them: {:.2} s of a processor, {:.0} MB more in the middle of it",
        figure("ending_seconds"),
        figure("ending_bytes") / 1e6,
    ))?;
    Ok(idle)
}
