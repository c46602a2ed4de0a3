//! What the report says of targets that differ from the online server in a known way.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::copier::Summary;
use lab::{Host, Topology};
use serde_json::{Value, json};
use tests::browser::{Browser, NEEDS};
use tests::copying::{check_books, check_clients, finish};
use tests::{Clients, Stand};

use super::bodies::Service;
use super::options::with;
use super::page::{check_contrast, check_quiet, check_width, picture};
use super::places::start;
use super::printed;

/// How long the online server thinks, in milliseconds.
const ONLINE_MS: &str = "4";
/// Seconds of load: enough stretches for an estimate of the noise.
const SECONDS: u64 = 15;

/// Copies to a target with these faults; gives the summary and where it is.
fn run(stand: &Stand, name: &str, title: &str, target: &[&str]) -> (Summary, PathBuf) {
    let online = Service::start_with(stand, Host::Online, &["--delay-ms", ONLINE_MS]);
    let target = Service::start_with(stand, Host::Target, target);
    // A connection waits that long for each answer that does not come, and some have several of them near the end.
    let options = [
        "--response-timeout",
        "2s",
        "--drain",
        "18s",
        "--title",
        title,
    ];
    // Gates that even a target with faults passes: a run that fails one does not end as others do.
    let gates = ["--min-fidelity", "98", "--max-differing", "5"];
    let mut options = with(with(stand.options(), &options), &gates);
    name.clone_into(&mut options.name);
    let mut copier = start(stand, &options);
    let report = Clients::keep_alive(40, 400, SECONDS).run(stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    online.finish();
    target.finish();
    let file = stand
        .lab
        .folder()
        .join(format!("{name}-{}.json", Host::Online.name()));
    (summary, file)
}

fn make(stand: &Stand, summaries: &[&Path], out: &Path) {
    let status = Command::new(&stand.binaries.tcpcopy)
        .arg("report")
        .args(summaries)
        .arg("--out")
        .arg(out)
        .status()
        .expect("tcpcopy report");
    assert!(status.success(), "{status}");
}

/// The report in a browser.
fn open(stand: &Stand, report: &Path) -> Browser {
    let browser = Browser::start(stand, Host::Client);
    browser.resize(1180, 900);
    browser.prefer("light");
    browser.open(&format!("file://{}", report.display()));
    browser
}

/// Waits until the page's script has drawn its figures: the page may be complete a moment before.
fn drawn(browser: &Browser) {
    let figures = "document.querySelector('[data-figure]') !== null";
    browser.wait(figures, std::time::Duration::from_secs(10));
}

/// What the verdict says of a comparison, and the difference in microseconds.
fn says(browser: &Browser, key: &str) -> (String, f64) {
    drawn(browser);
    let found = browser.run(&format!(
        "const {{ says, difference }} = document.querySelector('[data-finding=\"{key}\"]').dataset; return [says, difference]"
    ));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&found[0]), text(&found[1]).parse().unwrap_or(f64::NAN))
}

fn headline(browser: &Browser) -> String {
    let text = browser.run("return document.querySelector('.headline').textContent");
    text.as_str().unwrap_or_default().to_owned()
}

fn within(value: f64, truth: f64) -> bool {
    (value - truth).abs() <= truth * 0.05
}

/// 5 ms slower: said of both bytes, within 5 %. Then an equal target beside it: no difference, and the two runs compared.
#[test]
fn a_slower_target_is_told_and_an_equal_one_is_not() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let (_, slower) = run(
        &stand,
        "slower",
        "A build that is 5 ms slower",
        &["--delay-ms", "9"],
    );
    let (_, equal) = run(
        &stand,
        "equal",
        "The same build",
        &["--delay-ms", ONLINE_MS],
    );
    let folder = stand.lab.folder().to_owned();
    let [one, other, both] =
        ["slower.html", "equal.html", "both.html"].map(|name| folder.join(name));
    make(&stand, &[&slower], &one);
    make(&stand, &[&equal], &other);
    make(&stand, &[&equal, &slower], &both);

    let browser = open(&stand, &one);
    for key in ["first_byte.p50", "last_byte.p50"] {
        let (word, difference) = says(&browser, key);
        eprintln!("{key} of a target that is 5 ms slower: {word} by {difference} us");
        assert_eq!(word, "slower", "{key}");
        assert!(within(difference, 5_000.0), "{key}: {difference} us");
    }
    assert!(
        headline(&browser).contains("ms slower in the median"),
        "{}",
        headline(&browser)
    );
    let light = check_contrast(&browser);
    browser.prefer("dark");
    assert_ne!(check_contrast(&browser), light);
    browser.resize(360, 740);
    browser.wait(
        "document.querySelector('svg').getBoundingClientRect().width < 340",
        std::time::Duration::from_secs(5),
    );
    check_width(&browser, 360);
    check_quiet(&browser, &[&format!("file://{}", one.display())]);

    browser.resize(1180, 900);
    browser.prefer("light");
    browser.open(&format!("file://{}", other.display()));
    for (key, most) in [
        ("first_byte.p50", 0.0),
        ("last_byte.p50", 0.0),
        // Both servers share two processors with the clients and the copy, and the target's turn always comes second: its slowest
        // hundredth may really be slower. It must stay far from the difference that was planted in the other run.
        ("first_byte.p99", 2_000.0),
        ("last_byte.p99", 2_000.0),
    ] {
        let (word, difference) = says(&browser, key);
        eprintln!("{key} of an equal target: {word}, {difference} us");
        let differs = ["slower", "faster"].contains(&word.as_str());
        assert!(
            !differs || difference.abs() < most,
            "{key}: {word} by {difference} us"
        );
    }
    assert_eq!(says(&browser, "last_byte.p50").0, "no_difference");

    browser.open(&format!("file://{}", both.display()));
    assert_eq!(says(&browser, "1.target.last_byte.p50").0, "slower");
    assert_ne!(says(&browser, "1.online.last_byte.p50").0, "slower");
    picture(&browser, "report-two.png", 1000);
    check_contrast(&browser);
    browser.resize(360, 740);
    check_width(&browser, 360);
    let allowed = [&other, &both].map(|file| format!("file://{}", file.display()));
    check_quiet(&browser, &[&allowed[0], &allowed[1]]);
}

