//! What a machine says of its cases, on its second serial line.
//!
//! ```text
//! ready 6.12.117+deb12-amd64
//! begin direct
//! figures {"online":900,"target":900,"fidelity":1.0,"residue":0}
//! figures {"left":0}
//! figures {"note":"intercept took XDP as generic"}
//! end direct 0 31
//! ```
//!
//! A machine that went wrong may say anything: whatever is not such a line is passed over, and lines, cases and notes are
//! bounded.

use serde::Deserialize;

/// Longest line that is looked at, in bytes.
const LINE_MAX: usize = 4096;
/// Most lines that are looked at.
const LINES_MAX: usize = 20_000;
/// Most notes that a case may leave.
const NOTES_MAX: usize = 8;
/// Longest note, in characters.
const NOTE_MAX: usize = 200;
/// Most cases that one machine may have.
const CASES_MAX: usize = 200;

/// What a machine has said so far.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdicts {
    /// Whether it came as far as its first case.
    pub(super) release: Option<String>,
    /// The cases that began, in this order.
    pub(super) cases: Vec<Ended>,
}

/// A case that began.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ended {
    pub(super) name: String,
    /// Exit status and seconds; `None` while it runs, and for ever where the machine ended first.
    pub(super) end: Option<(i32, u64)>,
    pub(super) figures: Figures,
}

/// The figures of all copies of a case together.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// How many copies were compared.
    pub(super) copies: u64,
    /// Requests that the online server has seen, and that the target has seen.
    pub(super) online: u64,
    pub(super) target: u64,
    /// The lowest fidelity, 0 to 1.
    pub(super) fidelity: Option<f64>,
    /// How many rows of the kernel's counters did not add up.
    pub(super) residue: u64,
    /// How many devices, programs and filters were left behind; `None` where nobody looked.
    pub(super) left: Option<u64>,
    /// What is to be told besides.
    pub(super) notes: Vec<String>,
}

/// What a test says in one line.
#[derive(Deserialize)]
struct Said {
    online: Option<u64>,
    target: Option<u64>,
    fidelity: Option<f64>,
    residue: Option<u64>,
    left: Option<u64>,
    note: Option<String>,
}

impl Figures {
    fn add(&mut self, said: Said) {
        if let Some(online) = said.online {
            self.copies += 1;
            self.online = self.online.saturating_add(online);
        }
        self.target = self.target.saturating_add(said.target.unwrap_or(0));
        if let Some(fidelity) = said.fidelity {
            self.fidelity = Some(self.fidelity.map_or(fidelity, |least| least.min(fidelity)));
        }
        self.residue = self.residue.saturating_add(said.residue.unwrap_or(0));
        if let Some(left) = said.left {
            self.left = Some(self.left.unwrap_or(0).saturating_add(left));
        }
        if let Some(note) = said.note
            && self.notes.len() < NOTES_MAX
        {
            let note: String = note
                .chars()
                .filter(|c| !c.is_control())
                .take(NOTE_MAX)
                .collect();
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }
}

/// Reads what a machine has said so far; the last line may be torn.
pub(super) fn parse(text: &str) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines().take(LINES_MAX) {
        let line = line.trim();
        if line.len() > LINE_MAX {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "ready" if verdicts.release.is_none() => {
                let plain: String = rest.chars().filter(|c| !c.is_control()).take(64).collect();
                verdicts.release = Some(plain);
            }
            "begin" if verdicts.cases.len() < CASES_MAX => verdicts.cases.push(Ended {
                name: rest.chars().take(64).collect(),
                ..Ended::default()
            }),
            "figures" => {
                if let (Some(case), Ok(said)) = (open(&mut verdicts), serde_json::from_str(rest)) {
                    case.figures.add(said);
                }
            }
            "end" => {
                if let (Some(case), Some((name, end))) = (open(&mut verdicts), ended(rest))
                    && case.name == name
                {
                    case.end = Some(end);
                }
            }
            _ => {}
        }
    }
    verdicts
}

