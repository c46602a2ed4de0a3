//! Greetings and answers, as MySQL 8 and MariaDB 10 write them.

use super::{
    Answer, BULK, CACHE_METADATA, COMPRESS, DEPRECATE_EOF, Greeting, MULTI_STATEMENTS, MYSQL,
    PLUGIN, PROTOCOL_41, QUERY_ATTRIBUTES, SECURE, SSL, WITH_DATABASE, agree, answer, change,
    looks_like, write,
};
use crate::mysql::packets::packet;
use crate::opening::MysqlOpening;

fn greeting(capabilities: u64) -> Vec<u8> {
    let [lower, upper, extended] = [0, 16, 32].map(|by| (capabilities >> by).to_le_bytes());
    let mut payload = [&b"\x0a8.0.36\0\x07\0\0\0"[..], b"1234567\0\0"].concat();
    payload.extend_from_slice(&lower[..2]);
    payload.extend_from_slice(b"\xff\x02\0");
    payload.extend_from_slice(&upper[..2]);
    payload.extend_from_slice(b"\x15\0\0\0\0\0\0");
    payload.extend_from_slice(if capabilities & MYSQL == 0 {
        &extended[..4]
    } else {
        &[0; 4]
    });
    payload.extend_from_slice(b"abcdefghijkl\0caching_sha2_password\0");
    payload
}

fn opening(capabilities: u64) -> MysqlOpening {
    MysqlOpening {
        capabilities,
        packet_len_max: 1 << 24,
        character_set: 45,
        user: b"ann".to_vec(),
        database: Some(b"shop".to_vec()),
        attributes: b"\x03foo\x03bar".to_vec(),
        commits: None,
    }
}

const USUAL: u64 = PROTOCOL_41 | SECURE | PLUGIN | MYSQL | super::ATTRIBUTES | super::LONG_PROOF;

#[test]
fn a_greeting_is_read() {
    let read = Greeting::parse(&greeting(USUAL)).expect("a greeting");
    assert_eq!(read.capabilities, USUAL);
    assert_eq!(read.nonce, b"1234567\0abcdefghijkl");
    assert_eq!(read.plugin, b"caching_sha2_password");
    let mariadb = (USUAL & !MYSQL) | BULK | CACHE_METADATA;
    assert_eq!(
        Greeting::parse(&greeting(mariadb))
            .expect("a greeting")
            .capabilities,
        mariadb
    );
    for len in 0..51 {
        assert!(
            Greeting::parse(&greeting(USUAL)[..len]).is_none() || len == 23,
            "{len}"
        );
    }
    assert!(Greeting::parse(b"\x09").is_none());
}

#[test]
fn what_is_written_is_read() {
    for capabilities in [
        USUAL,
        USUAL | WITH_DATABASE,
        (USUAL & !MYSQL) | BULK,
        PROTOCOL_41 | SECURE,
    ] {
        let expected = opening(capabilities);
        let written = write(&expected, capabilities, b"proof", b"mysql_native_password");
        let Some(Answer::Opening(read)) = answer(&written, None) else {
            panic!("an opening")
        };
        assert_eq!(
            (read.capabilities, &read.user),
            (capabilities, &expected.user)
        );
        assert_eq!(read.database.is_some(), capabilities & WITH_DATABASE != 0);
        assert_eq!(looks_like(&packet(1, &written)), Some(true));
    }
}

#[test]
fn what_the_server_does_not_offer_is_not_agreed_upon() {
    let asked = USUAL | DEPRECATE_EOF;
    let written = write(&opening(asked), asked, b"", b"");
    let Some(Answer::Opening(read)) = answer(&written, Some(USUAL)) else {
        panic!("an opening")
    };
    assert_eq!(read.capabilities, USUAL);
    let encrypted = write(&opening(USUAL), USUAL | SSL, b"", b"");
    assert_eq!(answer(&encrypted, None), Some(Answer::Encrypted));
    assert_eq!(answer(&encrypted[..32], None), Some(Answer::Encrypted));
}

#[test]
fn another_user() {
    let before = opening(USUAL);
    let after = change(b"bob\0\x03abcother\0\x2d\0plugin\0", &before).expect("a change");
    assert_eq!(
        (&after.user[..], after.database.as_deref()),
        (&b"bob"[..], Some(&b"other"[..]))
    );
    assert_eq!(after.capabilities, before.capabilities);
    assert!(change(b"bob\0\xffabc", &before).is_none());
}

#[test]
fn what_cannot_be_had_is_told() {
    let target = USUAL | DEPRECATE_EOF | SSL | COMPRESS;
    let agreed = agree(USUAL | COMPRESS | DEPRECATE_EOF, target, true).expect("agreed");
    assert_eq!(agreed, USUAL | DEPRECATE_EOF | WITH_DATABASE);
    assert_eq!(agree(USUAL | DEPRECATE_EOF, USUAL, false), Ok(USUAL));
    for (flag, word) in [
        (QUERY_ATTRIBUTES, "attributes"),
        (MULTI_STATEMENTS, "several statements"),
        (BULK, "bulk"),
    ] {
        assert!(
            agree(USUAL | flag, USUAL, false)
                .expect_err(word)
                .contains(word)
        );
    }
}

#[test]
fn first_bytes_tell() {
    let written = packet(1, &write(&opening(USUAL), USUAL, b"", b""));
    for len in 0..36 {
        assert_eq!(looks_like(&written[..len]), None, "{len}");
    }
    for other in [
        &b"GET / HTTP/1.1"[..],
        b"\x10\0\0\0",
        &[0x16, 3, 1, 2],
        &[
            0x30, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0,
        ],
    ] {
        assert_eq!(looks_like(other), Some(false), "{other:?}");
    }
}
