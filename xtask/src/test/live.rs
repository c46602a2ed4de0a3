//! Live tests: real servers, real clients, real traffic.
//!
//! A test runs alone, unless `tests/tests/live/beside.txt` names it: those that it names run first, some at a time. What the first
//! run is asked for by name the second leaves out by the same names, so no test falls out of both; and a name that no test has
//! fails the run. One that fails beside others runs again alone, which counts: where many share two processors a worker may wait
//! for one longer than on any machine that copies.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use super::Arguments;
use crate::{dist, stage, step, workspace};

/// Names of tests, one a line, as the test program lists them.
const BESIDE: &str = include_str!("../../../tests/tests/live/beside.txt");
/// How many of them run at a time: they wait for most of their time, for timeouts and for clients that are no faster than they
/// are told to be.
const AT_A_TIME: &str = "--test-threads=3";

/// Runs those that are asked for, or all.
///
/// # Errors
///
/// Where one fails, or none can run here although skipping is a failure.
pub(super) fn run(arguments: &Arguments, no_skip: bool) -> Result<()> {
    if !::lab::system::is_root() {
        if no_skip {
            bail!("live tests need root: network namespaces, AF_XDP and BPF programs");
        }
        step::say("SKIP: live tests need root");
        return Ok(());
    }
    stage::prepare(None)?;
    dist::check_links(&workspace::target().join("release"))?;
    let program = || {
        let mut command = super::cargo(no_skip);
        if arguments.screenshots {
            command.env("TCPCOPY_SCREENSHOTS", workspace::root().join("docs/images"));
        }
        command.args([
            "test",
            "--locked",
            "--package",
            "tests",
            "--test",
            "live",
            "--",
        ]);
        command
    };
    if let Some(name) = &arguments.live {
        let mut some = program();
        some.args(["--test-threads=1", "--nocapture", name]);
        return step::run("live tests", &mut some);
    }
    all(program)
}

/// All of them; what those that failed have said stands at the end.
fn all(program: impl Fn() -> Command) -> Result<()> {
    let names: Vec<&str> = beside().collect();
    step::say("live tests that may run beside others");
    let (beside, seen) = beside_others(&mut program(), &names)?;
    let mut others = program();
    others.args(["--test-threads=1", "--exact"]);
    others.args(names.iter().flat_map(|name| ["--skip", name]));
    step::say("live tests that run alone");
    let alone = others.status().context("cannot start cargo")?;
    say(&seen.failures)?;
    let again = seen.failed();
    if !beside.success() && again.is_empty() {
        bail!("live tests beside others: {beside}, and none is named");
    }
    let again = if again.is_empty() {
        None
    } else {
        step::say("live tests that failed beside others, alone: that counts");
        let mut program = program();
        program.args(["--test-threads=1", "--exact"]).args(&again);
        Some(program.status().context("cannot start cargo")?)
    };
    if !alone.success() || again.is_some_and(|status| !status.success()) {
        bail!("live tests: alone {alone}, again {again:?}");
    }
    Ok(())
}

/// The names of the list.
fn beside() -> impl Iterator<Item = &'static str> {
    BESIDE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Runs the tests of these names, some at a time.
fn beside_others(command: &mut Command, names: &[&str]) -> Result<(ExitStatus, Seen)> {
    command.args([AT_A_TIME, "--exact"]).args(names);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let output = child.stdout.take().context("no output of the tests")?;
    let seen = Seen::of(output, say)?;
    let status = child.wait().context("cannot wait for the tests")?;
    if let Some(count) = seen.count.filter(|count| *count != names.len()) {
        bail!(
            "tests/tests/live/beside.txt names {} tests, of which there are {count}: \
             has one been renamed, or named twice?",
            names.len()
        );
    }
    Ok((status, seen))
}

/// Where the test program itself would say it.
fn say(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .context("cannot write to standard output")
}

/// What a test program has said.
#[derive(Debug, Default)]
struct Seen {
    /// How many tests it runs.
    count: Option<usize>,
    /// From its list of failures on.
    failures: String,
}

impl Seen {
    /// The tests that failed: the last list has their names.
    fn failed(&self) -> Vec<&str> {
        let (_, names) = self.failures.rsplit_once("failures:\n").unwrap_or_default();
        let names = names.lines().map_while(|line| line.strip_prefix("    "));
        names.collect()
    }

    /// Reads it to its end. Lines before the failures are passed on at once.
    fn of(output: impl Read, mut pass_on: impl FnMut(&str) -> Result<()>) -> Result<Self> {
        let mut seen = Self::default();
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output
            .read_until(b'\n', &mut line)
            .context("cannot read what the tests say")?
            > 0
        {
            let text = String::from_utf8_lossy(&line);
            if let Some(rest) = text.strip_prefix("running ") {
                let count = rest.split(' ').next().and_then(|count| count.parse().ok());
                seen.count = seen.count.or(count);
            }
            if seen.failures.is_empty() && text != "failures:\n" {
                pass_on(&text)?;
            } else {
                seen.failures.push_str(&text);
            }
            line.clear();
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::{Seen, beside};
    use crate::workspace;

    #[test]
    fn each_name_is_that_of_a_test() {
        let folder = workspace::root().join("tests/tests/live");
        let mut names = BTreeSet::new();
        for name in beside() {
            assert!(names.insert(name), "{name} is named twice");
            let (room, test) = name.rsplit_once("::").unwrap();
            let file = folder.join(room.replace("::", "/")).with_extension("rs");
            let text = fs::read_to_string(&file).unwrap();
            let declared = format!("#[test]\nfn {test}() {{\n");
            assert!(text.contains(&declared), "{name} is no test");
        }
        assert!(names.len() > 100, "only {} names", names.len());
    }

    #[test]
    fn failures_are_kept_for_the_end() {
        let said = "\nrunning 2 tests\ntest a::b ... FAILED\ntest a::c ... ok\n\nfailures:\n\n---- a::b stdout ----\nrunning 9\n\nfailures:\n    a::b\n";
        let mut passed_on = String::new();
        let pass_on = |line: &str| {
            passed_on.push_str(line);
            Ok(())
        };
        let seen = Seen::of(said.as_bytes(), pass_on).unwrap();
        assert_eq!(seen.count, Some(2));
        assert_eq!(format!("{passed_on}{}", seen.failures), said);
        assert!(passed_on.ends_with("test a::c ... ok\n\n"), "{passed_on}");
        assert_eq!(seen.failed(), ["a::b"]);
        assert!(Seen::default().failed().is_empty());
    }
}
