//! Where and how two responses can differ.

use protocol::digest::PathId;
use serde::Serialize;

/// How two responses differ at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The target has not answered, or not completely.
    NoResponse,
    /// The status; then nothing else of the two is compared.
    Status,
    /// The value of a header, or whether there is one.
    Header,
    /// A field of the online server's JSON that the target's has not.
    Missing,
    /// A field that only the target has.
    Added,
    /// The value of a field that both have.
    Value,
    /// The value of a field, of a header or of a body that is what the other server said just before: a clock.
    Moment,
    /// The same values of an array in another order.
    Order,
    /// All fields are the same, and the bytes are not: blanks, escapes, the order of keys.
    Form,
    /// The length of a body that has no fields.
    Length,
    /// The bytes of such a body that is as long.
    Body,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoResponse,
        Self::Status,
        Self::Header,
        Self::Missing,
        Self::Added,
        Self::Value,
        Self::Moment,
        Self::Order,
        Self::Form,
        Self::Length,
        Self::Body,
    ];

    /// What the target's responses have, in words: `another status`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoResponse => "no response",
            Self::Status => "another status",
            Self::Header => "another header",
            Self::Missing => "a field missing",
            Self::Added => "a field more",
            Self::Value => "another value",
            Self::Moment => "the value of another moment",
            Self::Order => "another order",
            Self::Form => "the same fields in other bytes",
            Self::Length => "another length",
            Self::Body => "other bytes",
        }
    }

    /// Which responses can differ in this way.
    #[must_use]
    pub(crate) const fn basis(self) -> Basis {
        match self {
            Self::NoResponse | Self::Status => Basis::All,
            Self::Header | Self::Moment => Basis::SameStatus,
            Self::Missing | Self::Added | Self::Value | Self::Order | Self::Form => Basis::Fields,
            Self::Length | Self::Body => Basis::Whole,
        }
    }

    /// Whether two equal servers may differ in this way in every response, as clocks and identifiers do.
    #[must_use]
    pub const fn is_of_values(self) -> bool {
        !matches!(
            self,
            Self::NoResponse | Self::Status | Self::Missing | Self::Added
        )
    }
}

/// What two responses must have in common to be compared in some way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// Nothing.
    All,
    /// The target has answered with the same status.
    SameStatus,
    /// Besides, the fields of both are known.
    Fields,
    /// Besides, they are not, and both bodies are known as a whole.
    Whole,
}

impl Basis {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;
}

/// What a worker calls that which differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The response as a whole.
    Whole,
    /// A header, by its place among those that are compared.
    Header(u8),
    /// A field.
    Field(PathId),
}

/// A place: how, and what. `N` is [`Name`] in a worker, and text where workers are added up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place<N> {
    /// How.
    pub kind: Kind,
    /// What.
    pub name: N,
}
