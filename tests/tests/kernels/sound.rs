//! A copy from its beginning to its end, and to its death: the doctor finds the path sound, every request is copied once,
//! the metrics can be read, nothing is left; and after SIGKILL the clients notice nothing, nothing works on without its
//! process, and the next start ends as clean as ever.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lab::access_log::Comparison;
use lab::net::{ASSISTANT, ONLINE, TARGET};
use lab::{Host, Spec, Topology, http, interrupt};
use nix::sys::signal::Signal;
use tests::copying::{check_clients, check_nothing_left, finish, start};
use tests::{Clients, PORT, Stand};

use super::copy::{check_kernel_is_clean, complete, loads};

#[test]
fn direct() {
    sound(Topology::Direct);
}

#[test]
fn assistant() {
    sound(Topology::Assistant);
}

fn sound(topology: Topology) {
    let Some(stand) = super::stand(topology, &["nginx", "bpftool"]) else {
        return;
    };
    examined(&stand);
    let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, 9524));
    let options = stand.options().more("--listen").more(&metrics.to_string());
    complete(&stand, &options, &loads(), |_| {
        let online = stand.lab.namespace(Host::Online);
        let answer = http::get(&online, metrics, "/metrics").expect("metrics");
        assert!(
            answer.body.contains("\ntcpcopy_ready 1\n"),
            "{}",
            answer.body
        );
    });
    killed(&stand);
}

/// The doctor proves the path.
fn examined(stand: &Stand) {
    let _servers = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let rule = format!("{ONLINE}:{PORT}-{TARGET}:{PORT}");
    let mut spec = Spec::new("doctor", &stand.binaries.tcpcopy).args(["doctor", "-x", &rule]);
    let mut intercept = None;
    if stand.lab.topology() == Topology::Assistant {
        let options = stand.options();
        let started = lab::copier::start_intercept(&stand.lab, &stand.binaries, &options);
        intercept = Some(started.unwrap_or_else(|error| panic!("{error}")));
        let channel = format!("{ASSISTANT}:{}", lab::copier::CHANNEL_PORT);
        spec = spec.args(["-s", &channel, "--insecure"]);
    }
    let mut doctor = stand.lab.spawn(Host::Online, &spec).expect("the doctor");
    let status = doctor.wait(Duration::from_secs(20)).expect("it ends");
    let said = format!("{}{}", doctor.output(), doctor.log());
    eprintln!("{said}");
    assert_eq!(status.code(), Some(0), "{said}");
    if let Some(mut intercept) = intercept {
        intercept
            .stop(Signal::SIGTERM, Duration::from_secs(5))
            .expect("intercept ends");
    }
    check_nothing_left(stand);
}

/// Kills the programs in the middle of a load, and starts them again.
fn killed(stand: &Stand) {
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(stand);
    let clients = Clients::keep_alive(10, 150, 6).start(stand);
    interrupt::sleep(Duration::from_secs(2)).expect("no signal");
    for process in [Some(&mut copier.tcpcopy), copier.intercept.as_mut()] {
        let Some(process) = process else { continue };
        process
            .stop(Signal::SIGKILL, Duration::from_secs(5))
            .expect("it dies");
    }
    check_kernel_is_clean();
    let report = clients.wait();
    check_clients(&report);
    let mut again = start(stand);
    let more = Clients::keep_alive(10, 100, 1).run(stand);
    finish(&mut again);
    check_clients(&more);
    let comparison = Comparison::of(
        &online.finish().expect("online log"),
        &target.finish().expect("target log"),
    );
    assert!(
        comparison.doubled.is_empty() && comparison.extra.is_empty(),
        "{comparison}"
    );
    assert!(comparison.copied > 0, "{comparison}");
    check_nothing_left(stand);
    check_kernel_is_clean();
}
