//! Running a command of the system to its end.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};

/// Runs a command and returns what it wrote to standard output.
///
/// # Errors
///
/// [`Error::Program`] where it cannot be started, [`Error::Command`] where it fails.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String> {
    said(program, arguments, &output(program, arguments)?)
}

/// The same with something to read on standard input.
///
/// # Errors
///
/// As [`run`].
pub fn feed<S: AsRef<OsStr>>(program: &str, arguments: &[S], input: &str) -> Result<String> {
    let failed = |source| Error::Program {
        program: program.to_owned(),
        source,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // One that ends before it has read all says why itself. The pipe is closed at the end of the statement.
    let _ = child
        .stdin
        .take()
        .map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(failed)?;
    said(program, arguments, &output)
}

/// What a command wrote to standard output, or why it failed.
fn said<S: AsRef<OsStr>>(program: &str, arguments: &[S], output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = if stderr.trim().is_empty() {
        stdout.trim()
    } else {
        stderr.trim()
    };
    Err(Error::Command {
        command: line(program, arguments),
        status: output.status.to_string(),
        output: said.to_owned(),
    })
}

/// Runs a command and returns its status and all that it wrote.
///
/// # Errors
///
/// [`Error::Program`] where it cannot be started.
pub fn output<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<Output> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Program {
            program: program.to_owned(),
            source,
        })
}

/// Which of the programs are not installed.
#[must_use]
pub fn missing<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    // Root's PATH of a bare `su` lacks these, although the programs stand there.
    folders.extend(["/usr/sbin", "/sbin"].map(std::path::PathBuf::from));
    programs
        .iter()
        .copied()
        .filter(|program| !folders.iter().any(|folder| folder.join(program).is_file()))
        .collect()
}

/// Whether this process is root.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn line<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        line.push(' ');
        line.push_str(&argument.as_ref().to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{missing, run};
    use crate::error::Error;

    #[test]
    fn a_failing_command_is_quoted_with_what_it_said() {
        match run("sh", &["-c", "echo bad >&2; exit 3"]) {
            Err(Error::Command {
                command, output, ..
            }) => {
                assert_eq!(command, "sh -c echo bad >&2; exit 3");
                assert_eq!(output, "bad");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_missing() {
        assert_eq!(missing(&["sh", "no-such-program"]), ["no-such-program"]);
    }
}
