//! What can go wrong between `tcpcopy` and `intercept`.

use std::io::{Read, Write};
use std::time::Duration;

use lab::copier::Copier;
use lab::net::{CLIENT_PREFIX, ONLINE_INSIDE};
use lab::{Host, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_clients, check_nothing_left, finish, start};
use tests::{Clients, check_clean, check_complete};

use super::robust::{pause, survived};

#[test]
fn intercept_killed_and_started_again() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let options = stand.options();
    let mut copier = start(&stand);
    let clients = Clients::short(300, 12).start(&stand);
    pause(2000);
    let mut killed = copier.intercept.take().expect("an intercept");
    killed
        .stop(Signal::SIGKILL, Duration::from_secs(2))
        .expect("intercept dies");
    pause(1000);
    copier
        .tcpcopy
        .expect_alive()
        .expect("tcpcopy goes on without intercept");
    copier.intercept = Some(
        lab::copier::start_intercept(&stand.lab, &stand.binaries, &options)
            .expect("intercept starts again"),
    );
    let report = clients.wait();
    let summary = finish(&mut copier);
    let requests = target.finish().expect("log").len() as u64;
    assert!(
        requests * 10 > report.completed * 6,
        "{requests} of {}: {}",
        report.completed,
        summary.ledger()
    );
    survived(&stand, &report, &summary);
}

/// With the clients' own addresses and no way back through `intercept` nothing may be copied: the target's replies
/// would reach real clients.
#[test]
fn nothing_is_copied_before_the_path_is_proven() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    // The target answers clients through the online server, which does not forward.
    stand
        .lab
        .namespace(Host::Target)
        .ip(&[
            "route",
            "replace",
            CLIENT_PREFIX,
            "via",
            &ONLINE_INSIDE.to_string(),
        ])
        .expect("route");
    // Nothing is to come of what waits at the end.
    let options = stand.options().more("--drain").more("1s");
    let _intercept =
        lab::copier::start_intercept(&stand.lab, &stand.binaries, &options).expect("intercept");
    let mut copier =
        Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online)
            .expect("tcpcopy");
    let report = Clients::keep_alive(20, 500, 3).long(5).run(&stand);
    let _ = copier.tcpcopy.signal(Signal::SIGINT);
    let _ = copier
        .tcpcopy
        .wait(Duration::from_secs(20))
        .expect("tcpcopy ends");
    check_clients(&report);
    assert_eq!(
        target.finish().expect("log").len(),
        0,
        "{}",
        copier.tcpcopy.log()
    );
    check_nothing_left(&stand);
}

/// Whoever speaks nonsense to `intercept` is shown out, and nobody else notices.
#[test]
fn garbage_on_the_channel() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 1000, 6).start(&stand);
    pause(1000);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0; 4096]] {
        let closed = stand
            .lab
            .namespace(Host::Online)
            .enter(|| shown_out(garbage))
            .expect("the namespace");
        assert!(
            closed.expect("a connection"),
            "intercept keeps a connection that speaks nonsense"
        );
    }
    let report = clients.wait();
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_clean(&stand);
}

/// Whether `intercept` closes a connection on which this is said.
fn shown_out(garbage: &[u8]) -> std::io::Result<bool> {
    let address = std::net::SocketAddr::from((lab::net::ASSISTANT, lab::copier::CHANNEL_PORT));
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // It may be closed before all is written.
    let _ = stream.write_all(garbage);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => Ok(true),
        Err(error) => Ok(error.kind() == std::io::ErrorKind::ConnectionReset),
    }
}
