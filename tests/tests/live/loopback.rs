//! Services that this host alone can reach: what is said to them passes `lo`, which is taken without being asked.

use std::net::{Ipv4Addr, SocketAddr};

use lab::copier::{Copier, Options};
use lab::net::{ONLINE, POOL_PREFIX, TARGET};
use lab::nginx::{Answer, Config, Nginx};
use lab::{Host, Topology};
use tests::copying::{check_books, check_clean, check_clients, finish, start_with};
use tests::{Clients, PORT, Stand};

use super::bodies::Service;

/// Where the service listens.
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);

/// Clients on the online host, each second with bodies of another length both ways.
fn bodies() -> [Clients; 3] {
    [("1", 200), ("60000", 50), ("1000000", 5)].map(|(len, rate)| {
        let path = format!("/{len}");
        Clients::keep_alive(5, rate, 1)
            .at(HERE)
            .from(Host::Online)
            .and(&["--body", len, "--path", &path, "--expect-length", len])
    })
}

/// Copies a service on loopback whose clients are on the same host, and compares every body.
fn copied(stand: &Stand, options: &Options) {
    let online = Service::start_at(stand, Host::Online, HERE, &[]);
    let target = Service::start(stand, Host::Target);
    let mut copier = start_with(stand, options);
    for clients in bodies() {
        check_clients(&clients.run(stand));
    }
    let through_proxy = through_proxy(stand);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish(), target.finish());
    let context = format!("{}\n{}", summary.ledger(), copier.tcpcopy.log());
    assert!(online.len() as u64 > through_proxy, "{context}");
    assert_eq!(online, target, "{context}");
    check_books(&summary);
    assert_eq!(summary.captured(), online.len() as u64, "{context}");
    assert_eq!(summary.answered(), summary.captured(), "{context}");
    check_clean(stand);
}

/// What the README advises: a terminator on the same host speaks to the service on loopback. Returns how many requests it
/// passed on.
fn through_proxy(stand: &Stand) -> u64 {
    let mut config = Config::new("terminator", (ONLINE, PORT + 1).into());
    config.answer = Answer::Proxy(HERE);
    let mut proxy = Nginx::start(&stand.lab, Host::Online, &config)
        .unwrap_or_else(|error| panic!("nginx: {error}"));
    let clients = Clients::short(100, 1).at_port(PORT + 1);
    let report = clients.run(stand);
    check_clients(&report);
    proxy.finish().expect("its log");
    report.completed
}

fn options(stand: &Stand) -> Options {
    let mut options = stand.options();
    options.finds_interfaces = true;
    options.rules = format!("{PORT}-{TARGET}:{PORT}");
    options
}

#[test]
fn service_on_loopback_direct() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    copied(&stand, &options(&stand));
}

#[test]
fn service_on_loopback_assistant() {
    let Some(stand) = super::stand(Topology::Assistant) else {
        return;
    };
    // With the clients' own addresses the target would answer itself: that is refused, and nothing was changed.
    let listening = Service::start_at(&stand, Host::Online, HERE, &[]);
    let mut refused = Copier::start_without_intercept(
        &stand.lab,
        &stand.binaries,
        &options(&stand),
        Host::Online,
    )
    .expect("tcpcopy");
    let status = refused
        .tcpcopy
        .wait(std::time::Duration::from_secs(10))
        .expect("it ends");
    let log = refused.tcpcopy.log();
    assert_eq!(status.code(), Some(2), "{log}");
    for words in ["listened to on loopback alone", "name a reply pool (-c)"] {
        assert!(log.contains(words), "{log}");
    }
    drop(listening);
    let pooled = options(&stand).more("-c").more(POOL_PREFIX);
    copied(&stand, &pooled);
}

/// The doctor says that lo is taken; and, where it is not named, that nothing will be captured.
#[test]
fn doctor_knows_a_service_on_loopback() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let _online = Service::start_at(&stand, Host::Online, HERE, &[]);
    let _target = Service::start(&stand, Host::Target);
    let rule = format!("{PORT}-{TARGET}:{PORT}");
    for (more, code, words) in [
        (&[][..], 0, "lo is captured for"),
        (&["-i", "eth0,eth1"], 1, "name lo (-i lo"),
        (&["-i", "lo"], 0, "lo is up"),
    ] {
        let spec = lab::Spec::new("doctor", &stand.binaries.tcpcopy)
            .args(["doctor", "-x", &rule])
            .args(more.iter().copied());
        let mut doctor = stand.lab.spawn(Host::Online, &spec).expect("the doctor");
        let status = doctor
            .wait(std::time::Duration::from_secs(20))
            .expect("it ends");
        let said = format!("{}{}", doctor.output(), doctor.log());
        assert_eq!(status.code(), Some(code), "{more:?}: {said}");
        // Lines are broken where a person reads them.
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(words), "{more:?}: {said}");
    }
}
