//! The one door through which a user hears of what is wrong while a run goes on: whatever passes it stands on standard error, in
//! the summary, in the metrics, on the live page and in the report.

use std::time::SystemTime;

use telemetry::Warning;
use telemetry::warning::Kind;
use tracing::{info, warn};

/// What comes and goes is said so often in the log; the list, the metrics and the page go on showing it.
const SAID_MAX: usize = 5;

/// Everything that was said.
#[derive(Debug, Default)]
pub(super) struct Warnings(telemetry::Warnings);

/// What a warning is about, besides its kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// The run as a whole.
    Run,
    /// A rule, as the start printed it.
    Rule(&'a str),
    /// A device, a target or a network.
    Thing(&'a str),
}

impl Subject<'_> {
    const fn rule(&self) -> Option<&str> {
        match self {
            Self::Rule(rule) => Some(rule),
            Self::Run | Self::Thing(_) => None,
        }
    }

    const fn thing(&self) -> Option<&str> {
        match self {
            Self::Thing(thing) => Some(thing),
            Self::Run | Self::Rule(_) => None,
        }
    }
}

/// Its name in docs/doctor.md: as in summaries and metrics, but for the hyphens.
fn name(kind: Kind) -> String {
    kind.name().replace('_', "-")
}

impl Warnings {
    /// Says it, unless it holds already.
    pub(super) fn raise(&mut self, kind: Kind, subject: Subject<'_>, text: &str) {
        let mut warning = Warning::new(kind, text, SystemTime::now());
        warning.rule = subject.rule().map(str::to_owned);
        warning.about = subject.thing().map(str::to_owned);
        let Some(before) = self.0.raise(warning) else {
            return;
        };
        if before + 1 < SAID_MAX {
            warn!(finding = name(kind), "{text}");
        } else if before + 1 == SAID_MAX {
            warn!(
                finding = name(kind),
                "{text}. It comes and goes, and is not said again here"
            );
        }
    }

    /// Says it, in the place of what was said of the same before.
    pub(super) fn replace(&mut self, kind: Kind, subject: Subject<'_>, text: &str) {
        let now = SystemTime::now();
        let _ = self.0.end(kind, subject.rule(), subject.thing(), now);
        self.raise(kind, subject, text);
    }

    /// It is over: says so in these words, if it held.
    pub(super) fn end(&mut self, kind: Kind, subject: Subject<'_>, words: &str) {
        let now = SystemTime::now();
        if self
            .0
            .end(kind, subject.rule(), subject.thing(), now)
            .is_none()
        {
            return;
        }
        let like = self.0.iter().filter(|known| {
            known.kind == kind
                && known.rule.as_deref() == subject.rule()
                && known.about.as_deref() == subject.thing()
        });
        if like.count() <= SAID_MAX {
            info!("{words}");
        }
    }

    /// Everything that was said, for who shows it.
    pub(super) fn list(&self) -> telemetry::Warnings {
        self.0.clone()
    }
}
