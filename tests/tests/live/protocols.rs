//! Habits of protocols besides asking and answering, with the programs that have them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::access_log::{Comparison, Request};
use lab::copier::Summary;
use lab::net::{ONLINE, TARGET};
use lab::redis::Redis;
use lab::{Host, Topology};
use tests::copying::{check_books, finish, start, start_with};
use tests::{PORT, Stand, check_nothing_left};

use super::bodies::Service;
use super::robust::pause;

/// Runs `curl` as a client of the online server.
fn curl(stand: &Stand, arguments: &[&str], url: &str) {
    let mut all = vec!["-sS", "--fail", "--max-time", "20", "-o", "/dev/null"];
    all.extend(arguments);
    all.push(url);
    stand
        .lab
        .run(Host::Client, "curl", &all)
        .expect("curl is content");
}

/// A URL of the online server with a range of request ids.
fn url(ids: &str) -> String {
    format!("http://{ONLINE}:{PORT}/?id={ids}")
}

/// Every request was copied once, and every turn taken as the online server took it.
fn check_same(online: &[Request], target: &[Request], requests: usize, summary: &Summary) {
    let comparison = Comparison::of(online, target);
    let context = format!("{comparison}; {}", summary.ledger());
    check_books(summary);
    assert_eq!(online.len(), requests, "{context}");
    assert!(comparison.is_exact(), "{context}");
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    assert!(summary.captured() > 0, "{context}");
}

/// A file of 300 kB to upload, as curl wants it named.
fn upload(stand: &Stand) -> String {
    let body = stand.lab.folder().join("body");
    std::fs::write(&body, vec![b'b'; 300_000]).expect("a file");
    format!("@{}", body.display())
}

/// A body whose length nobody knows before its end.
#[test]
fn chunked_uploads() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "curl"]) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let body = upload(&stand);
    let mut copier = start(&stand);
    let chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", &body];
    curl(&stand, &chunked, &url("chunked[1-20]"));
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_same(&online, &target, 20, &summary);
    check_nothing_left(&stand);
}

/// A body that the client sends only once the server has asked for it: a turn of its own.
#[test]
fn uploads_with_100_continue() {
    let Some(stand) = super::stand_with(Topology::Direct, &["curl"]) else {
        return;
    };
    let (online, target) = (
        Service::start(&stand, Host::Online),
        Service::start(&stand, Host::Target),
    );
    let body = upload(&stand);
    let mut copier = start(&stand);
    let continued = ["-H", "Expect: 100-continue", "--data-binary", &body];
    curl(&stand, &continued, &url("c[101-120]"));
    let summary = finish(&mut copier);
    let (online, target) = (online.finish(), target.finish());
    check_books(&summary);
    assert_eq!(
        (online.len(), &online),
        (20, &target),
        "{}",
        summary.ledger()
    );
    assert_eq!(
        (summary.captured(), summary.answered()),
        (40, 40),
        "{}",
        summary.ledger()
    );
    check_nothing_left(&stand);
}

/// Requests one after the other and several at once on one connection; the server speaks before the first of them.
#[test]
fn http2_in_clear_text() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "h2load"]) else {
        return;
    };
    let mut online = stand.nginx_with(Host::Online, |config| config.http2 = true);
    let mut target = stand.nginx_with(Host::Target, |config| config.http2 = true);
    let urls = stand.lab.folder().join("urls");
    let lines: Vec<String> = (0..100).map(|id| url(&format!("h2-{id:04}"))).collect();
    std::fs::write(&urls, lines.join("\n")).expect("a file");
    let urls = urls.display().to_string();
    let mut copier = start(&stand);
    for (clients, streams) in [("1", "1"), ("4", "10")] {
        let arguments = ["-n", "400", "-c", clients, "-m", streams, "-i", &urls];
        let said = stand.lab.run(Host::Client, "h2load", &arguments);
        let said = said.expect("h2load");
        assert!(said.contains("400 succeeded"), "{said}");
    }
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_same(&online, &target, 800, &summary);
    assert_eq!(target.len(), 800, "{}", summary.ledger());
    check_nothing_left(&stand);
}

