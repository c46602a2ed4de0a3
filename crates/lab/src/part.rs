//! A part of the lab in a process of its own: how it is started, and the JSON lines in which it says what it found.

use std::io::Write;
use std::path::Path;

use crate::process::Spec;

/// This very program, to run a part of the lab as another process; `name` is that of its logs, `part` the
/// subcommand.
#[must_use]
pub fn spec(name: &str, part: &str) -> Spec {
    // Not its path: a build that goes on beside us may have replaced the file, and this still is the running one.
    let program = format!("/proc/{}/exe", std::process::id());
    spec_of(Path::new(&program), name, part)
}

/// Another program that carries the parts of the lab.
#[must_use]
pub fn spec_of(program: &Path, name: &str, part: &str) -> Spec {
    Spec::new(name, program).arg(part)
}

/// Prints a value as one line of JSON. That nobody reads it any more is no reason to stop.
pub(crate) fn print_json<T: serde::Serialize>(value: &T) {
    if let Ok(line) = serde_json::to_string(value) {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// The last line of such an output that can be read as a `T`.
#[must_use]
pub fn last_line<T: serde::de::DeserializeOwned>(output: &str) -> Option<T> {
    output
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
}
