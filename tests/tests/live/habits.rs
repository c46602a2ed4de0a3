//! What people do to a copy, and what applications do besides asking and answering.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::access_log::Comparison;
use lab::copier::Copier;
use lab::interrupt;
use lab::net::{ONLINE, TARGET};
use lab::{Host, Topology};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use tests::copying::{check_books, check_clients, finish, start};
use tests::{Clients, PORT, Stand, check_complete, check_nothing_left};

use super::bodies::Service;

fn pause(milliseconds: u64) {
    interrupt::sleep(Duration::from_millis(milliseconds)).expect("no signal");
}

/// A second `tcpcopy` on the same host must not take the first one's private device for a left-over.
#[test]
fn a_second_copy_on_the_same_host() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut first = start(&stand);
    let clients = Clients::keep_alive(20, 500, 4).start(&stand);
    pause(1000);
    let mut options = stand.options();
    options.name = "tcpcopy-second".to_owned();
    options.rules = format!("{ONLINE}:9999-{TARGET}:9999");
    let mut second =
        Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online)
            .expect("it starts");
    let status = second
        .tcpcopy
        .wait(Duration::from_secs(10))
        .expect("it ends");
    assert_eq!(status.code(), Some(2), "{}", second.tcpcopy.tail());
    let pid = first.tcpcopy.pid().to_string();
    assert!(
        second.tcpcopy.log().contains(&pid),
        "it names the first one ({pid}): {}",
        second.tcpcopy.tail()
    );
    let report = clients.wait();
    let summary = finish(&mut first);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_nothing_left(&stand);
}

/// Without its private device a run cannot go on; it says so, and clients notice nothing.
#[test]
fn the_private_device_is_removed() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 500, 4).start(&stand);
    pause(1000);
    stand
        .lab
        .namespace(Host::Online)
        .ip(&["link", "delete", "tcpcopy0"])
        .expect("ip");
    let status = copier
        .tcpcopy
        .wait(Duration::from_secs(15))
        .expect("it ends");
    assert_eq!(status.code(), Some(1), "{}", copier.tcpcopy.tail());
    let said = copier.tcpcopy.log();
    assert!(
        said.contains("tcpcopy1") || said.contains("tcpcopy0"),
        "{said}"
    );
    check_clients(&clients.wait());
    check_nothing_left(&stand);
    check_nothing_left(&stand);
}

/// The online server's interface loses its link for a second: clients wait, and the copy with them.
#[test]
fn the_online_link_goes_down_for_a_second() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let clients = Clients::keep_alive(20, 300, 5).start(&stand);
    pause(1000);
    let client = stand.lab.namespace(Host::Client);
    client.set_link("eth0", false).expect("down");
    pause(1000);
    client.set_link("eth0", true).expect("up");
    client
        .ip(&["route", "replace", "default", "via", &ONLINE.to_string()])
        .expect("a route");
    let report = clients.wait();
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_nothing_left(&stand);
}

/// Long responses keep coming: the target must not wait for our acknowledgements.
#[test]
fn responses_of_a_megabyte() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let (online, target) = (
        Service::start(&stand, Host::Online),
        Service::start(&stand, Host::Target),
    );
    let mut copier = start(&stand);
    let report = Clients::keep_alive(10, 60, 4)
        .and(&["--path", "/1000000"])
        .run(&stand);
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    let (online, target) = (online.finish(), target.finish());
    assert_eq!(online, target, "{}", summary.ledger());
    assert_eq!(summary.captured(), report.completed, "{}", summary.ledger());
    assert_eq!(
        summary.answered(),
        summary.captured(),
        "{}",
        summary.ledger()
    );
    check_nothing_left(&stand);
}

