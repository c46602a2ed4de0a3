//! Bodies by their framing (RFC 9112, section 6): of a length, chunked, or up to the end of the connection. They pass by and are
//! never held.

use crate::http1::{CHUNK_LINE_MAX, TRAILERS_MAX};
use crate::parts::Why;

/// How much of a body is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes; none where there is no body.
    Length(u64),
    /// Chunks, the last one empty, and trailers.
    Chunked(Chunks),
    /// All that comes until the connection is closed.
    UntilClose,
}

/// How much of what was pushed is the body's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of it, and more is to come.
    All,
    /// So many bytes, with which the body is complete.
    Whole(usize),
    /// So many bytes, and the next one cannot be.
    Fault(usize, Why),
}

impl Body {
    /// Whether nothing more is to come.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// The next bytes of the connection; `on_data` gets what of them is data, and not framing.
    pub(super) fn push(&mut self, bytes: &[u8], on_data: &mut dyn FnMut(&[u8])) -> Taken {
        match self {
            Self::Length(left) => {
                let taken = at_most(*left, bytes.len());
                *left -= taken as u64;
                on_data(&bytes[..taken]);
                if *left == 0 {
                    Taken::Whole(taken)
                } else {
                    Taken::All
                }
            }
            Self::Chunked(chunks) => chunks.push(bytes, on_data),
            Self::UntilClose => {
                on_data(bytes);
                Taken::All
            }
        }
    }
}

fn at_most(left: u64, len: usize) -> usize {
    usize::try_from(left).map_or(len, |left| left.min(len))
}

/// Where a chunked body stands (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// Bytes of the chunk that are still to come; while its size is read, the size so far.
    left: u64,
    /// Bytes of the line of this chunk's size, or of all trailers.
    line: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the first digit of a size.
    #[default]
    Size,
    /// Behind a digit of a size.
    Digits,
    /// Behind a size, before the semicolon of an extension.
    BeforeExtension,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a line behind the last chunk.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
}

impl Chunks {
    fn push(&mut self, bytes: &[u8], on_data: &mut dyn FnMut(&[u8])) -> Taken {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.at == At::Data {
                let taken = at_most(self.left, bytes.len() - at);
                self.left -= taken as u64;
                on_data(&bytes[at..at + taken]);
                at += taken;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            match self.step(*byte) {
                Ok(false) => at += 1,
                Ok(true) => return Taken::Whole(at + 1),
                Err(why) => return Taken::Fault(at, why),
            }
        }
        Taken::All
    }

    /// Takes a byte that is not data; true with the last byte of the body.
    fn step(&mut self, byte: u8) -> Result<bool, Why> {
        self.count()?;
        self.at = match (self.at, byte) {
            (At::Size | At::Digits, _) if byte.is_ascii_hexdigit() => {
                self.add_digit(byte)?;
                At::Digits
            }
            (At::Digits | At::BeforeExtension, b';') => At::Extension,
            (At::Digits | At::BeforeExtension, b' ' | b'\t') => At::BeforeExtension,
            (At::Digits | At::Extension, b'\r') => At::SizeLf,
            (At::Extension, _) if is_text(byte) => At::Extension,
            (At::SizeLf, b'\n') => self.end_size(),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                self.line = 0;
                At::Size
            }
            (At::Trailer, b'\r') => At::LastLf,
            (At::Trailer | At::TrailerName, _) if is_token(byte) => At::TrailerName,
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerValue, b'\r') => At::TrailerLf,
            (At::TrailerValue, _) if is_text(byte) => At::TrailerValue,
            (At::TrailerLf, b'\n') => At::Trailer,
            (At::LastLf, b'\n') => return Ok(true),
            _ => return Err(Why::Malformed),
        };
        Ok(false)
    }

    /// Counts a byte of a line against its limit.
    fn count(&mut self) -> Result<(), Why> {
        let limit = match self.at {
            At::Trailer | At::TrailerName | At::TrailerValue | At::TrailerLf | At::LastLf => {
                TRAILERS_MAX
            }
            _ => CHUNK_LINE_MAX,
        };
        if self.line >= limit {
            return Err(Why::TooLong);
        }
        self.line += 1;
        Ok(())
    }

    fn add_digit(&mut self, byte: u8) -> Result<(), Why> {
        let digit = char::from(byte).to_digit(16).unwrap_or_default();
        let size = self.left.checked_mul(16).ok_or(Why::Malformed)?;
        self.left = size | u64::from(digit);
        Ok(())
    }

    fn end_size(&mut self) -> At {
        self.line = 0;
        if self.left == 0 {
            At::Trailer
        } else {
            At::Data
        }
    }
}

