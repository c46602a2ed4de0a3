//! A target that is a proxy aborts (499) when its client goes before its upstream has answered, so the copy's FIN
//! must wait for the response although the real client closed long before.

use lab::command::spec_of;
use lab::net::TARGET;
use lab::nginx::{Answer, Config, Nginx};
use lab::{Host, Topology};
use tests::copying::{finish, start};
use tests::{Clients, PORT, check_complete, check_nothing_left};

const UPSTREAM_PORT: u16 = 9090;

fn proxied(topology: Topology) {
    let Some(stand) = super::stand(topology) else {
        return;
    };
    let upstream = spec_of(stand.part(), "upstream", "serve").args([
        "--listen",
        "127.0.0.1:9090",
        "--delay-ms",
        "30",
    ]);
    let mut upstream = stand
        .lab
        .spawn(Host::Target, &upstream)
        .expect("the upstream");
    upstream
        .wait_for("ready", std::time::Duration::from_secs(5))
        .expect("the upstream");
    let mut online = stand.nginx(Host::Online);
    let mut config = Config::new("nginx-proxy", (TARGET, PORT).into());
    config.answer = Answer::Proxy(([127, 0, 0, 1], UPSTREAM_PORT).into());
    let mut target = Nginx::start(&stand.lab, Host::Target, &config).expect("the proxy");
    let mut copier = start(&stand);
    let report = Clients::short(500, 3).long(6).run(&stand);
    let summary = finish(&mut copier);
    let (online, target) = (
        online.finish().expect("online log"),
        target.finish().expect("target log"),
    );
    let aborted = target
        .iter()
        .filter(|request| request.status == 499)
        .count();
    assert_eq!(
        aborted,
        0,
        "the proxy's clients went too early: {}",
        summary.ledger()
    );
    check_complete(&report, &online, &target, &summary);
    check_nothing_left(&stand);
}

#[test]
fn no_499_at_a_proxy_direct() {
    proxied(Topology::Direct);
}

#[test]
fn no_499_at_a_proxy_assistant() {
    proxied(Topology::Assistant);
}
