//! Why `intercept` does not take a subscription.

use core::fmt;

use wire::flow::Endpoint;

use crate::layout::endpoint;

pub(crate) const REFUSED_TARGET: u8 = 1;
pub(crate) const REFUSED_CONNECTIONS: u8 = 2;

/// Why `intercept` does not take a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not consume the replies of this target.
    UnknownTarget(Endpoint),
    /// It has as many connections as it can.
    TooManyConnections,
}

impl Refusal {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        match body.split_first()? {
            (&REFUSED_TARGET, rest) => Some(Self::UnknownTarget(endpoint(rest.try_into().ok()?))),
            (&REFUSED_CONNECTIONS, []) => Some(Self::TooManyConnections),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTarget(target) => {
                write!(f, "target {target} is not in its -x list: add it there")
            }
            Self::TooManyConnections => {
                f.write_str("it has as many tcpcopy connections as it takes")
            }
        }
    }
}