/// A byte of a field's value, or of an extension: visible, obs-text, blank or tab.
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// A byte of a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Body, Chunks, Taken};
    use crate::http1::{CHUNK_LINE_MAX, TRAILERS_MAX};
    use crate::parts::Why;

    fn chunked(bytes: &[u8]) -> Taken {
        Body::Chunked(Chunks::default()).push(bytes, &mut |_| {})
    }

    #[test]
    fn a_body_of_a_length_ends_with_it() {
        let (mut body, mut data) = (Body::Length(5), Vec::new());
        let mut push = |bytes: &[u8]| body.push(bytes, &mut |bytes| data.extend_from_slice(bytes));
        assert_eq!(push(b"abc"), Taken::All);
        assert_eq!(push(b"deGET"), Taken::Whole(2));
        assert_eq!(data, b"abcde");
        assert!(Body::Length(0).is_whole());
        let taken = Body::UntilClose.push(b"anything", &mut |bytes| assert_eq!(bytes, b"anything"));
        assert_eq!(taken, Taken::All);
    }

    #[test]
    fn chunks_end_with_an_empty_one() {
        for whole in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "00005\r\nhello\r\n000\r\n\r\n",
            "A;name=\"a;b\";other\r\n0123456789\r\n0;x\r\n\r\n",
            "5 \t; name\r\nhello\r\n0\r\nExpires: now\r\nX:\r\n\r\n",
        ] {
            let with_more = format!("{whole}GET / HTTP/1.1\r\n");
            assert_eq!(
                chunked(with_more.as_bytes()),
                Taken::Whole(whole.len()),
                "{whole:?}"
            );
        }
    }

    #[test]
    fn data_is_told_without_its_framing() {
        let whole = b"5;x\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n";
        for piece in 1..whole.len() {
            let (mut body, mut data) = (Body::Chunked(Chunks::default()), Vec::new());
            for bytes in whole.chunks(piece) {
                body.push(bytes, &mut |bytes| data.extend_from_slice(bytes));
            }
            assert_eq!(data, b"hello world", "in pieces of {piece}");
        }
    }

    #[test]
    fn what_other_readers_may_read_otherwise_is_refused() {
        for (wrong, at) in [
            ("\r\n", 0),
            ("0x5\r\n", 1),
            ("+5\r\n", 0),
            ("5\nhello", 1),
            ("5 \r\nhello", 2),
            ("5;a\nhello", 3),
            ("5;a\rhello", 4),
            ("5\r\nhello0\r\n", 8),
            ("5\r\nhello\n", 8),
            ("0\r\n\n", 3),
            ("0\r\n folded: x\r\n\r\n", 3),
            ("0\r\nX : x\r\n\r\n", 4),
            ("0\r\nX: x\n", 7),
            ("10000000000000000\r\n", 16),
        ] {
            assert_eq!(
                chunked(wrong.as_bytes()),
                Taken::Fault(at, Why::Malformed),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn lines_have_an_end() {
        let extension = format!("5;{}", "x".repeat(CHUNK_LINE_MAX));
        assert_eq!(
            chunked(extension.as_bytes()),
            Taken::Fault(CHUNK_LINE_MAX, Why::TooLong)
        );
        let zeros = "0".repeat(CHUNK_LINE_MAX + 1);
        assert_eq!(
            chunked(zeros.as_bytes()),
            Taken::Fault(CHUNK_LINE_MAX, Why::TooLong)
        );
        let trailers = format!("0\r\n{}", "X: y\r\n".repeat(TRAILERS_MAX));
        assert_eq!(
            chunked(trailers.as_bytes()),
            Taken::Fault(3 + TRAILERS_MAX, Why::TooLong)
        );
    }

    #[test]
    fn the_largest_chunk() {
        assert_eq!(chunked(b"FFFFFFFFFFFFFFFF\r\nx"), Taken::All);
    }
}
