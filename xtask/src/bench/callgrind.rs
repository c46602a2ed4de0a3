//! Reads what callgrind writes: <https://valgrind.org/docs/manual/cl-format.html>, without compression and with one event.

use std::collections::BTreeMap;

/// Instructions by function.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// By the function itself and what was inlined into it.
    own: BTreeMap<String, f64>,
    /// By what it called.
    called: BTreeMap<String, f64>,
}

impl Profile {
    /// Reads a profile.
    pub(super) fn parse(text: &str) -> Self {
        let mut profile = Self::default();
        let mut function = String::new();
        let mut is_call = false;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                // A recursion is numbered: `name'2`.
                let name = name.split('\'').next().unwrap_or(name);
                name.clone_into(&mut function);
            } else if line.starts_with("calls=") {
                // The next line is the cost of the calls, all that they called included.
                is_call = true;
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let cost = line.split_whitespace().nth(1);
                let cost: f64 = cost.and_then(|cost| cost.parse().ok()).unwrap_or(0.0);
                let by = if is_call {
                    &mut profile.called
                } else {
                    &mut profile.own
                };
                *by.entry(function.clone()).or_default() += cost;
                is_call = false;
            }
        }
        profile
    }

    /// What each of `count` units costs that this profile has more than `shorter`.
    pub(super) fn per_unit(&self, shorter: &Self, count: u32) -> Self {
        let difference = |long: &BTreeMap<String, f64>, short: &BTreeMap<String, f64>| {
            long.iter()
                .map(|(name, cost)| {
                    let more = cost - short.get(name).unwrap_or(&0.0);
                    (name.clone(), more / f64::from(count))
                })
                .collect()
        };
        Self {
            own: difference(&self.own, &shorter.own),
            called: difference(&self.called, &shorter.called),
        }
    }

    /// Instructions of a function and of what it called.
    pub(super) fn inclusive(&self, function: &str) -> f64 {
        let of = |by: &BTreeMap<String, f64>| by.get(function).copied().unwrap_or(0.0);
        of(&self.own) + of(&self.called)
    }

    /// Instructions of each function by itself.
    pub(super) fn functions(&self) -> &BTreeMap<String, f64> {
        &self.own
    }

    /// All instructions.
    pub(super) fn total(&self) -> f64 {
        self.own.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Profile;

    #[test]
    fn costs_are_told_apart_from_the_costs_of_calls() {
        let text = "version: 1\npositions: line\nevents: Ir\n\nfl=a.rs\nfn=outer\n16 400\nfi=b.rs\n3 20\n\
            cfn=inner\ncalls=2 50\n16 600\n\nfn=inner\n51 600\n\nfn=outer'2\n16 5\ntotals: 1025\n";
        let profile = Profile::parse(text);
        assert_eq!(profile.functions()["outer"], 425.0);
        assert_eq!(profile.inclusive("outer"), 1025.0);
        assert_eq!(profile.total(), 1025.0);
        assert_eq!(
            profile.per_unit(&Profile::parse(""), 5).inclusive("inner"),
            120.0
        );
    }
}
