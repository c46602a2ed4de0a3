//! What responses begin with (`--sample-bytes`), compared turn by turn.
//!
//! Of both responses the first bytes are known. [`Status`] tells what they say of themselves; what it does not know is
//! compared byte by byte. Everything is counted by class, and the first [`LISTED_MAX`] turns that differ are listed with what
//! both responses begin with: that is payload, so nothing of this exists unless it was asked for.

mod status;

use std::fmt::{self, Display, Formatter};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::mask::Mask;
use serde::Serialize;
use session::{Prefix, Response, TurnEnded};

use crate::figures::Figures;
pub use status::{CLASSES, Redis, Status};

/// Most differing turns that are listed.
pub const LISTED_MAX: usize = 20;
/// Most of them in the closing table, and most pairs of statuses.
const TABLE_MAX: usize = 5;
/// Longest beginning in the closing table, in characters.
const TABLE_PREFIX_MAX: usize = 48;

/// What came of comparing what responses begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginnings {
    /// Bytes of each response that were asked for.
    bytes: u8,
    sampled: u64,
    unsampled: u64,
    status_differs: u64,
    class_differs: u64,
    prefix_differs: u64,
    /// Turns by the classes of the online server's status and the target's.
    classes: [[u64; CLASSES.len()]; CLASSES.len()],
    /// Turns that are worth a line.
    differing: u64,
    listed: Vec<Differing>,
    /// What of them is never kept.
    mask: Mask,
}

/// A turn that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Differing {
    rule: u16,
    unix_ms: u64,
    status_differs: bool,
    online: Side,
    target: Side,
}

/// One of its responses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Side {
    status: Status,
    bytes: u64,
    prefix: Vec<u8>,
}

impl Side {
    fn new(response: Response, prefix: &Prefix, mask: &Mask) -> Self {
        Self {
            status: Status::of(&prefix.bytes),
            bytes: response.bytes,
            // Secrets are not kept, whoever may read what is listed.
            prefix: mask.apply(&prefix.bytes).into_owned(),
        }
    }
}

impl Beginnings {
    /// Nothing compared yet, with so many bytes of each response, of which values that `mask` hides are never kept.
    #[must_use]
    pub const fn new(bytes: u8, mask: Mask) -> Self {
        Self {
            bytes,
            sampled: 0,
            unsampled: 0,
            status_differs: 0,
            class_differs: 0,
            prefix_differs: 0,
            classes: [[0; CLASSES.len()]; CLASSES.len()],
            differing: 0,
            listed: Vec::new(),
            mask,
        }
    }

    /// Compares the responses to a turn that both servers were asked, in a session that is in step. Returns whether the target said
    /// something else than the online server.
    pub fn record(&mut self, turn: &TurnEnded, now: impl FnOnce() -> SystemTime) -> bool {
        let Some(online) = turn.online else {
            return false;
        };
        let target = turn.target.filter(|target| target.bytes > 0);
        let Some(samples) = turn.samples.as_deref() else {
            self.unsampled += 1;
            return false;
        };
        if !samples.online.whole || !samples.target.whole {
            // A record was lost, or there were too many responses at a time.
            self.unsampled += 1;
            return false;
        }
        let ours = Status::of(&samples.online.bytes);
        let theirs = target.map_or(Status::Silent, |_| Status::of(&samples.target.bytes));
        self.classes[ours.class()][theirs.class()] += 1;
        let Some(target) = target else {
            // Counted as silent among the differences, and not as another status.
            return false;
        };
        self.sampled += 1;
        let status_differs = ours != theirs;
        let prefix_differs = samples.online.bytes != samples.target.bytes;
        self.status_differs += u64::from(status_differs);
        self.class_differs += u64::from(ours.class() != theirs.class());
        self.prefix_differs += u64::from(prefix_differs);
        // Headers of HTTP differ by nature: they tell the time.
        let by_nature = matches!(ours, Status::Http(_));
        let differs = status_differs || (prefix_differs && !by_nature);
        if differs {
            self.differing += 1;
            if self.has_room(status_differs) {
                self.listed.push(Differing {
                    rule: turn.rule.0,
                    unix_ms: unix_ms(now()),
                    status_differs,
                    online: Side::new(online, &samples.online, &self.mask),
                    target: Side::new(target, &samples.target, &self.mask),
                });
                self.trim();
            }
        }
        differs
    }

    /// Whether one more would be listed: another status comes before other bytes.
    fn has_room(&self, status_differs: bool) -> bool {
        self.listed.len() < LISTED_MAX
            || (status_differs && self.listed.iter().any(|turn| !turn.status_differs))
    }

    /// Keeps the first [`LISTED_MAX`], of those with another status if there are as many.
    fn trim(&mut self) {
        if self.listed.len() > LISTED_MAX {
            self.listed
                .sort_by_key(|turn| (!turn.status_differs, turn.unix_ms));
            self.listed.truncate(LISTED_MAX);
        }
        self.listed.sort_by_key(|turn| turn.unix_ms);
    }