/// One response in a hundred is a reset, another one is missing, and two are cut off: each is counted as what it is.
#[test]
fn errors_and_cut_replies_are_told() {
    let Some(stand) = super::stand_with(Topology::Direct, &printed::NEEDS) else {
        return;
    };
    let faults = [
        "--delay-ms",
        ONLINE_MS,
        "--reset-every",
        "100",
        "--truncate-every",
        "51",
    ];
    let (summary, file) = run(
        &stand,
        "faults",
        "A build that breaks some answers",
        &faults,
    );
    let report = stand.lab.folder().join("faults.html");
    make(&stand, &[&file], &report);
    let browser = open(&stand, &report);
    drawn(&browser);
    let figure = |key: &str| -> f64 {
        let value = browser.run(&format!(
            "return Number(document.querySelector('[data-figure=\"{key}\"]').dataset.value)"
        ));
        value.as_f64().expect("a number")
    };
    let captured = summary.captured() as f64;
    let (resets, shorter) = (
        figure("ledger.reset"),
        figure("differences.kinds.target_shorter"),
    );
    eprintln!(
        "of {captured} requests {resets} were reset and {shorter} cut off; {}",
        summary.ledger()
    );
    assert!(
        within(resets, captured / 100.0),
        "{resets} of {captured} reset"
    );
    assert!(within(
        figure("differences.kinds.target_reset_only"),
        captured / 100.0
    ));
    // A reset in the place of a response is also a missing one, and still one response that differs.
    let differing = summary.count("/differences/differing") as f64;
    assert!(within(differing, resets + shorter), "{differing} differ");
    // The hundredth is reset rather than cut off.
    assert!(
        within(shorter, captured / 51.0),
        "{shorter} of {captured} cut off"
    );
    assert!(
        (figure("fidelity") - 0.99).abs() < 0.001,
        "{}",
        figure("fidelity")
    );
    let verdict = browser.run("return document.querySelector('.verdict').textContent");
    let verdict = verdict.as_str().unwrap_or_default();
    for words in [
        "The target took 99.0",
        " reset",
        " shorter",
        "compared responses differ",
        "counters of the kernel and of the workers add up",
    ] {
        assert!(verdict.contains(words), "no `{words}` in: {verdict}");
    }
    assert_eq!(
        browser.run("return document.querySelector('.verdict').dataset.level"),
        json!("bad")
    );
    picture(&browser, "report-light.png", 1420);
    printed::check(&browser, stand.lab.folder());
    browser.prefer("dark");
    picture(&browser, "report-dark.png", 1420);
    browser.resize(360, 740);
    check_width(&browser, 360);
    picture(&browser, "report-phone.png", 1250);
    check_quiet(&browser, &[&format!("file://{}", report.display())]);
}

/// A target that leaves one request in a hundred without an answer: the online server gave one, so they timed out.
#[test]
fn missing_replies_are_told() {
    let Some(stand) = super::stand_with(Topology::Assistant, &NEEDS) else {
        return;
    };
    let (summary, file) = run(
        &stand,
        "silent",
        "A build that leaves some requests alone",
        &["--delay-ms", ONLINE_MS, "--silent-every", "100"],
    );
    let report = stand.lab.folder().join("silent.html");
    make(&stand, &[&file], &report);
    let browser = open(&stand, &report);
    let text = browser.run("return document.querySelector('.verdict').textContent");
    let text = text.as_str().unwrap_or_default();
    let (captured, missing) = (
        summary.captured() as f64,
        summary.outcome("timed_out") as f64,
    );
    let value = summary.value();
    eprintln!(
        "{missing} of {captured} missing; {}; {}; {}; lag {}",
        summary.ledger(),
        value["sessions"],
        value["differences"],
        value["latency_us"]["lag"]
    );
    assert!(within(missing, captured / 100.0), "{missing} of {captured}");
    // Those that were in step when they left, which nearly all were.
    let silent = summary.count("/differences/kinds/target_silent") as f64;
    assert!(within(silent, missing), "{silent} of {missing}");
    assert!(text.contains("The target took 99.0"), "{text}");
    assert!(text.contains("timed out"), "{text}");
    check_quiet(&browser, &[&format!("file://{}", report.display())]);
}

/// A summary that cannot be used: exit status 2, and a word that says why.
#[test]
fn a_report_of_nothing_is_refused() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let out = stand.lab.folder().join("report.html");
    for (name, content, words) in [
        ("text.json", "hello", "is not JSON"),
        ("other.json", "{}", "no summary of tcpcopy"),
        (
            "older.json",
            r#"{"version":"0.0.9","ledger":{},"fidelity":1}"#,
            "older tcpcopy",
        ),
    ] {
        let file = stand.lab.folder().join(name);
        std::fs::write(&file, content).expect("a file");
        let output = Command::new(&stand.binaries.tcpcopy)
            .args([
                "report".as_ref(),
                file.as_os_str(),
                "--out".as_ref(),
                out.as_os_str(),
            ])
            .output()
            .expect("tcpcopy report");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!out.exists());
    }
}
