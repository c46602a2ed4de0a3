//! Dialogues of a target with a login, packet by packet.

use crate::credentials::Credentials;
use crate::login::{Login, Step};
use crate::mysql::handshake;
use crate::mysql::packets::packet;
use crate::mysql::passwords::{CACHING, NATIVE, disguised, proof};
use crate::mysql::rsa::tests::{PEM, decrypt};
use crate::opening::{MysqlOpening, Opening};

const USUAL: u64 =
    handshake::MYSQL | handshake::PROTOCOL_41 | handshake::SECURE | handshake::PLUGIN;
const NONCE: &[u8] = b"1234567\0abcdefghijkl";
const OTHER_NONCE: &[u8] = b"ABCDEFGHIJKLMNOPQRST";
const OK: &[u8] = b"\0\0\0\x02\0\0\0";

fn login(credentials: &str, capabilities: u64, read_only: bool) -> Login {
    let opening = MysqlOpening {
        capabilities,
        packet_len_max: 1 << 24,
        character_set: 45,
        user: b"ann".to_vec(),
        database: Some(b"shop".to_vec()),
        attributes: Vec::new(),
        commits: None,
    };
    let credentials = Credentials::parse(credentials).expect("credentials");
    Login::new(&Opening::Mysql(opening), &credentials, &[1; 32], read_only).expect("a login")
}

fn greeting(plugin: &[u8]) -> Vec<u8> {
    let payload = [
        b"\x0a8.0.36\0\x07\0\0\0",
        &NONCE[..8],
        b"\0\x01\x82\x2d\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0",
        &NONCE[8..],
        b"\0",
        plugin,
        b"\0",
    ];
    packet(0, &payload.concat())
}

fn sent(step: Step) -> Vec<u8> {
    match step {
        Step::Send(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

fn failed(step: Step) -> String {
    match step {
        Step::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

fn is_in(login: &mut Login, number: u8) {
    assert!(matches!(login.push(b""), Step::Wait));
    assert!(matches!(login.push(&packet(number, OK)), Step::Done(_)));
}

/// What the login answers a greeting with holds this proof.
fn greeted(login: &mut Login, plugin: &[u8], own: &[u8]) {
    assert!(login.start().is_empty());
    let answer = sent(login.push(&greeting(plugin)));
    let proof = proof(own, b"secret", NONCE);
    let expected = [
        b"ann\0",
        &[u8::try_from(proof.len()).expect("short")][..],
        &proof,
        b"shop\0",
        own,
        b"\0",
    ]
    .concat();
    assert!(answer.ends_with(&expected) && answer[3] == 1, "{answer:?}");
}

#[test]
fn native_passwords() {
    let mut login = login("ann secret", USUAL, false);
    greeted(&mut login, NATIVE, NATIVE);
    is_in(&mut login, 2);
}

#[test]
fn a_fast_login_by_sha2() {
    let mut login = login("ann secret", USUAL, false);
    greeted(&mut login, CACHING, CACHING);
    assert!(matches!(login.push(&packet(2, b"\x01\x03")), Step::Wait));
    is_in(&mut login, 3);
}

#[test]
fn a_full_login_by_sha2() {
    let mut login = login("ann secret", USUAL, false);
    greeted(&mut login, CACHING, CACHING);
    assert_eq!(
        sent(login.push(&packet(2, b"\x01\x04"))),
        packet(3, b"\x02")
    );
    let key = packet(4, &[b"\x01", PEM.as_bytes()].concat());
    let answer = sent(login.push(&key));
    assert_eq!(answer[..4], [0, 1, 0, 5]);
    assert_eq!(decrypt(&answer[4..]), *disguised(b"secret", NONCE));
    is_in(&mut login, 6);
}

#[test]
fn another_way_is_asked_for() {
    for plugin in [NATIVE, CACHING] {
        let mut login = login("ann secret", USUAL, false);
        greeted(&mut login, b"auth_gssapi_client", NATIVE);
        let asked = [b"\xfe", plugin, b"\0", OTHER_NONCE, b"\0"].concat();
        let answer = sent(login.push(&packet(2, &asked)));
        assert_eq!(answer, packet(3, &proof(plugin, b"secret", OTHER_NONCE)));
        is_in(&mut login, 4);
    }
    let mut login = login("ann secret", USUAL, false);
    greeted(&mut login, CACHING, CACHING);
    let asked = [b"\xfesha256_password\0", OTHER_NONCE, b"\0"].concat();
    assert_eq!(sent(login.push(&packet(2, &asked))), packet(3, b"\x01"));
    let answer = sent(login.push(&packet(4, &[b"\x01", PEM.as_bytes()].concat())));
    assert_eq!(decrypt(&answer[4..]), *disguised(b"secret", OTHER_NONCE));
    is_in(&mut login, 6);
}

#[test]
fn nothing_is_proven_without_a_password() {
    let mut login = login("", USUAL, false);
    let answer = sent(login.push(&greeting(CACHING)));
    assert!(
        answer.ends_with(b"ann\0\0shop\0caching_sha2_password\0"),
        "{answer:?}"
    );
    is_in(&mut login, 2);
}

#[test]
fn read_only_is_asked_for() {
    let mut login = login("ann secret", USUAL, true);
    greeted(&mut login, NATIVE, NATIVE);
    let asked = sent(login.push(&packet(2, OK)));
    assert_eq!(asked, packet(0, b"\x03SET SESSION TRANSACTION READ ONLY"));
    is_in(&mut login, 1);
}

#[test]
fn what_fails_says_why_without_secrets() {
    let told = |capabilities, said: &[&[u8]]| {
        let mut login = login("ann secret", capabilities, false);
        let last = said
            .iter()
            .map(|bytes| login.push(bytes))
            .last()
            .expect("a step");
        let why = failed(last);
        assert!(!why.contains("secret"), "{why}");
        why
    };
    let greeting = greeting(NATIVE);
    let refused = packet(2, b"\xff\x15\x04#28000Access denied");
    assert!(told(USUAL, &[&greeting, &refused]).contains("1045 Access denied"));
    let dialog = packet(2, b"\xfedialog\0");
    assert!(told(USUAL, &[&greeting, &dialog]).contains("dialog"));
    let clear = packet(2, b"\xfemysql_clear_password\0");
    assert!(told(USUAL, &[&greeting, &clear]).contains("mysql_clear_password"));
    assert!(told(USUAL, &[&greeting, &packet(2, b"\xfe")]).contains("4.1"));
    assert!(told(USUAL | 1 << 27, &[&greeting]).contains("attributes of queries"));
    assert!(told(USUAL, &[&packet(0, b"\x09old")]).contains("protocol 10"));
    assert!(
        told(USUAL, &[&packet(0, b"\xff\x10\x04Too many connections")]).contains("1040 Too many")
    );
    assert!(told(USUAL, &[&[0; crate::step::HELD_LEN_MAX + 1]]).contains("more than"));
    assert!(told(USUAL, &[&greeting, &packet(2, b"\x01\x04")]).contains("unexpected"));
}
