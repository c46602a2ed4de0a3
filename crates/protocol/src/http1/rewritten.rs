//! A head as the target is to get it.

use crate::http1::head::RequestHead;
use crate::rewrite::{Rewriting, SetHeader};

/// The head with what is to be changed; `None` where that is nothing. Lines that are not changed are kept to the byte.
pub(super) fn rewritten(
    rewriting: &Rewriting,
    bytes: &[u8],
    head: &RequestHead<'_, '_>,
) -> Option<Vec<u8>> {
    if rewriting.is_nothing() {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() + 256);
    push_line(&mut out, &request_line(rewriting, head));
    let mut set: Vec<&SetHeader> = rewriting.fields().collect();
    // The host of CONNECT is its target's.
    let mut host = rewriting.host.as_ref().filter(|_| !head.is_connect());
    let has_host = host.is_some();
    // A field is a line: none is folded.
    let lines = bytes.split(|byte| *byte == b'\n').skip(1);
    for (line, field) in lines.zip(head.fields) {
        if has_host && field.name.eq_ignore_ascii_case("host") {
            if let Some(host) = host.take() {
                push_field(&mut out, field.name, host.as_str());
            }
            continue;
        }
        let is_set = |one: &SetHeader| one.name().eq_ignore_ascii_case(field.name);
        if rewriting.fields().any(is_set) {
            // All that are set by this name stand where the first of it stood.
            for one in set.extract_if(.., |one| is_set(one)) {
                push_field(&mut out, one.name(), one.value());
            }
            continue;
        }
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    if let Some(host) = host {
        push_field(&mut out, "Host", host.as_str());
    }
    for one in set {
        push_field(&mut out, one.name(), one.value());
    }
    push_line(&mut out, "");
    Some(out)
}

fn request_line(rewriting: &Rewriting, head: &RequestHead<'_, '_>) -> String {
    let target = head.target();
    let path = rewriting.path(target.path);
    let authority = match (&rewriting.host, target.authority) {
        (Some(host), Some(_)) if !head.is_connect() => host.as_str(),
        (_, authority) => authority.unwrap_or_default(),
    };
    let (question, query) = target.query.map_or(("", ""), |query| ("?", query));
    format!(
        "{} {}{authority}{}{question}{query} HTTP/1.{}",
        head.method,
        target.scheme,
        path.as_deref().unwrap_or(target.path),
        u8::from(!head.is_old)
    )
}

fn push_field(out: &mut Vec<u8>, name: &str, value: &str) {
    push_line(out, &format!("{name}: {value}"));
}

fn push_line(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}
