//! What is changed of requests, and that they end where they ended.

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert_eq, prop_oneof, proptest};

use super::{Told, module, parts};
use crate::module::Module;
use crate::rewrite::Rewriting;

fn rewriting(headers: &[&str], host: Option<&str>, paths: &[&str], mark: Option<&str>) -> Module {
    Module {
        rewriting: Rewriting {
            headers: headers.iter().map(|one| one.parse().expect(one)).collect(),
            host: host.map(|host| host.parse().expect(host)),
            paths: paths.iter().map(|one| one.parse().expect(one)).collect(),
            mark: mark.map(|mark| mark.parse().expect(mark)),
        },
        ..module()
    }
}

fn all() -> Module {
    rewriting(
        &["X-A: new", "Authorization: none"],
        Some("target:81"),
        &["/v1/=/v2/", "/u=/w/"],
        Some(""),
    )
}

/// What the target gets.
fn changed(module: &Module, stream: &str) -> String {
    let bytes: Vec<u8> = parts(module, [stream.as_bytes()])
        .into_iter()
        .flat_map(|told| match told {
            Told::Bytes(bytes) => bytes,
            _ => Vec::new(),
        })
        .collect();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn each_change() {
    let get = "GET /v1/a?b=/v1/ HTTP/1.1\r\nHOST:  a\r\nx-a: 1\r\nX-B:\t2 \r\nX-A: 3\r\n\r\n";
    for (module, expected) in [
        (module(), get.to_owned()),
        (
            rewriting(&["X-A: new"], None, &[], None),
            get.replace("x-a: 1", "X-A: new").replace("X-A: 3\r\n", ""),
        ),
        (
            rewriting(&["X-C: new", "X-D:"], None, &[], None),
            get.replace("3\r\n\r\n", "3\r\nX-C: new\r\nX-D: \r\n\r\n"),
        ),
        (
            rewriting(&["X-B: 4", "X-B: 5"], None, &[], None),
            get.replace("X-B:\t2 ", "X-B: 4\r\nX-B: 5"),
        ),
        (
            rewriting(&[], Some("b:1"), &[], None),
            get.replace("HOST:  a", "HOST: b:1"),
        ),
        (
            rewriting(&[], None, &["/v2/=/no/", "/v1=/v2", "/v1/=/no/"], None),
            get.replace("GET /v1", "GET /v2"),
        ),
        (
            rewriting(&[], None, &[], Some("")),
            get.replace("3\r\n\r\n", "3\r\nX-Tcpcopy: 1\r\n\r\n"),
        ),
    ] {
        assert_eq!(changed(&module, get), expected);
    }
}

#[test]
fn all_of_a_request_without_fields() {
    assert_eq!(
        changed(&all(), "GET /v1/ HTTP/1.0\r\n\r\n"),
        "GET /v2/ HTTP/1.0\r\nHost: target:81\r\nX-A: new\r\nAuthorization: none\r\nX-Tcpcopy: 1\r\n\r\n"
    );
}

#[test]
fn other_forms_of_targets() {
    let module = rewriting(&[], Some("b"), &["/v1/=/v2/"], None);
    for (before, after) in [
        (
            "GET http://a:80/v1/?c HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b/v2/?c HTTP/1.1\r\nHost: b\r\n\r\n",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n",
        ),
        (
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        ),
    ] {
        assert_eq!(changed(&module, before), after);
    }
}

#[test]
fn a_body_follows_as_it_was() {
    let head = "POST /v1/ HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n";
    let body = "GET /v1/ HTTP/1.1\r\nHost: a\r\n\r\n";
    let after = changed(&all(), &format!("{head}{body}"));
    assert!(
        after.ends_with(&format!("\r\nX-Tcpcopy: 1\r\n\r\n{body}")),
        "{after}"
    );
}

/// Where each message of a stream begins and ends, and how long its body is.
fn shape(stream: &str) -> Vec<(String, usize)> {
    let mut shapes = Vec::new();
    for told in parts(&module(), [stream.as_bytes()]) {
        match told {
            Told::Begin { awaited, .. } => shapes.push((format!("{awaited:?}"), 0)),
            Told::Bytes(bytes) => {
                let text = String::from_utf8(bytes).expect("text");
                let body = text
                    .split_once("\r\n\r\n")
                    .map_or(0, |(_, body)| body.len());
                if let Some(last) = shapes.last_mut() {
                    last.1 += body;
                }
            }
            Told::Leave(why) => shapes.push((format!("{why:?}"), 0)),
            Told::Pause | Told::End => {}
        }
    }
    shapes
}

fn requests() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("GET /v1/a HTTP/1.1"),
        Just("HEAD /v1/?q HTTP/1.0"),
        Just("GET http://a/v1/ HTTP/1.1"),
        Just("OPTIONS * HTTP/1.1"),
        Just("CONNECT a:1 HTTP/1.1"),
    ];
    let field = prop_oneof![
        Just("X-A: 1"),
        Just("x-a:"),
        Just("Authorization: Basic x"),
        Just("X-Tcpcopy: mine"),
        Just("Connection: close"),
        Just("X-C: \u{e9}"),
    ];
    let framing = prop_oneof![
        Just(("", "")),
        Just(("Content-Length: 5\r\n", "hello")),
        Just((
            "Transfer-Encoding: chunked\r\n",
            "2;x\r\nab\r\n0\r\nX-A: 1\r\n\r\n"
        )),
    ];
    let one = (line, vec(field, 0..5), framing).prop_map(|(line, fields, (framing, body))| {
        let fields: String = fields.iter().flat_map(|field| [field, "\r\n"]).collect();
        format!("{line}\r\nHost: a\r\n{framing}{fields}\r\n{body}")
    });
    vec(one, 0..5).prop_map(|requests| requests.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_end_where_they_ended(stream in requests()) {
        prop_assert_eq!(shape(&changed(&all(), &stream)), shape(&stream));
        // What was changed is not changed again.
        let once = changed(&all(), &stream);
        let twice = changed(&all(), &once);
        prop_assert_eq!(twice, once);
    }
}
