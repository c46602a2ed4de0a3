//! Protocols whose connections begin with something that what follows depends on: what the target has thrown out is not tried
//! again without it.

use std::time::Duration;

use lab::process::Spec;
use lab::{Host, Process, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, finish, start_with};
use tests::{PORT, Stand, check_nothing_left};

/// A broker on a host, which logs each connection.
fn broker(stand: &Stand, host: Host) -> Process {
    let config = stand
        .lab
        .folder()
        .join(format!("mosquitto-{}.conf", host.name()));
    let address = host.address().expect("a host with an address");
    let text =
        format!("listener {PORT} {address}\nallow_anonymous true\nlog_dest stderr\nlog_type all\n");
    std::fs::write(&config, text).expect("a configuration");
    let name = format!("mosquitto-{}", host.name());
    let spec = Spec::new(&name, "mosquitto").args(["-c", &config.display().to_string()]);
    let mut broker = stand.lab.spawn(host, &spec).expect("mosquitto");
    broker
        .wait_for("running", Duration::from_secs(5))
        .expect("mosquitto");
    broker
}

fn connections(broker: &mut Process) -> usize {
    broker
        .stop(Signal::SIGTERM, Duration::from_secs(5))
        .expect("mosquitto ends");
    broker.log().matches("New connection from").count()
}

/// Each copy says the same client identifier in its CONNECT, and a broker throws out who used it before: of three copies
/// one stays. What the others' clients publish afterwards makes no sense on a connection that has no CONNECT.
#[test]
fn mqtt_clients_that_the_broker_throws_out() {
    const CLIENTS: usize = 20;
    const COPIES: usize = 3;
    let needs = ["mosquitto", "mosquitto_pub", "sh"];
    let Some(stand) = super::stand_with(Topology::Direct, &needs) else {
        return;
    };
    let mut online = broker(&stand, Host::Online);
    let mut target = broker(&stand, Host::Target);
    let options = stand.options().more("-n").more(&COPIES.to_string());
    let mut copier = start_with(&stand, &options);
    let publisher = format!(
        "for client in $(seq {CLIENTS}); do \
           (for message in $(seq 10); do echo $message; sleep 0.2; done | \
            mosquitto_pub -h {} -p {PORT} -i client$client -t topic -q 1 -l) & \
         done; wait",
        Host::Online.address().expect("an address"),
    );
    stand
        .lab
        .run(Host::Client, "sh", &["-c", &publisher])
        .expect("the publishers");
    let summary = finish(&mut copier);
    let (online, target) = (connections(&mut online), connections(&mut target));
    eprintln!(
        "{online} connections at the online broker, {target} at the target: {}",
        summary.ledger()
    );
    check_books(&summary);
    assert_eq!(online, CLIENTS, "a connection for each client");
    let most = CLIENTS * COPIES;
    assert!(
        (CLIENTS..=most).contains(&target),
        "{target} connections at the target"
    );
    assert_eq!(
        summary.count("/sessions/opened"),
        target as u64,
        "what the target saw: {}",
        summary.value()
    );
    check_nothing_left(&stand);
}
