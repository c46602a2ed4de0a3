//! `tcpcopy ctl`: a run is turned under traffic, and no session is lost; what was turned stands in the summary.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use lab::access_log::{Comparison, Request};
use lab::copier::Summary;
use lab::interrupt;
use lab::net::{ONLINE, TARGET};
use lab::{Host, Spec, Topology};
use tests::copying::{check_books, check_clients, check_nothing_left};
use tests::{Clients, PORT, Stand};

use super::options::with;
use super::places::{nginx, start};

fn ctl(stand: &Stand, words: &[&str]) -> Output {
    let mut command = Command::new(&stand.binaries.tcpcopy);
    let command = command.arg("ctl").args(words);
    command.output().expect("tcpcopy starts")
}

/// Asks, and returns what was answered; it must be done.
fn done(stand: &Stand, socket: &str, order: &str) -> String {
    let words: Vec<&str> = ["--socket", socket]
        .into_iter()
        .chain(order.split(' '))
        .collect();
    let output = ctl(stand, &words);
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{order}: {said}{complained}");
    said
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pause(milliseconds: u64) {
    interrupt::sleep(Duration::from_millis(milliseconds)).expect("no signal");
}

#[test]
fn a_run_is_turned_under_traffic_and_no_session_is_lost() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let mut online = nginx(&stand, Host::Online, (ONLINE, PORT).into());
    let mut target = nginx(&stand, Host::Target, (TARGET, PORT).into());
    let socket = stand.lab.folder().join("ctl.sock");
    let socket = socket.to_str().expect("a path in UTF-8");
    let mut copier = start(
        &stand,
        &with(stand.options(), &["--ctl", socket, "--seed", "7"]),
    );
    let long = Clients::keep_alive(10, 200, 6).start(&stand);
    let short = Clients::short(200, 6).start(&stand);
    turn(&stand, socket);
    let (long, short) = (long.wait(), short.wait());
    pause(300);
    done(&stand, socket, "stop");
    let over = copier.tcpcopy.wait_success(Duration::from_secs(20));
    over.unwrap_or_else(|error| panic!("{error}"));
    let summary = copier.summary().expect("a summary");
    [long, short].iter().for_each(check_clients);
    check_books(&summary);

    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_flows(&online, &target, &summary);
    let changes = summary.value()["changes"].as_array().expect("a list");
    let changes: Vec<String> = { changes.iter() }
        .map(|it| format!("{} {} {}", it["what"], it["from"], it["to"]).replace('"', ""))
        .collect();
    assert_eq!(
        changes,
        [
            "percent 100 0",
            "percent 0 100",
            "paused false true",
            "paused true false",
            "max-new-sessions none 50",
            "max-new-sessions 50 none",
            "copies 1 2",
        ]
    );
    assert!(!Path::new(socket).exists(), "the socket is left behind");
    check_nothing_left(&stand);
}

/// Everything that can be turned, within four seconds.
fn turn(stand: &Stand, socket: &str) {
    pause(1000);
    done(stand, socket, "set percent 0");
    pause(1000);
    let status = done(stand, socket, "status --json");
    assert!(status.contains("\"percent\":0.0"), "{status}");
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert!(
        status["outside_share"].as_u64() >= Some(10),
        "ten go on: {status}"
    );
    done(stand, socket, "set percent 100");
    pause(700);
    done(stand, socket, "pause");
    pause(500);
    assert!(done(stand, socket, "status").starts_with("paused"));
    done(stand, socket, "resume");
    done(stand, socket, "set rate 50");
    pause(700);
    done(stand, socket, "set rate none");
    done(stand, socket, "set copies 2");
    let again = done(stand, socket, "set copies 2");
    assert!(again.contains("nothing changes"), "{again}");
}

/// The ten long connections were copied whole; of the short ones some were not, some once and some twice; nothing is lost.
fn check_flows(online: &[Request], target: &[Request], summary: &Summary) {
    let comparison = Comparison::of(online, target);
    assert!(comparison.extra.is_empty(), "{comparison}");
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for request in target {
        *seen.entry(&request.id).or_default() += 1;
    }
    let mut flows: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for request in online {
        let copies = seen.get(request.id.as_str()).copied().unwrap_or_default();
        flows.entry(request.client_port).or_default().push(copies);
    }
    // A port of a short connection may be used again.
    let is_long = |flow: &&Vec<usize>| flow.len() > 50;
    let long: Vec<_> = flows.values().filter(is_long).collect();
    assert_eq!(long.len(), 10);
    assert!(
        long.iter()
            .all(|flow| flow.iter().all(|copies| *copies == 1)),
        "a session that had begun was cut: {long:?}"
    );
    let short = flows.values().filter(|flow| !is_long(flow)).flatten();
    let short = |copies| short.clone().filter(|it| **it == copies).count();
    let (none, once, twice) = (short(0), short(1), short(2));
    assert!(
        none > 300 && once > 100 && twice > 50,
        "{none} {once} {twice}"
    );
    let all = target.len() as u64;
    assert_eq!(
        (
            summary.captured(),
            summary.answered(),
            summary.outcome("missed")
        ),
        (all, all, 0),
        "{}",
        summary.ledger()
    );
    assert!(summary.count("/left_out/sample_bytes") > 0);
}

