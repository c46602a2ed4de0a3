//! Trials of each protocol, whole and cut anywhere.

use super::{Finding, Trial};
use crate::account::Account;
use crate::opening::{MysqlOpening, Opening, PostgresOpening};

fn postgres() -> Trial {
    Trial::new(&Opening::Postgres(PostgresOpening::unseen("ann", None)))
}

fn mysql() -> Trial {
    Trial::new(&Opening::Mysql(MysqlOpening::unseen("ann", None)))
}

fn redis() -> Trial {
    let account = Account::new(None, String::new(), 0);
    Trial::new(&Opening::Redis(account))
}

/// A message of PostgreSQL.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).expect("short");
    [&[kind][..], &len.to_be_bytes(), body].concat()
}

fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

/// What a PostgreSQL answers: these tags, and the status behind them.
fn answer(tags: &[&str], status: u8) -> Vec<u8> {
    let tags = tags.iter().flat_map(|tag| match *tag {
        "notice" => message(b'N', b"SWARNING\0\0"),
        "error" => message(b'E', b"SERROR\0C42601\0\0"),
        tag => message(b'C', format!("{tag}\0").as_bytes()),
    });
    tags.chain(message(b'Z', &[status])).collect()
}

/// A packet of MySQL.
fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).expect("short");
    [&[len, 0, 0, number][..], payload].concat()
}

fn command(text: &str) -> Vec<u8> {
    packet(0, format!("\x03{text}").as_bytes())
}

/// A word that all is well, with this status.
fn well(number: u8, status: u8) -> Vec<u8> {
    packet(number, &[0, 0, 0, status, 0, 0, 0])
}

/// What is found of a message and its answer, whole and cut anywhere.
fn found(trial: fn() -> Trial, said: &[u8], answered: &[u8]) -> Finding {
    let mut whole = trial();
    let first = whole.client(said);
    assert!(
        matches!(first, Finding::Waits | Finding::Fails),
        "{first:?}"
    );
    let found = whole.server(answered);
    for len in [1, 3, 7] {
        let mut cut = trial();
        for part in said.chunks(len) {
            cut.client(part);
        }
        let mut last = Finding::Waits;
        for part in answered.chunks(len) {
            last = cut.server(part);
        }
        assert_eq!(found, last, "{len} {said:?} {answered:?}");
    }
    found
}

fn kind(found: &Finding) -> &'static str {
    match found {
        Finding::Waits => "waits",
        Finding::Joins(_) => "joins",
        Finding::Next(_) => "next",
        Finding::Inside => "inside",
        Finding::Fails => "fails",
    }
}

#[test]
fn postgres_is_joined_outside_of_a_transaction() {
    for (tags, status, expected) in [
        (&["INSERT 0 1"][..], b'I', "joins"),
        (&["error"], b'I', "joins"),
        (&["BEGIN"], b'T', "joins"),
        (&["START TRANSACTION", "UPDATE 1"], b'T', "joins"),
        (&["BEGIN", "UPDATE 1", "COMMIT"], b'I', "joins"),
        (&["notice", "BEGIN"], b'T', "inside"),
        (&["INSERT 0 1"], b'T', "inside"),
        (&["error"], b'E', "inside"),
        (&["COMMIT"], b'I', "next"),
        (&["UPDATE 1", "ROLLBACK"], b'I', "next"),
    ] {
        let found = found(postgres, &query("something"), &answer(tags, status));
        assert_eq!(kind(&found), expected, "{tags:?} {status}");
    }
}

#[test]
fn a_batch_is_one_message() {
    let said = [
        message(b'P', b"\0begin\0\0\0"),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ]
    .concat();
    let answered = [
        message(b'1', b""),
        message(b'2', b""),
        answer(&["BEGIN"], b'T'),
    ]
    .concat();
    assert_eq!(kind(&found(postgres, &said, &answered)), "joins");
}

