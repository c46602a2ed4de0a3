//! Clients that connect now and speak later: a connection that was open before `tcpcopy` started.

use std::path::PathBuf;
use std::time::Duration;

use lab::{Host, Process, Spec};
use tests::Stand;

/// A client that is connected, and waits until it is let go.
pub(super) struct Waiting {
    process: Process,
    go: PathBuf,
}

impl Waiting {
    /// Starts a client that reads statements from its input. `command` are a shell's words for it; it says `first`, whose answer has the
    /// word "ready", and `later` once it is let go.
    pub(super) fn start(
        stand: &Stand,
        name: &str,
        (command, password): (&str, (&str, &str)),
        first: &str,
        later: &str,
    ) -> Self {
        let folder = stand.lab.folder();
        let at = |what: &str| folder.join(format!("{name}.{what}"));
        let (first_at, later_at, go) = (at("first"), at("later"), at("go"));
        std::fs::write(&first_at, first).expect("a file");
        std::fs::write(&later_at, later).expect("a file");
        let script = format!(
            "( cat {}; until [ -e {} ]; do sleep 0.05; done; cat {} ) | {command}",
            first_at.display(),
            go.display(),
            later_at.display()
        );
        let (variable, value) = password;
        let spec = Spec::new(name, "sh")
            .args(["-c", &script])
            .env(variable, value);
        let mut process = stand.lab.spawn(Host::Client, &spec).expect("a client");
        let ready = process.wait_for("ready", Duration::from_secs(20));
        ready.unwrap_or_else(|error| panic!("{error}: {}", process.log()));
        Self { process, go }
    }

    /// Lets it go on.
    pub(super) fn go(&self) {
        std::fs::write(&self.go, "").expect("a file");
    }

    /// Waits until it has said all.
    pub(super) fn finish(mut self) {
        let ended = self.process.wait(Duration::from_secs(60));
        ended.unwrap_or_else(|error| panic!("{error}: {}", self.process.log()));
    }
}
