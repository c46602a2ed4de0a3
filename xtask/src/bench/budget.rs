//! What the engine may cost: `crates/session/benches/budget.txt`, with which `cargo xtask bench engine --check` compares.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Where the budget stands, from the root of the workspace on.
const FILE: &str = "crates/session/benches/budget.txt";
/// How much more than its budget something may cost, in percent: what another compiler makes of the same code.
const TOLERANCE_PERCENT: f64 = 3.0;

/// What each load may cost, in instructions per turn or connection.
#[derive(Debug)]
pub(super) struct Budget(BTreeMap<String, f64>);

impl Budget {
    /// Reads the budget of this tree.
    pub(super) fn read() -> Result<Self> {
        let path = workspace::root().join(FILE);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read the budget of the engine, {}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut budget = BTreeMap::new();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, max) = line.split_once('=').with_context(|| {
                format!("{FILE}: `{line}` is not `name = instructions`: write it like the others")
            })?;
            let max = max
                .trim()
                .replace(',', "")
                .parse::<u32>()
                .with_context(|| {
                    format!("{FILE}: the instructions in `{line}` are not a whole number")
                })?;
            budget.insert(name.trim().to_owned(), f64::from(max));
        }
        Ok(Self(budget))
    }

    /// Compares what was counted with the budget. A load without a budget is an error, as is one that costs more.
    pub(super) fn check(&self, counts: &[(&str, f64)]) -> Result<()> {
        let mut faults = Vec::new();
        for (name, count) in counts {
            match self.0.get(*name) {
                None => faults.push(format!("`{name}` has no budget: it takes {count:.0}")),
                Some(max) if *count > max * (1.0 + TOLERANCE_PERCENT / 100.0) => {
                    faults.push(format!(
                        "`{name}` takes {count:.0} instructions; its budget is {max:.0} and {TOLERANCE_PERCENT} % more"
                    ));
                }
                Some(_) => {}
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        bail!(
            "the engine has become more expensive: {}. Find what costs more in the list above; where it is worth it, change {FILE} in the same commit and say why",
            faults.join("; ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn three_percent_more_than_the_budget_is_too_much() {
        let budget = Budget::parse("# a comment\n\nturn = 1,000\nturn, at once = 500\n");
        let budget = budget.expect("a budget");
        let check =
            |counts: &[(&str, f64)]| budget.check(counts).map_err(|error| error.to_string());
        assert_eq!(check(&[("turn", 1030.0), ("turn, at once", 100.0)]), Ok(()));
        let more = check(&[("turn", 1031.0), ("turn, at once", 516.0)]);
        let more = more.expect_err("both cost more");
        assert!(more.contains("`turn` takes 1031"), "{more}");
        assert!(more.contains("`turn, at once` takes 516"), "{more}");
        assert!(check(&[("connection", 1.0)]).is_err(), "without a budget");
    }

    #[test]
    fn what_is_no_budget_is_refused() {
        assert!(Budget::parse("turn 1000").is_err());
        assert!(Budget::parse("turn = many").is_err());
    }

    #[test]
    fn the_budget_of_this_tree_can_be_read() {
        Budget::read().expect("the budget in the tree");
    }
}
