//! What the doctor found, as data: one line, a verdict, and the commands that help.

use std::fmt;

use serde::Serialize;

/// How a finding bears on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// A run works, but this is worth knowing.
    Note,
    /// A run does not work, or would do harm.
    Fail,
}

/// What a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// It mends what was found, where that is the cause.
    Fix,
    /// It changes nothing, and shows more.
    Look,
}

/// A command that helps, and the host that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fix {
    pub(crate) purpose: Purpose,
    /// `here`, or an address of the host.
    #[serde(rename = "where")]
    pub(crate) place: String,
    pub(crate) command: String,
    /// Whether it is about this host itself, whatever network namespace is examined.
    #[serde(skip)]
    pub(crate) is_outside: bool,
}

/// Commands whose answer depends on the network namespace.
const OF_THE_NETWORK: [&str; 12] = [
    "bpftool",
    "conntrack",
    "ethtool",
    "ip",
    "ip6tables",
    "iptables",
    "nft",
    "ping",
    "ss",
    "sysctl",
    "tc",
    "tcpdump",
];

impl Fix {
    /// Has what is to be done here done inside a network namespace, by what such commands begin with.
    pub(crate) fn inside(&mut self, prefix: &str) {
        if self.place != HERE || self.is_outside {
            return;
        }
        let parts = self.command.split("; ").map(|part| {
            let program = part.split(' ').next().unwrap_or_default();
            if OF_THE_NETWORK.contains(&program) {
                format!("{prefix} {part}")
            } else {
                part.to_owned()
            }
        });
        self.command = parts.collect::<Vec<_>>().join("; ");
    }
}

/// This very host, as the place of a [`Fix`].
pub(crate) const HERE: &str = "here";

/// One thing that was looked at, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    /// What was looked at.
    pub(crate) check: &'static str,
    /// Name of the finding, as docs/doctor.md lists it.
    pub(crate) finding: &'static str,
    /// What was tried and what was seen, in one line.
    pub(crate) said: String,
    /// What to do, the most likely first.
    pub(crate) fixes: Vec<Fix>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, said: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, check, "ok", said)
    }

    pub(crate) fn note(
        check: &'static str,
        finding: &'static str,
        said: impl Into<String>,
    ) -> Self {
        Self::new(Verdict::Note, check, finding, said)
    }

    pub(crate) fn fail(
        check: &'static str,
        finding: &'static str,
        said: impl Into<String>,
    ) -> Self {
        Self::new(Verdict::Fail, check, finding, said)
    }

    fn new(
        verdict: Verdict,
        check: &'static str,
        finding: &'static str,
        said: impl Into<String>,
    ) -> Self {
        Self {
            verdict,
            check,
            finding,
            said: said.into(),
            fixes: Vec::new(),
        }
    }

    /// Adds a command that mends it.
    pub(crate) fn fix(self, place: impl fmt::Display, command: impl Into<String>) -> Self {
        self.with(Purpose::Fix, place, command)
    }

    /// Adds a command for this host that mends it.
    pub(crate) fn fix_here(self, command: impl Into<String>) -> Self {
        self.with(Purpose::Fix, HERE, command)
    }

    /// Adds a command that shows more and changes nothing.
    pub(crate) fn look(self, place: impl fmt::Display, command: impl Into<String>) -> Self {
        self.with(Purpose::Look, place, command)
    }

    /// Adds a command for this host that shows more and changes nothing.
    pub(crate) fn look_here(self, command: impl Into<String>) -> Self {
        self.with(Purpose::Look, HERE, command)
    }

    /// Adds a command that shows more of this host itself, whatever network namespace is examined.
    pub(crate) fn look_outside(self, command: impl Into<String>) -> Self {
        let mut finding = self.look_here(command);
        if let Some(fix) = finding.fixes.last_mut() {
            fix.is_outside = true;
        }
        finding
    }

    fn with(
        mut self,
        purpose: Purpose,
        place: impl fmt::Display,
        command: impl Into<String>,
    ) -> Self {
        self.fixes.push(Fix {
            purpose,
            place: place.to_string(),
            command: command.into(),
            is_outside: false,
        });
        self
    }
}

