//! What can go wrong in the lab.

use std::io;
use std::path::PathBuf;

/// An error of the lab; each says what was tried and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A command of the system failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// What it wrote to standard error, or to standard output where that is empty.
        output: String,
    },
    /// A program that the lab needs is not installed.
    #[error(
        "cannot run `{program}`: {source}; install it, `cargo xtask setup` does so on Debian and Ubuntu"
    )]
    Program {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A process did not say what was waited for.
    #[error("{name} did not say `{text}` within {seconds} s; the end of its log {log}:\n{tail}")]
    NotReady {
        /// The process.
        name: String,
        /// What was waited for.
        text: String,
        /// How long.
        seconds: u64,
        /// Where its log is.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// A process ended although it should not have.
    #[error("{name} ended early ({status}); the end of its log {log}:\n{tail}")]
    Ended {
        /// The process.
        name: String,
        /// Its exit status.
        status: String,
        /// Where its log is.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// Something that was waited for did not come.
    #[error("waited {seconds} s in vain for {what}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// SIGINT or SIGTERM arrived.
    #[error("interrupted")]
    Interrupted,
    /// The lab needs root.
    #[error("the lab makes network namespaces, which only root may: run it as root")]
    NotRoot,
    /// A lab of this name stands already.
    #[error("a lab named `{prefix}` is in use by process {pid}: wait for it, or end it")]
    InUse {
        /// Its name.
        prefix: String,
        /// Its owner.
        pid: u32,
    },
    /// A lab of this name is kept.
    #[error("a lab named `{prefix}` is up already: `cargo xtask lab down` removes it")]
    Kept {
        /// Its name.
        prefix: String,
    },
    /// A name that cannot be the prefix of a lab.
    #[error("`{0}` cannot name a lab: use 1 to 24 lower-case letters, digits and `-`")]
    Prefix(String),
    /// Something that should hold a report or a number does not.
    #[error("cannot understand {what}: {why}")]
    Parse {
        /// What was read.
        what: String,
        /// Why it is wrong.
        why: String,
    },
}

/// Result of the lab.
pub type Result<T> = std::result::Result<T, Error>;

/// Says what was tried when an operation of the system fails.
pub(crate) trait Tried<T> {
    /// Turns an I/O error into "cannot `what`".
    fn tried(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Tried<T> for std::result::Result<T, E> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Io {
            what: what(),
            source: error.into(),
        })
    }
}