/// Clients that reset each connection after the response: the requests are copied all the same.
#[test]
fn clients_that_reset() {
    let Some(stand) = super::stand(Topology::Direct) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let requests = stand
        .lab
        .namespace(Host::Client)
        .enter(|| (0..500).filter(|id| ask_and_reset(*id).is_ok()).count())
        .expect("the namespace");
    assert_eq!(requests, 500);
    let summary = finish(&mut copier);
    check_books(&summary);
    let comparison = Comparison::of(
        &online.finish().expect("log"),
        &target.finish().expect("log"),
    );
    assert!(
        comparison.is_exact() && comparison.online == 500,
        "{comparison}; {}",
        summary.ledger()
    );
    assert_eq!(summary.answered(), 500, "{}", summary.ledger());
    check_nothing_left(&stand);
}

fn ask_and_reset(id: u32) -> std::io::Result<()> {
    let mut connection = TcpStream::connect((ONLINE, PORT))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        connection,
        "GET /?id=reset{id} HTTP/1.1\r\nHost: online\r\n\r\n"
    )?;
    let mut response = [0; 4096];
    let mut len = 0;
    // The body is 600 bytes that follow the empty line.
    while !response[..len].ends_with(&[b'x'; 600]) {
        match connection.read(&mut response[len..])? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            more => len += more,
        }
    }
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&connection, sockopt::Linger, &at_once)?;
    Ok(())
}

/// What a server of [`greet`] was told, line by line; a line that came before the greeting begins with `early`.
type Lines = Arc<Mutex<Vec<String>>>;

/// A server that speaks first, after a delay, as mail and database servers do.
fn greet(stand: &Stand, host: Host, delay: Duration) -> Lines {
    let address = SocketAddr::from((host.address().expect("an address"), PORT));
    let listener = stand
        .lab
        .namespace(host)
        .enter(|| TcpListener::bind(address))
        .expect("the namespace")
        .expect("a port");
    let lines = Lines::default();
    let heard = Arc::clone(&lines);
    // It ends with the process.
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || serve(&connection, delay, &heard));
        }
    });
    lines
}

fn serve(mut connection: &TcpStream, delay: Duration, heard: &Lines) -> std::io::Result<()> {
    std::thread::sleep(delay);
    connection.set_nonblocking(true)?;
    let early = if connection.peek(&mut [0]).is_ok() {
        "early "
    } else {
        ""
    };
    connection.set_nonblocking(false)?;
    connection.write_all(b"220 ready\r\n")?;
    for line in BufReader::new(connection).lines() {
        let line = line?;
        let last = line == "QUIT";
        heard
            .lock()
            .expect("no panic")
            .push(format!("{early}{line}"));
        connection.write_all(if last { b"221 bye\r\n" } else { b"250 ok\r\n" })?;
        if last {
            break;
        }
    }
    Ok(())
}

fn converse(number: u32) -> std::io::Result<()> {
    let connection = TcpStream::connect((ONLINE, PORT))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut answers = BufReader::new(&connection).lines();
    for word in [
        format!("HELO {number}"),
        format!("MAIL {number}"),
        "QUIT".to_owned(),
    ] {
        answers.next().transpose()?;
        (&connection).write_all(format!("{word}\r\n").as_bytes())?;
    }
    answers.next().transpose()?;
    Ok(())
}

/// Servers that speak first: the copy waits for the target's greeting, which takes longer than the online server's.
#[test]
fn a_greeting_comes_first() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = greet(&stand, Host::Online, Duration::from_millis(1));
    let target = greet(&stand, Host::Target, Duration::from_millis(60));
    let mut copier = start(&stand);
    let held = stand
        .lab
        .namespace(Host::Client)
        .enter(|| (0..200).filter(|number| converse(*number).is_ok()).count());
    assert_eq!(held.expect("the namespace"), 200);
    let summary = finish(&mut copier);
    check_books(&summary);
    let sorted = |lines: &Lines| {
        let mut lines = lines.lock().expect("no panic").clone();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&online), sorted(&target), "{}", summary.ledger());
    assert_eq!(
        (summary.captured(), summary.answered()),
        (600, 600),
        "{}",
        summary.ledger()
    );
    check_nothing_left(&stand);
}
