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
