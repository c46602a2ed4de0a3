//! What people see of the runs of the sheet: closing table, report and live page (in a browser), metrics, summary and exit status.
//! Each says the same.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use serde_json::{Value, json};
use telemetry::table::Table;
use telemetry::{Snapshot, Summary};

use super::runs::{self, Copy, Truth};
use crate::run::ending::{self, Stop};

#[test]
fn the_table_says_what_is_true() {
    for truth in runs::all() {
        let table = Table(&truth.fact.summary()).to_string();
        let line = |name: &str| {
            let lines = table.lines().filter(|line| line.starts_with(name));
            lines.collect::<Vec<_>>().join("\n")
        };
        let name = truth.name;
        let taken = match truth.fidelity {
            Some(percent) => {
                let percent = percent.strip_suffix(".000").unwrap_or(percent);
                format!("TAKEN     {percent} %")
            }
            None => "TAKEN     -         NOTHING TO JUDGE".to_owned(),
        };
        assert!(line("TAKEN").starts_with(&taken), "{name}: {table}");
        let copy = match truth.copy {
            Copy::None => "COPY      -",
            Copy::KeptUp => "COPY      kept up",
            Copy::Behind => "COPY      BEHIND",
        };
        assert!(line("COPY").starts_with(copy), "{name}: {table}");
        let words = truth.speed.map(|verdict| verdict.replace('_', " "));
        if truth.copy == Copy::None {
            assert!(line("SPEED").ends_with('?'), "{name}: {table}");
        } else {
            assert!(line("SPEED").ends_with(&words[0]), "{name}: {table}");
            assert!(
                line("          p99").ends_with(&words[1]),
                "{name}: {table}"
            );
        }
        for finding in [
            &truth.fact.summary().verdict.last.p50,
            &truth.fact.summary().verdict.last.p99,
        ] {
            let wanted = finding
                .would_tell
                .map(|wanted| format!("          {wanted}\n"));
            assert!(
                truth.copy == Copy::None || wanted.is_none_or(|wanted| table.contains(&wanted)),
                "{name}: {table}"
            );
        }
        let [differing, compared] = truth.differing;
        let answers = line("ANSWERS");
        let is_said = match (differing, compared) {
            (0, 0) => answers.contains("no responses were compared"),
            (0, _) => answers.contains("the same"),
            _ => answers.contains("differ: ") && answers.ends_with("BAD"),
        };
        assert!(is_said, "{name}: {table}");
        assert!(table.lines().take(2).all(|line| line.chars().count() < 110));
    }
}

#[test]
fn summary_metrics_and_exit_status_say_what_is_true() {
    for truth in runs::all() {
        let (name, summary) = (truth.name, truth.fact.summary());
        let ending = ending::of(Stop::Asked, &summary);
        assert_eq!(ending.code(), truth.exit_status, "{name}: {ending:?}");
        let shown = summary
            .fidelity
            .map(|share| format!("{:.3}", (share * 100_000.0).floor() / 1000.0));
        assert_eq!(shown.as_deref(), truth.fidelity, "{name}");
        let differences = [summary.differences.differing, summary.differences.compared];
        assert_eq!(differences, truth.differing, "{name}");
        let snapshot = Snapshot {
            summary: summary.clone(),
            totals: truth.fact.totals,
            channels: Vec::new(),
            programs: Vec::new(),
        };
        let text = snapshot.families(true).text();
        let metric = |name: &str| {
            let lines = text.lines().map(|line| line.split_once(' '));
            let found = lines.flatten().find(|(metric, _)| *metric == name);
            found.and_then(|(_, value)| value.parse::<f64>().ok())
        };
        assert_eq!(metric("tcpcopy_fidelity_ratio"), summary.fidelity, "{name}");
        let differing = metric("tcpcopy_turns_differing_total");
        assert_eq!(differing, Some(truth.differing[0] as f64), "{name}");
    }
}

#[test]
fn report_and_page_say_what_is_true() {
    let truths = runs::all();
    let folder = Folder::new();
    let Some(said) = browsed(&truths, &folder) else {
        let why = "SKIP: report and page are not looked at: there is no chromium";
        // Tests that pass are not heard otherwise.
        writeln!(std::io::stderr(), "{why}").expect("standard error");
        return;
    };
    for (truth, said) in truths.iter().zip(&said) {
        check_words(truth, said);
        check_marks(truth, said);
    }
}

fn text(said: &Value, key: &str) -> String {
    let text = said[key].as_str().unwrap_or_default();
    text.replace('\u{a0}', " ")
}

/// What report and page say in words.
fn check_words(truth: &Truth, said: &Value) {
    let (name, report, page) = (truth.name, text(said, "report"), text(said, "page"));
    let (in_report, on_page) = match truth.fidelity {
        Some(percent) => {
            let percent = percent.strip_suffix(".000").unwrap_or(percent);
            (
                format!("Fidelity {percent} %"),
                format!("Fidelity{percent} %"),
            )
        }
        None => (
            "Nothing to judge: this run says nothing of the target".to_owned(),
            "Fidelity–nothing to judge".to_owned(),
        ),
    };
    let is_empty = truth.fidelity.is_none();
    assert!(
        !is_empty || !report.contains("Fidelity 100"),
        "{name}: {report}"
    );
    let copy = match truth.copy {
        Copy::None => "Nothing left for the target",
        Copy::KeptUp => "The copy kept up",
        Copy::Behind => "The copy fell behind: requests left up to 17.3 s late",
    };
    let answers = match truth.differing {
        [0, 0] => "No responses were compared",
        [0, _] => "compared responses are the same",
        _ => "compared responses differ",
    };
    let (run, line) = ("on online", "tcpcopy -x 80-192.0.2.9:80");
    for words in [&in_report, copy, answers, run, line] {
        assert!(report.contains(words), "{name}, `{words}`: {report}");
    }
    assert!(page.contains(&on_page), "{name}, `{on_page}`: {page}");
    let summary = truth.fact.summary();
    for finding in [summary.verdict.last.p50, summary.verdict.last.p99] {
        if let Some(wanted) = finding.would_tell {
            let words = format!("cannot tell: {wanted}");
            assert!(report.contains(&words), "{name}, `{words}`: {report}");
        }
    }
    if truth.speed[0] == "slower" {
        let words = format!("slower in the median{}", relation(&summary));
        assert!(report.contains(&words), "{name}, `{words}`: {report}");
    }
    let pending = summary.ledger.get("pending").copied();
    let words = if summary.ended.is_some() {
        "not finished in time"
    } else {
        "still open"
    };
    let is_said = format!("{report}{page}").contains(words);
    assert_eq!(is_said, pending.unwrap_or_default() > 0, "{name}: {words}");
    check_replay(&summary, &report, &page);
    let is_sound = !report.contains("undefined") && !report.contains("NaN");
    assert!(is_sound, "{name}: {report}");
}

