//! What a client sends.

use super::{REPLY, Told, begin, command, module, parts};
use crate::account::Account;
use crate::expect::{AwaitedRedis, Expect, Subscription};
use crate::module::Module;
use crate::parts::Why;
use crate::protocol::Protocol;
use crate::redis::{HELD_MAX, INLINE_MAX, array, looks_like};

const NOTHING: Expect = Expect::Nothing(Protocol::Redis);

fn one(stream: &[u8], expect: Expect) -> [Told; 3] {
    [begin(expect), Told::Bytes(stream.to_vec()), Told::End]
}

fn told(stream: &[u8]) -> Vec<Told> {
    parts(&module(), [stream])
}

#[test]
fn commands() {
    for stream in [
        command("GET a"),
        command("SET a b"),
        command("nosuch"),
        array([b"SET".as_slice(), b"", b"\r\n$0\r\n"]),
        array([b"".as_slice()]),
        array([vec![b'x'; HELD_MAX + 1].as_slice(), b"a"]),
        array([b"SET".as_slice(), b"a", &vec![b'x'; 300_000]]),
        array([b"CONFIG".as_slice(), &vec![b'x'; HELD_MAX], b"a"]),
        b"PING\r\n".to_vec(),
        b"ping\n".to_vec(),
        b"SET a \"b c\"\r\n".to_vec(),
        b"\"SET\" a b\r\n".to_vec(),
    ] {
        let expected = one(&stream, REPLY);
        assert_eq!(told(&stream), expected);
        let twice = [stream.as_slice(), &stream].concat();
        assert_eq!(told(&twice), [expected.clone(), expected].concat());
    }
    // What is no command is nobody's.
    assert_eq!(told(b"\r\n\n  \r\n*0\r\n*-1\r\n"), []);
}

#[test]
fn what_is_answered() {
    let expected = |stream: &[&str]| -> Vec<Expect> {
        let stream: Vec<u8> = stream.iter().flat_map(|words| command(words)).collect();
        let told = told(&stream).into_iter();
        told.filter_map(|told| match told {
            Told::Begin { expect, .. } => Some(expect),
            _ => None,
        })
        .collect()
    };
    let redis = Expect::Redis;
    assert_eq!(
        expected(&[
            "SUBSCRIBE a b",
            "psubscribe a*",
            "SUBSCRIBE",
            "UNSUBSCRIBE a",
            "UNSUBSCRIBE",
            "PUNSUBSCRIBE",
            "SUNSUBSCRIBE",
            "RESET"
        ]),
        [
            redis(AwaitedRedis::Confirmations(2)),
            redis(AwaitedRedis::Confirmations(1)),
            REPLY,
            redis(AwaitedRedis::Confirmations(1)),
            redis(AwaitedRedis::UntilNone(Subscription::Channels)),
            redis(AwaitedRedis::UntilNone(Subscription::Patterns)),
            redis(AwaitedRedis::UntilNone(Subscription::Shards)),
            redis(AwaitedRedis::Reset),
        ]
    );
    assert_eq!(
        expected(&["CLIENT REPLY SKIP", "GET a", "GET b", "CLIENT REPLY x"]),
        [NOTHING, NOTHING, REPLY, REPLY]
    );
    assert_eq!(
        expected(&[
            "client reply off",
            "GET a",
            "CLIENT REPLY SKIP",
            "GET b",
            "CLIENT REPLY ON",
            "GET c"
        ]),
        [NOTHING, NOTHING, NOTHING, NOTHING, REPLY, REPLY]
    );
    assert_eq!(
        expected(&["CLIENT REPLY OFF", "RESET", "GET c"]),
        [NOTHING, redis(AwaitedRedis::Reset), REPLY]
    );
}

#[test]
fn a_stream_without_messages_leaves() {
    let ping = command("PING");
    for stream in [
        command("MONITOR"),
        command("psync ? -1"),
        b"SYNC\r\n".to_vec(),
    ] {
        let with_more = [ping.as_slice(), &stream, b"anything"].concat();
        let behind = [stream.as_slice(), b"anything"].concat();
        let expected = [
            one(&ping, REPLY).to_vec(),
            vec![Told::Leave(Why::Replication), Told::Bytes(behind)],
        ];
        assert_eq!(told(&with_more), expected.concat());
    }
}

