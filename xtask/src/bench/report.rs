//! Medians over the rounds, as a table.

use std::collections::BTreeMap;

use serde::Serialize;

use super::case::{Case, Variant};
use super::run::Run;
use crate::stage;

/// The median of each figure of a load and a copy.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Median {
    case: Case,
    variant: Variant,
    rounds: usize,
    failures: usize,
    /// Requests per second, or Gb/s.
    rate: f64,
    /// Against the load alone, in percent.
    pub(super) rate_change_percent: Option<f64>,
    errors: f64,
    p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) fidelity: Option<f64>,
    fidelity_ledger: Option<f64>,
    reaction_us: Option<f64>,
    lag_p99_us: Option<f64>,
    /// CPU time of the whole machine per 1000 requests (per GB), in milliseconds, and what the copy adds.
    machine_ms: f64,
    pub(super) machine_added_ms: Option<f64>,
    /// What it adds as a ratio to what a plain client does.
    pub(super) added_of_client: Option<f64>,
    process_ms: BTreeMap<String, f64>,
    memory_mb: BTreeMap<String, f64>,
}

impl Median {
    /// The names of load and copy.
    pub(super) fn names(&self) -> (String, String) {
        (self.case.name(), self.variant.name())
    }
}

/// The medians, load by load.
pub(super) fn medians(runs: &[Run]) -> Vec<Median> {
    let mut groups: BTreeMap<(Case, Variant), Vec<&Run>> = BTreeMap::new();
    for run in runs {
        groups.entry((run.case, run.variant)).or_default().push(run);
    }
    let mut medians: Vec<Median> = groups
        .iter()
        .map(|((case, variant), runs)| of(*case, *variant, runs))
        .collect();
    let alone: BTreeMap<Case, (f64, f64)> = medians
        .iter()
        .filter(|median| median.variant == Variant::Alone)
        .map(|median| (median.case, (median.rate, median.machine_ms)))
        .collect();
    for median in medians
        .iter_mut()
        .filter(|median| median.variant != Variant::Alone)
    {
        if let Some((rate, machine_ms)) = alone.get(&median.case) {
            median.rate_change_percent = Some((median.rate / rate.max(1e-9) - 1.0) * 100.0);
            median.machine_added_ms = Some(median.machine_ms - machine_ms);
        }
    }
    let client: BTreeMap<Case, f64> = medians
        .iter()
        .filter(|median| median.variant == Variant::PlainClient)
        .filter_map(|median| Some((median.case, median.machine_added_ms?)))
        .collect();
    for median in &mut medians {
        let client = client.get(&median.case).filter(|added| **added > 0.0);
        let added = median
            .machine_added_ms
            .filter(|_| matches!(median.variant, Variant::Copied(..)));
        median.added_of_client = added.zip(client).map(|(added, client)| added / client);
    }
    medians
}

fn of(case: Case, variant: Variant, runs: &[&Run]) -> Median {
    let median = |value: &dyn Fn(&Run) -> f64| {
        stage::median(&mut runs.iter().map(|run| value(run)).collect::<Vec<_>>())
    };
    let optional = |value: &dyn Fn(&Run) -> Option<f64>| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| value(run)).collect();
        (!values.is_empty()).then(|| stage::median(&mut values))
    };
    let by_process = |figures: &dyn Fn(&Run) -> BTreeMap<String, f64>| {
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, value) in runs.iter().flat_map(|run| figures(run)) {
            values.entry(name).or_default().push(value);
        }
        values
            .into_iter()
            .map(|(name, mut values)| (name, stage::median(&mut values)))
            .collect()
    };
    Median {
        case,
        variant,
        rounds: runs.len(),
        failures: runs.iter().filter(|run| run.failure.is_some()).count(),
        rate: median(&|run| run.rate),
        rate_change_percent: None,
        errors: median(&|run| run.errors as f64),
        p50_us: median(&|run| run.p50_us),
        p99_us: median(&|run| run.p99_us),
        fidelity: optional(&|run| run.fidelity),
        fidelity_ledger: optional(&|run| run.fidelity_ledger),
        reaction_us: optional(&|run| run.reaction_us),
        lag_p99_us: optional(&|run| run.lag_p99_us),
        machine_ms: median(&|run| run.machine_ms),
        machine_added_ms: None,
        added_of_client: None,
        process_ms: by_process(&|run| run.process_ms.clone()),
        memory_mb: by_process(&|run| run.memory_mb.clone()),
    }
}

