//! Summaries of earlier formats, brought to this one, so that an old run can be shown and compared with a new one.
//!
//! Format 1 had the drain in `duration_seconds`, other names and orders of keys, and a fidelity of 1 where nothing was served. What it
//! did not know stays unknown: when the run was over, on which host, with which options.

use serde_json::{Map, Value, json};

use crate::findings::{Findings, Numbers};

/// Brings a summary of format 1 to format 2.
pub(super) fn from_1(summary: &mut Value) {
    let (fidelity, captured) = (fidelity(summary), count(summary, "/ledger/captured"));
    let Some(keys) = summary.as_object_mut() else {
        return;
    };
    keys.insert("format".to_owned(), 2.into());
    let nothing = match (&fidelity, captured) {
        (Value::Null, 0) => "nothing was captured".into(),
        (Value::Null, _) => "the online server served nothing of what was captured".into(),
        _ => Value::Null,
    };
    keys.insert("nothing_to_judge".to_owned(), nothing);
    keys.insert("fidelity".to_owned(), fidelity);
    rename(keys, "duration_seconds", "capture_seconds");
    rename(keys, "kernel", "hooks");
    rename(keys, "notes", "incidents");
    rename(keys, "curves", "curves_us");
    let clock_error = keys
        .get_mut("incidents")
        .and_then(Value::as_object_mut)
        .and_then(|incidents| incidents.remove("clock_error_us"));
    keys.insert("clock_error_us".to_owned(), clock_error.into());
    keys.insert("gates".to_owned(), json!([]));
    for name in ["latency_us", "curves_us", "differences", "verdict"] {
        let Some(part) = keys.get_mut(name).and_then(Value::as_object_mut) else {
            continue;
        };
        match name {
            "latency_us" => latency(part),
            "curves_us" => *part = by_side(part),
            "differences" => differences(part),
            _ => verdict(part),
        }
    }
    let findings = Findings::new(&numbers(summary));
    // Words and levels of ours can be written as JSON.
    summary["findings"] = serde_json::to_value(findings).unwrap_or_default();
}

fn rename(keys: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = keys.remove(from) {
        keys.insert(to.to_owned(), value);
    }
}

