//! `cargo xtask vm`: live tests under other kernels and on other devices than this machine's, in emulated machines.
//!
//! | module | holds |
//! |---|---|
//! | [`case`] | what runs where |
//! | [`kernel`] | the kernels of the archive |
//! | [`initrd`] | the first file system |
//! | [`shape`] | processors, memory, network devices |
//! | [`machine`] | one machine from start to end |
//! | [`built`] | what runs in it |
//! | [`verdict`] | what it says |
//! | [`table`] | what is said of it |
//!
//! There is no hypervisor: every instruction is emulated, which is slow, needs no rights and works everywhere. The root of
//! a machine is that of the host, read-only under an overlay in memory, so that a test program that was built here runs
//! there with every server that is installed here.

mod built;
mod case;
mod initrd;
mod kernel;
mod machine;
mod shape;
mod table;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::lab::interrupt;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::{setup, stage, step, workspace};
use built::Built;
use case::{Case, Wanted};
use kernel::{Kernel, Series};
use shape::Shape;
use table::Row;

/// What `--help` says of it.
pub(crate) const ABOUT: &str = "\
Live tests under other kernels and on other network devices, in emulated machines

Boots Debian's kernels (the newest 6.1 and 6.12 that the archive of this machine has, downloaded once into target/vm/kernels) in \
QEMU without hardware support, and runs tests of this repository in them: the doctor, copies in direct and assistant mode, \
SIGKILL; VLAN, bonding, bridges and lossy links; emulated network cards; four processors. A machine's root is this machine's, \
read-only under an overlay in memory: what is installed here is installed there, and nothing that is done there is seen here.

At the end stands a table: requests at online server and target, the lowest fidelity, rows of the kernel's counters that do not \
add up (residue), and what was left behind. The command fails where a case does. The console of a machine with a failed case is \
kept in target/vm/logs, and that of the case by itself beside it.

Neither root nor KVM is needed. Everything is emulated and slow, so times mean nothing, and limits of waits are several times \
longer there (TCPCOPY_PATIENCE).

  cargo xtask vm --list                      what there is
  cargo xtask vm --short                     what `cargo xtask test` runs: both kernels, about 3 minutes
  cargo xtask vm --kernel 6.1 --only direct  one case on one kernel
  cargo xtask vm --kernel 6.12 --shell FILE  a script of your own, as root, in this folder";

/// How many times longer than it says a wait may take in a machine.
const PATIENCE: u32 = 5;
/// How long a script of `--shell` may take.
const SHELL_WITHIN: Duration = Duration::from_secs(1800);
/// Programs that a machine needs: without them there is none.
const NEEDED: [&str; 7] = [
    "qemu-system-x86_64",
    "busybox",
    "cpio",
    "depmod",
    "xz",
    "setpriv",
    "apt-get",
];
/// What a machine runs before its cases.
const RUN: &str = include_str!("vm/scripts/run.sh");

/// Arguments of `vm`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these cases.
    #[arg(long, value_delimiter = ',', value_name = "CASE,...", value_parser = case::named)]
    only: Vec<String>,
    /// Only this kernel.
    #[arg(long, value_enum)]
    kernel: Option<Series>,
    /// Only the cases that `cargo xtask test` runs.
    #[arg(long)]
    short: bool,
    /// Say which cases there are, and do nothing.
    #[arg(long)]
    list: bool,
    /// Run this script (bash, as root) instead of cases, and show the console.
    #[arg(long, value_name = "SCRIPT", conflicts_with_all = ["only", "short", "list"])]
    shell: Option<PathBuf>,
    /// Four processors for the script of --shell, instead of two.
    #[arg(long, requires = "shell")]
    four: bool,
    /// Take a kernel that cannot be had for a failure; implied where the environment has CI=true.
    #[arg(long)]
    no_skip: bool,
    /// Do not look for what is missing on this machine.
    #[arg(long)]
    no_setup: bool,
}

