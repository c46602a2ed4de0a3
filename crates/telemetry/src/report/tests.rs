//! Good summaries, bad ones, and hostile ones.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{env, fs, process};

use serde_json::{Value, json};
use session::Counters;

use super::write;
use crate::{
    Differences, Figures, KernelCounters, Latency, Ledger, Mode, RunTotals, Series, Spread, State,
    Summary, WorkerTotals,
};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("tcpcopy-report-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn summary(&self, name: &str, summary: &Value) -> PathBuf {
        self.file(name, summary.to_string().as_bytes())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A run of ten seconds whose target takes so many microseconds more.
fn summary(more: u64) -> Value {
    let (mut latency, mut spread) = (Latency::new(), Spread::new());
    for _ in 0..10 {
        for turn in 0..500 {
            for (place, series) in (0..).zip(Series::COMPARED) {
                let micros = 1_000 + turn % 100 + if place < 2 { 0 } else { more };
                latency.add_time(series, Duration::from_micros(micros));
            }
        }
        spread.look(&latency);
    }
    let summary = Summary::new(&RunTotals {
        mode: Mode::Direct,
        state: State::Ended,
        started: SystemTime::UNIX_EPOCH,
        about: crate::About::default(),
        ready: Some(std::time::SystemTime::UNIX_EPOCH),
        ended: None,
        drain: Duration::ZERO,
        duration: Duration::from_secs(10),
        rules: vec!["80-10.0.0.2:80".to_owned()],
        ledger: Ledger::new(1),
        turns_open: 0,
        sessions_open: 0,
        budget: Figures::new(),
        latency,
        spread,
        differences: Differences::default(),
        engine: Counters::default(),
        workers: WorkerTotals::default(),
        kernel: KernelCounters::default(),
        cpu_seconds: Figures::new(),
        notes: Figures::new(),
        warnings: crate::Warnings::default(),
        changes: crate::Changes::default(),
        feedback: None,
        replay: None,
        comparison: None,
        tap: None,
    });
    serde_json::to_value(summary).unwrap()
}

fn data(report: &Path) -> Value {
    let html = fs::read_to_string(report).unwrap();
    let (_, rest) = html.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn runs_are_compared_with_the_first() {
    let folder = Folder::new("compare");
    let out = folder.0.join("report.html");
    let (before, after) = (
        folder.summary("before.json", &summary(0)),
        folder.summary("after.json", &summary(5_000)),
    );
    write(&[before.clone(), after, before], &out, false).unwrap();
    let data = data(&out);
    assert_eq!(data["runs"].as_array().unwrap().len(), 3);
    assert_eq!(data["runs"][1]["name"], "after.json");
    assert_eq!(
        data["runs"][1]["summary"]["verdict"]["last_byte"]["p50"]["verdict"],
        "slower"
    );
    let slower = &data["comparisons"][0];
    assert_eq!(slower["run"], 1);
    assert_eq!(slower["target"]["last_byte"]["p50"]["verdict"], "slower");
    let difference = slower["target"]["last_byte"]["p50"]["difference_us"]
        .as_i64()
        .unwrap();
    assert!((4_990..=5_010).contains(&difference), "{difference}");
    assert_eq!(
        slower["online"]["last_byte"]["p50"]["verdict"],
        "no_difference"
    );
    assert_eq!(
        data["comparisons"][1]["target"]["first_byte"]["p99"]["verdict"],
        "no_difference"
    );
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = Folder::new("bad");
    let out = folder.0.join("report.html");
    let mut older = summary(0);
    older.as_object_mut().unwrap().remove("format");
    let mut later = summary(0);
    later["format"] = json!(99);
    let cut = summary(0).to_string();
    for (file, words) in [
        (folder.0.join("missing.json"), "cannot read"),
        (folder.0.clone(), "is a folder and no summary"),
        ("/dev/zero".into(), "is a device and no summary"),
        (folder.file("text.json", b"hello"), "is not JSON"),
        (folder.file("empty.json", b""), "is not JSON"),
        (folder.file("bytes.json", b"\xff\xfe{}"), "is not JSON"),
        (
            folder.file("cut.json", &cut.as_bytes()[..cut.len() / 2]),
            "is not JSON",
        ),
        (
            folder.file("deep.json", "[".repeat(100_000).as_bytes()),
            "is not JSON",
        ),
        (folder.file("list.json", b"[1, 2]"), "no summary of tcpcopy"),
        (
            folder.file("other.json", br#"{"version": "1"}"#),
            "no summary of tcpcopy: it has no `ledger`",
        ),
        (folder.summary("older.json", &older), "older tcpcopy"),
        (folder.summary("later.json", &later), "later tcpcopy"),
    ] {
        let error = write(std::slice::from_ref(&file), &out, false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(words) && error.contains(&*file.to_string_lossy()),
            "{error}"
        );
        assert!(!out.exists());
    }
    let good = folder.summary("good.json", &summary(0));
    let error = write(&[good], &folder.0.join("nowhere/report.html"), false)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot write the report") && error.contains("nowhere"),
        "{error}"
    );
    assert!(write(&[], &out, false).is_err());
    let good = folder.summary("good.json", &summary(0));
    let error = write(std::slice::from_ref(&good), &good, false).unwrap_err();
    assert!(error.to_string().contains("itself"), "{error}");
}

/// The report is made to be sent: what clients were answered is in it only where somebody wants that.
#[test]
fn payload_is_in_it_only_where_it_is_asked_for() {
    let folder = Folder::new("payload");
    let out = folder.0.join("report.html");
    let mut sampled = summary(0);
    sampled["samples"] = json!({
        "differing": [{"online": "Set-Cookie: secret", "target": "HTTP/1.1 500"}],
        "differing_unlisted": 2,
    });
    let file = [folder.summary("run.json", &sampled)];
    write(&file, &out, false).unwrap();
    assert!(!fs::read_to_string(&out).unwrap().contains("secret"));
    let samples = &data(&out)["runs"][0]["summary"]["samples"];
    assert_eq!(samples["differing_unlisted"], 3, "{samples}");
    write(&file, &out, true).unwrap();
    assert!(fs::read_to_string(&out).unwrap().contains("secret"));
}

#[test]
fn only_a_file_is_replaced_by_a_report() {
    let folder = Folder::new("out");
    let file = [folder.summary("run.json", &summary(0))];
    let (out, other) = (folder.0.join("report.html"), folder.file("other", b"other"));
    std::os::unix::fs::symlink(&other, &out).unwrap();
    let error = write(&file, &out, false).unwrap_err().to_string();
    assert!(error.contains("cannot write the report"), "{error}");
    assert_eq!(fs::read(&other).unwrap(), b"other");
}

#[test]
fn hostile_content_stays_data() {
    let folder = Folder::new("hostile");
    let out = folder.0.join("report.html");
    let word =
        "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>{{charts}}{{policy}}";
    let mut hostile = summary(0);
    hostile["rules"][0]["rule"] = json!(word);
    hostile["version"] = json!(word);
    hostile["ledger"] = json!({"captured": 1e300, word: -5, "__proto__": 7});
    hostile["verdict"]["intervals_us"]["target_net"]["last_byte"] = json!({"p50": "x"});
    hostile["curves_us"] =
        json!({"online": {"last_byte": [[1e308, -1, null], "x", []]}, "__proto__": []});
    let name = "<b>x&y.json";
    let file = folder.summary(name, &hostile);
    write(&[file.clone(), file], &out, false).unwrap();
    let html = fs::read_to_string(&out).unwrap();
    assert_eq!(
        html.matches("<script").count(),
        5,
        "data, and four scripts of ours"
    );
    assert_eq!(html.matches("</script>").count(), 5);
    assert!(!html.contains("<img"));
    let data = data(&out);
    assert_eq!(data["runs"][0]["name"], name);
    assert_eq!(data["runs"][0]["summary"]["rules"][0]["rule"], word);
    assert_eq!(
        data["comparisons"][0]["target"]["last_byte"]["p50"]["verdict"],
        "cannot_tell"
    );
}
