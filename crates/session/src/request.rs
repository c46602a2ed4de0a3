//! Where a request ends, as far as it must be known to join a flow in its middle.
//!
//! A client that waits between two parts of one request (`Expect: 100-continue`, RFC 9110 section 10.1.1) makes a turn boundary
//! inside of it, and the part that follows may look like a request of its own. So a flow is joined only behind requests that were
//! read from their first byte to their last. This reads HTTP/1 (RFC 9112) and the text commands of memcached, and nothing more of
//! either than that.
//!
//! It belongs to flows that have no session; those that have one are never read.

use crate::limits::REQUEST_HEAD_MAX;
use crate::standalone::{self, LEN};

/// How much of a line is kept: the names of the headers that count, with a number behind.
const LINE_LEN: usize = 48;

const _: () = assert!(LINE_LEN >= LEN);

/// Where in a request its reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Nobody knows where a request begins.
    Lost,
    /// Before the first byte of a request.
    Start,
    /// In its first line.
    FirstLine,
    /// In the lines of its head.
    Head,
    /// In its body, so many bytes before the end.
    Body(u64),
    /// In the line that tells the length of a chunk (RFC 9112 section 7.1).
    ChunkLen,
    /// In a chunk, so many bytes before the end of it and of its line.
    Chunk(u64),
    /// In the lines behind the last chunk.
    Trailer,
    /// In commands of memcached; their end is the end of a line.
    Commands,
}

/// Reads a client's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    at: At,
    /// The line that is being read, as far as it is kept.
    line: [u8; LINE_LEN],
    /// Its length.
    len: u32,
    /// The length of the head so far.
    head: u32,
    body: Body,
    /// The last byte but one, and the last.
    tail: [u8; 2],
    /// Whether a request was read to its end.
    whole: bool,
}

/// What a head says of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    None,
    Bytes(u64),
    Chunks,
    /// The client waits before it, or what follows is no HTTP/1.
    Unknown,
}

impl Reader {
    /// One that knows nothing.
    pub(crate) const fn lost() -> Self {
        Self {
            at: At::Lost,
            line: [0; LINE_LEN],
            len: 0,
            head: 0,
            body: Body::None,
            tail: [0; 2],
            whole: false,
        }
    }

    /// One behind the end of a request.
    pub(crate) const fn at_end() -> Self {
        Self {
            at: At::Start,
            whole: true,
            ..Self::lost()
        }
    }

    /// Whether requests were read from a first byte on, and the last of them has ended.
    pub(crate) fn is_at_end(&self) -> bool {
        self.whole && self.at == At::Start || self.at == At::Commands && self.tail == *b"\r\n"
    }

    /// Whether what was read last begins like a request, so that its end may come.
    pub(crate) fn may_end(&self) -> bool {
        self.at != At::Lost
    }

    /// Bytes are missing here.
    pub(crate) fn lose(&mut self) {
        *self = Self::lost();
    }

