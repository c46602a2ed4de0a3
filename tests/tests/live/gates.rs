//! A job of a pipeline that uses the gates: what it must fail for, and what it must pass. Exit status, the gate's line on standard
//! output and the last line of the log are what such a job sees.

use std::time::Duration;

use lab::copier::{CHANNEL_PORT, Copier, Summary};
use lab::net::TARGET;
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, check_clients, check_nothing_left};
use tests::{Clients, Stand};

use super::bodies::Service;
use super::options::with;

/// What a job asks of every run. Servers and clients share two processors here, and slow ones can be told apart all the same.
const ASKED: [&str; 10] = [
    "--min-fidelity",
    "99.9",
    "--max-differing",
    "0.1",
    "--max-slower",
    "20%",
    "--max-lag",
    "500ms",
    "--min-requests",
    "1000",
];

/// A run of a job.
struct Job<'a> {
    /// More arguments of the run.
    more: &'a [&'a str],
    /// How the online server and the target serve.
    servers: [&'a [&'a str]; 2],
    clients: Option<Clients>,
}

/// What the job sees.
struct Seen {
    status: Option<i32>,
    output: String,
    last: String,
    summary: Summary,
}

/// Servers that take 5 ms, and clients who ask often enough to tell.
impl Default for Job<'_> {
    fn default() -> Self {
        Self {
            more: &[],
            servers: [&["--delay-ms", "5"]; 2],
            clients: Some(Clients::keep_alive(20, 500, 4)),
        }
    }
}

impl Job<'_> {
    fn run(&self, stand: &Stand) -> Seen {
        let [online, target] = self.servers;
        let online = Service::start_with(stand, Host::Online, online);
        let target = Service::start_with(stand, Host::Target, target);
        let options = with(with(stand.options(), &ASKED), self.more);
        let copier =
            Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online);
        let mut copier = copier.unwrap_or_else(|error| panic!("{error}"));
        if let Some(clients) = &self.clients {
            let ready = copier.tcpcopy.wait_for("ready", Duration::from_secs(10));
            ready.unwrap_or_else(|error| panic!("{error}"));
            check_clients(&clients.run(stand));
            copier.tcpcopy.signal(Signal::SIGINT).expect("a signal");
        }
        let status = copier.tcpcopy.wait(Duration::from_secs(20));
        let status = status.unwrap_or_else(|error| panic!("{error}")).code();
        let log = copier.tcpcopy.log();
        let summary = copier.summary().expect("a summary");
        check_books(&summary);
        online.finish();
        target.finish();
        Seen {
            status,
            output: copier.tcpcopy.output(),
            last: log.lines().last().unwrap_or_default().to_owned(),
            summary,
        }
    }
}

impl Seen {
    /// Exit status, the beginning of the gate's line, and words of the last line of the log.
    fn check(&self, status: i32, gate: &str, last: &str) {
        let all = format!("{}\n{}", self.output, self.last);
        assert_eq!(self.status, Some(status), "{all}");
        assert!(self.output.contains(gate), "no `{gate}` in {all}");
        assert!(self.last.contains(last), "no `{last}` in {all}");
        eprintln!("{status}: {}", self.last);
    }
}

#[test]
fn a_job_passes_an_equal_target() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let job = Job {
        more: &["--title", "a try"],
        ..Job::default()
    };
    let seen = job.run(&stand);
    seen.check(0, "GATE      ok    min-fidelity   100.000 %", "");
    assert_eq!(
        seen.output.matches(" ok    m").count(),
        5,
        "{}",
        seen.output
    );
    assert!(seen.output.contains("\na try\n"), "{}", seen.output);
    let value = seen.summary.value();
    assert_eq!(
        (&value["title"], &value["nothing_to_judge"]),
        (&"a try".into(), &().into())
    );
    for key in ["started", "ready", "ended"] {
        assert!(value[key].is_string(), "{key}: {value}");
    }
    let captured_for = value["capture_seconds"].as_f64().expect("a number");
    assert!((3.5..10.0).contains(&captured_for), "{captured_for} s");
    check_nothing_left(&stand);
}

#[test]
fn a_job_fails_for_what_it_asks() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let shorter = Job {
        servers: [&[], &["--truncate-every", "50"]],
        more: &["--response-timeout", "2s"],
        ..Job::default()
    };
    let seen = shorter.run(&stand);
    seen.check(
        3,
        "FAIL  max-differing",
        "not passed: --max-differing <= 0.1 %",
    );
    assert_eq!(seen.summary.value()["gates"][1]["result"], "failed");

    let errors = Job {
        servers: [&[], &["--fail-every", "1"]],
        more: &["--sample-bytes", "16"],
        ..Job::default()
    };
    let seen = errors.run(&stand);
    seen.check(
        3,
        "FAIL  max-differing  100.000 %",
        "not passed: --max-differing <= 0.1 %",
    );
    assert!(
        seen.output.contains("http 2xx became http 5xx"),
        "{}",
        seen.output
    );

    let slower = Job {
        servers: [&["--delay-ms", "5"], &["--delay-ms", "6.5"]],
        ..Job::default()
    };
    let seen = slower.run(&stand);
    seen.check(3, "FAIL  max-slower", "not passed: --max-slower <= +20 %");

    // Each connection asks every 50 ms, and gets its answer after 100: the copy cannot keep up.
    let behind = Job {
        servers: [&[], &["--delay-ms", "100"]],
        clients: Some(Clients::keep_alive(20, 400, 4)),
        ..Job::default()
    };
    let seen = behind.run(&stand);
    seen.check(3, "FAIL  max-lag        p99 ", "--max-lag <= 500 ms");
    check_nothing_left(&stand);
}

#[test]
fn a_job_without_a_result_has_a_status_of_its_own() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let quiet = Job {
        more: &["--duration", "1s"],
        clients: None,
        ..Job::default()
    };
    quiet.run(&stand).check(
        4,
        "GATE      ?     min-fidelity   -",
        "there is nothing to judge: nothing was captured",
    );

    // Nobody listens there.
    let intercept = format!("{TARGET}:{CHANNEL_PORT}");
    let down = Job {
        more: &[
            "-s",
            &intercept,
            "--insecure",
            "--duration",
            "1s",
            "--ready-timeout",
            "2s",
        ],
        clients: None,
        ..Job::default()
    };
    down.run(&stand)
        .check(4, "GATE      ?     min-fidelity   -", "not ready after 2 s");
    check_nothing_left(&stand);
}
