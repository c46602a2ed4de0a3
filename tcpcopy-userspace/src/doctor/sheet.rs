//! The sheet that findings are written on: a check list for people, line by line as it is made, or JSON at the end.
//!
//! It goes to standard output. Whoever closed that does not want to hear it, so failures to write are not told.

use std::io::{IsTerminal, Write, stdout};

use host::netns::Reference;
use serde::Serialize;

use super::finding::{Conclusion, Finding, HERE, Purpose, Verdict};

/// Columns of a terminal that a check list fills at most.
const WIDTH: usize = 112;
/// Columns before the words of a finding.
const INDENT: usize = 18;

/// All findings so far.
#[derive(Debug)]
pub(crate) struct Sheet {
    findings: Vec<Finding>,
    /// What commands begin with that are to run in the network namespace that is examined.
    inside: Option<String>,
    as_json: bool,
    /// Whether a person looks on: then there are colours, and long lines are broken.
    on_terminal: bool,
}

/// The sheet as JSON.
#[derive(Debug, Serialize)]
struct Document<'a> {
    verdict: Conclusion,
    exit: u8,
    words: &'a str,
    findings: &'a [Finding],
}

impl Sheet {
    pub(crate) fn new(as_json: bool, namespace: Option<&Reference>) -> Self {
        Self {
            findings: Vec::new(),
            inside: namespace.map(Reference::command),
            as_json,
            on_terminal: stdout().is_terminal(),
        }
    }

    /// Writes a finding down.
    pub(crate) fn add(&mut self, mut finding: Finding) {
        if let Some(prefix) = &self.inside {
            finding.fixes.iter_mut().for_each(|fix| fix.inside(prefix));
        }
        if !self.as_json {
            let _ = stdout()
                .lock()
                .write_all(lines(&finding, self.on_terminal).as_bytes());
        }
        self.findings.push(finding);
    }

    /// Writes findings down.
    pub(crate) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.add(finding);
        }
    }

    /// Whether something was found that keeps a run from working.
    pub(crate) fn has_failure(&self) -> bool {
        self.count(Verdict::Fail) > 0
    }

    /// How many findings of this check are as they should be.
    pub(crate) fn ok_of(&self, check: &str) -> usize {
        let of_it = |finding: &&Finding| finding.verdict == Verdict::Ok && finding.check == check;
        self.findings.iter().filter(of_it).count()
    }

    fn count(&self, verdict: Verdict) -> usize {
        let of_it = |finding: &&Finding| finding.verdict == verdict;
        self.findings.iter().filter(of_it).count()
    }

    /// Writes the last line, or all of the JSON.
    pub(crate) fn conclude(&self, conclusion: Conclusion, words: &str) {
        let mut out = stdout().lock();
        if self.as_json {
            let document = Document {
                verdict: conclusion,
                exit: conclusion.code(),
                words,
                findings: &self.findings,
            };
            if let Ok(text) = serde_json::to_string_pretty(&document) {
                let _ = writeln!(out, "{text}");
            }
            return;
        }
        let (fails, notes) = (self.count(Verdict::Fail), self.count(Verdict::Note));
        let counts = format!("{fails} failure(s), {notes} note(s)");
        let text = format!("verdict: {words} ({counts}; exit {})", conclusion.code());
        let text = wrapped(&text, if self.on_terminal { WIDTH } else { usize::MAX }, 0);
        let _ = writeln!(out, "\n{text}");
    }
}

/// A finding for people: its line, and a line for each command.
fn lines(finding: &Finding, on_terminal: bool) -> String {
    let (word, colour) = match finding.verdict {
        Verdict::Ok => ("ok", "32"),
        Verdict::Note => ("note", "33"),
        Verdict::Fail => ("FAIL", "1;31"),
    };
    let word = if on_terminal {
        format!("\x1b[{colour}m{word:<4}\x1b[0m")
    } else {
        format!("{word:<4}")
    };
    let width = if on_terminal { WIDTH } else { usize::MAX };
    let mut said = finding.said.clone();
    if finding.verdict != Verdict::Ok {
        said = format!("{said} [{}]", finding.finding);
    }
    let mut text = format!(
        "{word}  {:<11} {}\n",
        finding.check,
        wrapped(&said, width, INDENT)
    );
    for fix in &finding.fixes {
        let place = match fix.place.as_str() {
            HERE => "here".to_owned(),
            place => format!("on {place}"),
        };
        let purpose = match fix.purpose {
            Purpose::Fix => "fix",
            Purpose::Look => "look",
        };
        // Never broken: it is to be copied.
        text.push_str(&format!(
            "{:INDENT$}{purpose} {place}: {}
",
            "", fix.command
        ));
    }
    text
}

/// Breaks a text between words so that each line ends before `width`; all but the first are indented.
fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut broken = String::new();
    let mut column = indent;
    for word in text.split(' ') {
        let len = word.chars().count();
        if broken.is_empty() {
            // The first word stands where it stands.
        } else if column.saturating_add(1 + len) > width {
            broken.push('\n');
            broken.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            broken.push(' ');
            column += 1;
        }
        broken.push_str(word);
        column += len;
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::finding::Finding;
    use super::{lines, wrapped};

    #[test]
    fn a_text_is_broken_between_words_and_none_is_lost() {
        let text = "one two three four five";
        let broken = wrapped(text, 12, 2);
        assert!(broken.lines().all(|line| line.len() <= 12), "{broken}");
        assert_eq!(
            broken.split_whitespace().collect::<Vec<_>>().join(" "),
            text
        );
        assert_eq!(wrapped(text, usize::MAX, 2), text);
    }

    #[test]
    fn a_finding_is_one_line_and_one_for_each_command() {
        let finding = Finding::fail("path", "target-silent", "no answer")
            .fix_here("ip route")
            .look("10.0.0.9", "ss -tln");
        let text = lines(&finding, false);
        let expected = "FAIL  path        no answer [target-silent]\n                  fix here: ip route\n                  \
                        look on 10.0.0.9: ss -tln\n";
        assert_eq!(text, expected);
    }
}
