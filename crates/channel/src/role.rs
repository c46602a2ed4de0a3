//! The two parts that an end of the channel can play.

use core::fmt;

/// Which part an end plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// It subscribes and gets reports.
    Tcpcopy = 1,
    /// It gives reports.
    Intercept = 2,
}

impl Role {
    /// The part that the peer must play.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Tcpcopy => Self::Intercept,
            Self::Intercept => Self::Tcpcopy,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcpcopy => "tcpcopy",
            Self::Intercept => "intercept",
        })
    }
}