#[test]
fn what_is_no_command_leaves() {
    let leaves = |stream: &[u8], why| {
        assert_eq!(
            told(stream),
            [Told::Leave(why), Told::Bytes(stream.to_vec())],
            "{stream:?}"
        );
    };
    for wrong in [
        "*1\r\n+a\r\n",
        "*1\r\n$01\r\na\r\n",
        "*1\r\n$+1\r\na\r\n",
        "*1\r\n$-1\r\n",
        "*01\r\n$1\r\n",
        "*x\r\n",
        "*1\n",
        "*1\r$",
        "*1\r\n$1\n",
        "*1\r\n$1\r\nab\r\n",
        "*1\r\n$1\r\na\n",
        "\x16\x03\x01",
        "{\"a\"}",
        "PING\x01\r\n",
        "PING\rx\r\n",
        "*11111111111111111111111111\r\n",
        "*1\r\n$99999999999999999999\r\n",
    ] {
        leaves(wrong.as_bytes(), Why::Malformed);
    }
    leaves(b"*9999999\r\n$1\r\n", Why::TooLong);
    leaves(b"*1\r\n$99999999999\r\n", Why::TooLong);
    leaves(&vec![b'a'; INLINE_MAX + 1], Why::TooLong);
    // What is right of a command was told before.
    let (right, wrong) = (b"*2\r\n$3\r\nGET\r\n".as_slice(), b"!1\r\n".as_slice());
    assert_eq!(
        told(&[right, wrong].concat()),
        [
            begin(REPLY),
            Told::Bytes(right.to_vec()),
            Told::Leave(Why::Malformed),
            Told::Bytes(wrong.to_vec())
        ]
    );
}

#[test]
fn a_rules_account_takes_the_place_of_the_clients() {
    let module = Module {
        redis_login: Some(Account::new(Some("u".to_owned()), "p".to_owned(), 0)),
        ..module()
    };
    for (before, after) in [
        (command("AUTH x"), command("AUTH u p")),
        (command("AUTH y x"), command("AUTH u p")),
        (b"auth y x\r\n".to_vec(), command("AUTH u p")),
        (command("HELLO 3 AUTH y x"), command("HELLO 3 AUTH u p")),
        (command("HELLO 3"), command("HELLO 3")),
        (command("GET AUTH"), command("GET AUTH")),
    ] {
        assert_eq!(parts(&module, before.chunks(1)), one(&after, REPLY));
    }
    let long = array([b"AUTH".as_slice(), &vec![b'x'; HELD_MAX]]);
    assert_eq!(
        parts(&module, [long.as_slice()]),
        [Told::Leave(Why::TooLong), Told::Bytes(long)]
    );
}

#[test]
fn what_a_flow_looks_like() {
    for (first, is_it) in [
        ("", None),
        ("*", None),
        ("*1", None),
        ("*1\r", None),
        ("*1\r\n", None),
        ("*1\r\n$", None),
        ("*12\r\n$10\r\n", None),
        ("*1\r\n$4\r\nPING", Some(true)),
        ("*1\r\n$4\r\nx", Some(true)),
        ("*1\r\n$4\r\n\x01", Some(false)),
        ("*0\r\n", Some(false)),
        ("*\r\n", Some(false)),
        ("*a", Some(false)),
        ("*1\r\n+", Some(false)),
        ("*1\r\r", Some(false)),
        ("*12345678", Some(false)),
        ("PING\r\n", Some(false)),
        ("+OK\r\n", Some(false)),
    ] {
        assert_eq!(looks_like(first.as_bytes()), is_it, "{first:?}");
    }
    let module = Module::default();
    let get = command("GET a");
    assert_eq!(parts(&module, get.chunks(1)), one(&get, REPLY));
}
