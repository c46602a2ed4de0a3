//! A response streams by, a digest comes out.

use std::sync::Arc;

use core::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::content::{Coding, Content};
use super::hash::Measure;
use super::shared::Digests;
use super::{Digest, Header};

/// Reads one response after the other on one connection: [`Digester::on_head`], [`Digester::on_body`] as often as there are bytes,
/// [`Digester::end`].
#[derive(Debug)]
pub struct Digester {
    shared: Arc<Digests>,
    status: u32,
    headers: Vec<Reading>,
    sent: Measure,
    content: Content,
}

/// A chosen header, line by line.
#[derive(Debug)]
struct Reading {
    name: u8,
    hasher: SipHasher13,
}

impl Digester {
    /// A reader before its first response.
    #[must_use]
    pub fn new(shared: &Arc<Digests>) -> Self {
        Self {
            shared: Arc::clone(shared),
            status: 0,
            headers: Vec::new(),
            sent: Measure::new(shared.key()),
            content: Content::new(shared, Coding::None, false),
        }
    }

    /// A response begins, the final one: what comes before it (1xx) is none. What was read of one before it that has not ended is
    /// forgotten. Of a protocol without headers there are none.
    pub fn on_head<'a>(
        &mut self,
        status: u32,
        headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) {
        self.status = status;
        self.headers.clear();
        self.sent = Measure::new(self.shared.key());
        let (mut coding, mut is_json) = (Coding::None, false);
        for (name, value) in headers {
            let value = value.trim_ascii();
            if name.eq_ignore_ascii_case(b"content-encoding") {
                coding = coding.and(value);
            } else if name.eq_ignore_ascii_case(b"content-type") {
                is_json = is_json_type(value);
            }
            if let Some(place) = self.shared.headers().place(name) {
                self.header(place, value);
            }
        }
        self.content = Content::new(&self.shared, coding, is_json);
    }

    /// A line of a chosen header.
    fn header(&mut self, name: u8, value: &[u8]) {
        let at = match self
            .headers
            .binary_search_by_key(&name, |reading| reading.name)
        {
            Ok(at) => at,
            Err(at) => {
                let hasher = self.shared.key().hasher();
                self.headers.insert(at, Reading { name, hasher });
                at
            }
        };
        let hasher = &mut self.headers[at].hasher;
        hasher.write(value);
        // No value has a line's end.
        hasher.write(b"\n");
    }

    /// The next bytes of its body, without the framing of the transfer.
    pub fn on_body(&mut self, bytes: &[u8]) {
        self.sent.add(bytes);
        self.content.push(bytes);
    }

    /// The response is complete.
    pub fn end(&mut self) -> Digest {
        let nothing = Content::new(&self.shared, Coding::None, false);
        let content = core::mem::replace(&mut self.content, nothing);
        let is_empty = self.sent.len() == 0;
        let (content, fields) = if is_empty {
            // Nothing has no coding, whatever its head says (HEAD, 304).
            let nothing = Content::new(&self.shared, Coding::None, false);
            nothing.end()
        } else {
            content.end()
        };
        let headers = self.headers.drain(..).map(|reading| Header {
            name: reading.name,
            hash: reading.hasher.finish(),
        });
        let digest = Digest {
            status: self.status,
            headers: headers.collect(),
            sent: self.sent.extent(),
            content,
            fields,
        };
        self.status = 0;
        self.sent = Measure::new(self.shared.key());
        digest
    }
}

/// `application/json`, `text/json`, `application/problem+json`, with any parameters.
fn is_json_type(value: &[u8]) -> bool {
    let end = value.iter().position(|byte| *byte == b';');
    let kind = value[..end.unwrap_or(value.len())].trim_ascii();
    let is = |name: &[u8]| kind.eq_ignore_ascii_case(name);
    let suffix = kind.last_chunk::<5>();
    is(b"application/json")
        || is(b"text/json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
}

#[cfg(test)]
mod tests;
