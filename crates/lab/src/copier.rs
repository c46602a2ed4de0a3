//! `tcpcopy` and `intercept` in the lab, and the summary that a run leaves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result, Tried};
use crate::interrupt;
use crate::net::{ASSISTANT, Host, Lab, Topology};
use crate::process::{Process, Spec};

/// The port of the channel.
pub const CHANNEL_PORT: u16 = 36524;

/// Names the protocol module (`auto`, `http1`, ...) that each copy reads requests and responses by whose caller does not say one
/// himself: what is true of a copy without a module must be true of one with it.
const PROTOCOL: &str = "TCPCOPY_PROTOCOL";

/// How long the programs may take to attach and, in assistant mode, to prove the path.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long it may take to make a key.
const KEYGEN_WITHIN: Duration = Duration::from_secs(5);
/// How long a run may take to end: the drain of 10 s, and as much again to close.
const END_WITHIN: Duration = Duration::from_secs(20);

/// How packets reach the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Capture {
    /// The BPF ring buffer.
    Ring,
    /// Clones through the private device.
    AfXdp,
}

impl Capture {
    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::AfXdp => "af-xdp",
        }
    }
}

/// Where the two programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `tcpcopy`.
    pub tcpcopy: PathBuf,
    /// `intercept`.
    pub intercept: PathBuf,
}

impl Binaries {
    /// Those in a folder, if both are there.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Option<Self> {
        let found = Self {
            tcpcopy: folder.join("tcpcopy"),
            intercept: folder.join("intercept"),
        };
        (found.tcpcopy.is_file() && found.intercept.is_file()).then_some(found)
    }
}

/// What to copy and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the log files.
    pub name: String,
    /// Direct or assistant mode.
    pub mode: Topology,
    /// The `-x` argument.
    pub rules: String,
    /// What `intercept` swallows: its `-x` argument.
    pub targets: String,
    /// How packets reach the workers.
    pub capture: Capture,
    /// The only CPU that the programs may use.
    pub cpu: Option<usize>,
    /// Whether `tcpcopy` finds its interfaces by itself; otherwise, on the online server, they are all named.
    pub finds_interfaces: bool,
    /// Whether the channel has a key; otherwise it is open.
    pub has_key: bool,
    /// More arguments of `tcpcopy`.
    pub more: Vec<String>,
    /// More arguments of `intercept`.
    pub intercept: Vec<String>,
}

impl Options {
    /// One rule: the online server's endpoint to the target's.
    #[must_use]
    pub fn new(mode: Topology, online: &str, target: &str) -> Self {
        Self {
            name: "tcpcopy".to_owned(),
            mode,
            rules: format!("{online}-{target}"),
            targets: target.to_owned(),
            capture: Capture::Ring,
            cpu: None,
            finds_interfaces: false,
            has_key: false,
            more: Vec::new(),
            intercept: Vec::new(),
        }
    }

    /// One more argument of `tcpcopy`. Of the lab's own, `--workers`, `-i` and `-s` give way.
    #[must_use]
    pub fn more(mut self, argument: &str) -> Self {
        self.more.push(argument.to_owned());
        self
    }
}

/// Starts `intercept` on the assistant and waits until it is ready.
///
/// # Errors
///
/// Where it does not start.
pub fn start_intercept(lab: &Lab, binaries: &Binaries, options: &Options) -> Result<Process> {
    start_intercept_on(lab, binaries, options, Host::Assistant)
}

/// The same on another host.
///
/// # Errors
///
/// Where it does not start.
pub fn start_intercept_on(
    lab: &Lab,
    binaries: &Binaries,
    options: &Options,
    host: Host,
) -> Result<Process> {
    let address = host.address().unwrap_or(ASSISTANT);
    let mut spec =
        Spec::new("intercept", &binaries.intercept).args(["-i", "eth0", "-x", &options.targets]);
    spec = spec.args(["-b", &address.to_string(), "-p", &CHANNEL_PORT.to_string()]);
    spec = spec.args(trust(lab, binaries, options)?);
    spec = spec.args(&options.intercept);
    if let Some(cpu) = options.cpu {
        spec = spec.cpu(cpu);
    }
    let mut process = lab.spawn(host, &spec)?;
    process.wait_for("ready", READY_WITHIN)?;
    Ok(process)
}

