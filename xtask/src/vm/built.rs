//! What runs in a machine: the binaries and the test programs of this tree, built here, outside.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::case::{Case, Suite};
use crate::{stage, step, workspace};

/// Where they stand.
#[derive(Debug)]
pub(super) struct Built {
    /// The folder of `tcpcopy` and `intercept`.
    pub(super) binaries: PathBuf,
    suites: Vec<(Suite, PathBuf)>,
}

/// A line of cargo's messages.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Built {
    /// Builds what these cases need.
    ///
    /// # Errors
    ///
    /// Where it does not build, or a case names a test that there is none of.
    pub(super) fn for_cases(cases: &[Case]) -> Result<Self> {
        let binaries = stage::build()?;
        let mut suites: Vec<Suite> = cases.iter().map(|case| case.suite).collect();
        suites.sort();
        suites.dedup();
        let built = Self {
            binaries,
            suites: compile(&suites)?,
        };
        for suite in &suites {
            built.check(*suite, cases)?;
        }
        Ok(built)
    }

    /// The test program of a suite.
    pub(super) fn program(&self, suite: Suite) -> Result<&Path> {
        let found = self.suites.iter().find(|(other, _)| *other == suite);
        found
            .map(|(_, program)| program.as_path())
            .with_context(|| format!("the tests `{}` are not built", suite.name()))
    }

    /// A test that does not exist would be one that passes.
    fn check(&self, suite: Suite, cases: &[Case]) -> Result<()> {
        let listed = step::output(Command::new(self.program(suite)?).arg("--list"))
            .with_context(|| format!("the tests `{}` cannot be listed", suite.name()))?;
        let known: Vec<&str> = listed
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .collect();
        for case in cases.iter().filter(|case| case.suite == suite) {
            if let Some(test) = case.tests.iter().find(|test| !known.contains(*test)) {
                bail!(
                    "the case `{}` names the test `{test}`, which `{}` does not have",
                    case.name,
                    suite.name()
                );
            }
        }
        Ok(())
    }
}

/// Builds test programs and says where they are.
fn compile(suites: &[Suite]) -> Result<Vec<(Suite, PathBuf)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root());
    command.args(["test", "--locked", "--no-run", "--package", "tests"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    for suite in suites {
        command.args(["--test", suite.name()]);
    }
    step::say("building the tests that run in machines");
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the tests do not build ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    suites
        .iter()
        .map(|suite| {
            let program = executable(&messages, suite.name());
            let program = program
                .with_context(|| format!("cargo does not say where `{}` is", suite.name()))?;
            Ok((*suite, program))
        })
        .collect()
}

/// The executable of a test target among cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .find_map(|message| {
            let target = message.target?;
            let test = target.kind.iter().any(|kind| kind == "test");
            (test && target.name == name)
                .then_some(message.executable)
                .flatten()
        })
}

#[cfg(test)]
mod tests {
    use super::executable;

    #[test]
    fn the_program_is_the_test_of_that_name() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"live","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"live","kind":["test"]},"executable":"/t/live-1"}
{"reason":"build-finished","success":true}
nonsense
"#;
        let found = executable(messages, "live");
        assert_eq!(found.as_deref(), Some(std::path::Path::new("/t/live-1")));
        assert_eq!(executable(messages, "kernels"), None);
    }
}
