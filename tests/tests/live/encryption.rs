//! Encryption that begins on a connection which began in clear text: what follows cannot be copied, since its keys are not the
//! target's. That is told as such, and not as a fault of the target.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use lab::{Host, Topology};
use tests::check_nothing_left;
use tests::copying::{check_books, finish, start};

use super::known_faults::is_known;
use super::spoken::{Journal, connect, serve};

/// How a protocol comes to its encryption: what server and client say by turns, the client's words marked.
#[derive(Clone, Copy)]
struct Opening {
    name: &'static str,
    words: &'static [(Speaker, &'static [u8])],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Client,
    Server,
}

use Speaker::{Client, Server};

/// The handshake packet of a MySQL server, cut down to what a parser needs: protocol 10, a version, capabilities with SSL.
const MYSQL_GREETING: &[u8] = b"\x36\0\0\0\x0a8.0.1\0\x01\0\0\0abcdefgh\0\xff\xff\x21\x02\0\xff\xc1\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0";
/// The client's answer: nothing but capabilities, of which 0x800 asks for SSL.
const MYSQL_SSL: &[u8] =
    b"\x20\0\0\x01\x05\xae\xff\x01\0\0\0\x01\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

const OPENINGS: [Opening; 3] = [
    Opening {
        name: "PostgreSQL",
        words: &[(Client, b"\0\0\0\x08\x04\xd2\x16\x2f"), (Server, b"S")],
    },
    Opening {
        name: "SMTP",
        words: &[
            (Server, b"220 mail\r\n"),
            (Client, b"EHLO client\r\n"),
            (Server, b"250-mail\r\n250 STARTTLS\r\n"),
            (Client, b"STARTTLS\r\n"),
            (Server, b"220 go on\r\n"),
        ],
    },
    Opening {
        name: "MySQL",
        words: &[(Server, MYSQL_GREETING), (Client, MYSQL_SSL)],
    },
];

/// A record of TLS with a body that looks like chance.
fn record(kind: u8, len: u8) -> Vec<u8> {
    let body = (0..len).map(|index| index.wrapping_mul(97) ^ 0x5a);
    [kind, 3, 3, 0, len].into_iter().chain(body).collect()
}

/// The client's first record: a handshake with a ClientHello.
fn hello() -> Vec<u8> {
    let mut hello = record(0x16, 120);
    hello[1..3].copy_from_slice(&[3, 1]);
    // ClientHello, its length, and the version that it names.
    hello[5..11].copy_from_slice(&[1, 0, 0, 116, 3, 3]);
    hello
}

/// Takes so many bytes, or finds the stream ended.
fn take(stream: &mut TcpStream, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// A server that goes through an opening and then through records. One whose keys are other ones closes at the first record that
/// it cannot read.
fn server(stand: &tests::Stand, host: Host, opening: Opening, has_keys: bool) -> Journal {
    serve(stand, host, move |mut stream, ear| {
        for (speaker, words) in opening.words {
            if *speaker == Server {
                let _ = stream.write_all(words);
                continue;
            }
            if take(&mut stream, words.len()).is_none() {
                return;
            }
            ear.hears("clear text");
        }
        // Server and client hello, then data by turns.
        for number in 0.. {
            let Some(head) = take(&mut stream, 5) else {
                return;
            };
            if take(&mut stream, usize::from(head[4])).is_none() {
                return;
            }
            ear.hears("a record");
            let unreadable = number > 0 && !has_keys;
            if unreadable || stream.write_all(&record(0x17, 90)).is_err() {
                return;
            }
        }
    })
}

/// A client that begins to encrypt and asks ten times.
fn client(stand: &tests::Stand, opening: Opening) {
    let mut stream = connect(stand);
    for (speaker, words) in opening.words {
        match speaker {
            Client => stream.write_all(words).expect("a connection"),
            Server => assert!(take(&mut stream, words.len()).is_some(), "{}", opening.name),
        }
    }
    for number in 0..11 {
        let words = if number == 0 {
            hello()
        } else {
            record(0x17, 60)
        };
        stream.write_all(&words).expect("a connection");
        assert!(take(&mut stream, 95).is_some(), "{}", opening.name);
        sleep(Duration::from_millis(10));
    }
}

fn begins_later(test: &str, opening: Opening) {
    const CLIENTS: usize = 4;
    if is_known(test) {
        return;
    }
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let online = server(&stand, Host::Online, opening, true);
    let target = server(&stand, Host::Target, opening, false);
    let mut copier = start(&stand);
    for _ in 0..CLIENTS {
        client(&stand, opening);
    }
    let summary = finish(&mut copier);
    let log = copier.tcpcopy.log();
    let heard = target.texts();
    let records = heard.iter().filter(|text| *text == "a record").count();
    let context = format!(
        "{}: {} connections, {records} records; {}; {}",
        opening.name,
        target.connections(),
        summary.ledger(),
        summary.value()["left_out"]
    );
    eprintln!("{context}");
    check_books(&summary);
    assert_eq!(online.connections(), CLIENTS);
    assert_eq!(records, 0, "records at the target: {context}");
    assert!(
        summary.outcome("unreplayable") >= CLIENTS as u64,
        "{context}"
    );
    for blamed in ["target_closed", "reset", "timed_out", "aborted"] {
        assert_eq!(summary.outcome(blamed), 0, "{blamed}: {context}");
    }
    assert!(log.contains("TLS"), "{log}");
    check_nothing_left(&stand);
}

#[test]
fn postgresql_with_ssl() {
    begins_later("postgresql_with_ssl", OPENINGS[0]);
}

#[test]
fn mail_with_starttls() {
    begins_later("mail_with_starttls", OPENINGS[1]);
}

#[test]
fn mysql_with_ssl() {
    begins_later("mysql_with_ssl", OPENINGS[2]);
}