/// Where a lab keeps the key of its channel.
#[must_use]
pub fn key_file(lab: &Lab) -> PathBuf {
    lab.folder().join("channel.key")
}

/// What both ends are told of the other: the file of a key, which is made where there is none yet, or that none is wanted.
fn trust(lab: &Lab, binaries: &Binaries, options: &Options) -> Result<Vec<String>> {
    if !options.has_key {
        return Ok(vec!["--insecure".to_owned()]);
    }
    let file = key_file(lab);
    if !file.exists() {
        let keygen = Spec::new("keygen", &binaries.tcpcopy);
        let keygen = keygen.args(["keygen", &file.display().to_string()]);
        let mut keygen = lab.spawn(Host::Online, &keygen)?;
        keygen.wait_success(KEYGEN_WITHIN)?;
    }
    Ok(vec!["--key-file".to_owned(), file.display().to_string()])
}

/// A running copy.
#[derive(Debug)]
pub struct Copier {
    /// The process `tcpcopy`.
    pub tcpcopy: Process,
    /// The process `intercept`, in assistant mode.
    pub intercept: Option<Process>,
    summary: PathBuf,
}

impl Copier {
    /// Starts `intercept` where the mode needs it, then `tcpcopy` on the online server, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// Where one of them does not become ready; the error holds the end of its log.
    pub fn start(lab: &Lab, binaries: &Binaries, options: &Options) -> Result<Self> {
        let intercept = match options.mode {
            Topology::Direct => None,
            Topology::Assistant => Some(start_intercept(lab, binaries, options)?),
        };
        let mut copier = Self::start_without_intercept(lab, binaries, options, Host::Online)?;
        copier.intercept = intercept;
        copier.tcpcopy.wait_for("ready", READY_WITHIN)?;
        Ok(copier)
    }

    /// Starts `tcpcopy` alone, on any host, and does not wait for it.
    ///
    /// # Errors
    ///
    /// Where it cannot be started.
    pub fn start_without_intercept(
        lab: &Lab,
        binaries: &Binaries,
        options: &Options,
        host: Host,
    ) -> Result<Self> {
        // By its name alone: the command line stands in summaries and reports, and where the lab keeps its files says nothing.
        let name = format!("{}-{}.json", options.name, host.name());
        let summary = lab.folder().join(&name);
        // A summary of an earlier run must not be taken for this one's.
        let _ = std::fs::remove_file(&summary);
        let mut spec = Spec::new(&options.name, &binaries.tcpcopy).args(["-x", &options.rules]);
        spec = spec.args(["--capture", options.capture.name()]);
        spec = spec.args(["--summary", &name]);
        spec = spec.within(lab.folder());
        // What the caller says himself is not said here: an argument stands once.
        let said = |argument: &str| options.more.iter().any(|more| more == argument);
        if !said("--workers") {
            spec = spec.args(["--workers", "1"]);
        }
        if host == Host::Online && !options.finds_interfaces && !said("-i") {
            spec = spec.args(["-i", "eth0,eth1"]);
        }
        if options.mode == Topology::Assistant && !said("-s") {
            spec = spec.args(["-s", &format!("{ASSISTANT}:{CHANNEL_PORT}")]);
            spec = spec.args(trust(lab, binaries, options)?);
        }
        if let Ok(protocol) = std::env::var(PROTOCOL)
            && !said("--protocol")
        {
            spec = spec.args(["--protocol", &protocol]);
        }
        spec = spec.args(&options.more);
        if let Some(cpu) = options.cpu {
            spec = spec.cpu(cpu);
        }
        Ok(Self {
            tcpcopy: lab.spawn(host, &spec)?,
            intercept: None,
            summary,
        })
    }

    /// The summary as it stands now.
    ///
    /// # Errors
    ///
    /// Where there is none yet.
    pub fn summary(&self) -> Result<Summary> {
        Summary::read(&self.summary)
    }

