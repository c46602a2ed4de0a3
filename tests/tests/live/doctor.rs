//! `tcpcopy doctor`: sound paths are proven, and planted faults are found and their fixes named. Where a fix can be copied as
//! it stands, it is carried out, and the path must be proven then.
//!
//! | module | holds |
//! |---|---|
//! | [`examination`] | one call of the doctor, and what it said |
//! | [`faults`] | the table of planted faults |
//! | [`teaching`] | the printed commands leave the target's own connections alive |

mod examination;
mod faults;
mod teaching;

use std::net::Ipv4Addr;

use lab::net::{ASSISTANT, ONLINE, TARGET};
use lab::{Host, Topology};
use tests::copying::{check_books, check_clients, check_nothing_left, finish, start};
use tests::{Clients, PORT, Stand};

use super::robust::pause;
use examination::{Examination, examine};

/// What every examination is asked: the rule of the lab.
fn rule() -> String {
    format!("{ONLINE}:{PORT}-{TARGET}:{PORT}")
}

/// Arguments of the mode of the lab.
fn arguments(topology: Topology) -> Vec<String> {
    let mut arguments = vec!["-x".to_owned(), rule()];
    if topology == Topology::Assistant {
        let channel = format!("{ASSISTANT}:{}", lab::copier::CHANNEL_PORT);
        arguments.extend(["-s", &channel, "--insecure"].map(str::to_owned));
    }
    arguments
}

/// What the doctor says with these options too, in the mode of the lab.
pub(super) fn examine_with(stand: &Stand, more: &[&str]) -> String {
    let mut arguments = arguments(stand.lab.topology());
    arguments.extend(more.iter().map(ToString::to_string));
    examine(stand, &arguments).to_string()
}

/// A proof, and nothing left of it: no program, no device, no connection at the target.
fn check_proven(stand: &Stand, examination: &Examination, target: Host) {
    assert_eq!(examination.exit, Some(0), "{examination}");
    assert_eq!(examination.verdict(), "proven", "{examination}");
    assert!(!examination.has("FAIL"), "{examination}");
    check_nothing_left(stand);
    check_target_keeps_nothing(stand, target);
}

/// The target has no connection, in whatever state, but to itself.
fn check_target_keeps_nothing(stand: &Stand, target: Host) {
    let others = format!("not dst {TARGET}");
    let sockets = stand
        .lab
        .run(target, "ss", &["-Htan", "state", "connected", &others])
        .expect("ss");
    assert_eq!(sockets.trim(), "", "the target keeps a connection");
}

#[test]
fn a_sound_direct_path_is_proven_and_no_client_is_copied() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let clients = Clients::keep_alive(10, 200, 8).start(&stand);
    pause(1000);
    let examination = examine(&stand, &arguments(Topology::Direct));
    let report = clients.stop();
    check_proven(&stand, &examination, Host::Target);
    assert!(
        examination.says("packets of 1500 bytes arrive"),
        "{examination}"
    );
    check_clients(&report);
    let online = online.finish().expect("log");
    assert_eq!(online.len() as u64, report.completed);
    assert!(
        target.finish().expect("log").is_empty(),
        "a request was copied"
    );
}

#[test]
fn a_sound_direct_path_is_proven_by_clones_too() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let _servers = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut arguments = arguments(Topology::Direct);
    arguments.extend(["--capture", "af-xdp", "--workers", "2"].map(str::to_owned));
    check_proven(&stand, &examine(&stand, &arguments), Host::Target);
}

#[test]
fn a_sound_assistant_path_is_proven() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let _servers = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let _intercept = faults::intercept(&stand);
    let examination = examine(&stand, &arguments(Topology::Assistant));
    check_proven_through_intercept(&stand, &examination);
    // With a pool as well.
    let mut arguments = arguments(Topology::Assistant);
    arguments.extend(["-c", "62.135.200.x", "-n", "2"].map(str::to_owned));
    check_proven_through_intercept(&stand, &examine(&stand, &arguments));
}

fn check_proven_through_intercept(stand: &Stand, examination: &Examination) {
    assert_eq!(examination.exit, Some(0), "{examination}");
    assert!(
        examination.says("intercept at 10.0.2.3 took the SYN-ACK and reported it"),
        "{examination}"
    );
    check_target_keeps_nothing(stand, Host::Target);
}

