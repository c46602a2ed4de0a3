//! What a server says.

use super::{REPLY, end, said};
use crate::expect::{AwaitedRedis, Expect, Subscription};
use crate::protocol::Protocol;
use crate::redis::AWAITED_MAX;
use crate::said::Said;

const fn confirmations(channels: u32) -> Expect {
    Expect::Redis(AwaitedRedis::Confirmations(channels))
}

const NONE: Expect = Expect::Redis(AwaitedRedis::UntilNone(Subscription::Channels));

fn told(expected: &[Expect], stream: &str) -> Vec<Said> {
    let whole = said(expected, [stream.as_bytes()]);
    assert_eq!(said(expected, stream.as_bytes().chunks(1)), whole);
    whole
}

fn bytes(text: &str) -> Said {
    Said::Bytes(u32::try_from(text.len()).expect("short"))
}

fn unasked(text: &str) -> Said {
    Said::Unasked(u32::try_from(text.len()).expect("short"))
}

#[test]
fn a_value_answers_a_command() {
    for (value, is_error) in [
        ("+OK\r\n", false),
        ("-ERR no\r\n", true),
        ("!5\r\nERR x\r\n", true),
        ("$-1\r\n", false),
        ("*2\r\n$1\r\na\r\n-ERR inside\r\n", false),
        ("|1\r\n+ttl\r\n:5\r\n%1\r\n+a\r\n:1\r\n", false),
        ("*2\r\n$7\r\nmessage\r\n$1\r\na\r\n", false),
    ] {
        let expected = [bytes(value), end(is_error)];
        assert_eq!(told(&[REPLY], value), expected, "{value:?}");
        let pipelined = told(&[REPLY, REPLY], &format!("{value}{value}"));
        assert_eq!(pipelined, [expected.clone(), expected].concat());
    }
}

#[test]
fn what_nobody_asked_for() {
    let push = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n";
    assert_eq!(
        told(&[REPLY], &format!("{push}:1\r\n{push}")),
        [unasked(push), bytes(":1\r\n"), end(false), unasked(push)]
    );
    let full = "-ERR max number of clients reached\r\n";
    assert_eq!(told(&[], full), [unasked(full)]);
    assert_eq!(
        told(&[Expect::Nothing(Protocol::Redis)], full),
        [unasked(full)]
    );
    assert_eq!(
        told(&[REPLY], ">0\r\n:1\r\n"),
        [unasked(">0\r\n"), bytes(":1\r\n"), end(false)]
    );
}

#[test]
fn subscriptions_and_what_is_published() {
    for sign in ["*", ">"] {
        let of = |kind: &str, channel: &str, count: u32| {
            let len = kind.len();
            format!("{sign}3\r\n${len}\r\n{kind}\r\n$1\r\n{channel}\r\n:{count}\r\n")
        };
        let message = format!("{sign}3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
        let (a, b) = (of("subscribe", "a", 1), of("subscribe", "b", 2));
        assert_eq!(
            told(&[confirmations(2)], &format!("{a}{message}{b}{message}")),
            [
                bytes(&a),
                unasked(&message),
                bytes(&b),
                end(false),
                unasked(&message)
            ]
        );
        let p = of("psubscribe", "p", 3);
        let (no_b, no_a) = (of("unsubscribe", "b", 2), of("unsubscribe", "a", 1));
        assert_eq!(
            told(
                &[confirmations(2), confirmations(1), NONE],
                &format!("{a}{b}{p}{no_b}{message}{no_a}{message}")
            ),
            [
                bytes(&format!("{a}{b}")),
                end(false),
                bytes(&p),
                end(false),
                bytes(&no_b),
                unasked(&message),
                bytes(&no_a),
                end(false),
                unasked(&message),
            ]
        );
        let none = format!("{sign}3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
        assert_eq!(told(&[NONE], &none), [bytes(&none), end(false)]);
    }
    let denied = "-NOPERM no\r\n";
    assert_eq!(
        told(&[confirmations(2), REPLY], &format!("{denied}:1\r\n")),
        [bytes(denied), end(true), bytes(":1\r\n"), end(false)]
    );
}

#[test]
fn an_array_is_a_reply_where_nothing_is_published_in_arrays() {
    let list = "*1\r\n$7\r\nmessage\r\n";
    let (sub, reset) = ("3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", "+RESET\r\n");
    let pushed = format!(">{sub}{list}");
    assert_eq!(
        told(&[confirmations(1), REPLY], &pushed)[2..],
        [bytes(list), end(false)]
    );
    let left = format!("*{sub}{reset}{list}");
    let expected = [confirmations(1), Expect::Redis(AwaitedRedis::Reset), REPLY];
    assert_eq!(told(&expected, &left)[4..], [bytes(list), end(false)]);
}

#[test]
fn what_cannot_be_read_is_lost() {
    assert_eq!(told(&[REPLY], "HTTP/1.1 400\r\n"), [Said::Lost]);
    assert_eq!(told(&[REPLY], "$5\r\nhel").last(), Some(&Said::Lost));
    assert_eq!(said(&[REPLY], [b"+OK\r\n".as_slice(), b"x", b"y"]).len(), 3);
    let many: Vec<Expect> = (0..=AWAITED_MAX / 2)
        .flat_map(|_| [REPLY, confirmations(1)])
        .collect();
    assert_eq!(said(&many, [b"+OK\r\n".as_slice()]), [Said::Lost]);
    let alike = vec![REPLY; AWAITED_MAX + 1];
    assert_eq!(said(&alike, [b"+OK\r\n".as_slice()]).len(), 2);
}
