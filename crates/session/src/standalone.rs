//! Which turns make sense on a connection of their own.
//!
//! Where a flow was open before the start, or its target has ended a connection early, the flow goes on with a new connection
//! only if its next turn needs nothing that came before: an HTTP/1 request or a memcached command does not, a statement without
//! its login does.

/// Bytes of a turn that tell.
pub(crate) const LEN: usize = 32;

/// Longest method of an HTTP request that is believed, in bytes (the longest registered one is `UPDATEREDIRECTREF`).
const METHOD_LEN_MAX: usize = 17;
/// What an HTTP/1 request line has after its method (RFC 9112 section 3.2): all but the authority of CONNECT, which begins a
/// tunnel.
const TARGETS: [&[u8]; 4] = [b"/", b"*", b"http://", b"https://"];
/// The text commands of memcached, each with what follows it.
const MEMCACHED: [&[u8]; 22] = [
    b"get ",
    b"gets ",
    b"gat ",
    b"gats ",
    b"set ",
    b"add ",
    b"replace ",
    b"append ",
    b"prepend ",
    b"cas ",
    b"delete ",
    b"incr ",
    b"decr ",
    b"touch ",
    b"mg ",
    b"ms ",
    b"md ",
    b"ma ",
    b"mn\r",
    b"stats",
    b"version\r",
    b"flush_all",
];

/// Whether a turn that begins like this, with at most [`LEN`] bytes, stands alone.
pub(crate) fn stands_alone(first: &[u8]) -> bool {
    is_http(first) || is_memcached(first)
}

/// Whether a turn of which no more than this has come may turn out to stand alone.
pub(crate) fn may_stand_alone(first: &[u8]) -> bool {
    let method = method_len(first);
    let target = match first.get(method..) {
        Some([b' ', target @ ..]) => Some(target),
        Some([]) => Some(&[][..]),
        _ => None,
    };
    let begins = |target| TARGETS.iter().any(|known| known.starts_with(target));
    (1..=METHOD_LEN_MAX).contains(&method) && target.is_some_and(begins)
        || MEMCACHED.iter().any(|command| command.starts_with(first))
}

/// How many bytes may be of a method of HTTP.
fn method_len(first: &[u8]) -> usize {
    let letters = first
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-');
    letters.count()
}

/// Whether it is a command of memcached.
pub(crate) fn is_memcached(first: &[u8]) -> bool {
    MEMCACHED.iter().any(|command| first.starts_with(command))
}

/// Whether it is a request of HTTP/1.
pub(crate) fn is_http(first: &[u8]) -> bool {
    let method = method_len(first);
    let Some((b' ', target)) = first
        .get(method..)
        .and_then(|rest| rest.split_first().map(|(a, b)| (*a, b)))
    else {
        return false;
    };
    // The preface of HTTP/2 (RFC 9113 section 3.4) looks like a request, and begins a connection that has state.
    let preface = first.starts_with(b"PRI ");
    !preface
        && (1..=METHOD_LEN_MAX).contains(&method)
        && TARGETS.iter().any(|start| target.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::{may_stand_alone, stands_alone};

    #[test]
    fn a_beginning_that_is_too_short_does_not_tell() {
        for first in [
            &b"g"[..],
            b"get",
            b"G",
            b"GET",
            b"GET ",
            b"GET http:",
            b"M-",
        ] {
            assert!(may_stand_alone(first), "{first:?}");
        }
        for first in [
            &b"*1"[..],
            b"general",
            b"MAIL F",
            b"\x17",
            b"CONNECT exam",
            b"Q\0",
        ] {
            assert!(!may_stand_alone(first), "{first:?}");
        }
    }

    #[test]
    fn requests_and_commands_stand_alone_and_what_follows_a_beginning_does_not() {
        for first in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"OPTIONS * HTTP/1.1\r\n",
            b"M-SEARCH * HTTP/1.1\r\n",
            b"GET http://example.com/ HTTP/1",
            b"get key\r\n",
            b"set key 0 0 5\r\nhello\r\n",
        ] {
            assert!(stands_alone(first), "{first:?}");
        }
        for first in [
            &b""[..],
            b"GET",
            b"get",
            b"*1\r\n$4\r\nPING\r\n",
            b"MAIL FROM:<a@example.com>\r\n",
            b"CONNECT example.com:443 HTTP/1.1\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0",
            b"Q\0\0\0\x0dselect 1\0",
            b"\x30\x10\0\x05topicpayload",
            b"\x17\x03\x03\0\x20",
        ] {
            assert!(!stands_alone(first), "{first:?}");
        }
    }
}
