//! Where a value ends (RESP2 and RESP3). Values pass by: what is noted of one is its kind and, where it is an array, its first element and
//! the third, by which what is published is told from what was asked for.

use crate::redis::{LINE_MAX, NESTING_MAX, NUMBER_MAX, number};

/// Longest first element, in bytes, that is noted.
const FIRST_MAX: usize = 16;

/// Reads values that follow each other.
#[derive(Debug, Default)]
pub(super) struct Reader {
    at: At,
    /// What stands around the value that is read, the outermost first.
    around: Vec<Around>,
    /// Of the outermost value: the sign that it begins with; 0 before it.
    kind: u8,
    /// How many of its elements are complete.
    elements: u64,
    first: Vec<u8>,
    third: Option<i64>,
    /// The line that is read, of a number.
    line: Vec<u8>,
    line_len: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the sign of a value.
    #[default]
    Kind,
    /// In the line behind this sign.
    Line(u8),
    /// Behind its carriage return.
    LineLf(u8),
    /// In a string with so many bytes to come.
    Blob(u64),
    BlobCr,
    BlobLf,
}

#[derive(Clone, Copy, Debug)]
struct Around {
    /// Values to come.
    left: u64,
    /// Whether it only says something of the value behind it (`|`).
    is_attribute: bool,
}

/// What has come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing: more bytes are needed.
    More,
    /// The sign of an outermost value.
    Kind,
    /// The first element of an outermost value.
    First,
    /// An outermost value.
    End,
}

/// It is no value of RESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault;

/// A fault behind so many bytes that were right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind(pub(super) usize);

impl Reader {
    /// The sign of the value that is read.
    pub(super) fn kind(&self) -> u8 {
        self.kind
    }