/// The case that runs.
fn open(verdicts: &mut Verdicts) -> Option<&mut Ended> {
    verdicts.cases.last_mut().filter(|case| case.end.is_none())
}

fn ended(rest: &str) -> Option<(&str, (i32, u64))> {
    let mut words = rest.split(' ');
    let name = words.next()?;
    let status = words.next()?.parse().ok()?;
    let seconds = words.next()?.parse().ok()?;
    words.next().is_none().then_some((name, (status, seconds)))
}

/// The part of a console that belongs to a case: from its header to the next one's.
pub(super) fn log_of<'a>(console: &'a str, case: &str) -> &'a str {
    let header = format!("==> case {case}");
    let starts = |line: &str| line.trim_end() == header;
    let mut from = None;
    let mut at = 0;
    for line in console.split_inclusive('\n') {
        match from {
            None if starts(line) => from = Some(at),
            Some(start) if line.starts_with("==> case ") => return &console[start..at],
            _ => {}
        }
        at += line.len();
    }
    from.map_or("", |start| &console[start..])
}

#[cfg(test)]
mod tests {
    use super::{Ended, Figures, log_of, parse};

    const SAID: &str = "\
ready 6.1.0-56-amd64
begin direct
figures {\"online\":900,\"target\":900,\"fidelity\":1.0,\"residue\":0}
figures {\"online\":5,\"target\":4,\"fidelity\":0.8,\"residue\":2}
figures {\"left\":0}
figures {\"note\":\"generic\\u001b[2J\"}
end direct 0 31
begin assistant
figures {\"left\":1}
en";

    #[test]
    fn figures_of_all_copies_of_a_case_come_together() {
        let verdicts = parse(SAID);
        assert_eq!(verdicts.release.as_deref(), Some("6.1.0-56-amd64"));
        let direct = Ended {
            name: "direct".to_owned(),
            end: Some((0, 31)),
            figures: Figures {
                copies: 2,
                online: 905,
                target: 904,
                fidelity: Some(0.8),
                residue: 2,
                left: Some(0),
                notes: vec!["generic[2J".to_owned()],
            },
        };
        assert_eq!(verdicts.cases[0], direct);
        // The machine ended before this one did.
        assert_eq!(verdicts.cases[1].end, None);
        assert_eq!(verdicts.cases[1].figures.left, Some(1));
        assert_eq!(verdicts.cases.len(), 2);
    }

    #[test]
    fn nonsense_is_passed_over() {
        let long = format!("begin {}\n", "x".repeat(10_000));
        let many = "begin a\nend a 0 1\n".repeat(5_000);
        for (said, cases) in [
            ("", 0),
            ("end a 0 1\n", 0),
            ("begin a", 0),
            ("figures {\"left\":9}\nbegin a\nend b 0 1\n", 1),
            ("begin a\nend a 0\nend a x y\nend a 0 1 2\nfigures {\n", 1),
            (
                "begin a\nfigures {\"online\":-1}\nfigures []\nfigures \u{0}\n",
                1,
            ),
            (long.as_str(), 0),
            (many.as_str(), 200),
        ] {
            let verdicts = parse(said);
            assert_eq!(verdicts.cases.len(), cases, "{said:.80}");
            if cases == 1 {
                assert_eq!(verdicts.cases[0].end, None, "{said:.80}");
                assert_eq!(verdicts.cases[0].figures, Figures::default(), "{said:.80}");
            }
        }
    }

    #[test]
    fn the_log_of_a_case_ends_where_the_next_begins() {
        let console = "boot\n==> case a\none\r\ntwo\n==> case ab\nthree\n";
        assert_eq!(log_of(console, "a"), "==> case a\none\r\ntwo\n");
        assert_eq!(log_of(console, "ab"), "==> case ab\nthree\n");
        assert_eq!(log_of(console, "b"), "");
    }
}
