//! Asking a server of the lab, and what it says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{Error, Result, Tried};
use crate::host::Namespace;

/// How long a connection, or each piece of an answer, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// Asks for a page from a host.
///
/// # Errors
///
/// Where nobody answers, or what comes is no HTTP.
pub fn get(from: &Namespace, server: SocketAddr, path: &str) -> Result<Answer> {
    // HTTP/1.0, so that the body ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n");
    ask(from, server, request.as_bytes())?.ok_or_else(|| Error::Parse {
        what: format!("the answer of {server} to {path}"),
        why: "it is no HTTP".to_owned(),
    })
}

/// Says something to a server, and gives its answer, if it gave one.
///
/// # Errors
///
/// Where it cannot be reached.
pub fn ask(from: &Namespace, server: SocketAddr, request: &[u8]) -> Result<Option<Answer>> {
    let mut stream = connect(from, server)?;
    // It may be closed before all is written, and reset before all is read.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Ok(parse(&String::from_utf8_lossy(&answer)))
}

/// A connection from a host.
///
/// # Errors
///
/// Where it cannot be made.
pub fn connect(from: &Namespace, server: SocketAddr) -> Result<TcpStream> {
    let connected = from.enter(|| TcpStream::connect_timeout(&server, PATIENCE))?;
    let stream = connected.tried(|| format!("connect to {server}"))?;
    let timeout = stream.set_read_timeout(Some(PATIENCE));
    timeout.tried(|| "set a timeout".to_owned())?;
    Ok(stream)
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer {
        status: head.split_ascii_whitespace().nth(1)?.parse().ok()?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\nstarting\n");
        let answer = answer.expect("it is one");
        assert_eq!((answer.status, answer.body.as_str()), (503, "starting\n"));
        assert_eq!(parse("220 ready\r\n"), None);
        assert_eq!(parse("garbage\r\n\r\n"), None);
    }
}
