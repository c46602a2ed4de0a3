//! A body without its coding, and its JSON, as it streams by.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::write::{MultiGzDecoder, ZlibDecoder};

use super::hash::{Extent, Measure};
use super::json::{Fault, Json};
use super::shared::Digests;
use super::{Fields, Unread};

/// Longest JSON whose fields are read, in bytes without its coding.
pub const JSON_LEN_MAX: u64 = 256 << 10;
/// Longest content of a coded body that is read, in bytes; a kilobyte that was sent can be a megabyte of content.
pub const CONTENT_LEN_MAX: u64 = 4 << 20;
/// Most bodies that are decoded at a time by one worker; each takes some 45 kB.
pub const DECODERS_MAX: usize = 1024;

/// What a body's head says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    /// It stands as it is.
    #[default]
    None,
    /// `gzip`, `x-gzip`
    Gzip,
    /// `deflate`, which is zlib's format (RFC 9110, section 8.4.1.2).
    Zlib,
    /// Another one, or several, one inside the other.
    Other,
}

impl Coding {
    /// This coding, and then that of one more value of `content-encoding`.
    pub(super) fn and(self, value: &[u8]) -> Self {
        value
            .split(|byte| *byte == b',')
            .fold(self, |coding, name| {
                let name = name.trim_ascii().to_ascii_lowercase();
                match (coding, name.as_slice()) {
                    (coding, b"" | b"identity") => coding,
                    (Self::None, b"gzip" | b"x-gzip") => Self::Gzip,
                    (Self::None, b"deflate") => Self::Zlib,
                    _ => Self::Other,
                }
            })
    }
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Content {
    shared: Arc<Digests>,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Plain(Option<Document>),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zlib(Box<ZlibDecoder<Sink>>),
    /// Its coding hides it.
    Opaque(Unread),
}

/// Where a decoder writes to.
#[derive(Debug)]
struct Sink {
    shared: Arc<Digests>,
    measure: Measure,
    document: Option<Document>,
}

impl Content {
    pub(super) fn new(shared: &Arc<Digests>, coding: Coding, is_json: bool) -> Self {
        let document = is_json.then(|| Document::new(shared));
        let sink = |document| Sink {
            shared: Arc::clone(shared),
            measure: Measure::new(shared.key()),
            document,
        };
        let reader = match coding {
            Coding::None => Reader::Plain(document),
            Coding::Other => Reader::Opaque(Unread::Coding),
            Coding::Gzip | Coding::Zlib if !shared.may_decode() => Reader::Opaque(Unread::Busy),
            Coding::Gzip => Reader::Gzip(Box::new(MultiGzDecoder::new(sink(document)))),
            Coding::Zlib => Reader::Zlib(Box::new(ZlibDecoder::new(sink(document)))),
        };
        Self {
            shared: Arc::clone(shared),
            reader,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let written = match &mut self.reader {
            Reader::Plain(Some(document)) => {
                document.push(&self.shared, bytes);
                Ok(())
            }
            Reader::Plain(None) | Reader::Opaque(_) => Ok(()),
            Reader::Gzip(decoder) => decoder.write_all(bytes),
            Reader::Zlib(decoder) => decoder.write_all(bytes),
        };
        if written.is_err() {
            self.become_opaque(Unread::Undecodable);
        }
    }

    fn become_opaque(&mut self, why: Unread) {
        if self.has_decoder() {
            self.shared.decoder_gone();
        }
        self.reader = Reader::Opaque(why);
    }

    const fn has_decoder(&self) -> bool {
        matches!(self.reader, Reader::Gzip(_) | Reader::Zlib(_))
    }

    /// The content, where it was coded, and its fields.
    pub(super) fn end(mut self) -> (Option<Extent>, Fields) {
        let finished = match &mut self.reader {
            Reader::Gzip(decoder) => decoder.try_finish(),
            Reader::Zlib(decoder) => decoder.try_finish(),
            Reader::Plain(_) | Reader::Opaque(_) => Ok(()),
        };
        if finished.is_err() {
            self.become_opaque(Unread::Undecodable);
        }
        let mut extent = None;
        let mut of = |sink: &mut Sink| {
            extent = Some(sink.measure.extent());
            fields_of(sink.document.take())
        };
        let fields = match &mut self.reader {
            Reader::Plain(document) => fields_of(document.take()),
            Reader::Gzip(decoder) => of(decoder.get_mut()),
            Reader::Zlib(decoder) => of(decoder.get_mut()),
            Reader::Opaque(why) => Fields::Unknown(*why),
        };
        (extent, fields)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if self.has_decoder() {
            self.shared.decoder_gone();
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.measure.len() + bytes.len() as u64 > CONTENT_LEN_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.measure.add(bytes);
        if let Some(document) = &mut self.document {
            document.push(&self.shared, bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON, unless it becomes too long.
#[derive(Debug)]
struct Document {
    len: u64,
    json: Option<Box<Json>>,
}

impl Document {
    fn new(shared: &Digests) -> Self {
        let json = Some(Box::new(Json::new(shared.key())));
        Self { len: 0, json }
    }

    fn push(&mut self, shared: &Digests, bytes: &[u8]) {
        self.len = self.len.saturating_add(bytes.len() as u64);
        if self.len > JSON_LEN_MAX {
            self.json = None;
        }
        if let Some(json) = &mut self.json {
            json.push(&mut shared.paths(), bytes);
        }
    }
}

fn fields_of(document: Option<Document>) -> Fields {
    let why = match document {
        None => Unread::NotJson,
        Some(Document { len: 0, .. }) => Unread::NotJson,
        Some(Document { json: None, .. }) => Unread::TooLong,
        Some(Document {
            json: Some(json), ..
        }) => match json.end() {
            Ok(fields) => return Fields::Known(fields),
            Err(Fault::Malformed) => Unread::Malformed,
            Err(Fault::TooDeep) => Unread::TooDeep,
        },
    };
    Fields::Unknown(why)
}
