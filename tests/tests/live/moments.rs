//! Answers that come in pieces, later than the online server's, or too late: the copy neither falls behind nor runs ahead of what
//! it waits for, and nothing is compared with the answer to something else.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use lab::{Host, Topology};
use tests::copying::{check_books, finish, start, start_with};
use tests::{Stand, check_nothing_left};

use super::in_step::SOON;
use super::known_faults::is_known;
use super::options::with;
use super::spoken::{Journal, check_lag, connect, is_readable, line, serve, skip};

/// How far a copy may be behind its clients.
const LAG_MAX: Duration = Duration::from_secs(1);

/// The client says in the middle of a response that it is content, which nobody answers, and goes on when it has all of it.
#[test]
fn words_in_the_middle_of_a_response() {
    if is_known("words_in_the_middle_of_a_response") {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let server = |host, pause| {
        serve(&stand, host, move |mut stream, ear| {
            while let Some(said) = line(&mut stream) {
                let gets = said.starts_with("GET");
                ear.hears(said);
                if !gets {
                    continue;
                }
                let sent = if pause {
                    let first = stream.write_all(&[b'a'; 100]);
                    sleep(Duration::from_millis(50));
                    first.and_then(|()| stream.write_all(&[b'b'; 100]))
                } else {
                    stream.write_all(&[b'a'; 200])
                };
                if sent.is_err() {
                    return;
                }
            }
        })
    };
    let (online, target) = (server(Host::Online, true), server(Host::Target, false));
    let copier = start_with(&stand, &with(stand.options(), &SOON));
    let mut stream = connect(&stand);
    for round in 0..4 {
        writeln!(stream, "GET {round}").expect("a connection");
        skip(&mut stream, 100).expect("half of a response");
        writeln!(stream, "ACK {round}").expect("a connection");
        skip(&mut stream, 100).expect("the other half");
    }
    drop(stream);
    check_lag(copier, &online, &target, LAG_MAX);
    check_nothing_left(&stand);
}

/// A server that sends a head at once and the body after so many milliseconds, and writes down who has gone on meanwhile.
fn body_later(stand: &Stand, host: Host, pause: u64) -> Journal {
    serve(stand, host, move |mut stream, ear| {
        while let Some(said) = line(&mut stream) {
            let head = stream.write_all(&[b'h'; 80]);
            sleep(Duration::from_millis(pause));
            let early = if is_readable(&stream) {
                "early after"
            } else {
                "in step after"
            };
            ear.hears(format!("{early} {said}"));
            if head.and_then(|()| stream.write_all(&[b'b'; 200])).is_err() {
                return;
            }
        }
    })
}

/// The head of each response comes at once and its body later, and on the target later than on the online server: who asked
/// has its answer before the next request comes.
#[test]
fn bodies_that_come_later() {
    if is_known("bodies_that_come_later") {
        return;
    }
    const CONNECTIONS: usize = 4;
    const REQUESTS: usize = 20;
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let (online, target) = (
        body_later(&stand, Host::Online, 10),
        body_later(&stand, Host::Target, 30),
    );
    let mut copier = start(&stand);
    std::thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let mut stream = connect(&stand);
            scope.spawn(move || {
                for request in 0..REQUESTS {
                    writeln!(stream, "request {number} {request}").expect("a connection");
                    skip(&mut stream, 280).expect("a response");
                }
            });
        }
    });
    let summary = finish(&mut copier);
    let early = |journal: &Journal| {
        let texts = journal.texts();
        texts
            .iter()
            .filter(|text| text.starts_with("early"))
            .count()
    };
    let value = summary.value();
    let first = |server: &str| summary.count(&format!("/latency_us/{server}/first_byte/p90"));
    let context = format!(
        "{} early; first byte {} us and {} us; {}; {}",
        early(&target),
        first("online"),
        first("target"),
        summary.ledger(),
        value["differences"]
    );
    eprintln!("{context}");
    check_books(&summary);
    let all = CONNECTIONS * REQUESTS;
    assert_eq!(
        (online.heard().len(), target.heard().len()),
        (all, all),
        "{context}"
    );
    assert_eq!(early(&online), 0);
    // The pause has to be learned; half a second is enough for that.
    assert!(early(&target) <= all / 4, "{context}");
    assert_eq!(summary.count("/differences/differing"), 0, "{context}");
    assert!(first("target") < first("online") + 15_000, "{context}");
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    check_nothing_left(&stand);
}

