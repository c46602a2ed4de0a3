//! What is kept of a response to compare it with another one: hashes, lengths and the names of fields, and no value.
//!
//! | module | holds |
//! |---|---|
//! | [`shared`] | [`Digests`]: what the digests of a worker have in common |
//! | [`digester`] | [`Digester`]: a response streams by, a [`Digest`] comes out |
//! | `content` | bodies without their coding (gzip, zlib), bounded against bombs |
//! | `json` | documents as they stream by: fields by path |
//! | [`paths`] | the names of fields, each once |
//! | `hash` | hashes with a key |
//!
//! | of a response | is kept | limit |
//! |---|---|---|
//! | status | as it is | |
//! | body as sent | length and hash | |
//! | body without its coding | length and hash | [`CONTENT_LEN_MAX`]; [`DECODERS_MAX`] at a time |
//! | headers that were chosen | which, and a hash of each | [`shared::HEADERS_MAX`] names |
//! | JSON | the paths of its fields, and a hash of the values at each, in their order and in any | [`JSON_LEN_MAX`], [`FIELDS_MAX`] paths, [`DEPTH_MAX`] levels |
//!
//! **Invariant:** a digest does not depend on how the bytes were cut into pieces. What is not read (too long, no JSON after all, another
//! coding) is compared by the hash of the whole body, and [`Fields::Unknown`] says why.

mod content;
pub mod digester;
mod hash;
mod json;
pub mod paths;
pub mod shared;

pub use content::{CONTENT_LEN_MAX, DECODERS_MAX, JSON_LEN_MAX};
pub use digester::Digester;
pub use hash::{Extent, Key};
pub use json::{DEPTH_MAX, FIELDS_MAX, Field};
pub use paths::{PathId, Paths};
pub use shared::{Digests, Headers};

/// One response, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The status or error number, as the protocol has it; 0 where it has none.
    pub status: u32,
    /// The body as it was sent, without the framing of the transfer.
    pub sent: Extent,
    /// The same without its coding; nothing where it has none, or where it could not be taken off.
    pub content: Option<Extent>,
    /// Of each chosen header that the response has, in the order of [`Headers`].
    pub headers: Box<[Header]>,
    /// The fields of its JSON.
    pub fields: Fields,
}

/// A chosen header of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its place in [`Headers`].
    pub name: u8,
    /// Of its value; of several lines with this name, of all of them in their order.
    pub hash: u64,
}

/// What is known of a response's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fields {
    /// All of them, sorted by path.
    Known(Box<[Field]>),
    /// Nothing.
    Unknown(Unread),
}

/// Why there are no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unread {
    /// There is no body, or its type is another one.
    NotJson,
    /// It says that it is JSON, and is not.
    Malformed,
    /// It nests deeper than [`DEPTH_MAX`].
    TooDeep,
    /// It is longer than [`JSON_LEN_MAX`].
    TooLong,
    /// Its coding is not understood, so that not even the hash of its content is known.
    Coding,
    /// Its coding is not what it says, or it is longer than [`CONTENT_LEN_MAX`] without it: likewise.
    Undecodable,
    /// As many bodies as there may be ([`DECODERS_MAX`]) were being decoded: likewise.
    Busy,
}

impl Unread {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NotJson,
        Self::Malformed,
        Self::TooDeep,
        Self::TooLong,
        Self::Coding,
        Self::Undecodable,
        Self::Busy,
    ];

    /// As it is written in summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::Malformed => "malformed",
            Self::TooDeep => "too_deep",
            Self::TooLong => "too_long",
            Self::Coding => "coding",
            Self::Undecodable => "undecodable",
            Self::Busy => "busy",
        }
    }

    /// Whether the content is not known either.
    #[must_use]
    pub const fn is_opaque(self) -> bool {
        matches!(self, Self::Coding | Self::Undecodable | Self::Busy)
    }
}

impl Digest {
    /// The body that is compared: the content, or what was sent.
    #[must_use]
    pub fn body(&self) -> Extent {
        self.content.unwrap_or(self.sent)
    }

    /// How many bytes of memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let fields = match &self.fields {
            Fields::Known(fields) => size_of_val::<[Field]>(fields),
            Fields::Unknown(_) => 0,
        };
        size_of::<Self>() + size_of_val::<[Header]>(&self.headers) + fields
    }

    /// Whether what the body says is hidden behind a coding.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        matches!(&self.fields, Fields::Unknown(why) if why.is_opaque())
    }
}
