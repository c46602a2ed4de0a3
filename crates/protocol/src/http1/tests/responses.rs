//! What a server answers.

use super::{end, said};
use crate::http1::{AWAITED_MAX, Awaited, HEAD_MAX};
use crate::module::Protocol;
use crate::requests::Expect;
use crate::responses::{Responses, Said, Verdict};

const GET: Awaited = Awaited {
    without_body: false,
    tunnels: false,
};
const HEAD: Awaited = Awaited {
    without_body: true,
    tunnels: false,
};
const CONNECT: Awaited = Awaited {
    without_body: false,
    tunnels: true,
};

fn len(text: &str) -> u32 {
    u32::try_from(text.len()).expect("a short text")
}

fn told(awaited: &[Awaited], stream: &str) -> Vec<Said> {
    said(awaited, [stream.as_bytes()])
}

#[test]
fn responses_of_each_framing() {
    for (awaited, response, code) in [
        (
            GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            200,
        ),
        (GET, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200),
        (
            GET,
            "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            500,
        ),
        (HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200),
        (HEAD, "HTTP/1.1 200 OK\r\n\r\n", 200),
        (
            HEAD,
            "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            404,
        ),
        (GET, "HTTP/1.1 204 No Content\r\n\r\n", 204),
        (GET, "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", 304),
        (
            CONNECT,
            "HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx",
            407,
        ),
        (GET, "HTTP/1.0 302 No\r\nContent-Length: 1\r\n\r\nx", 302),
    ] {
        let mut expected = vec![Said::Bytes(len(response)), end(code)];
        if response.starts_with("HTTP/1.0") {
            expected.insert(1, Said::Closes);
        }
        assert_eq!(told(&[awaited], response), expected, "{response:?}");
        let twice = told(&[awaited, awaited], &format!("{response}{response}"));
        assert_eq!(twice, [expected.clone(), expected].concat(), "{response:?}");
    }
}

#[test]
fn a_response_may_end_with_its_connection() {
    for response in [
        "HTTP/1.1 200 OK\r\n\r\nanything",
        "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n...",
    ] {
        let closes = response.contains("close").then_some(Said::Closes);
        let expected = [Some(Said::Bytes(len(response))), closes, Some(end(200))];
        let expected: Vec<Said> = expected.into_iter().flatten().collect();
        assert_eq!(told(&[GET], response), expected, "{response:?}");
    }
}

#[test]
fn a_server_says_that_it_closes() {
    for (fields, closes) in [
        ("1.1 200 OK\r\nConnection: close\r\n", true),
        ("1.1 200 OK\r\nConnection: Keep-Alive, Close\r\n", true),
        ("1.1 200 OK\r\n", false),
        ("1.1 200 OK\r\nConnection: closed\r\n", false),
        ("1.0 200 OK\r\n", true),
        ("1.0 200 OK\r\nConnection: keep-alive\r\n", false),
    ] {
        let response = format!("HTTP/{fields}Content-Length: 2\r\n\r\nab");
        let said = told(&[GET], &response);
        assert_eq!(said.contains(&Said::Closes), closes, "{response:?}");
    }
}

#[test]
fn what_precedes_a_response() {
    let (hints, ok) = (
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    );
    assert_eq!(
        told(&[GET], &format!("HTTP/1.1 100 Continue\r\n\r\n{hints}{ok}")),
        [
            Said::Bytes(25),
            Said::Ready,
            Said::Bytes(len(hints) + len(ok)),
            end(204)
        ]
    );
}

#[test]
fn another_protocol_leaves() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    let left = |response| [Said::Bytes(len(response)), end(101), Said::Left];
    assert_eq!(
        told(&[GET], &format!("{switching}\x01\x02")),
        left(switching)
    );
    let connected = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(
        told(&[CONNECT], &format!("{connected}anything")),
        [Said::Bytes(len(connected)), end(200), Said::Left]
    );
}

#[test]
fn what_nobody_asked_for() {
    let timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(told(&[], timeout), [Said::Unasked(len(timeout))]);
    let ok = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(
        told(&[GET], &format!("{ok}{timeout}")),
        [Said::Bytes(len(ok)), end(204), Said::Unasked(len(timeout))]
    );
    // A request that is sent while it comes does not make it its own.
    let (mut responses, mut told) = (Responses::new(Protocol::Http1), Vec::new());
    let (first, rest) = timeout.split_at(timeout.len() - 1);
    responses.push(first.as_bytes(), &mut |said| told.push(said));
    told.clear();
    responses.expect(Expect::Http1(GET));
    responses.push(format!("{rest}{ok}").as_bytes(), &mut |said| {
        told.push(said);
    });
    assert_eq!(told, [Said::Unasked(1), Said::Bytes(len(ok)), end(204)]);
}

#[test]
fn what_cannot_be_read_is_lost() {
    for wrong in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "\r\n\r\n",
        "<html>",
        "HTTP/1.1 200 OK\r\nX: ",
    ] {
        assert_eq!(told(&[GET], wrong), [Said::Lost], "{wrong:?}");
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(
        told(&[GET], &format!("{head}abc")),
        [Said::Bytes(len(head) + 3), Said::Lost]
    );
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_MAX));
    assert_eq!(told(&[GET], &long), [Said::Lost]);
    let many = vec![GET; AWAITED_MAX + 1];
    assert_eq!(told(&many, "HTTP/1.1 204 No\r\n\r\n"), [Said::Lost]);
}

#[test]
fn errors_by_the_protocols_word() {
    let verdict = Verdict {
        code: 503,
        is_error: true,
        statement: None,
    };
    let response = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(told(&[GET], response)[1], Said::End(verdict));
}