/// What they say of how far a replay is; nothing where it is none.
fn check_replay(summary: &Summary, report: &str, page: &str) {
    let Some(replay) = &summary.replay else {
        assert!(!report.contains("replayed") && !page.contains("of the capture"));
        return;
    };
    let in_report = format!("replayed {}3.00 MB read", replay.words);
    assert!(report.contains(&in_report), "{report}");
    let (read, end) = if replay.bytes_total.is_some() {
        ("read3.00 MB of 12.0 MB", "expected end in 42 s")
    } else {
        (
            "read3.00 MB; how much there is nobody knows",
            "packets 4,321",
        )
    };
    for words in [&replay.words, read, end, "file 2 of 3", "13 s"] {
        assert!(page.contains(words), "`{words}`: {page}");
    }
    assert_eq!(page.contains("expected end"), replay.left_seconds.is_some());
}

/// How many times as long as the online server the target took in the median, or how many percent longer.
fn relation(summary: &Summary) -> String {
    let json = serde_json::to_value(&summary.verdict).expect("JSON");
    let [online, target] = ["online", "target_net"].map(|side| {
        let median = &json["intervals_us"][side]["last_byte"]["p50"]["value"];
        median.as_f64().expect("a number")
    });
    if target >= 2.0 * online {
        format!(" ({:.1} times)", target / online)
    } else {
        format!(" (+{:.1} %)", (target / online - 1.0) * 100.0)
    }
}

/// What they say by marks and colours.
fn check_marks(truth: &Truth, said: &Value) {
    let name = truth.name;
    let speed = [&said["p50"], &said["p99"]].map(|word| word.as_str().unwrap_or_default());
    assert_eq!(speed, truth.speed, "{name}");
    assert_eq!(said["page_p50"], truth.speed[0], "{name}");
    let summary = truth.fact.summary();
    // A run that has not ended is to be minded.
    let is_green = truth.is_green && summary.ended.is_some();
    assert_eq!(
        said["level"] == "good",
        is_green,
        "{name}: {}",
        said["level"]
    );
    let gates: Vec<Value> = summary
        .gates
        .iter()
        .map(|gate| json!(gate.result))
        .collect();
    assert_eq!(said["gates"], json!(gates), "{name}");
}

/// What a browser shows of each run, by what is asked of it; `None` where there is no browser.
fn browsed(truths: &[Truth], folder: &Folder) -> Option<Vec<Value>> {
    let pages: Vec<String> = truths
        .iter()
        .map(|truth| page_of(&truth.fact.summary()))
        .collect();
    let files: Vec<PathBuf> = truths
        .iter()
        .enumerate()
        .map(|(index, truth)| {
            let json = truth.fact.summary().json().expect("JSON");
            folder.write(&format!("{index}.json"), &json)
        })
        .collect();
    let mut reports = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let out = folder.0.join(format!("{index}.html"));
        telemetry::report::write(std::slice::from_ref(file), &out, false).expect("a report");
        reports.push(fs::read_to_string(out).expect("the report"));
    }
    let documents = json!({"pages": pages, "reports": reports}).to_string();
    let harness = include_str!("surfaces/harness.html");
    let harness = harness.replace("{{documents}}", &documents.replace('<', "\\u003c"));
    let harness = folder.write("harness.html", harness.as_bytes());
    let shown = dumped(&harness, &folder.0)?;
    let (_, rest) = shown
        .split_once("<pre id=\"said\">")
        .expect("what was said");
    let (said, _) = rest.split_once("</pre>").expect("an end");
    let said = said
        .replace("&nbsp;", "\u{a0}")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    Some(serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}")))
}

/// The live page with the answer to its question inside.
fn page_of(summary: &Summary) -> String {
    let summary = summary.clone().json_line().expect("JSON");
    let summary = String::from_utf8_lossy(&summary).replace('<', "\\u003c");
    let answer = format!(
        "<script>window.fetch = async () => ({{ ok: true, json: async () => ({summary}) }});</script>"
    );
    let page = &telemetry::page::page().html;
    page.replacen("<script>", &format!("{answer}<script>"), 1)
}

/// A document as the browser has drawn it.
fn dumped(file: &Path, folder: &Path) -> Option<String> {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(profile)
        .arg(format!("file://{}", file.display()))
        .output()
        .ok()?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && shown.contains("id=\"said\""),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(shown)
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = env::temp_dir().join(format!("tcpcopy-facts-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A browser that still ends may be writing there; the folder is one of a test's.
        let _ = fs::remove_dir_all(&self.0);
    }
}