#[test]
fn what_does_not_follow_the_protocol_is_not_joined() {
    assert_eq!(postgres().client(b"select 1"), Finding::Fails);
    let told = found(postgres, &query("x"), b"HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(told, Finding::Fails);
    // A response to what was said before the trial.
    let mut trial = postgres();
    trial.client(&query("x"));
    assert_eq!(kind(&trial.server(&answer(&["COMMIT"], b'I'))), "next");
    assert_eq!(trial.server(&answer(&["INSERT 0 1"], b'I')), Finding::Fails);
    // The middle of a payload, and a row.
    assert_eq!(mysql().client(&packet(1, b"\x03select 1")), Finding::Fails);
    let told = found(mysql, &command("select 1"), &packet(7, b"\x011"));
    assert_eq!(told, Finding::Fails);
    assert_eq!(redis().client(b"$5\r\nhello\r\n"), Finding::Fails);
}

#[test]
fn a_trial_goes_on() {
    let mut trial = postgres();
    trial.client(&query("x"));
    assert_eq!(trial.server(&answer(&["UPDATE 1"], b'T')), Finding::Inside);
    trial.client(&query("x"));
    let found = trial.server(&answer(&["COMMIT"], b'I'));
    assert_eq!(kind(&found), "next");
    // What is said in between is no answer.
    let noted = message(b'A', b"\0\0\0\x01channel\0\0");
    assert_eq!(trial.server(&noted), Finding::Waits);
    trial.client(&query("x"));
    let found = trial.server(&answer(&["UPDATE 1"], b'I'));
    assert_eq!(kind(&found), "joins");
}

#[test]
fn mysql_is_joined_outside_of_a_transaction() {
    for (text, status, expected) in [
        ("insert into t values (1)", 2, "joins"),
        ("/* of the pool */ begin", 3, "joins"),
        ("START TRANSACTION", 3, "joins"),
        ("insert into t values (1)", 3, "inside"),
        ("insert into t values (1)", 1, "inside"),
        ("commit", 2, "next"),
        ("ROLLBACK", 0, "next"),
    ] {
        let found = found(mysql, &command(text), &well(1, status));
        assert_eq!(kind(&found), expected, "{text} {status}");
        if let Finding::Joins(opening) | Finding::Next(opening) = found {
            let Opening::Mysql(opening) = *opening else {
                panic!("{opening:?}")
            };
            assert_eq!(opening.commits, Some(status & 2 != 0), "{text}");
        }
    }
    // An error says nothing of a transaction, nor does what is no query.
    let refused = packet(1, b"\xff\x28\x04#42000no");
    assert_eq!(found(mysql, &command("x"), &refused), Finding::Inside);
    assert_eq!(
        found(mysql, &packet(0, b"\x0e"), &well(1, 2)),
        Finding::Inside
    );
}

#[test]
fn rows_of_mysql_end_either_way() {
    let column = b"\x03def\0\0\0\x01c\0\x0c\x08\0\x01\0\0\0\x03\0\0\0\0\0";
    let (count, row) = (packet(1, b"\x01"), packet(4, b"\x011"));
    let column = packet(2, column);
    let end = |number| packet(number, b"\xfe\0\0\x02\0");
    let old = [&count[..], &column, &end(3), &row, &end(5)].concat();
    let new = [
        &count[..],
        &column,
        &packet(3, b"\x011"),
        &packet(4, b"\xfe\0\0\x02\0\0\0"),
    ]
    .concat();
    for answered in [old, new] {
        assert_eq!(
            kind(&found(mysql, &command("select 1"), &answered)),
            "joins"
        );
    }
}

#[test]
fn attributes_of_queries_show() {
    let said = packet(0, b"\x03\0\x01select 1");
    let Finding::Joins(opening) = found(mysql, &said, &well(1, 2)) else {
        panic!("it is joined")
    };
    let Opening::Mysql(opening) = *opening else {
        panic!("{opening:?}")
    };
    assert_ne!(opening.capabilities & 1 << 27, 0);
}

#[test]
fn redis_is_joined_between_commands() {
    let get = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
    assert_eq!(kind(&found(redis, get, b"$1\r\nx\r\n")), "joins");
    assert_eq!(kind(&found(redis, b"PING\r\n", b"+PONG\r\n")), "joins");
    assert_eq!(found(redis, get, b"+QUEUED\r\n"), Finding::Inside);
    let exec = b"*1\r\n$4\r\nexec\r\n";
    assert_eq!(found(redis, exec, b"*1\r\n+OK\r\n"), Finding::Inside);
    let mut trial = redis();
    trial.client(get);
    // Two answers to one command: something was under way.
    assert_eq!(trial.server(b"+OK\r\n+OK\r\n"), Finding::Fails);
}