#[test]
fn sound_ipv6_paths_are_proven() {
    for topology in [Topology::Direct, Topology::Assistant] {
        let Some(stand) = super::stand(topology) else {
            return;
        };
        super::places::add_ipv6(&stand);
        let namespace = stand.lab.namespace(Host::Target);
        let _server = namespace
            .enter(|| std::net::TcpListener::bind(("::", PORT)))
            .expect("the namespace")
            .expect("a free port");
        let mut arguments = arguments(topology);
        arguments[1] = format!("[fd00:1::1]:{PORT}-[fd00:2::2]:{PORT}");
        let mut options = stand.options();
        options.targets = format!("[fd00:2::2]:{PORT}");
        let _intercept = (topology == Topology::Assistant).then(|| {
            lab::copier::start_intercept(&stand.lab, &stand.binaries, &options).expect("intercept")
        });
        let examination = examine(&stand, &arguments);
        assert_eq!(examination.exit, Some(0), "{examination}");
        assert!(
            examination.says("packets of 1500 bytes arrive at [fd00:2::2]:8080"),
            "{examination}"
        );
        check_nothing_left(&stand);
    }
}

#[test]
fn a_target_on_this_very_host_is_proven() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let listener = tests::stand::listen(&stand, Host::Online, PORT + 1);
    for target in [ONLINE, Ipv4Addr::LOCALHOST] {
        let rule = format!("{ONLINE}:{PORT}-{target}:{}", PORT + 1);
        let examination = examine(&stand, &["-x".to_owned(), rule]);
        assert_eq!(examination.exit, Some(0), "{examination}");
        assert!(examination.says("absorb took the SYN-ACK"), "{examination}");
        check_nothing_left(&stand);
    }
    drop(listener);
}

#[test]
fn a_running_copy_is_left_alone() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let _servers = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 200, 8).start(&stand);
    pause(1000);
    let examination = examine(&stand, &arguments(Topology::Direct));
    let report = clients.stop();
    assert_eq!(examination.exit, Some(1), "{examination}");
    assert!(examination.find("occupied").is_some(), "{examination}");
    let pid = copier.tcpcopy.pid();
    assert!(
        pid > 0 && examination.says("another tcpcopy, pid "),
        "{examination}"
    );
    assert!(
        examination.says("takes a plain connection"),
        "{examination}"
    );
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    assert_eq!(
        summary.answered(),
        summary.captured(),
        "{}",
        summary.ledger()
    );
    assert!(summary.captured() > 0);
    check_nothing_left(&stand);
}

#[test]
fn a_signal_ends_an_examination_cleanly() {
    let Some(stand) = super::stand_with(Topology::Direct, &["iptables"]) else {
        return;
    };
    faults::target_drops(&stand);
    let mut process = examination::start(&stand, &arguments(Topology::Direct));
    process
        .wait_for(
            "programs load and attach",
            std::time::Duration::from_secs(10),
        )
        .expect("it attaches");
    let status = process
        .stop(
            nix::sys::signal::Signal::SIGINT,
            std::time::Duration::from_secs(5),
        )
        .expect("it ends");
    assert_eq!(status.code(), Some(1), "{}", process.tail());
    assert!(
        process.output().contains("interrupted"),
        "{}",
        process.tail()
    );
    check_nothing_left(&stand);
}

#[test]
fn without_rights_everything_is_told_that_can_be_told() {
    let Some(stand) = super::stand_with(Topology::Direct, &["setpriv"]) else {
        return;
    };
    // A folder that nobody else may enter would say something about the folder, not about us.
    let copy = stand.lab.folder().join("tcpcopy-for-all");
    std::fs::copy(&stand.binaries.tcpcopy, &copy).expect("copy");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(stand.lab.folder(), mode).expect("mode");
    let examination = examination::examine_as_nobody(&stand, &copy, &arguments(Topology::Direct));
    assert_eq!(examination.exit, Some(2), "{examination}");
    assert_eq!(examination.verdict(), "unusable", "{examination}");
    let finding = examination.find("no-rights").expect("it is found");
    assert!(
        finding.text("said").contains("run as root"),
        "{examination}"
    );
    assert!(finding.fixes()[0].1.starts_with("sudo "), "{examination}");
    assert!(examination.says("10.0.2.2 is on the link"), "{examination}");
    check_nothing_left(&stand);
}
