//! What a target asks for, and what it is told.

use crate::credentials::Credentials;
use crate::login::Login;
use crate::opening::Opening;
use crate::postgres::startup;
use crate::step::{Opened, Step};

fn opening() -> Opening {
    let packet = b"\0\0\0\x20\0\x03\0\0user\0ann\0database\0shop\0\0";
    match startup::parse(packet) {
        Some(startup::Packet::Startup(opening)) => Opening::Postgres(opening),
        other => panic!("{other:?}"),
    }
}

fn login(credentials: &str, read_only: bool) -> Login {
    let credentials = Credentials::parse(credentials).expect("credentials");
    Login::new(&opening(), &credentials, &[1; 32], read_only).expect("a login")
}

fn asks(code: u32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(8 + data.len()).expect("short");
    [&b"R"[..], &len.to_be_bytes(), &code.to_be_bytes(), data].concat()
}

const LET_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x08a\0b\0K\0\0\0\x0c\0\0\0\x07keyyZ\0\0\0\x05I";

fn sent(step: Step) -> Vec<u8> {
    match step {
        Step::Send(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

fn done(step: Step) -> Opened {
    match step {
        Step::Done(opened) => *opened,
        other => panic!("{other:?}"),
    }
}

fn failed(step: Step) -> String {
    match step {
        Step::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn trust_needs_nothing() {
    for step in 1..LET_IN.len() {
        let mut login = login("", false);
        assert_eq!(
            login.start(),
            b"\0\0\0\x20\0\x03\0\0user\0ann\0database\0shop\0\0"
        );
        let mut all = LET_IN.chunks(step).peekable();
        while let Some(bytes) = all.next() {
            let step = login.push(bytes);
            if all.peek().is_some() {
                assert!(matches!(step, Step::Wait), "{step:?}");
            } else {
                let opened = done(step);
                assert_eq!(opened.cancel_key.expect("a key").process, 7);
                assert!(opened.rest.is_empty());
            }
        }
    }
}

#[test]
fn what_follows_a_login_is_kept() {
    let stream = [LET_IN, b"N\0\0\0\x05\0"].concat();
    assert_eq!(done(login("", false).push(&stream)).rest, b"N\0\0\0\x05\0");
}

#[test]
fn read_only_is_asked_for() {
    let start = login("", true).start();
    assert!(start.ends_with(b"default_transaction_read_only\0on\0\0"));
    assert_eq!(
        start[..4],
        u32::try_from(start.len()).expect("short").to_be_bytes()
    );
}

#[test]
fn md5_with_a_password_or_with_its_hash() {
    // echo -n secretann | md5sum
    for credentials in ["ann secret", "ann md59d792a3a8853c2411afb9163d088c036"] {
        let mut login = login(credentials, false);
        let answer = sent(login.push(&asks(5, b"salt")));
        assert!(
            answer.starts_with(b"p\0\0\0\x28md5") && answer.ends_with(b"\0"),
            "{answer:?}"
        );
        assert!(matches!(login.push(b""), Step::Wait));
        done(login.push(LET_IN));
    }
}

#[test]
fn a_password_in_clear() {
    let mut login = login("* secret", false);
    assert_eq!(sent(login.push(&asks(3, b""))), b"p\0\0\0\x0bsecret\0");
    done(login.push(LET_IN));
}

#[test]
fn what_fails_says_why_without_secrets() {
    let told = |credentials: &str, asked: &[u8]| {
        let why = failed(login(credentials, false).push(asked));
        assert!(!why.contains("secret"), "{why}");
        why
    };
    assert!(told("", &asks(5, b"salt")).contains("--login has none"));
    assert!(told("ann secret", &asks(7, b"")).contains("GSSAPI"));
    assert!(told("ann secret", &asks(10, b"SCRAM-SHA-256-PLUS\0\0")).contains("other than"));
    assert!(told("ann secret", b"E\0\0\0\x1bSFATAL\0C28P01\0Mno\nway\0\0").contains("28P01 noway"));
    assert!(told("ann secret", b"HTTP/1.1 400 Bad Request").contains("does not speak"));
    assert!(told("ann secret", &[0; crate::step::HELD_LEN_MAX + 1]).contains("more than"));
    assert!(
        told("ann md59d792a3a8853c2411afb9163d088c036", &asks(3, b""))
            .contains("the password itself")
    );
}

#[test]
fn a_target_that_proves_nothing_is_refused() {
    let mut login = login("ann secret", false);
    let first = sent(login.push(&asks(10, b"SCRAM-SHA-256\0\0")));
    let nonce = String::from_utf8_lossy(&first)
        .split("r=")
        .nth(1)
        .expect("a nonce")
        .to_owned();
    sent(login.push(&asks(11, format!("r={nonce}x,s=AAAA,i=1").as_bytes())));
    let mut other = LET_IN.to_vec();
    other.truncate(9);
    assert!(failed(login.push(&other)).contains("unexpected"));
}