    /// Adds those of another worker.
    pub fn add(&mut self, other: &Self) {
        self.sampled += other.sampled;
        self.unsampled += other.unsampled;
        self.status_differs += other.status_differs;
        self.class_differs += other.class_differs;
        self.prefix_differs += other.prefix_differs;
        for (row, more) in self.classes.iter_mut().zip(&other.classes) {
            for (turns, more) in row.iter_mut().zip(more) {
                *turns += more;
            }
        }
        self.differing += other.differing;
        self.listed.extend_from_slice(&other.listed);
        self.trim();
    }

    /// Turns of which both beginnings are known.
    #[must_use]
    pub const fn sampled(&self) -> u64 {
        self.sampled
    }

    /// Turns of which one beginning is not.
    #[must_use]
    pub const fn unsampled(&self) -> u64 {
        self.unsampled
    }

    /// Adds the counts to the kinds of differences.
    pub fn push_kinds(&self, kinds: &mut Figures) {
        for (name, count) in [
            ("status_differs", self.status_differs),
            ("status_class_differs", self.class_differs),
            ("prefix_differs", self.prefix_differs),
            // Those that count as differing because of their bytes alone.
            ("bytes_differ", self.differing - self.status_differs),
        ] {
            kinds.push(name, count);
        }
    }

    /// What the summary says; `rules` are their names.
    #[must_use]
    pub fn summary(&self, rules: &[String]) -> SamplesSummary {
        let mut statuses = Vec::new();
        for (online, row) in CLASSES.iter().zip(&self.classes) {
            for (target, turns) in CLASSES.iter().zip(row).filter(|(_, turns)| **turns > 0) {
                statuses.push(StatusPair {
                    online,
                    target,
                    turns: *turns,
                });
            }
        }
        let differing = self.listed.iter().map(|turn| DifferingTurn {
            rule: rules.get(usize::from(turn.rule)).cloned(),
            unix_ms: turn.unix_ms,
            online: ResponseBeginning::new(&turn.online),
            target: ResponseBeginning::new(&turn.target),
        });
        SamplesSummary {
            bytes: self.bytes,
            statuses,
            differing: differing.collect(),
            differing_unlisted: self.differing - self.listed.len() as u64,
        }
    }
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Samples as they stand in the summary. **Holds payload of responses.**
#[derive(Clone, Debug, Serialize)]
pub struct SamplesSummary {
    /// Bytes of each response that were asked for.
    pub bytes: u8,
    /// Turns by the class of both statuses, only those pairs that there are.
    pub statuses: Vec<StatusPair>,
    /// The first turns that differ, by time; another status comes before other bytes.
    pub differing: Vec<DifferingTurn>,
    /// How many more there are.
    pub differing_unlisted: u64,
}

/// How often the online server's response was of one class and the target's of another, or the same.
#[derive(Clone, Debug, Serialize)]
pub struct StatusPair {
    /// One of [`CLASSES`].
    pub online: &'static str,
    /// One of [`CLASSES`].
    pub target: &'static str,
    /// How many turns.
    pub turns: u64,
}

/// A turn that differs.
#[derive(Clone, Debug, Serialize)]
pub struct DifferingTurn {
    /// The rule as the start printed it.
    pub rule: Option<String>,
    /// When the turn ended, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What the online server said.
    pub online: ResponseBeginning,
    /// What the target said.
    pub target: ResponseBeginning,
}

/// What a response begins with.
#[derive(Clone, Debug, Serialize)]
pub struct ResponseBeginning {
    /// A [`Status`] in words.
    pub status: String,
    /// Length of the whole response, in bytes.
    pub bytes: u64,
    /// Its first bytes: printable ASCII as it is, `\\` for a backslash, `\xNN` for anything else.
    pub prefix: String,
}

impl ResponseBeginning {
    fn new(side: &Side) -> Self {
        Self {
            status: side.status.to_string(),
            bytes: side.bytes,
            prefix: escape(&side.prefix),
        }
    }
}

impl Display for ResponseBeginning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (status, bytes) = (&self.status, self.bytes);
        // All of it is ASCII.
        let cut = self.prefix.get(..TABLE_PREFIX_MAX);
        let (prefix, more) = cut.map_or((&*self.prefix, ""), |cut| (cut, "..."));
        write!(f, "{status}, {bytes} B \"{prefix}{more}\"")
    }
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

impl Display for SamplesSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let differ = self
            .statuses
            .iter()
            .filter(|pair| pair.online != pair.target);
        let mut differ: Vec<_> = differ.collect();
        differ.sort_by_key(|pair| std::cmp::Reverse(pair.turns));
        for pair in differ.iter().take(TABLE_MAX) {
            let StatusPair {
                online,
                target,
                turns,
            } = pair;
            writeln!(f, "  {:<16} {online} became {target}: {turns}", "status")?;
        }
        for turn in self.differing.iter().take(TABLE_MAX) {
            let (online, target) = (&turn.online, &turn.target);
            writeln!(f, "  {:<16} online {online}", "differs")?;
            writeln!(f, "  {:<16} target {target}", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