/// Runs what is asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        return list();
    }
    if !arguments.no_setup {
        setup::run(&setup::Arguments::default())?;
    }
    interrupt::install()?;
    let no_skip = arguments.no_skip || std::env::var("CI").is_ok_and(|ci| ci == "true");
    if let Some(why) = cannot() {
        return skip(&why, no_skip);
    }
    let kernels = match arguments.kernel {
        Some(series) => vec![series],
        None => Series::value_variants().to_vec(),
    };
    if let Some(script) = &arguments.shell {
        return shell(script, &kernels, arguments.four);
    }
    let wanted = Wanted {
        only: arguments.only.clone(),
        short: arguments.short,
    };
    matrix(&kernels, &wanted, no_skip)
}

/// Why there can be no machine here.
fn cannot() -> Option<String> {
    if std::env::consts::ARCH != "x86_64" {
        return Some(format!(
            "machines are x86_64, and what is built here is {}",
            std::env::consts::ARCH
        ));
    }
    let missing: Vec<&str> = NEEDED
        .into_iter()
        .filter(|program| step::find(program).is_none())
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "{} not installed; `cargo xtask setup` does it on Debian",
            missing.join(", ")
        )
    })
}

fn skip(why: &str, no_skip: bool) -> Result<()> {
    if no_skip {
        bail!("tests under other kernels cannot run: {why}");
    }
    step::say(&format!("SKIP: tests under other kernels: {why}"));
    Ok(())
}

fn list() -> Result<()> {
    let mut rows = Vec::new();
    for case in case::CASES {
        let kernels: Vec<&str> = case.kernels.iter().map(|series| series.name()).collect();
        let short = if case.short { ", short form" } else { "" };
        rows.push(format!(
            "{:<16}{} ({}{short})",
            case.name,
            case.about,
            kernels.join(" and ")
        ));
    }
    stage::print(&rows.join("\n"))
}

/// A script of the user's.
fn shell(script: &Path, kernels: &[Series], four: bool) -> Result<()> {
    let text =
        fs::read_to_string(script).with_context(|| format!("cannot read {}", script.display()))?;
    let shape = if four { Shape::Four } else { Shape::Plain };
    for series in kernels {
        let Some(kernel) = kernel::fetch(*series)? else {
            bail!(
                "apt offers no kernel {} here: try the other one with --kernel",
                series.name()
            );
        };
        step::say(&format!("{} on {}", script.display(), kernel.release));
        let folder = workspace::target().join("release");
        let script = format!("{}{text}", preamble(&kernel, &folder));
        let left = machine::run(&kernel, shape, &script, SHELL_WITHIN, true, |_| {})?;
        if let Some(why) = left.killed {
            bail!("the machine was ended: {why}");
        }
    }
    Ok(())
}

/// All wanted cases on these kernels, and the table.
fn matrix(kernels: &[Series], wanted: &Wanted, no_skip: bool) -> Result<()> {
    let all: Vec<Case> = kernels
        .iter()
        .flat_map(|series| {
            let shapes = wanted.shapes(*series).into_iter();
            shapes.flat_map(|shape| wanted.cases(*series, shape))
        })
        .collect();
    if all.is_empty() {
        bail!("no case of this name runs on this kernel: `cargo xtask vm --list` says which do");
    }
    let built = Built::for_cases(&all)?;
    let mut rows = Vec::new();
    for series in kernels {
        rows.extend(on_kernel(*series, wanted, &built)?);
    }
    stage::print(&table::text(&rows))?;
    let failed = rows.iter().filter(|row| row.failed()).count();
    if failed > 0 {
        bail!(
            "{failed} case(s) failed; their consoles are in {}",
            logs().display()
        );
    }
    let skipped = rows.iter().filter(|row| row.was_skipped()).count();
    if skipped > 0 && no_skip {
        bail!("{skipped} case(s) could not run");
    }
    Ok(())
}

fn on_kernel(series: Series, wanted: &Wanted, built: &Built) -> Result<Vec<Row>> {
    let Some(kernel) = kernel::fetch(series)? else {
        let why = "apt offers no kernel of this series, and target/vm/kernels holds none: is deb.debian.org's main in the sources?";
        step::say(&format!("SKIP: kernel {}: {why}", series.name()));
        let shapes = wanted.shapes(series).into_iter();
        let cases = shapes.flat_map(|shape| wanted.cases(series, shape));
        return Ok(cases
            .map(|case| Row::skipped(case.name, series.name(), why))
            .collect());
    };
    let mut rows = Vec::new();
    for shape in wanted.shapes(series) {
        interrupt::check()?;
        rows.extend(in_machine(
            &kernel,
            shape,
            &wanted.cases(series, shape),
            built,
        )?);
    }
    Ok(rows)
}

