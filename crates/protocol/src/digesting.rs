//! Digests of responses of a protocol without headers, made beside its reader: of the bytes of which the reader says that they are the
//! response's.

use std::borrow::Cow;
use std::sync::Arc;

use crate::digest::{Digester, Digests};
use crate::said::Said;

/// Most bytes that a reader may have taken and not told of yet, before nothing more is digested on the connection.
const UNTOLD_MAX: usize = 256 * 1024;

/// Makes the digests of one connection's responses.
#[derive(Debug)]
pub(crate) struct Digesting {
    /// `None` once the reader says nothing any more.
    digester: Option<Digester>,
    /// What the reader has taken and not told of yet.
    untold: Vec<u8>,
}

impl Digesting {
    pub(crate) fn new(digests: &Arc<Digests>) -> Self {
        Self {
            digester: Some(Digester::new(digests)),
            untold: Vec::new(),
        }
    }

    /// The reader gets the next bytes by `read`; what it says of them and of those before goes on to `tell`.
    pub(crate) fn watch(
        &mut self,
        bytes: &[u8],
        tell: &mut dyn FnMut(Said),
        read: impl FnOnce(&[u8], &mut dyn FnMut(Said)),
    ) {
        let Some(mut digester) = self.digester.take() else {
            return read(bytes, tell);
        };
        let mut all = Cow::Borrowed(bytes);
        if !self.untold.is_empty() {
            let mut joined = core::mem::take(&mut self.untold);
            joined.extend_from_slice(bytes);
            all = Cow::Owned(joined);
        }
        let (mut at, mut goes_on) = (0, true);
        read(bytes, &mut |said| {
            match &said {
                Said::Bytes(len) => {
                    let end = all.len().min(at + *len as usize);
                    digester.on_body(&all[at..end]);
                    at = end;
                }
                Said::Unasked(len) => at = all.len().min(at + *len as usize),
                Said::End(verdict) => {
                    let mut digest = digester.end();
                    digest.status = if verdict.is_error { verdict.code } else { 0 };
                    tell(Said::Digested(Box::new(digest)));
                }
                Said::Left | Said::Lost => goes_on = false,
                Said::Asked(_)
                | Said::Opened(_)
                | Said::Ready
                | Said::Closes
                | Said::Digested(_) => {}
            }
            tell(said);
        });
        let untold = &all[at..];
        if goes_on && untold.len() <= UNTOLD_MAX {
            self.untold.extend_from_slice(untold);
            self.digester = Some(digester);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::digest::{Digest, Digests, Headers, Key};
    use crate::expect::{AwaitedHttp1, AwaitedRedis};
    use crate::{Expect, Protocol, Responses, Said};

    fn digests() -> Arc<Digests> {
        Arc::new(Digests::new(Key { k0: 1, k1: 2 }, Headers::default()))
    }

    /// What the responses of a server to `count` messages are compared by.
    fn digested(
        shared: &Arc<Digests>,
        (expect, count): (Expect, usize),
        stream: &[u8],
        piece: usize,
    ) -> Vec<Digest> {
        let mut responses = Responses::new(expect.protocol()).digesting(Some(shared));
        let (mut found, mut ends) = (Vec::new(), 0);
        for _ in 0..count {
            responses.expect(expect);
        }
        let mut tell = |said| match said {
            Said::Digested(digest) => found.push(*digest),
            Said::End(_) => ends += 1,
            _ => {}
        };
        for bytes in stream.chunks(piece) {
            responses.push(bytes, &mut tell);
        }
        responses.close(&mut tell);
        assert_eq!(found.len(), ends);
        found
    }

    #[test]
    fn a_response_is_digested_without_its_framing() {
        let stream = b"HTTP/1.1 103 Early Hints\r\nLocation: /a\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}\
            HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n\
            HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n\
            HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":1}";
        let shared = digests();
        let expect = Expect::Http1(AwaitedHttp1::default());
        let whole = digested(&shared, (expect, 4), stream, stream.len());
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0], whole[1]);
        assert_eq!(whole[0], whole[3]);
        assert_eq!((whole[0].status, whole[2].status), (200, 500));
        assert_eq!((whole[0].sent.len, whole[2].sent.len), (7, 0));
        assert!(
            matches!(&whole[0].fields, crate::digest::Fields::Known(fields) if fields.len() == 1)
        );
        for piece in 1..stream.len() {
            assert_eq!(digested(&shared, (expect, 4), stream, piece), whole);
        }
    }

    #[test]
    fn a_response_without_headers_is_digested_as_it_is() {
        let stream = b"$5\r\nhello\r\n$5\r\nworld\r\n-ERR no\r\n$5\r\nhello\r\n";
        let shared = digests();
        let expect = Expect::Redis(AwaitedRedis::Reply);
        let whole = digested(&shared, (expect, 4), stream, stream.len());
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0], whole[3]);
        assert_ne!(whole[0].sent.hash, whole[1].sent.hash);
        for piece in 1..stream.len() {
            assert_eq!(digested(&shared, (expect, 4), stream, piece), whole);
        }
    }

    #[test]
    fn nothing_is_digested_where_nobody_asks() {
        let mut responses = Responses::new(Protocol::Http1);
        responses.expect(Expect::Http1(AwaitedHttp1::default()));
        responses.push(b"HTTP/1.1 204 No Content\r\n\r\n", &mut |said| {
            assert!(!matches!(said, Said::Digested(_)));
        });
    }
}
