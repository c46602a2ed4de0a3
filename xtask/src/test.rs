//! Everything that must hold, in the order of what it costs: format, house rules, lints, unit and program tests, what
//! the engine costs, live tests in namespaces; beside all but the last a few live tests under other kernels in emulated machines.
//!
//! | module | holds |
//! |---|---|
//! | [`kernels`] | the tests under other kernels, as a process beside others |
//! | [`live`] | the live tests: some beside others, the rest alone |
//!
//! A test that cannot run here says SKIP; with `--no-skip`, which CI implies, that is a failure.

mod kernels;
mod live;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{bench, build_ebpf, setup, stage, step, tidy, workspace};

/// Read by every test that may have to skip itself: where it is set, skipping is a failure.
const NO_SKIP: &str = "TCPCOPY_NO_SKIP";

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Take a test that cannot run here for a failed one; implied where the environment has CI=true.
    #[arg(long)]
    no_skip: bool,
    /// Leave the live tests out.
    #[arg(long)]
    no_live: bool,
    /// Leave the tests under other kernels out.
    #[arg(long)]
    no_vm: bool,
    /// Run only live tests whose name contains this.
    #[arg(long, value_name = "NAME")]
    live: Option<String>,
    /// Have the live tests of page and report write the pictures of the documentation into docs/images.
    #[arg(long)]
    screenshots: bool,
}

/// How long each part took.
#[derive(Default)]
struct Parts(Vec<(&'static str, Duration)>);

impl Parts {
    fn run(&mut self, name: &'static str, part: impl FnOnce() -> Result<()>) -> Result<()> {
        let began = Instant::now();
        let result = part();
        self.0.push((name, began.elapsed()));
        result
    }

    fn table(&self) -> String {
        let all = ("all of it", self.0.iter().map(|(_, took)| *took).sum());
        let rows: Vec<Vec<String>> = self
            .0
            .iter()
            .chain([&all])
            .map(|(name, took)| vec![(*name).to_owned(), format!("{} s", took.as_secs())])
            .collect();
        stage::table(&rows)
    }
}

/// Runs all tests, and says how long each part took.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let no_skip = arguments.no_skip || std::env::var("CI").is_ok_and(|ci| ci == "true");
    let mut parts = Parts::default();
    let result = all(arguments, no_skip, &mut parts);
    step::say("how long each part took");
    eprint!("{}", parts.table());
    result
}

fn all(arguments: &Arguments, no_skip: bool, parts: &mut Parts) -> Result<()> {
    parts.run("set-up", || setup::run(&setup::Arguments::default()))?;
    parts.run("programs", build_ebpf::run)?;
    if arguments.live.is_none() {
        let others = (!arguments.no_vm).then(|| kernels::OtherKernels::start(no_skip));
        let others = others.transpose()?;
        still(no_skip, parts)?;
        if let Some(others) = others {
            parts.run("the rest of other kernels", || others.finish())?;
        }
    }
    if arguments.no_live {
        return Ok(());
    }
    parts.run("live tests", || live::run(arguments, no_skip))
}

/// What needs no lab.
fn still(no_skip: bool, parts: &mut Parts) -> Result<()> {
    parts.run("format and house rules", || {
        step::run("format", cargo(no_skip).args(["fmt", "--all", "--check"]))?;
        for programs in ["tcpcopy-ebpf", "intercept-ebpf"] {
            let manifest = workspace::root().join(programs).join("Cargo.toml");
            let mut format = cargo(no_skip);
            format
                .args(["fmt", "--check", "--manifest-path"])
                .arg(manifest);
            step::run(&format!("format of {programs}"), &mut format)?;
        }
        step::say("house rules");
        tidy::run()
    })?;
    let mut clippy = cargo(no_skip);
    clippy.args(["clippy", "--locked", "--workspace", "--all-targets"]);
    // All but what `cargo test` leaves out by itself.
    clippy.args(["--test", "live", "--test", "kernels"]);
    clippy.args(["--", "-D", "warnings"]);
    parts.run("lints", || step::run("lints", &mut clippy))?;
    let mut tests = cargo(no_skip);
    tests.args(["test", "--locked", "--workspace"]);
    let name = "unit, property and program tests";
    parts.run(name, || step::run(name, &mut tests))?;
    parts.run("cost of the engine", || {
        bench::engine::run(&bench::engine::Arguments::check())
    })
}

fn cargo(no_skip: bool) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root());
    if no_skip {
        command.env(NO_SKIP, "1");
    }
    command
}