/// A run that nobody has told where to listen is found by its process.
#[test]
fn a_run_is_found_by_its_process_and_refuses_what_cannot_be() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let _target = nginx(&stand, Host::Target, (TARGET, PORT).into());
    let mut copier = start(&stand, &stand.options());
    let pid = copier.tcpcopy.pid().to_string();
    let status = ctl(&stand, &["status", "--pid", &pid]);
    assert!(status.status.success(), "{}", text(&status.stderr));
    assert!(text(&status.stdout).contains("rule 1"));
    let refused = ctl(&stand, &["set", "copies", "2", "--pid", &pid]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("with a pool (-c)"),
        "{}",
        text(&refused.stderr)
    );
    let refused = ctl(
        &stand,
        &["set", "percent", "5", "--rule", "2", "--pid", &pid],
    );
    assert!(
        text(&refused.stderr).contains("no rule 2"),
        "{}",
        text(&refused.stderr)
    );
    let summary = tests::copying::finish(&mut copier);
    assert_eq!(summary.value()["changes"].as_array().map(Vec::len), Some(0));
    let gone = ctl(&stand, &["status", "--pid", &pid]);
    assert_eq!(gone.status.code(), Some(2), "{}", text(&gone.stderr));
    check_nothing_left(&stand);
}

/// A file whose rules split the service between two ports of the target.
fn of_weights(weights: [u32; 2], workers: u32, socket: &str) -> String {
    let rules = [PORT, PORT + 1].iter().zip(weights).map(|(port, weight)| {
        format!("[[rule]]\ncopy = \"{ONLINE}:{PORT}-{TARGET}:{port}\"\nweight = {weight}\n")
    });
    let rules: String = rules.collect();
    format!(
        "interface = [\"eth0\", \"eth1\"]\nworkers = {workers}\nseed = 7\nctl = \"{socket}\"\nsummary = \"file.json\"\n{rules}"
    )
}

/// Two targets split a service by weight, as a file says; the file is read again.
#[test]
fn a_file_splits_a_service_and_is_read_again() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let mut online = nginx(&stand, Host::Online, (ONLINE, PORT).into());
    let mut targets =
        [PORT, PORT + 1].map(|port| nginx(&stand, Host::Target, (TARGET, port).into()));
    let (file, socket) = (
        stand.lab.folder().join("run.toml"),
        stand.lab.folder().join("ctl.sock"),
    );
    let socket = socket.to_str().expect("a path in UTF-8");
    let write = |weights, workers| {
        std::fs::write(&file, of_weights(weights, workers, socket)).expect("a file");
    };
    write([3, 1], 1);
    let spec = Spec::new("tcpcopy-file", &stand.binaries.tcpcopy);
    let spec = spec.args(["--config", file.to_str().expect("a path in UTF-8")]);
    let spec = spec.within(stand.lab.folder());
    let mut tcpcopy = stand.lab.spawn(Host::Online, &spec).expect("tcpcopy");
    tcpcopy
        .wait_for("ready", Duration::from_secs(20))
        .expect("ready");
    let first = Clients::short(200, 2).run(&stand);
    pause(300);
    write([0, 1], 1);
    let refused = ctl(&stand, &["reload", "--socket", socket]);
    let said = text(&refused.stderr);
    assert!(said.contains("run.toml:8:10: weight=0: write 1"), "{said}");
    write([1, 1000], 2);
    let said = done(&stand, socket, "reload");
    assert!(
        said.contains("2 thing(s) changed") && said.contains("workers"),
        "{said}"
    );
    let before = targets[0].requests().expect("log").len();
    let second = Clients::short(200, 2).run(&stand);
    pause(300);
    done(&stand, socket, "stop");
    tcpcopy
        .wait_success(Duration::from_secs(20))
        .expect("the end");
    let summary = Summary::read(&stand.lab.folder().join("file.json")).expect("a summary");
    [first, second].iter().for_each(check_clients);
    check_books(&summary);
    let all = online.finish().expect("log").len();
    let [one, other] = targets.each_mut().map(|it| it.finish().expect("log").len());
    assert_eq!(
        (one + other, summary.answered()),
        (all, all as u64),
        "{}",
        summary.ledger()
    );
    assert!(
        one - before <= 10,
        "{before} of {one} before the file was read again"
    );
    let of_first = before as f64 / (all as f64 / 2.0);
    assert!(
        (0.70..=0.80).contains(&of_first),
        "{before} of {} by weight 3 of 4",
        all / 2
    );
    check_nothing_left(&stand);
}
