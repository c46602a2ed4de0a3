//! Protocols whose connections begin with something that what follows depends on: what the target has thrown out is not tried
//! again without it.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use lab::process::Spec;
use lab::{Host, Process, Topology};
use nix::sys::signal::Signal;
use tests::copying::{check_books, finish, start, start_with};
use tests::{PORT, Stand, check_nothing_left};

use super::known_faults::is_known;
use super::lost_and_found::context;
use super::options::with;
use super::spoken::{Journal, connect, line, serve};

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

/// A server that greets with a token, and closes on whoever does not log in with it.
fn greeting(stand: &Stand, host: Host, token: &'static str) -> Journal {
    serve(stand, host, move |mut stream, ear| {
        let login = format!("LOGIN {token}");
        let mut sent = writeln!(stream, "HELLO {token}");
        let said = line(&mut stream).unwrap_or_default();
        let welcome = said == login;
        ear.hears(said);
        sent = sent.and_then(|()| stream.write_all(if welcome { b"OK\n" } else { b"NO\n" }));
        while let (true, Ok(())) = (welcome, &sent) {
            let Some(said) = line(&mut stream) else {
                return;
            };
            ear.hears(said);
            sent = stream.write_all(b"DONE\n");
        }
    })
}

/// A login that depends on the greeting fails on the target: what follows is not tried without it, and nothing of it is told as
/// answered.
#[test]
fn a_login_that_depends_on_the_greeting() {
    if is_known("a_login_that_depends_on_the_greeting") {
        return;
    }
    const STATEMENTS: u64 = 100;
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = greeting(&stand, Host::Online, "red");
    let target = greeting(&stand, Host::Target, "blue");
    let mut copier = start(&stand);
    let mut stream = connect(&stand);
    let token = line(&mut stream).expect("a greeting").replace("HELLO ", "");
    writeln!(stream, "LOGIN {token}").expect("a connection");
    assert_eq!(line(&mut stream).as_deref(), Some("OK"));
    for number in 0..STATEMENTS {
        writeln!(stream, "statement {number}").expect("a connection");
        assert_eq!(line(&mut stream).as_deref(), Some("DONE"));
        sleep(Duration::from_millis(10));
    }
    drop(stream);
    let summary = finish(&mut copier);
    let context = format!(
        "{} connections; {}",
        target.connections(),
        context(&summary)
    );
    eprintln!("{context}");
    check_books(&summary);
    assert_eq!(online.heard().len() as u64, STATEMENTS + 1);
    assert_eq!(target.connections(), 1, "{context}");
    assert_eq!(target.texts(), ["LOGIN red"], "{context}");
    // The login itself was answered, by a refusal.
    assert!(summary.answered() <= 1, "{context}");
    assert!(summary.outcome("target_closed") >= STATEMENTS, "{context}");
    check_nothing_left(&stand);
}

/// Who was greeted has logged in: after a pause that is longer than its session lives, nothing of it is tried on a connection
/// without a login, although what it says looks as if it stood alone.
#[test]
fn a_greeted_flow_that_comes_back() {
    if is_known("a_greeted_flow_that_comes_back") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = greeting(&stand, Host::Online, "red");
    let target = greeting(&stand, Host::Target, "red");
    let options = with(stand.options(), &["--idle-timeout", "1s"]);
    let mut copier = start_with(&stand, &options);
    let mut stream = connect(&stand);
    assert_eq!(line(&mut stream).as_deref(), Some("HELLO red"));
    let mut say = |said: &str, answer: &str| {
        write!(stream, "{said}\r\n").expect("a connection");
        assert_eq!(line(&mut stream).as_deref(), Some(answer), "{said}");
    };
    say("LOGIN red", "OK");
    for number in 0..6 {
        say(&format!("get key{number}"), "DONE");
        sleep(Duration::from_millis(if number == 2 { 2500 } else { 100 }));
    }
    drop(stream);
    let summary = finish(&mut copier);
    let context = format!(
        "{} connections, {:?}; {}",
        target.connections(),
        target.texts(),
        context(&summary)
    );
    eprintln!("{context}");
    check_books(&summary);
    assert_eq!(online.heard().len(), 7);
    assert_eq!(target.connections(), 1, "{context}");
    assert_eq!(target.heard().len(), 4, "{context}");
    assert_eq!(
        (summary.captured(), summary.outcome("missed")),
        (7, 3),
        "{context}"
    );
    check_nothing_left(&stand);
}