/// One boot, and all cases of its kernel and shape.
fn in_machine(kernel: &Kernel, shape: Shape, cases: &[Case], built: &Built) -> Result<Vec<Row>> {
    let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    step::say(&format!("{}: {}", kernel.release, names.join(", ")));
    let mut script = preamble(kernel, &built.binaries);
    for case in cases {
        script.push_str(&line(case, built.program(case.suite)?));
    }
    let within = Duration::from_secs(cases.iter().map(|case| case.seconds_max + 15).sum());
    let mut told = 0;
    let left = machine::run(kernel, shape, &script, within, false, |text| {
        let ended = verdict::parse(text).cases.into_iter();
        for case in ended.filter(|case| case.end.is_some()).skip(told) {
            told += 1;
            let row = Row::of(&case.name.clone(), &kernel.release, Some(case), None);
            eprintln!("    {}", row.line());
        }
    })?;
    let mut ended = verdict::parse(&left.verdicts).cases;
    let rows: Vec<Row> = cases
        .iter()
        .map(|case| {
            let at = ended.iter().position(|ended| ended.name == case.name);
            let ended = at.map(|at| ended.remove(at));
            Row::of(case.name, &kernel.release, ended, left.killed.as_deref())
        })
        .collect();
    keep(kernel, shape, &rows, &left.console)?;
    Ok(rows)
}

/// What a machine runs before its cases.
fn preamble(kernel: &Kernel, binaries: &Path) -> String {
    let settings = [
        ("MODULES", kernel.modules()),
        ("WORKSPACE", workspace::root()),
        ("TCPCOPY_BINARIES", binaries.to_path_buf()),
    ];
    let mut text = String::new();
    for (name, value) in settings {
        text.push_str(&format!(
            "export {name}={}\n",
            quoted(&value.display().to_string())
        ));
    }
    text.push_str(&format!(
        "export TCPCOPY_NO_SKIP=1 TCPCOPY_PATIENCE={PATIENCE} TCPCOPY_FIGURES=/dev/ttyS1 RUST_BACKTRACE=0\n"
    ));
    text.push_str(RUN);
    text
}

/// The line that runs a case.
fn line(case: &Case, program: &Path) -> String {
    let program = quoted(&program.display().to_string());
    let mut line = format!(
        "(cd tests && test_case {} {} {program} --test-threads=1 --nocapture --color=never",
        case.name, case.seconds_max
    );
    for left_out in case.suite.left_out() {
        line.push_str(&format!(" --skip {}", quoted(left_out)));
    }
    if !case.tests.is_empty() {
        line.push_str(" --exact");
    }
    for test in case.tests {
        line.push(' ');
        line.push_str(&quoted(test));
    }
    line.push_str(")\n");
    line
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn logs() -> PathBuf {
    workspace::target().join("vm/logs")
}

/// Keeps the console of a machine where one of its cases failed, and those of these cases.
fn keep(kernel: &Kernel, shape: Shape, rows: &[Row], console: &str) -> Result<()> {
    let failed: Vec<&Row> = rows.iter().filter(|row| row.failed()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let folder = logs();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let write = |name: String, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        step::say(&format!("the console is kept in {}", file.display()));
        Ok::<(), anyhow::Error>(())
    };
    write(format!("{}-{}.log", kernel.release, shape.name()), console)?;
    for row in failed {
        let of_case = verdict::log_of(console, &row.case);
        if !of_case.is_empty() {
            write(format!("{}-{}.log", kernel.release, row.case), of_case)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{line, quoted};
    use crate::vm::case::CASES;
    use std::path::Path;

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(quoted("it's; $(reboot)"), "'it'\\''s; $(reboot)'");
    }

    #[test]
    fn a_case_names_its_tests_exactly() {
        let line = line(&CASES[0], Path::new("/a b/kernels-1"));
        assert_eq!(
            line,
            "(cd tests && test_case direct 400 '/a b/kernels-1' --test-threads=1 --nocapture --color=never --exact 'sound::direct')\n"
        );
    }
}