    /// The next bytes: what is new of one segment.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        let unsure = self.at == At::FirstLine && standalone::stands_alone(bytes);
        if self.at == At::Lost || unsure {
            // Most clients begin a request with a segment.
            *self = Self {
                at: At::Start,
                ..Self::lost()
            };
        }
        if let [.., before, last] = bytes {
            self.tail = [*before, *last];
        } else if let [last] = bytes {
            self.tail = [self.tail[1], *last];
        }
        while !bytes.is_empty() && !matches!(self.at, At::Lost | At::Commands) {
            let read = self.step(bytes);
            bytes = bytes.get(read..).unwrap_or_default();
        }
    }

    /// Reads up to the end of a line, or of a body. Returns how many bytes it were, at least one.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if let At::Body(left) | At::Chunk(left) = self.at {
            let read = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let left = left - read as u64;
            self.at = match self.at {
                At::Body(_) if left == 0 => self.end(),
                At::Body(_) => At::Body(left),
                _ if left == 0 => At::ChunkLen,
                _ => At::Chunk(left),
            };
            return read;
        }
        if self.at == At::Start {
            (self.at, self.len, self.head, self.body) = (At::FirstLine, 0, 0, Body::None);
        }
        let newline = bytes.iter().position(|byte| *byte == b'\n');
        let read = newline.map_or(bytes.len(), |at| at + 1);
        let (kept, line) = (self.len as usize, &bytes[..newline.unwrap_or(bytes.len())]);
        if let Some(room) = self.line.get_mut(kept..) {
            let copied = room.len().min(line.len());
            room[..copied].copy_from_slice(&line[..copied]);
        }
        self.len = self
            .len
            .saturating_add(u32::try_from(line.len()).unwrap_or(u32::MAX));
        self.head = self
            .head
            .saturating_add(u32::try_from(read).unwrap_or(u32::MAX));
        if self.head > REQUEST_HEAD_MAX {
            self.at = At::Lost;
        } else if newline.is_some() {
            let line = self.line;
            let line = &line[..LINE_LEN.min(self.len as usize)];
            self.at = self.on_line(line.strip_suffix(b"\r").unwrap_or(line));
            self.len = 0;
        } else if self.at == At::FirstLine
            && self.len as usize >= LEN
            && !standalone::stands_alone(&self.line[..LEN])
        {
            self.at = At::Lost;
        }
        read
    }

    /// A line has ended, of which these bytes were kept.
    fn on_line(&mut self, line: &[u8]) -> At {
        match self.at {
            At::FirstLine if standalone::is_http(line) => At::Head,
            // A command may end with its first word.
            At::FirstLine if standalone::is_memcached(&[line, b"\r\n"].concat()) => At::Commands,
            At::Head if line.is_empty() => match self.body {
                Body::None | Body::Bytes(0) => self.end(),
                Body::Bytes(bytes) => At::Body(bytes),
                Body::Chunks => {
                    self.head = 0;
                    At::ChunkLen
                }
                Body::Unknown => At::Lost,
            },
            At::Head => {
                self.on_header(line);
                At::Head
            }
            At::ChunkLen => {
                self.head = 0;
                let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
                let digits = &line[..digits.count()];
                let len = str::from_utf8(digits).ok();
                match len.and_then(|len| u64::from_str_radix(len, 16).ok()) {
                    Some(0) => At::Trailer,
                    // The chunk, and the end of its line.
                    Some(len) => At::Chunk(len.saturating_add(2)),
                    None => At::Lost,
                }
            }
            At::Trailer if line.is_empty() => self.end(),
            At::Trailer => At::Trailer,
            _ => At::Lost,
        }
    }

    fn on_header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let told = if is("expect") || is("upgrade") {
            Body::Unknown
        } else if is("transfer-encoding") {
            if value.eq_ignore_ascii_case(b"chunked") {
                Body::Chunks
            } else {
                Body::Unknown
            }
        } else if is("content-length") {
            let number = str::from_utf8(value).ok();
            number
                .and_then(|number| number.parse().ok())
                .map_or(Body::Unknown, Body::Bytes)
        } else {
            return;
        };
        // Two that disagree are what request smuggling is made of (RFC 9112 section 6.3).
        self.body = match (self.body, told) {
            (Body::None, told) => told,
            (known, told) if known == told => known,
            _ => Body::Unknown,
        };
    }

    fn end(&mut self) -> At {
        self.whole = true;
        At::Start
    }
}

#[cfg(test)]
mod tests {
    use super::Reader;

    const WHOLE: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-LENGTH: 5\r\n\r\nhello",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: 1\r\n\r\n",
        b"GET /a/path/that/is/longer/than/what/is/kept/of/a/line/of/a/head HTTP/1.1\r\n\r\n",
        b"get key\r\n",
        b"set key 0 0 5\r\nhello\r\nget key\r\n",
    ];

    fn read(bytes: &[u8], step: usize) -> Reader {
        let mut reader = Reader::lost();
        bytes.chunks(step).for_each(|piece| reader.read(piece));
        reader
    }

    #[test]
    fn a_request_has_an_end_wherever_it_is_cut() {
        for whole in WHOLE {
            for step in [1, 2, 7, 33, 1000] {
                // What was cut before it can be known begins anew with each segment.
                let reader = read(whole, step);
                assert!(reader.is_at_end(), "{step} {:?}", whole.escape_ascii());
            }
        }
    }

    #[test]
    fn a_part_of_one_has_none() {
        for whole in WHOLE {
            let mut ends = 0;
            for len in 1..whole.len() {
                ends += usize::from(read(&whole[..len], 1000).is_at_end());
            }
            assert!(ends <= 2, "{:?}", whole.escape_ascii());
        }
        for part in [
            &b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
            b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"CONNECT a:443 HTTP/1.1\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"\x17\x03\x03\0\x20 the middle of something that is encrypted",
            b"the middle of a body\r\n\r\n",
        ] {
            assert!(!read(part, 1000).is_at_end(), "{:?}", part.escape_ascii());
        }
    }

    #[test]
    fn a_head_without_an_end_is_given_up() {
        let mut reader = Reader::lost();
        reader.read(b"GET / HTTP/1.1\r\n");
        for _ in 0..2000 {
            reader.read(b"X-Header: something that is of no interest at all\r\n");
        }
        reader.read(b"\r\n");
        assert!(!reader.is_at_end());
    }

    #[test]
    fn behind_a_hole_it_begins_anew() {
        let mut reader = Reader::at_end();
        assert!(reader.is_at_end());
        reader.read(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
        reader.lose();
        reader.read(b"the rest");
        assert!(!reader.is_at_end());
        reader.read(b"GET / HTTP/1.1\r\n\r\n");
        assert!(reader.is_at_end());
    }
}
