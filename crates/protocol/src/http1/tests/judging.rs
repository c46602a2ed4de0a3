//! The write valve and filters.

use super::{Told, begin, bytes, module, note, parts};
use crate::module::{Choice, Misfit, Module, Protocol};
use crate::parts::{Part, Why};
use crate::requests::Requests;
use crate::said::Said;

const GET: &str = "GET /api/a?x=1 HTTP/1.1\r\nHost: A.example.com:8080\r\nX-A: b\r\n\r\n";
const POST: &str = "POST /api/b HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\nhello";

fn read_only() -> Module {
    Module {
        read_only: true,
        ..module()
    }
}

fn with(only: &[&str], except: &[&str]) -> Module {
    let all = |filters: &[&str]| {
        filters
            .iter()
            .map(|filter| filter.parse().expect(filter))
            .collect()
    };
    Module {
        only: all(only),
        except: all(except),
        ..module()
    }
}

/// What is copied of a stream.
fn copied(module: &Module, stream: &str) -> String {
    let bytes: Vec<u8> = parts(module, stream.as_bytes().chunks(7))
        .into_iter()
        .flat_map(|told| match told {
            Told::Bytes(bytes) => bytes,
            _ => Vec::new(),
        })
        .collect();
    String::from_utf8(bytes).expect("text")
}

fn blocked() -> Told {
    let Told::Begin { awaited, .. } = begin() else {
        unreachable!("a beginning");
    };
    Told::Begin {
        copied: false,
        awaited,
    }
}

#[test]
fn the_write_valve_lets_pass_what_only_asks() {
    for safe in [
        GET,
        "HEAD / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /_search HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        assert_eq!(copied(&read_only(), safe), safe);
    }
    for unsafe_one in [
        POST,
        "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "DELETE / HTTP/1.1\r\n\r\n",
        "PROPFIND / HTTP/1.1\r\n\r\n",
        "get / HTTP/1.1\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
        "TRACE / HTTP/1.1\r\nContent-Length: 1\r\n\r\na",
    ] {
        assert_eq!(copied(&read_only(), unsafe_one), "", "{unsafe_one}");
        assert_eq!(copied(&read_only(), &format!("{unsafe_one}{GET}")), GET);
    }
}

#[test]
fn a_message_that_is_not_copied_is_told_without_bytes() {
    let told = parts(&read_only(), [POST.as_bytes(), GET.as_bytes()]);
    assert_eq!(told, [blocked(), Told::End, begin(), bytes(GET), Told::End]);
}

#[test]
fn what_cannot_be_judged_is_not_copied() {
    let stream = format!("{GET}GET /\n\n{POST}");
    for module in [
        read_only(),
        with(&["method=GET"], &[]),
        with(&[], &["method=POST"]),
    ] {
        assert_eq!(copied(&module, &stream), GET);
        let told = parts(&module, [stream.as_bytes(), POST.as_bytes()]);
        assert_eq!(told.last(), Some(&Told::Leave(Why::Malformed)));
        let auto = Module {
            choice: Choice::Auto,
            ..module
        };
        assert_eq!(
            parts(&auto, [b"EHLO a\r\n".as_slice(), b"more"]),
            [Told::Leave(Why::Unknown)]
        );
    }
}

#[test]
fn what_was_not_read_to_its_end_is_not_copied() {
    let auto = Module {
        choice: Choice::Auto,
        ..read_only()
    };
    for module in [read_only(), auto] {
        let (mut requests, mut told) = (Requests::new(&module), Vec::new());
        let mut tell = |part: Part<'_>| note(&mut told, &part);
        requests.push(&module, b"DELETE /", false, &mut tell);
        requests.close(&mut tell);
        assert_eq!(told, [Told::Leave(Why::Cut)]);
        // Nor where the server leaves before a word was said.
        let (mut requests, mut told) = (Requests::new(&module), Vec::new());
        let mut tell = |part: Part<'_>| note(&mut told, &part);
        requests.hear(&Said::Left, &mut tell);
        requests.push(&module, POST.as_bytes(), false, &mut tell);
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

#[test]
fn another_protocol_is_copied_where_the_request_for_it_was() {
    let upgrade = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    for (module, passes) in [
        (module(), true),
        (read_only(), false),
        (with(&["path=/ws"], &[]), true),
        (with(&["path=/api/*"], &[]), false),
    ] {
        let (mut requests, mut told) = (Requests::new(&module), Vec::new());
        requests.push(&module, upgrade.as_bytes(), false, &mut |part| {
            note(&mut told, &part);
        });
        told.clear();
        requests.hear(&Said::Left, &mut |part| note(&mut told, &part));
        requests.push(&module, b"more", true, &mut |part| note(&mut told, &part));
        let mut expected = vec![Told::Leave(Why::Upgraded)];
        expected.extend(passes.then(|| bytes("more")));
        assert_eq!(told, expected);
    }
}

#[test]
fn filters() {
    for (filter, is_like) in [
        ("method=GET", true),
        ("method=HEAD,GET", true),
        ("method=POST", false),
        ("path=/api/*", true),
        ("path=/api/", false),
        ("path=/a,/api/a", true),
        ("query=x=*", true),
        ("query=", false),
        ("host=a.example.com", true),
        ("host=*.EXAMPLE.com", true),
        ("host=example.com", false),
        ("header:x-a=b", true),
        ("header:X-A=B", false),
        ("header:X-B=*", false),
        ("method=GET path=/api/* host=*.com header:X-A=*", true),
        ("method=GET path=/b", false),
    ] {
        let (only, except) = (with(&[filter], &[]), with(&[], &[filter]));
        assert_eq!(!copied(&only, GET).is_empty(), is_like, "{filter}");
        assert_eq!(copied(&except, GET).is_empty(), is_like, "{filter}");
    }
    let several = with(&["method=GET", "method=POST"], &["path=/api/a", "path=/no"]);
    assert_eq!(copied(&several, &format!("{GET}{POST}")), POST);
    // The target's host goes before the field's.
    let absolute = "GET http://b:1/ HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(copied(&with(&["host=b"], &[]), absolute), absolute);
    let without = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(copied(&with(&["host=*"], &[]), without), "");
}

#[test]
fn a_module_says_what_does_not_fit() {
    assert_eq!(with(&["method=GET"], &[]).check(), Ok(()));
    let words = Misfit::Filter("key=a".to_owned(), "redis", Protocol::Http1.name());
    assert_eq!(
        words.to_string(),
        "the filter 'key=a' is about redis, and the flows speak http1"
    );
}
