//! What each thread of a run may do, as the kernel tells it, while a load is copied: the tables of docs/privileges.md.

use std::collections::BTreeMap;
use std::fs;

use lab::{Host, Topology};
use tests::copying::{check_clients, finish, start_with};
use tests::{Clients, check_clean, check_complete};

use super::robust::pause;

const DAC_OVERRIDE: u64 = 1 << 1;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
const BPF: u64 = 1 << 39;

/// Of a thread: capabilities (permitted, effective and bounding alike), and whether it has a filter of system calls.
type Rights = (u64, bool);

/// The rights of each thread of a process by its name, whose number is taken away.
fn rights_of(pid: u32) -> BTreeMap<String, Rights> {
    let mut found = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("a process") {
        let status = fs::read_to_string(task.expect("a thread").path().join("status"));
        let status = status.expect("it is there");
        let field = |name: &str| {
            let mut lines = status.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            value.unwrap_or_else(|| panic!("no {name} in {status}"))
        };
        let set = |name: &str| u64::from_str_radix(field(name), 16).expect("a number");
        let name = field("Name").trim_end_matches(|c: char| c.is_ascii_digit());
        let name = name.trim_end_matches('-').to_owned();
        assert_eq!(field("NoNewPrivs"), "1", "{name}");
        assert_eq!((set("CapInh"), set("CapAmb")), (0, 0), "{name}");
        let permitted = set("CapPrm");
        assert_eq!(set("CapEff"), permitted, "{name}");
        assert_eq!(set("CapBnd"), permitted, "{name}");
        let rights = (permitted, field("Seccomp") == "2");
        let known = found.insert(name.clone(), rights);
        assert!(known.is_none_or(|known| known == rights), "{name}");
    }
    found
}

fn check(pid: u32, expected: &[(&str, Rights)]) {
    let expected: BTreeMap<String, Rights> = expected
        .iter()
        .map(|(name, rights)| ((*name).to_owned(), *rights))
        .collect();
    assert_eq!(rights_of(pid), expected);
}

/// Both binaries under load, with everything that has a thread of its own.
#[test]
fn threads_keep_what_they_need() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let files = stand.lab.folder().join("histograms").display().to_string();
    let tap = stand.lab.folder().join("tap.pcapng").display().to_string();
    let options = stand.options();
    let options = [
        "--hook", "clsact", "--hgrm", &files, "--tap", &tap, "--json",
    ]
    .iter()
    .fold(options, |options, word| options.more(word));
    let mut options = options;
    let listen = ["--listen", "127.0.0.1:9525"];
    options.intercept.extend(listen.map(str::to_owned));
    let mut copier = start_with(&stand, &options);
    let clients = Clients::keep_alive(20, 1000, 3).start(&stand);
    pause(1500);
    let nothing = (0, false);
    let confined = (0, true);
    check(
        copier.tcpcopy.pid(),
        &[
            ("tcpcopy", (NET_ADMIN | BPF, false)),
            ("worker", nothing),
            ("channel", confined),
            ("names", nothing),
            ("routes", nothing),
            ("exits", nothing),
            ("keeper", (NET_ADMIN, false)),
            ("printer", nothing),
            ("summary", (DAC_OVERRIDE, false)),
            ("histograms", (DAC_OVERRIDE, false)),
            ("tap", (DAC_OVERRIDE, false)),
        ],
    );
    let intercept = copier.intercept.as_ref().expect("an intercept");
    check(
        intercept.pid(),
        &[
            ("intercept", (NET_ADMIN | BPF | SYS_ADMIN, false)),
            ("worker", nothing),
            ("accept", confined),
            ("reader", confined),
            ("writer", confined),
            ("metrics", confined),
            ("witness", (BPF, false)),
            ("addresses", nothing),
            ("own-addresses", (BPF, false)),
            ("signals", nothing),
            ("printer", nothing),
        ],
    );
    let janitor = super::hooks::janitor(&copier);
    check(
        u32::try_from(janitor.as_raw()).expect("a number"),
        &[("janitor", (NET_ADMIN, false))],
    );
    let report = clients.wait();
    let summary = finish(&mut copier);
    check_clients(&report);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_clean(&stand);
}

/// What direct mode has besides, and a run whose programs are measured.
#[test]
fn a_measured_run_keeps_one_right_more() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let options = stand.options().more("--listen").more("127.0.0.1:9524");
    let mut copier = start_with(&stand, &options);
    pause(200);
    let nothing = (0, false);
    check(
        copier.tcpcopy.pid(),
        &[
            ("tcpcopy", (NET_ADMIN | BPF | SYS_ADMIN, false)),
            ("worker", nothing),
            ("routes", nothing),
            ("exits", nothing),
            ("ports", nothing),
            ("printer", nothing),
            ("summary", (DAC_OVERRIDE, false)),
            ("metrics", (0, true)),
        ],
    );
    let answer = super::metrics::get(&stand, Host::Online, super::metrics::tcpcopy(), "/metrics");
    assert!(
        answer.body.contains("tcpcopy_program_runs_total"),
        "{}",
        answer.body
    );
    finish(&mut copier);
    check_clean(&stand);
}