/// One response comes later than the copy waits for: what follows is never compared with the answer before it.
#[test]
fn one_response_after_the_timeout() {
    if is_known("one_response_after_the_timeout") {
        return;
    }
    const REQUESTS: usize = 20;
    /// No two responses are of the same length.
    fn len(number: usize) -> usize {
        100 + 10 * number
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let server = |host, pause| {
        serve(&stand, host, move |mut stream, ear| {
            while let Some(said) = line(&mut stream) {
                let number = said.parse().unwrap_or(0);
                ear.hears(said);
                if number == 3 {
                    sleep(Duration::from_millis(pause));
                }
                if stream.write_all(&vec![b'r'; len(number)]).is_err() {
                    return;
                }
            }
        })
    };
    let (online, target) = (server(Host::Online, 0), server(Host::Target, 2000));
    let options = with(stand.options(), &["--response-timeout", "1s"]);
    let mut copier = start_with(&stand, &options);
    let mut stream = connect(&stand);
    for number in 0..REQUESTS {
        writeln!(stream, "{number}").expect("a connection");
        skip(&mut stream, len(number)).expect("a response");
        sleep(Duration::from_millis(250));
    }
    drop(stream);
    let summary = finish(&mut copier);
    let context = format!("{}; {}", summary.ledger(), summary.value()["differences"]);
    eprintln!("{context}");
    check_books(&summary);
    assert_eq!(online.texts(), target.texts(), "{context}");
    // The turn that timed out is one whose target was silent.
    let differing = summary.count("/differences/differing");
    assert_eq!(
        differing,
        summary.count("/differences/kinds/target_silent"),
        "{context}"
    );
    let compared = summary.count("/differences/compared");
    assert!(
        compared >= REQUESTS as u64 / 2,
        "never in step again: {context}"
    );
    check_nothing_left(&stand);
}

/// The answer of a mail server to a line, in the pieces that leave one by one.
fn mail_answer(said: &str) -> &'static [&'static str] {
    match said.split(' ').next().unwrap_or_default() {
        "EHLO" => &["250-mail\r\n", "250-SIZE 1000000\r\n", "250 HELP\r\n"],
        "DATA" => &["354 end with a dot\r\n"],
        "QUIT" => &["221 bye\r\n"],
        _ => &["250 ", "ok\r\n"],
    }
}

/// Two mail servers that say the same in pieces, with pauses that differ: nothing is told as different.
#[test]
fn equal_mail_servers() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let server = |host, pause| {
        serve(&stand, host, move |mut stream, ear| {
            let mut sent = stream.write_all(b"220 mail\r\n");
            let mut in_body = false;
            while let (Some(said), Ok(())) = (line(&mut stream), &sent) {
                let answers = !in_body || said == ".";
                in_body = said == "DATA" || (in_body && said != ".");
                if !answers {
                    continue;
                }
                for (number, piece) in mail_answer(&said).iter().enumerate() {
                    if number > 0 {
                        sleep(Duration::from_millis(pause));
                    }
                    sent = sent.and_then(|()| stream.write_all(piece.as_bytes()));
                }
                ear.hears(said);
            }
        })
    };
    let (online, target) = (server(Host::Online, 2), server(Host::Target, 7));
    let mut copier = start(&stand);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let stand = &stand;
            scope.spawn(move || {
                for mail in 0..25 {
                    send_mail(connect(stand), number, mail).expect("a mail server");
                }
            });
        }
    });
    let summary = finish(&mut copier);
    let context = format!("{}; {}", summary.ledger(), summary.value()["differences"]);
    eprintln!("{context}");
    check_books(&summary);
    assert_eq!(online.texts(), target.texts(), "{context}");
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    assert_eq!(summary.count("/differences/differing"), 0, "{context}");
    check_nothing_left(&stand);
}

/// Sends a mail: its envelope line by line without waiting for answers (RFC 2920), so that some lines leave before and some
/// after the answers to those before them.
fn send_mail(mut stream: TcpStream, number: usize, mail: usize) -> std::io::Result<()> {
    answer(&mut stream)?;
    write!(stream, "EHLO client{number}\r\n")?;
    answer(&mut stream)?;
    for said in [
        format!("MAIL FROM:<{number}@client>"),
        format!("RCPT TO:<{mail}@mail>"),
        "DATA".to_owned(),
    ] {
        write!(stream, "{said}\r\n")?;
        sleep(Duration::from_micros(700 * (mail as u64 % 7)));
    }
    for _ in 0..3 {
        answer(&mut stream)?;
    }
    write!(
        stream,
        "Subject: {mail}\r\n\r\nNumber {mail} of {number}.\r\n.\r\n"
    )?;
    answer(&mut stream)?;
    write!(stream, "QUIT\r\n")?;
    answer(&mut stream)
}

/// Reads the whole of an answer.
fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
    while let Some(said) = line(stream) {
        if said.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}