    /// The first element of the array that is read, as far as it is noted.
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }

    /// The third element of the array that is read, where that is a number.
    pub(super) fn third(&self) -> Option<i64> {
        self.third
    }

    /// Whether it stands between two values.
    pub(super) fn is_between(&self) -> bool {
        self.at == At::Kind && self.around.is_empty()
    }

    /// Forgets the value that has ended.
    pub(super) fn next(&mut self) {
        (self.kind, self.elements, self.third) = (0, 0, None);
        self.first.clear();
    }

    /// Reads up to the next event; so many bytes are taken.
    ///
    /// # Errors
    ///
    /// Where this is no value.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(usize, Event), Behind> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let At::Blob(left) = &mut self.at {
                let rest = &bytes[at..];
                let len = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                *left -= len as u64;
                if *left == 0 {
                    self.at = At::BlobCr;
                }
                self.note_first(&rest[..len]);
                at += len;
                continue;
            }
            let event = self.step(*byte).map_err(|Fault| Behind(at))?;
            at += 1;
            if event != Event::More {
                return Ok((at, event));
            }
        }
        Ok((at, Event::More))
    }

    fn step(&mut self, byte: u8) -> Result<Event, Fault> {
        match (self.at, byte) {
            (At::Kind, _) => self.begin(byte),
            (At::Line(kind), b'\r') => {
                self.at = At::LineLf(kind);
                Ok(Event::More)
            }
            (At::Line(_), b'\n') => Err(Fault),
            (At::Line(kind), _) => self.add(kind, byte),
            (At::LineLf(kind), b'\n') => self.end_line(kind),
            (At::BlobCr, b'\r') => {
                self.at = At::BlobLf;
                Ok(Event::More)
            }
            (At::BlobLf, b'\n') => Ok(self.end()),
            _ => Err(Fault),
        }
    }

    fn begin(&mut self, kind: u8) -> Result<Event, Fault> {
        if !b"+-:$*_,#(!=%~>|".contains(&kind) || kind == b'>' && !self.around.is_empty() {
            return Err(Fault);
        }
        self.at = At::Line(kind);
        self.line.clear();
        self.line_len = 0;
        if self.around.is_empty() && kind != b'|' {
            self.kind = kind;
            return Ok(Event::Kind);
        }
        Ok(Event::More)
    }

    fn add(&mut self, kind: u8, byte: u8) -> Result<Event, Fault> {
        let is_text = matches!(kind, b'+' | b'-' | b'(' | b',');
        let limit = if is_text { LINE_MAX } else { NUMBER_MAX };
        if self.line_len >= limit {
            return Err(Fault);
        }
        self.line_len += 1;
        if is_text {
            self.note_first(&[byte]);
        } else {
            self.line.push(byte);
        }
        Ok(Event::More)
    }

    fn end_line(&mut self, kind: u8) -> Result<Event, Fault> {
        match kind {
            b'+' | b'-' | b'(' | b',' => return Ok(self.end()),
            b'_' if self.line.is_empty() => return Ok(self.end()),
            b'#' if self.line == b"t" || self.line == b"f" => return Ok(self.end()),
            _ => {}
        }
        let len = number(&self.line).ok_or(Fault)?;
        if kind == b':' {
            if self.is_element(2) {
                self.third = Some(len);
            }
            return Ok(self.end());
        }
        let Ok(len) = u64::try_from(len) else {
            // RESP2's null.
            return if len == -1 && matches!(kind, b'$' | b'*') {
                Ok(self.end())
            } else {
                Err(Fault)
            };
        };
        let times = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
        match kind {
            b'$' | b'!' | b'=' => {
                self.at = if len == 0 { At::BlobCr } else { At::Blob(len) };
                Ok(Event::More)
            }
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                let left = len.checked_mul(times).ok_or(Fault)?;
                self.open(left, kind == b'|')
            }
            _ => Err(Fault),
        }
    }

    fn open(&mut self, left: u64, is_attribute: bool) -> Result<Event, Fault> {
        self.at = At::Kind;
        if left == 0 {
            return Ok(if is_attribute {
                Event::More
            } else {
                self.end()
            });
        }
        if self.around.len() >= NESTING_MAX {
            return Err(Fault);
        }
        self.around.push(Around { left, is_attribute });
        Ok(Event::More)
    }

    /// A value has ended, and with it those around it that it was the last of.
    fn end(&mut self) -> Event {
        self.at = At::Kind;
        let mut is_first = false;
        while let Some(around) = self.around.last_mut() {
            around.left -= 1;
            let Around { left, is_attribute } = *around;
            if self.around.len() == 1 && !is_attribute {
                self.elements += 1;
                is_first = self.elements == 1;
            }
            if left > 0 {
                return if is_first { Event::First } else { Event::More };
            }
            self.around.pop();
            if is_attribute {
                return Event::More;
            }
        }
        Event::End
    }

    /// Whether what is read is this element of the outermost value.
    fn is_element(&self, number: u64) -> bool {
        matches!(
            self.around.as_slice(),
            [Around {
                is_attribute: false,
                ..
            }]
        ) && self.elements == number
    }

    fn note_first(&mut self, bytes: &[u8]) {
        if self.is_element(0) {
            let room = FIRST_MAX.saturating_sub(self.first.len());
            self.first
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Behind, Event, Reader};
    use crate::redis::{LINE_MAX, NESTING_MAX};

    /// How long each value is, and its sign.
    fn values(bytes: &[u8]) -> Result<Vec<(u8, usize)>, Behind> {
        let (mut reader, mut found, mut at, mut start) = (Reader::default(), Vec::new(), 0, 0);
        while at < bytes.len() {
            let (len, event) = reader.push(&bytes[at..])?;
            at += len;
            if event == Event::End {
                found.push((reader.kind(), at - start));
                reader.next();
                start = at;
            }
        }
        Ok(found)
    }

    #[test]
    fn each_kind() {
        for one in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":-12\r\n",
            ":0\r\n",
            "$5\r\nhello\r\n",
            "$0\r\n\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n:1\r\n*1\r\n$2\r\n\r\n\r\n",
            "_\r\n",
            ",1.5e3\r\n",
            ",inf\r\n",
            "#t\r\n",
            "(3492890328409238509324850943850943825024385\r\n",
            "!3\r\nERR\r\n",
            "=7\r\ntxt:abc\r\n",
            "%2\r\n+a\r\n:1\r\n+b\r\n%0\r\n",
            "~1\r\n:1\r\n",
            ">2\r\n+message\r\n+a\r\n",
        ] {
            let kind = one.as_bytes()[0];
            let twice = format!("{one}{one}");
            assert_eq!(
                values(twice.as_bytes()),
                Ok(vec![(kind, one.len()); 2]),
                "{one:?}"
            );
        }
    }

    #[test]
    fn attributes_are_of_the_value_behind_them() {
        for one in [
            "|1\r\n+a\r\n:1\r\n",
            "|0\r\n",
            "|1\r\n+a\r\n|1\r\n+b\r\n+c\r\n:1\r\n",
        ] {
            let text = format!("{one}*2\r\n{one}+x\r\n:1\r\n");
            assert_eq!(
                values(text.as_bytes()),
                Ok(vec![(b'*', text.len())]),
                "{one:?}"
            );
        }
    }

    #[test]
    fn what_is_noted() {
        let mut reader = Reader::default();
        let text = b"|1\r\n+a\r\n:9\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n";
        let mut at = 0;
        let mut events = Vec::new();
        while at < text.len() {
            let (len, event) = reader.push(&text[at..]).expect("a value");
            at += len;
            events.push(event);
        }
        assert_eq!(events, [Event::Kind, Event::First, Event::End]);
        assert_eq!(
            (reader.first(), reader.third()),
            (b"subscribe".as_slice(), Some(2))
        );
        assert!(reader.is_between());
    }

    #[test]
    fn what_is_no_value() {
        for wrong in [
            "a",
            "\r\n",
            "+a\n",
            "+a\rb",
            ":\r\n",
            ":1x\r\n",
            ":+1\r\n",
            ":01\r\n",
            ":-\r\n",
            "$-2\r\n",
            "$1\r\nab",
            "$1\r\na\n",
            "%-1\r\n",
            "_a\r\n",
            "#x\r\n",
            "*1\r\n>0\r\n",
            "*1\r\nx",
            "%9223372036854775807\r\n+",
            "$?\r\n",
        ] {
            let more = format!("{wrong}\r\n\r\n");
            assert!(values(more.as_bytes()).is_err(), "{wrong:?}");
        }
        let long = format!("+{}", "a".repeat(LINE_MAX + 1));
        assert!(values(long.as_bytes()).is_err());
        assert!(values("*1\r\n".repeat(NESTING_MAX + 1).as_bytes()).is_err());
        assert_eq!(values("*1\r\n".repeat(NESTING_MAX).as_bytes()), Ok(vec![]));
    }
}
