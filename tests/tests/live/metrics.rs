//! What is shown of a run: scraped by a real Prometheus, judged by promtool.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::copier::Copier;
use lab::http::{self, Answer};
use lab::net::ASSISTANT;
use lab::{Host, Process, Spec, Topology, interrupt};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::copying::{check_books, check_clients, finish};
use tests::{Clients, Stand, check_clean};

use super::options::with;

const PROMETHEUS: &str = "127.0.0.1:9090";
/// Of the kernel, not of a namespace: whether programs are always measured.
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

pub(super) fn tcpcopy() -> SocketAddr {
    ([127, 0, 0, 1], 9524).into()
}

fn intercept() -> SocketAddr {
    (ASSISTANT, 9525).into()
}

fn deploy(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("a folder above").join("deploy").join(file)
}

/// Asks for a page from a host of the lab.
pub(super) fn get(stand: &Stand, from: Host, server: SocketAddr, path: &str) -> Answer {
    http::get(&stand.lab.namespace(from), server, path).unwrap_or_else(|error| panic!("{error}"))
}

/// All samples of an exposition by their series.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            (series.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// Series that only grow.
fn is_counter(series: &str) -> bool {
    let name = series.split('{').next().unwrap_or_default();
    ["_total", "_bucket", "_sum", "_count"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// Scrapes, has promtool judge, and compares with the scrape before.
fn scrape(stand: &Stand, server: SocketAddr, before: &mut BTreeMap<String, f64>) -> String {
    let Answer { status, body } = get(stand, Host::Online, server, "/metrics");
    assert_eq!(status, 200, "{body}");
    let judged = promtool(&["check", "metrics"], &body);
    assert_eq!(judged, "", "promtool is not content with {server}");
    let now = samples(&body);
    for (series, value) in before.iter().filter(|(series, _)| is_counter(series)) {
        let later = now
            .get(series)
            .unwrap_or_else(|| panic!("{series} is gone"));
        assert!(later >= value, "{series} went from {value} to {later}");
    }
    *before = now;
    body
}

/// What promtool has to say about this; nothing where it is content.
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool: {said}");
    said
}

/// A Prometheus on the online host that scrapes both programs each second, with our rules.
fn prometheus(stand: &Stand) -> Process {
    let folder = stand.lab.folder();
    let config = fs::read_to_string(deploy("prometheus/prometheus.yml")).expect("the example");
    let rules = deploy("prometheus/tcpcopy.rules.yml").display().to_string();
    let config = config
        .replace("scrape_interval: 5s", "scrape_interval: 1s")
        .replace("evaluation_interval: 15s", "evaluation_interval: 1s")
        .replace("- tcpcopy.rules.yml", &format!("- {rules}"))
        .replace("127.0.0.1:9525", &intercept().to_string());
    let file = folder.join("prometheus.yml");
    fs::write(&file, config).expect("the lab's folder");
    let spec = Spec::new("prometheus", "prometheus").args([
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", folder.join("tsdb").display()),
        format!("--web.listen-address={PROMETHEUS}"),
        "--log.level=warn".to_owned(),
    ]);
    let process = stand.lab.spawn(Host::Online, &spec).expect("prometheus");
    let server = PROMETHEUS.parse().expect("an address");
    interrupt::wait_until("Prometheus to be ready", Duration::from_secs(20), || {
        let asked = http::get(&stand.lab.namespace(Host::Online), server, "/-/ready");
        Ok(asked.is_ok_and(|answer| answer.status == 200))
    })
    .expect("prometheus is ready");
    process
}

/// The `data` of an answer of Prometheus' API.
fn api(stand: &Stand, path: &str) -> Value {
    let server = PROMETHEUS.parse().expect("an address");
    let Answer { status, body } = get(stand, Host::Online, server, path);
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    assert!(
        status == 200 && answer["status"] == "success",
        "{status} to {path}: {body}"
    );
    answer["data"].clone()
}

/// The samples that an expression gives now: their labels as JSON, and the values.
fn query(stand: &Stand, expression: &str) -> Vec<(Value, f64)> {
    let data = api(
        stand,
        &format!("/api/v1/query?query={}", escaped(expression)),
    );
    let result = data["result"].as_array().cloned().unwrap_or_default();
    let sample = |sample: &Value| {
        let value = sample["value"][1].as_str()?.parse().ok()?;
        Some((sample["metric"].clone(), value))
    };
    result.iter().filter_map(sample).collect()
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Every expression of the dashboard, its variables filled in.
fn dashboard_expressions() -> Vec<String> {
    let text = fs::read_to_string(deploy("grafana/tcpcopy.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let expressions = targets
        .flatten()
        .filter_map(|target| target["expr"].as_str());
    expressions
        .map(|expression| {
            expression
                .replace("$__rate_interval", "4s")
                .replace("[5m]", "[30s]")
                .replace("$job", ".*")
                .replace("$instance", ".*")
        })
        .collect()
}

/// Names of ours in an expression, those of histograms without their endings.
fn names(expression: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c| !is_name(c));
    let ours = words.filter(|word| word.starts_with("tcpcopy_") || word.starts_with("intercept_"));
    ours.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
        .collect()
}

/// Whether every expression of dashboard and rules can be computed, and asks for metrics that there are.
fn check_expressions(stand: &Stand, texts: &[&str]) {
    let described: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let groups = api(stand, "/api/v1/rules");
    let groups = groups["groups"].as_array().expect("groups").clone();
    let rules: Vec<Value> = groups
        .iter()
        .filter_map(|group| group["rules"].as_array())
        .flatten()
        .cloned()
        .collect();
    assert!(rules.len() >= 20, "{} rules", rules.len());
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let mut expressions = dashboard_expressions();
    assert!(expressions.len() >= 50, "{} expressions", expressions.len());
    let mut empty = 0;
    for expression in &expressions {
        empty += usize::from(query(stand, expression).is_empty());
    }
    // Those of what did not happen, and of a clock that is not used.
    assert!(
        empty * 5 < expressions.len(),
        "{empty} of {} give nothing",
        expressions.len()
    );
    expressions.extend(
        rules
            .iter()
            .filter_map(|rule| rule["query"].as_str().map(str::to_owned)),
    );
    for expression in &expressions {
        query(stand, expression);
        for name in names(expression) {
            assert!(
                described.contains(name.as_str()),
                "nobody shows {name}: {expression}"
            );
        }
    }
}

/// What is shown agrees with what Prometheus has, outcome by outcome, and with the summary.
fn check_turns(stand: &Stand) -> u64 {
    let summary = get(stand, Host::Online, tcpcopy(), "/summary.json");
    let summary: Value = serde_json::from_str(&summary.body).expect("a summary");
    let captured = summary["ledger"]["captured"].as_u64().expect("a count");
    let ledger = summary["ledger"].as_object().expect("a ledger");
    let by_outcome = query(stand, "sum by (outcome) (tcpcopy_turns_total)");
    assert_eq!(by_outcome.len(), ledger.len() - 1, "{by_outcome:?}");
    for (labels, turns) in by_outcome {
        let outcome = labels["outcome"].as_str().expect("an outcome");
        assert_eq!(ledger[outcome].as_f64(), Some(turns), "{outcome}");
    }
    let total = query(stand, "sum(tcpcopy_turns_total)");
    assert_eq!(total.first().map(|(_, n)| *n), Some(captured as f64));
    captured
}

/// The programs' cost was measured, and only ours.
fn check_costs(stand: &Stand) {
    let cost = query(
        stand,
        "tcpcopy_program_run_seconds_total / (tcpcopy_program_runs_total > 0) or \
         intercept_program_run_seconds_total / (intercept_program_runs_total > 0)",
    );
    let named: BTreeMap<&str, f64> = cost
        .iter()
        .filter_map(|(labels, seconds)| Some((labels["program"].as_str()?, seconds * 1e9)))
        .collect();
    eprintln!("ns per run: {named:?}");
    for program in ["capture", "observe", "inject", "sink"] {
        let nanos = named.get(program).copied().unwrap_or_default();
        assert!((10.0..1e6).contains(&nanos), "{program}: {nanos} ns a run");
    }
    let programs = query(stand, "count by (program) (tcpcopy_program_runs_total)");
    assert_eq!(programs.len(), 6, "{programs:?}");
}

pub(super) fn answers(stand: &Stand, server: SocketAddr, path: &str, status: u16) {
    let answer = get(stand, Host::Online, server, path);
    assert_eq!(answer.status, status, "{server}{path}: {}", answer.body);
}

/// promtool is content with the rules, and each of them does what its test says.
fn check_rules() {
    let file = |name: &str| deploy(&format!("prometheus/{name}")).display().to_string();
    promtool(&["check", "rules", &file("tcpcopy.rules.yml")], "");
    promtool(&["test", "rules", &file("tcpcopy.rules.test.yml")], "");
}

/// A copy whose intercept comes later: until then nothing is ready, and that can be asked for.
fn start_in_two_steps(stand: &Stand) -> Copier {
    let mut options = with(stand.options(), &["--listen", &tcpcopy().to_string()]);
    options.intercept = ["--listen", &intercept().to_string()]
        .map(str::to_owned)
        .to_vec();
    let mut copier =
        Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online)
            .expect("tcpcopy");
    interrupt::wait_until("the first figures", Duration::from_secs(20), || {
        let asked = http::get(&stand.lab.namespace(Host::Online), tcpcopy(), "/metrics");
        Ok(asked.is_ok_and(|answer| answer.status == 200))
    })
    .expect("tcpcopy shows its figures");
    answers(stand, tcpcopy(), "/ready", 503);
    answers(stand, tcpcopy(), "/health", 200);
    let text = get(stand, Host::Online, tcpcopy(), "/metrics").body;
    assert!(text.contains("\ntcpcopy_ready 0\n"), "{text}");
    copier.intercept = Some(
        lab::copier::start_intercept(&stand.lab, &stand.binaries, &options).expect("intercept"),
    );
    copier
        .tcpcopy
        .wait_for("ready", Duration::from_secs(20))
        .expect("the path is proven");
    answers(stand, tcpcopy(), "/ready", 200);
    answers(stand, intercept(), "/ready", 200);
    let warned = copier.intercept.as_ref().expect("an intercept").log();
    assert!(warned.contains("no token"), "{warned}");
    copier
}

#[test]
fn a_prometheus_scrapes_both_programs() {
    let needs = ["nginx", "prometheus", "promtool"];
    let Some(stand) = super::stand_with(Topology::Assistant, &needs) else {
        return;
    };
    check_rules();
    let stats = fs::read_to_string(STATS).expect(STATS);
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_in_two_steps(&stand);
    let mut prometheus = prometheus(&stand);
    let clients = Clients::keep_alive(20, 500, 14).start(&stand);
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    let until = Instant::now() + Duration::from_secs(13);
    while Instant::now() < until {
        scrape(&stand, tcpcopy(), &mut ours);
        scrape(&stand, intercept(), &mut theirs);
        std::thread::sleep(Duration::from_millis(700));
    }
    // While there is something to compute from.
    let text = scrape(&stand, tcpcopy(), &mut ours);
    let text_there = scrape(&stand, intercept(), &mut theirs);
    check_expressions(&stand, &[&text, &text_there]);
    let report = clients.wait();
    // Published, scraped, and nothing open.
    std::thread::sleep(Duration::from_secs(4));
    let captured = check_turns(&stand);
    assert_eq!(captured, report.completed);
    check_costs(&stand);
    let one = |expression: &str| query(&stand, expression).first().map(|(_, n)| *n);
    assert_eq!(one("tcpcopy_channel_connected"), Some(1.0));
    assert_eq!(one("intercept_subscribers"), Some(1.0));
    assert_eq!(one("max(abs(tcpcopy_residue))"), Some(0.0));
    assert_eq!(one("intercept_residue"), Some(0.0));
    assert_eq!(one("min(up)"), Some(1.0));
    let written = one("intercept_reports_total{result=\"written\"}").expect("reports");
    let taken = one("tcpcopy_reports_total").expect("reports");
    // The answers to probes reach no worker.
    assert!(
        (0.0..=5.0).contains(&(written - taken)),
        "{written}, {taken}"
    );
    prometheus
        .stop(Signal::SIGTERM, Duration::from_secs(10))
        .expect("prometheus ends");
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    assert_eq!(summary.captured(), captured);
    assert_eq!(fs::read_to_string(STATS).expect(STATS), stats);
    assert_eq!(
        online.finish().expect("log").len(),
        target.finish().expect("log").len()
    );
    check_clean(&stand);
}