/// What begins like TLS or SSH is not copied, counted, and said loudly.
#[test]
fn tls_and_ssh_are_unreplayable() {
    let Some(stand) = super::stand_with(Topology::Direct, &["nginx", "curl"]) else {
        return;
    };
    let (_online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start(&stand);
    let client = stand.lab.namespace(Host::Client);
    let secure = url("secret").replace("http:", "https:");
    // nginx speaks plain HTTP here: the handshake fails, which is no matter.
    let _ = client.run("curl", &["-sS", "--max-time", "5", "-k", &secure]);
    let greeted = client.enter(|| {
        let mut connection = TcpStream::connect((ONLINE, PORT))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        connection.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")?;
        connection.read(&mut [0; 512])
    });
    greeted.expect("the namespace").expect("an answer of nginx");
    pause(1500);
    let said = copier.tcpcopy.log();
    let summary = finish(&mut copier);
    check_books(&summary);
    assert_eq!(summary.outcome("unreplayable"), 2, "{}", summary.ledger());
    assert_eq!(summary.captured(), 2, "{}", summary.ledger());
    assert!(
        said.contains("NOT EVERYTHING IS COPIED") && said.contains("TLS"),
        "{said}"
    );
    assert!(target.finish().expect("log").is_empty());
    check_nothing_left(&stand);
}

/// What a server of [`serve`] was told.
type Heard = Arc<Mutex<Vec<String>>>;

/// A server on a host, with a thread per connection; it ends with the process.
fn serve(
    stand: &Stand,
    host: Host,
    handle: impl Fn(TcpStream, &Heard) + Clone + Send + 'static,
) -> Heard {
    let address = SocketAddr::from((host.address().expect("an address"), PORT));
    let listener = stand
        .lab
        .namespace(host)
        .enter(|| TcpListener::bind(address))
        .expect("the namespace")
        .expect("a port");
    let heard = Heard::default();
    let to = Arc::clone(&heard);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let (handle, to) = (handle.clone(), Arc::clone(&to));
            std::thread::spawn(move || handle(connection, &to));
        }
    });
    heard
}

/// Writes each line that comes down.
fn listen(connection: TcpStream, heard: &Heard) {
    for line in BufReader::new(connection).lines() {
        let Ok(line) = line else { return };
        heard.lock().expect("no panic").push(line);
    }
}

fn sorted(heard: &Heard) -> Vec<String> {
    let mut lines = heard.lock().expect("no panic").clone();
    lines.sort();
    lines
}

/// A log is sent line by line to a server that never answers: each connection is one turn, and it is delivered.
#[test]
fn one_way() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = serve(&stand, Host::Online, listen);
    let target = serve(&stand, Host::Target, listen);
    let mut copier = start(&stand);
    let sent = stand.lab.namespace(Host::Client).enter(|| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..10)
                .map(|number| scope.spawn(move || log_lines(number)))
                .collect();
            threads
                .into_iter()
                .all(|thread| thread.join().is_ok_and(|sent| sent.is_ok()))
        })
    });
    assert!(sent.expect("the namespace"));
    let summary = finish(&mut copier);
    check_books(&summary);
    assert_eq!(online.lock().expect("no panic").len(), 1000);
    assert_eq!(sorted(&online), sorted(&target), "{}", summary.ledger());
    assert_eq!(
        (summary.captured(), summary.outcome("delivered")),
        (10, 10),
        "{}",
        summary.ledger()
    );
    check_nothing_left(&stand);
}

fn log_lines(number: u32) -> std::io::Result<()> {
    let mut connection = TcpStream::connect((ONLINE, PORT))?;
    connection.set_nodelay(true)?;
    for line in 0..100 {
        writeln!(connection, "<13>host{number} line {line}")?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Answers nothing, but says something every so often, whatever the client does: a chat, a feed, a WebSocket. The first
/// word is said at once; `None` says no more than that.
fn push(mut connection: TcpStream, heard: &Heard, every: Option<Duration>) {
    if let Ok(reading) = connection.try_clone() {
        let heard = Arc::clone(heard);
        std::thread::spawn(move || listen(reading, &heard));
    }
    while writeln!(connection, "news of the hour").is_ok() {
        let Some(every) = every else {
            std::thread::sleep(Duration::from_secs(20));
            return;
        };
        std::thread::sleep(every);
    }
}

/// Says 60 lines in 3 s, and reads what comes meanwhile.
fn chat(number: u32) -> std::io::Result<()> {
    let mut connection = TcpStream::connect((ONLINE, PORT))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_millis(1)))?;
    for line in 0..60 {
        writeln!(connection, "{number} says {line}")?;
        std::thread::sleep(Duration::from_millis(50));
        while connection.read(&mut [0; 4096]).is_ok_and(|len| len > 0) {}
    }
    Ok(())
}

