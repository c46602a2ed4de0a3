//! Where a connection stands whose beginning was not seen, as a server's words tell.

/// In a transaction or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In no transaction.
    Outside,
    /// In one.
    Inside,
    /// The words do not tell.
    Unknown,
}

/// What a server says does not follow its protocol.
#[derive(Debug)]
pub(crate) struct Unreadable;