/// What all findings come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Conclusion {
    /// The path to every target is proven.
    Proven,
    /// It is not, to one of them at least, or a run would do harm.
    NotProven,
    /// The arguments or this host are unusable: a run would refuse to start.
    Unusable,
    /// A signal ended the examination.
    Interrupted,
}

impl Conclusion {
    /// The exit status.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Proven => 0,
            Self::NotProven | Self::Interrupted => 1,
            Self::Unusable => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The names of findings in a source file: the words with a hyphen that stand between quotes in front of the tests.
    fn names(file: &Path, into: &mut BTreeSet<String>) {
        let text = fs::read_to_string(file).expect("a source file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_name = |word: &&str| {
            word.contains('-')
                && !word.starts_with('-')
                && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        };
        into.extend(code.split('"').filter(is_name).map(str::to_owned));
    }

    #[test]
    fn what_is_about_the_network_is_done_inside() {
        let command = |finding: super::Finding| {
            let mut fix = finding.fixes.into_iter().next().expect("a command");
            fix.inside("ip netns exec web");
            fix.command
        };
        let finding = || super::Finding::fail("path", "target-silent", "no answer");
        assert_eq!(
            command(finding().fix_here("iptables -A x; ip6tables -A y")),
            "ip netns exec web iptables -A x; ip netns exec web ip6tables -A y"
        );
        for untouched in [
            finding().fix_here("ulimit -l unlimited"),
            finding().look_outside("ss -tlnp"),
            finding().look("10.0.0.9", "ss -tln"),
        ] {
            let before = untouched.fixes[0].command.clone();
            assert_eq!(command(untouched), before);
        }
    }

    /// The sources of both programs, and of what speaks for them.
    fn sources() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folders = [
            "tcpcopy-userspace/src",
            "intercept-userspace/src",
            "crates/exporter/src",
            "crates/host/src",
            "crates/process/src",
        ];
        let mut folders: Vec<PathBuf> = folders.map(|folder| root.join(folder)).into();
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("the folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files
    }

    fn check_documented(found: &BTreeSet<String>) {
        let documentation = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
        let documentation = fs::read_to_string(documentation).expect("docs/doctor.md");
        let missing: Vec<_> = found
            .iter()
            .filter(|name| !documentation.contains(&format!("`{name}`")))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_finding_has_a_row_in_the_documentation() {
        let mut found = BTreeSet::new();
        let speaks_of_findings = [
            "src/doctor",
            "src/plan/refusal.rs",
            "src/loader/error.rs",
            "src/run/ending.rs",
            "src/run/preparation.rs",
            "host/src/error.rs",
            "intercept-userspace/src/error.rs",
        ];
        for file in sources() {
            let path = file.display().to_string();
            if speaks_of_findings.iter().any(|part| path.contains(part)) {
                names(&file, &mut found);
            }
        }
        // An offload, by ethtool's name.
        found.remove("rx-lro");
        assert!(
            found.contains("target-silent") && found.contains("pool-too-small"),
            "{found:?}"
        );
        check_documented(&found);
    }

    /// A runbook can be grepped for the name that stands behind each warning.
    #[test]
    fn every_warning_and_every_error_has_a_documented_name() {
        let mut found: BTreeSet<String> = telemetry::warning::Kind::ALL
            .iter()
            .map(|kind| kind.name().replace('_', "-"))
            .collect();
        let mut said = 0;
        for file in sources() {
            let text = fs::read_to_string(&file).expect("a source file");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (start, _) in code
                .match_indices("warn!(")
                .chain(code.match_indices("error!("))
            {
                let is_longer_name =
                    code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if is_longer_name {
                    continue;
                }
                said += 1;
                let (_, inside) = code[start..].split_once('(').expect("a bracket");
                let named = inside.trim_start().strip_prefix("finding = ");
                let Some(named) = named else {
                    let line = code[..start].lines().count();
                    panic!(
                        "{}:{line}: has no name: {:.60}",
                        file.display(),
                        inside.trim_start()
                    );
                };
                if let Some((name, _)) = named
                    .strip_prefix('"')
                    .and_then(|name| name.split_once('"'))
                {
                    found.insert(name.to_owned());
                }
            }
        }
        assert!(said > 40, "{said}");
        check_documented(&found);
    }
}
