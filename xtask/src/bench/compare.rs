//! What has changed since an earlier bench.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::report::Median;
use crate::stage;

/// Figures of a load with a copy, of which all but the names may be missing in the files of other versions.
#[derive(Deserialize)]
struct Figures {
    case: String,
    variant: String,
    added_of_client: Option<f64>,
    machine_added_ms: Option<f64>,
    rate_change_percent: Option<f64>,
    p99_us: Option<f64>,
    fidelity: Option<f64>,
}

/// What `--json` has written.
#[derive(Deserialize)]
struct Written {
    medians: Vec<Figures>,
}

/// The figures of an earlier bench.
pub(super) struct Earlier(BTreeMap<(String, String), Figures>);

impl Earlier {
    /// Reads what `--json` has written.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| {
            format!(
                "{} is not what `cargo xtask bench --json` writes",
                path.display()
            )
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let written: Written = serde_json::from_str(text)?;
        let named = |figures: Figures| ((figures.case.clone(), figures.variant.clone()), figures);
        Ok(Self(written.medians.into_iter().map(named).collect()))
    }

    /// Both side by side, as a table; ratios to the plain client and shares can be compared, milliseconds only on one machine.
    pub(super) fn against(&self, medians: &[Median]) -> String {
        let head = [
            "load",
            "copy",
            "added / client",
            "added ms",
            "change of rate %",
            "p99 us",
            "fidelity %",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for median in medians {
            let (case, variant) = median.names();
            let row = match self.0.get(&(case.clone(), variant.clone())) {
                Some(old) => {
                    let pair = |old: Option<f64>, new: Option<f64>, digits: usize| match (old, new)
                    {
                        (Some(old), Some(new)) => format!("{old:.digits$} -> {new:.digits$}"),
                        _ => "-".to_owned(),
                    };
                    let percent = |share: Option<f64>| share.map(|share| share * 100.0);
                    vec![
                        case,
                        variant,
                        pair(old.added_of_client, median.added_of_client, 2),
                        pair(old.machine_added_ms, median.machine_added_ms, 1),
                        pair(old.rate_change_percent, median.rate_change_percent, 1),
                        pair(old.p99_us, Some(median.p99_us), 0),
                        pair(percent(old.fidelity), percent(median.fidelity), 3),
                    ]
                }
                None => {
                    let mut row = vec![case, variant, "not in the earlier bench".to_owned()];
                    row.resize(head.len(), "-".to_owned());
                    row
                }
            };
            rows.push(row);
        }
        stage::table(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::Earlier;

    #[test]
    fn what_a_bench_has_written_is_read_and_other_files_are_refused() {
        let written = r#"{"rounds":1,"medians":[{"case":"short-3k","variant":"direct/ring",
            "machine_added_ms":40.5,"fidelity":1.0,"p99_us":300.0,"memory_mb":{}}],"runs":[]}"#;
        let earlier = Earlier::parse(written).expect("a bench of an earlier version");
        let key = ("short-3k".to_owned(), "direct/ring".to_owned());
        let figures = earlier.0.get(&key).expect("the load and the copy");
        assert_eq!(figures.machine_added_ms, Some(40.5));
        assert_eq!(figures.added_of_client, None);
        assert!(Earlier::parse("{}").is_err());
    }
}