/// One run in one line.
pub(super) fn line(run: &Run) -> String {
    let unit = if run.case.is_bulk() { "Gb/s" } else { "req/s" };
    let fidelity = run.fidelity.map_or(String::new(), |fidelity| {
        format!(", fidelity {:.3} %", fidelity * 100.0)
    });
    let failure = run.failure.as_ref().map_or(String::new(), |failure| {
        format!("\n    THE COPY FAILED: {failure}")
    });
    let residues: String = run
        .residues
        .iter()
        .map(|(row, residue)| format!(", residue of {row} {residue}"))
        .collect();
    let errors = if run.errors > 0 {
        format!(", {} ERRORS AT CLIENTS", run.errors)
    } else {
        String::new()
    };
    let lost = if run.lost > 0 {
        format!(", {} packets lost: {}", run.lost, run.ledger)
    } else {
        String::new()
    };
    let reaction = match (run.reaction_us, run.lag_p99_us) {
        (Some(reaction), Some(lag)) => {
            let outside = run.outside_us.map_or(String::new(), |outside| {
                format!(" ({outside:.1} us by stamps on the device)")
            });
            format!(", reaction p50 {reaction:.0} us{outside}, lag p99 {lag:.0} us")
        }
        _ => String::new(),
    };
    format!(
        "{:.1} {unit}, p50 {:.0} us, p99 {:.0} us, machine {:.1} ms per 1000{fidelity}{reaction}{lost}{errors}{residues}{failure}",
        run.rate, run.p50_us, run.p99_us, run.machine_ms
    )
}

/// The table of all medians.
pub(super) fn table(medians: &[Median]) -> String {
    let head = [
        "load",
        "copy",
        "req/s or Gb/s",
        "change",
        "p50 us",
        "p99 us",
        "fidelity",
        "by ledger",
        "reaction us",
        "lag p99 ms",
        "machine ms/1000 req (GB)",
        "added",
        "added / client",
        "tcpcopy",
        "intercept",
        "target",
        "RSS MB",
        "failed",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(medians.iter().map(row));
    stage::table(&rows)
}

/// One line of it.
fn row(median: &Median) -> Vec<String> {
    let percent = |share: Option<f64>| {
        share.map_or("-".to_owned(), |share| format!("{:.3} %", share * 100.0))
    };
    let process = |name: &str| {
        median
            .process_ms
            .get(name)
            .map_or("-".to_owned(), |ms| format!("{ms:.1}"))
    };
    let figure = |value: Option<f64>, unit: f64| {
        value.map_or("-".to_owned(), |value| format!("{:.0}", value / unit))
    };
    let latency = |value: f64| {
        if median.case.is_bulk() {
            "-".to_owned()
        } else {
            format!("{value:.0}")
        }
    };
    let memory = median
        .memory_mb
        .get("tcpcopy")
        .map_or("-".to_owned(), |mb| format!("{mb:.0}"));
    vec![
        median.case.name(),
        median.variant.name(),
        format!("{:.1}", median.rate),
        median
            .rate_change_percent
            .map_or("-".to_owned(), |change| format!("{change:+.1} %")),
        latency(median.p50_us),
        latency(median.p99_us),
        percent(median.fidelity),
        percent(median.fidelity_ledger),
        figure(median.reaction_us, 1.0),
        figure(median.lag_p99_us, 1000.0),
        format!("{:.1}", median.machine_ms),
        median
            .machine_added_ms
            .map_or("-".to_owned(), |added| format!("{added:+.1}")),
        median
            .added_of_client
            .map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        process("tcpcopy"),
        process("intercept"),
        process("target"),
        memory,
        if median.failures == 0 {
            "-".to_owned()
        } else {
            format!("{} of {}", median.failures, median.rounds)
        },
    ]
}