/// Both sides speak whenever they like: what the client said comes to the target, and does not wait there for what the
/// target will never say.
fn full_duplex(every: Duration, target_every: Option<Duration>, timeout: &str) -> Option<Summary> {
    let stand = super::stand_with(Topology::Direct, &[])?;
    let serve = |host, every| {
        serve(&stand, host, move |connection, heard| {
            push(connection, heard, every);
        })
    };
    let (online, target) = (
        serve(Host::Online, Some(every)),
        serve(Host::Target, target_every),
    );
    let options = stand.options().more("--response-timeout").more(timeout);
    let mut copier = start_with(&stand, &options);
    let chatted = stand.lab.namespace(Host::Client).enter(|| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..5)
                .map(|number| scope.spawn(move || chat(number)))
                .collect();
            threads
                .into_iter()
                .all(|thread| thread.join().is_ok_and(|chatted| chatted.is_ok()))
        })
    });
    assert!(chatted.expect("the namespace"));
    let summary = finish(&mut copier);
    let context = format!("{}; {}", summary.ledger(), summary.value()["sessions"]);
    eprintln!("{context}; lag {}", summary.value()["latency_us"]["lag"]);
    check_books(&summary);
    assert_eq!(online.lock().expect("no panic").len(), 300);
    assert_eq!(sorted(&online), sorted(&target), "{context}");
    check_nothing_left(&stand);
    Some(summary)
}

#[test]
fn full_duplex_alike() {
    let every = Duration::from_millis(20);
    if let Some(summary) = full_duplex(every, Some(every), "30s") {
        assert_eq!(summary.fidelity(), 1.0, "{}", summary.ledger());
    }
}

/// The target greets and then says nothing: after the first wait in vain each session goes by time alone.
#[test]
fn full_duplex_with_a_silent_target() {
    if let Some(summary) = full_duplex(Duration::from_millis(300), None, "1s") {
        assert_eq!(
            summary.count("/sessions/streaming"),
            5,
            "{}",
            summary.value()["sessions"]
        );
    }
}

/// Subscribers of Redis: the server pushes what others publish, and each publication is copied once.
#[test]
fn redis_publish_and_subscribe() {
    let Some(stand) = super::stand_with(Topology::Direct, &["redis-server", "redis-cli"]) else {
        return;
    };
    let server = |host, name, address| {
        Redis::start(&stand.lab, host, name, (address, PORT).into()).expect("redis")
    };
    let online = server(Host::Online, "redis-online", ONLINE);
    let target = server(Host::Target, "redis-target", TARGET);
    let mut copier = start(&stand);
    let done = stand.lab.namespace(Host::Client).enter(|| {
        std::thread::scope(|scope| {
            let subscriber = scope.spawn(subscribe);
            std::thread::sleep(Duration::from_millis(300));
            let published = publish();
            (subscriber.join().expect("no panic"), published)
        })
    });
    let (news, published) = done.expect("the namespace");
    published.expect("everything is published");
    assert_eq!(news.expect("everything is heard"), 100);
    let summary = finish(&mut copier);
    check_books(&summary);
    let calls = |redis: &Redis| {
        let said = redis.ask(&stand.lab, &["INFO", "commandstats"]);
        let said = said.expect("statistics");
        let count = |command: &str| -> u64 {
            let line = said
                .lines()
                .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            line.and_then(|rest| rest.split(',').next()?.parse().ok())
                .unwrap_or(0)
        };
        ["publish", "subscribe", "ping"].map(count)
    };
    assert_eq!(calls(&online), [100, 1, 10]);
    assert_eq!(calls(&online), calls(&target), "{}", summary.ledger());
    check_nothing_left(&stand);
}

/// Hears 100 pieces of news and says PING after every tenth of them; returns how many came.
fn subscribe() -> std::io::Result<u32> {
    let mut connection = TcpStream::connect((ONLINE, PORT))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    connection.write_all(b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n")?;
    let mut news = 0;
    for line in BufReader::new(connection.try_clone()?).lines() {
        if line?.starts_with("headline") {
            news += 1;
            if news % 10 == 0 {
                connection.write_all(b"*1\r\n$4\r\nPING\r\n")?;
            }
        }
        if news == 100 {
            break;
        }
    }
    // What answers the last PING is not waited for by a reset.
    let _ = connection.read(&mut [0; 64]);
    Ok(news)
}

fn publish() -> std::io::Result<()> {
    let mut connection = TcpStream::connect((ONLINE, PORT))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut answers = BufReader::new(connection.try_clone()?).lines();
    for number in 0..100 {
        let text = format!("headline{number:04}");
        write!(
            connection,
            "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n${}\r\n{text}\r\n",
            text.len()
        )?;
        answers.next().transpose()?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
