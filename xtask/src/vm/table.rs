//! The table at the end.

use super::verdict::{Ended, Figures};

/// How a case went.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// All its tests passed.
    Ok,
    /// Not; why.
    Failed(String),
    /// It did not run; why.
    Skipped(String),
}

/// A line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) kernel: String,
    pub(super) outcome: Outcome,
    pub(super) seconds: Option<u64>,
    pub(super) figures: Figures,
}

impl Row {
    /// A case that did not run.
    pub(super) fn skipped(case: &str, kernel: &str, why: &str) -> Self {
        Self {
            case: case.to_owned(),
            kernel: kernel.to_owned(),
            outcome: Outcome::Skipped(why.to_owned()),
            seconds: None,
            figures: Figures::default(),
        }
    }

    /// A case of a machine that has ended; `killed` says why it was ended, if it was.
    pub(super) fn of(case: &str, kernel: &str, ended: Option<Ended>, killed: Option<&str>) -> Self {
        let end = ended.as_ref().and_then(|ended| ended.end);
        let outcome = match (end, &ended, killed) {
            (Some((0, _)), _, _) => Outcome::Ok,
            (Some((124 | 137, seconds)), _, _) => {
                Outcome::Failed(format!("it was ended after {seconds} s"))
            }
            (Some((status, _)), _, _) => Outcome::Failed(format!("exit status {status}")),
            (None, _, Some(why)) => Outcome::Failed(format!("the machine was ended: {why}")),
            (None, Some(_), None) => Outcome::Failed("the machine ended in the middle".to_owned()),
            (None, None, None) => Outcome::Failed("the machine did not come that far".to_owned()),
        };
        Self {
            case: case.to_owned(),
            kernel: kernel.to_owned(),
            outcome,
            seconds: end.map(|(_, seconds)| seconds),
            figures: ended.map(|ended| ended.figures).unwrap_or_default(),
        }
    }

    pub(super) fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    pub(super) fn was_skipped(&self) -> bool {
        matches!(self.outcome, Outcome::Skipped(_))
    }

    /// It in one line, as soon as it has ended.
    pub(super) fn line(&self) -> String {
        let cells = self.cells();
        format!(
            "{} {}: requests {}, fidelity {}, residue {}, left {}, {} s",
            cells[7], cells[0], cells[2], cells[3], cells[4], cells[5], cells[6]
        )
    }

    fn cells(&self) -> Vec<String> {
        let figures = &self.figures;
        let dash = || "-".to_owned();
        let copied = figures.copies > 0;
        let requests = format!("{}/{}", figures.online, figures.target);
        let fidelity = |share: f64| format!("{:.3} %", share * 100.0);
        vec![
            self.case.clone(),
            self.kernel.clone(),
            if copied { requests } else { dash() },
            figures.fidelity.map_or_else(dash, fidelity),
            if copied {
                figures.residue.to_string()
            } else {
                dash()
            },
            figures.left.map_or_else(dash, |left| left.to_string()),
            self.seconds
                .map_or_else(dash, |seconds| seconds.to_string()),
            match &self.outcome {
                Outcome::Ok => "ok".to_owned(),
                Outcome::Failed(_) => "FAILED".to_owned(),
                Outcome::Skipped(_) => "SKIP".to_owned(),
            },
        ]
    }
}

/// All rows as text, with what is to be told of them below.
pub(super) fn text(rows: &[Row]) -> String {
    let head = [
        "case", "kernel", "requests", "fidelity", "residue", "left", "s", "verdict",
    ];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(Row::cells));
    let mut text = crate::stage::table(&cells);
    for row in rows {
        let at = format!("{} on {}", row.case, row.kernel);
        match &row.outcome {
            Outcome::Failed(why) => text.push_str(&format!("{at} failed: {why}\n")),
            Outcome::Skipped(why) => text.push_str(&format!("SKIP: {at}: {why}\n")),
            Outcome::Ok => {}
        }
        for note in &row.figures.notes {
            text.push_str(&format!("{at}: {note}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Row, text};
    use crate::vm::verdict::parse;

    #[test]
    fn a_case_that_did_not_end_has_failed() {
        let mut cases =
            parse("begin a\nend a 0 3\nbegin b\nend b 101 4\nbegin c\nend c 124 9\nbegin d\n")
                .cases;
        let d = cases.pop();
        let (c, b, a) = (cases.pop(), cases.pop(), cases.pop());
        assert_eq!(Row::of("a", "k", a, Some("it talks")).outcome, Outcome::Ok);
        for (ended, killed, why) in [
            (b, None, "exit status 101"),
            (c, None, "it was ended after 9 s"),
            (d, None, "the machine ended in the middle"),
            (None, None, "the machine did not come that far"),
            (None, Some("late"), "the machine was ended: late"),
        ] {
            let row = Row::of("x", "k", ended, killed);
            assert_eq!(row.outcome, Outcome::Failed(why.to_owned()));
            assert!(row.failed());
        }
    }

    #[test]
    fn figures_and_notes_are_told() {
        let said = "begin a\nfigures {\"online\":9,\"target\":8,\"fidelity\":0.5,\"residue\":1}\nfigures {\"left\":2,\"note\":\"generic\"}\nend a 1 3\n";
        let row = Row::of("a", "6.1", parse(said).cases.pop(), None);
        let skipped = Row::skipped("b", "6.12", "no kernel");
        let text = text(&[row, skipped]);
        assert!(
            text.contains("9/8  50.000 %        1     2  3   FAILED"),
            "{text}"
        );
        assert!(text.contains("a on 6.1: generic\n"), "{text}");
        assert!(text.contains("SKIP: b on 6.12: no kernel\n"), "{text}");
    }
}