    /// The next summary that is written, for figures that fit what others say now.
    ///
    /// # Errors
    ///
    /// Where none is written within 3 s.
    pub fn next_summary(&self) -> Result<Summary> {
        let written = || {
            std::fs::metadata(&self.summary)
                .and_then(|file| file.modified())
                .ok()
        };
        let before = written();
        let what = "tcpcopy to write its summary again";
        interrupt::wait_until(what, Duration::from_secs(3), || Ok(written() != before))?;
        self.summary()
    }

    /// Ends the copy in order: drain, detach, summary; then `intercept`.
    ///
    /// # Errors
    ///
    /// Where `tcpcopy` does not end in time or fails, or `intercept` had ended before.
    pub fn finish(&mut self) -> Result<Summary> {
        self.tcpcopy.signal(Signal::SIGINT)?;
        self.tcpcopy.wait_success(END_WITHIN)?;
        if let Some(intercept) = &mut self.intercept {
            intercept.expect_alive()?;
            intercept.signal(Signal::SIGTERM)?;
            intercept.wait_success(Duration::from_secs(5))?;
        }
        self.summary()
    }
}

/// What `--summary` wrote.
#[derive(Clone, Debug)]
pub struct Summary(Value);

impl Summary {
    /// Reads a summary.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is not JSON.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .tried(|| format!("read the summary {}", file.display()))?;
        let value = serde_json::from_str(&text).map_err(|error| Error::Parse {
            what: file.display().to_string(),
            why: error.to_string(),
        })?;
        Ok(Self(value))
    }

    /// The whole of it.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// A number by its path, as in `/ledger/answered`; 0 where there is none.
    #[must_use]
    pub fn count(&self, path: &str) -> u64 {
        self.0.pointer(path).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Turns captured.
    #[must_use]
    pub fn captured(&self) -> u64 {
        self.count("/ledger/captured")
    }

    /// Turns answered by the target.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.count("/ledger/answered")
    }

    /// Turns of one outcome.
    #[must_use]
    pub fn outcome(&self, name: &str) -> u64 {
        self.count(&format!("/ledger/{name}"))
    }

    /// The share of the requests that the target took, 0 to 1; 0 where there is nothing to judge.
    #[must_use]
    pub fn fidelity(&self) -> f64 {
        self.0
            .pointer("/fidelity")
            .and_then(Value::as_f64)
            .unwrap_or(0.0)
    }

    /// Whether the outcomes add up to what was captured.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let Some(ledger) = self.0.pointer("/ledger").and_then(Value::as_object) else {
            return false;
        };
        let outcomes = ledger.iter().filter(|(name, _)| *name != "captured");
        outcomes
            .filter_map(|(_, count)| count.as_u64())
            .sum::<u64>()
            == self.captured()
    }

    /// The outcomes that are not 0, as text.
    #[must_use]
    pub fn ledger(&self) -> String {
        let Some(ledger) = self.0.pointer("/ledger").and_then(Value::as_object) else {
            return "none".to_owned();
        };
        let counts = ledger.iter().filter(|(_, count)| count.as_u64() != Some(0));
        counts
            .map(|(name, count)| format!("{name} {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The rows of the kernel's counters that do not add up.
    #[must_use]
    pub fn residues(&self) -> Vec<(String, i64)> {
        let Some(rows) = self.0.pointer("/hooks").and_then(Value::as_object) else {
            return Vec::new();
        };
        rows.iter()
            .filter_map(|(name, row)| Some((name.clone(), row.get("residue")?.as_i64()?)))
            .filter(|(_, residue)| *residue != 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn the_numbers_of_a_summary_are_found() {
        let summary = Summary(serde_json::json!({
            "ledger": {"captured": 5, "answered": 4, "pending": 1, "gap": 0},
            "fidelity": 0.8,
            "hooks": {"capture": {"matched": 5, "residue": 0}, "online": {"residue": -3}},
        }));
        assert_eq!(
            (
                summary.captured(),
                summary.answered(),
                summary.outcome("pending")
            ),
            (5, 4, 1)
        );
        assert!(summary.adds_up());
        assert_eq!(summary.residues(), [("online".to_owned(), -3)]);
        assert_eq!(summary.ledger(), "answered 4, captured 5, pending 1");
    }
}
