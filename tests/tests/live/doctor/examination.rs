//! One call of the doctor, and what it said.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::net::{ASSISTANT, TARGET};
use lab::{Host, Process, Spec};
use serde_json::Value;
use tests::Stand;

/// How long an examination may take at most: part of what the doctor promises.
const WITHIN: Duration = Duration::from_secs(15);

/// What the doctor said.
pub(super) struct Examination {
    pub(super) exit: Option<i32>,
    document: Value,
    log: String,
}

/// Runs the doctor on the online host.
pub(super) fn examine(stand: &Stand, arguments: &[String]) -> Examination {
    run(
        stand,
        Spec::new("doctor", &stand.binaries.tcpcopy),
        arguments,
    )
}

/// The same without any rights; `program` is one that everybody may run.
pub(super) fn examine_as_nobody(
    stand: &Stand,
    program: &Path,
    arguments: &[String],
) -> Examination {
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let program = program.display().to_string();
    let spec = Spec::new("doctor", Path::new("setpriv")).args(nobody);
    run(stand, spec.args([&program]), arguments)
}

fn run(stand: &Stand, spec: Spec, arguments: &[String]) -> Examination {
    let spec = spec.args(["doctor", "--json"]).args(arguments);
    let mut process = stand.lab.spawn(Host::Online, &spec).expect("it starts");
    let began = Instant::now();
    let status = process.wait(WITHIN).expect("it ends in time");
    eprintln!(
        "{} s: doctor {}",
        began.elapsed().as_secs_f32(),
        arguments.join(" ")
    );
    let document = serde_json::from_str(&process.output())
        .unwrap_or_else(|error| panic!("{error}: {}", process.tail()));
    Examination {
        exit: status.code(),
        document,
        log: process.log(),
    }
}

/// Starts the doctor with its check list for people, and does not wait.
pub(super) fn start(stand: &Stand, arguments: &[String]) -> Process {
    let spec = Spec::new("doctor", &stand.binaries.tcpcopy)
        .args(["doctor"])
        .args(arguments);
    stand.lab.spawn(Host::Online, &spec).expect("it starts")
}

/// A finding.
pub(super) struct Found<'a>(&'a Value);

impl Found<'_> {
    pub(super) fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// Host and command of each fix.
    pub(super) fn fixes(&self) -> Vec<(Host, String)> {
        let fixes = self.0["fixes"].as_array().cloned().unwrap_or_default();
        let host = |place: &str| match place {
            "here" => Host::Online,
            place if place == TARGET.to_string() => Host::Target,
            place if place == ASSISTANT.to_string() => Host::Assistant,
            place => panic!("{place} is no host of the lab"),
        };
        let text = |fix: &Value, field: &str| fix[field].as_str().unwrap_or_default().to_owned();
        fixes
            .iter()
            .map(|fix| (host(&text(fix, "where")), text(fix, "command")))
            .collect()
    }
}

impl Examination {
    pub(super) fn verdict(&self) -> &str {
        self.document["verdict"].as_str().unwrap_or_default()
    }

    fn findings(&self) -> impl Iterator<Item = Found<'_>> {
        self.document["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .map(Found)
    }

    /// The finding of this name.
    pub(super) fn find(&self, name: &str) -> Option<Found<'_>> {
        self.findings().find(|found| found.text("finding") == name)
    }

    /// Whether some finding has this verdict (as on a terminal).
    pub(super) fn has(&self, verdict: &str) -> bool {
        self.findings()
            .any(|found| found.text("verdict").eq_ignore_ascii_case(verdict))
    }

    /// Whether some finding says these words.
    pub(super) fn says(&self, words: &str) -> bool {
        self.findings()
            .any(|found| found.text("said").contains(words))
    }
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {:?}: {:#}\n{}", self.exit, self.document, self.log)
    }
}