fn count(summary: &Value, path: &str) -> u64 {
    summary.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// As [`crate::fidelity`]; what was paused is not reckoned in, because how many packets were recorded may be missing.
fn fidelity(summary: &Value) -> Value {
    let served = count(summary, "/ledger/captured")
        .saturating_sub(count(summary, "/ledger/unserved"))
        .saturating_sub(count(summary, "/ledger/filtered"))
        + count(summary, "/left_out/turns");
    let taken = count(summary, "/ledger/answered") + count(summary, "/ledger/delivered");
    if served == 0 {
        return Value::Null;
    }
    json!(taken as f64 / served as f64)
}

fn latency(latency: &mut Map<String, Value>) {
    for value in latency.values_mut() {
        let Some(side) = value.as_object_mut() else {
            continue;
        };
        rename(side, "first", "first_byte");
        rename(side, "last", "last_byte");
        rename(side, "p99.9", "p999");
        for end in ["first_byte", "last_byte"] {
            if let Some(quantiles) = side.get_mut(end).and_then(Value::as_object_mut) {
                rename(quantiles, "p99.9", "p999");
            }
        }
    }
}

/// `target_first_byte_net` becomes `target_net`, `first_byte`.
fn by_side(flat: &mut Map<String, Value>) -> Map<String, Value> {
    let mut nested = Map::new();
    for (name, value) in std::mem::take(flat) {
        let end = ["first_byte", "last_byte"]
            .into_iter()
            .find(|end| name.contains(end));
        let Some(end) = end else {
            nested.insert(name, value);
            continue;
        };
        let side = name.replace(&format!("_{end}"), "");
        let ends = nested.entry(side).or_insert_with(|| json!({}));
        ends[end] = value;
    }
    nested
}

fn differences(differences: &mut Map<String, Value>) {
    const TOTALS: [&str; 6] = [
        "compared",
        "unpaired",
        "paced",
        "sampled",
        "unsampled",
        "differing",
    ];
    let (totals, kinds) = std::mem::take(differences)
        .into_iter()
        .partition(|(name, _)| TOTALS.contains(&name.as_str()));
    *differences = totals;
    differences.insert("kinds".to_owned(), Value::Object(kinds));
}

fn verdict(verdict: &mut Map<String, Value>) {
    rename(verdict, "accuracy", "accuracy_us");
    rename(verdict, "first", "first_byte");
    rename(verdict, "last", "last_byte");
    rename(verdict, "intervals", "intervals_us");
    if let Some(intervals) = verdict
        .get_mut("intervals_us")
        .and_then(Value::as_object_mut)
    {
        *intervals = by_side(intervals);
    }
    for end in ["first_byte", "last_byte"] {
        let quantiles = verdict.get_mut(end).and_then(Value::as_object_mut);
        for finding in quantiles.into_iter().flat_map(Map::values_mut) {
            let Some(finding) = finding.as_object_mut() else {
                continue;
            };
            rename(finding, "says", "verdict");
            rename(finding, "difference", "difference_us");
            rename(finding, "low", "low_us");
            rename(finding, "high", "high_us");
        }
    }
}

/// The figures that findings follow from, of a summary that has been brought to this format but for them.
fn numbers(summary: &Value) -> Numbers {
    let count = |path: &str| count(summary, path);
    let rows = summary["hooks"].as_object().filter(|rows| !rows.is_empty());
    let residues = rows.map(|rows| {
        let residues = rows.values().filter_map(|row| row["residue"].as_i64());
        residues.filter(|residue| *residue != 0).count() as u64
    });
    Numbers {
        is_over: summary["state"] == "ended",
        fidelity: summary["fidelity"].as_f64(),
        lags: count("/latency_us/lag/count"),
        lag_p99_us: count("/latency_us/lag/p99"),
        response_p99_us: count("/latency_us/online/last_byte/p99")
            .max(count("/latency_us/target/last_byte/p99")),
        compared: count("/differences/compared"),
        differing: count("/differences/differing"),
        // Nothing was compared by contents then.
        contents_differing: 0.0,
        incomplete: count("/differences/kinds/target_shorter")
            + count("/differences/kinds/target_silent"),
        is_target_slower: summary["verdict"]["last_byte"]["p50"]["verdict"] == "slower",
        bandwidth_reached: count("/incidents/max_bandwidth_reached"),
        residues,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::from_1;

    #[test]
    fn a_summary_of_format_1_is_read_as_one_of_today() {
        let quantiles = |n: u64| json!({"count": 8, "mean": 1.0, "p50": n, "p90": n, "p99": n, "p99.9": n, "max": n});
        let ends = |n: u64| json!({"first": quantiles(n), "last": quantiles(n)});
        let finding = json!({"says": "slower", "difference": 340, "low": 250, "high": null});
        let mut summary = json!({
            "format": 1, "version": "0.0.9", "state": "ended", "fidelity": 1.0, "duration_seconds": 25.0,
            "ledger": {"captured": 8, "answered": 4, "pending": 4, "unserved": 0},
            "left_out": {"turns": 0},
            "latency_us": {"online": ends(470), "target": ends(2010), "target_net": ends(2000), "lag": quantiles(17_300_000)},
            "verdict": {"accuracy": 50, "first": {"p50": finding, "p99": finding}, "last": {"p50": finding, "p99": finding},
                "intervals": {"online_first_byte": {"p50": {"value": 1}}, "target_last_byte_net": {"p50": {"value": 2}}}},
            "curves": {"online_last_byte": [[50.0, 1, 1]], "target_last_byte": [], "target_first_byte_net": [], "lag": [[50.0, 2, 2]]},
            "differences": {"compared": 4, "unpaired": 0, "paced": 0, "target_shorter": 4, "differing": 4},
            "kernel": {"capture": {"matched": 5, "residue": 0}},
            "notes": {"route_changes": 0, "clock_error_us": 77},
        });
        from_1(&mut summary);
        assert_eq!(summary["format"], 2);
        assert_eq!(
            summary["fidelity"], 0.5,
            "what was open at the end was not taken"
        );
        assert_eq!(summary["capture_seconds"], 25.0);
        assert_eq!(
            summary["latency_us"]["target_net"]["last_byte"]["p999"],
            2000
        );
        assert_eq!(summary["latency_us"]["lag"]["p999"], 17_300_000);
        assert_eq!(summary["verdict"]["accuracy_us"], 50);
        let found = &summary["verdict"]["last_byte"]["p50"];
        assert_eq!(
            *found,
            json!({"verdict": "slower", "difference_us": 340, "low_us": 250, "high_us": null})
        );
        let intervals = &summary["verdict"]["intervals_us"];
        assert_eq!(intervals["online"]["first_byte"]["p50"]["value"], 1);
        assert_eq!(intervals["target_net"]["last_byte"]["p50"]["value"], 2);
        assert!(summary["curves_us"]["target"]["last_byte"].is_array());
        assert!(summary["curves_us"]["target_net"]["first_byte"].is_array());
        assert_eq!(summary["curves_us"]["lag"][0][1], 2);
        assert_eq!(
            summary["differences"]["kinds"],
            json!({"target_shorter": 4})
        );
        assert_eq!(summary["clock_error_us"], 77);
        assert_eq!(summary["incidents"], json!({"route_changes": 0}));
        let findings = &summary["findings"];
        assert_eq!(
            [
                &findings["taken"],
                &findings["copy"],
                &findings["answers"],
                &findings["counters"]
            ],
            ["bad", "bad", "bad", "good"]
        );
    }

    #[test]
    fn an_empty_run_of_format_1_is_no_success() {
        let mut summary = json!({"format": 1, "fidelity": 1.0, "ledger": {"captured": 0}});
        from_1(&mut summary);
        assert!(summary["fidelity"].is_null());
        assert_eq!(summary["findings"]["taken"], "neutral");
        assert_eq!(summary["nothing_to_judge"], "nothing was captured");
        from_1(&mut json!([]));
    }
}
