//! What the frames of each direction mean.
//!
//! Messages borrow from the decoder; a body is checked once, when its frame is read, and the iterators over it
//! cannot fail.

use wire::flow::{Endpoint, FlowKey, PoolRange};

use crate::decoder::Frame;
use crate::error::Error;
use crate::inspection::{Addresses, Inspection};
use crate::layout::{
    CLOSE, ENDPOINT_LEN, FLOW_LEN, INSPECT, INSPECTED, LOST, OPEN, PING, PONG, RANGE_LEN, REFUSED,
    REPORTS, SUBSCRIBE, SUBSCRIBED, TAKEN, endpoint, range,
};
use crate::refusal::Refusal;
use crate::report::Report;
use crate::{PAYLOAD_LEN_MAX, SOURCES_MAX, TARGETS_MAX};

/// What `tcpcopy` sends to `intercept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToIntercept<'a> {
    /// What is wanted; once, before anything else.
    Subscribe(Subscription<'a>),
    /// Sessions (from their source to the target) that are about to open: their replies are for this connection.
    Open(Flows<'a>),
    /// Sessions that are gone.
    Close(Flows<'a>),
    /// Asks for a [`ToTcpcopy::Pong`] with the same nonce.
    Ping {
        /// Anything.
        nonce: u64,
    },
    /// Asks for a [`ToTcpcopy::Inspected`]: what becomes of replies to these addresses.
    Inspect(Addresses<'a>),
}

impl<'a> ToIntercept<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKind`] and [`Error::Malformed`].
    pub fn parse(frame: Frame<'a>) -> Result<Self, Error> {
        let Frame { kind, body } = frame;
        let malformed = |kind| Error::Malformed {
            kind,
            len: body.len(),
        };
        match kind {
            SUBSCRIBE => Subscription::parse(body)
                .map(Self::Subscribe)
                .ok_or_else(|| malformed("Subscribe")),
            OPEN => Flows::parse(body)
                .map(Self::Open)
                .ok_or_else(|| malformed("Open")),
            CLOSE => Flows::parse(body)
                .map(Self::Close)
                .ok_or_else(|| malformed("Close")),
            PING => match body.try_into() {
                Ok(nonce) => Ok(Self::Ping {
                    nonce: u64::from_be_bytes(nonce),
                }),
                Err(_) => Err(malformed("Ping")),
            },
            INSPECT => Addresses::parse(body)
                .map(Self::Inspect)
                .ok_or_else(|| malformed("Inspect")),
            _ => Err(Error::UnknownKind(kind)),
        }
    }

    /// The name of the message, for errors and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Subscribe(_) => "Subscribe",
            Self::Open(_) => "Open",
            Self::Close(_) => "Close",
            Self::Ping { .. } => "Ping",
            Self::Inspect(_) => "Inspect",
        }
    }
}

/// What `intercept` sends to `tcpcopy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToTcpcopy<'a> {
    /// The subscription stands.
    Subscribed,
    /// There is none, and the connection is closed after this.
    Refused(Refusal),
    /// Target segments, in the order in which each queue of the interface saw them.
    Reports(Reports<'a>),
    /// The answer to a ping.
    Pong {
        /// The ping's.
        nonce: u64,
        /// When it was written, by the clock of the reports' stamps.
        stamp_ns: u64,
    },
    /// Reports that were dropped because this connection took them too slowly.
    Lost {
        /// How many since the last such message.
        count: u64,
    },
    /// Sessions of a [`ToIntercept::Open`] whose replies another connection gets, since it announced them first and has not
    /// closed them.
    Taken(Flows<'a>),
    /// The answer to [`ToIntercept::Inspect`].
    Inspected(Inspection<'a>),
}

impl<'a> ToTcpcopy<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKind`] and [`Error::Malformed`].
    pub fn parse(frame: Frame<'a>) -> Result<Self, Error> {
        let Frame { kind, body } = frame;
        let malformed = |kind| Error::Malformed {
            kind,
            len: body.len(),
        };
        match (kind, body.as_chunks::<8>()) {
            (SUBSCRIBED, ([], [])) => Ok(Self::Subscribed),
            (SUBSCRIBED, _) => Err(malformed("Subscribed")),
            (REFUSED, _) => Refusal::parse(body)
                .map(Self::Refused)
                .ok_or_else(|| malformed("Refused")),
            (REPORTS, _) => Reports::parse(body)
                .map(Self::Reports)
                .ok_or_else(|| malformed("Reports")),
            (PONG, ([nonce, stamp], [])) => Ok(Self::Pong {
                nonce: u64::from_be_bytes(*nonce),
                stamp_ns: u64::from_be_bytes(*stamp),
            }),
            (PONG, _) => Err(malformed("Pong")),
            (LOST, ([count], [])) => Ok(Self::Lost {
                count: u64::from_be_bytes(*count),
            }),
            (LOST, _) => Err(malformed("Lost")),
            (TAKEN, _) => Flows::parse(body)
                .map(Self::Taken)
                .ok_or_else(|| malformed("Taken")),
            (INSPECTED, _) => Inspection::parse(body)
                .map(Self::Inspected)
                .ok_or_else(|| malformed("Inspected")),
            _ => Err(Error::UnknownKind(kind)),
        }
    }

    /// The name of the message, for errors and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Subscribed => "Subscribed",
            Self::Refused(_) => "Refused",
            Self::Reports(_) => "Reports",
            Self::Pong { .. } => "Pong",
            Self::Lost { .. } => "Lost",
            Self::Taken(_) => "Taken",
            Self::Inspected(_) => "Inspected",
        }
    }
}

/// What a `tcpcopy` wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// The targets whose replies it wants: 1 to [`TARGETS_MAX`].
    pub targets: Endpoints<'a>,
    /// Those among them whose replies it wants whole: their rules have a protocol module. Mostly none.
    pub whole: Endpoints<'a>,
    /// How many bytes of each other reply's payload it wants: 0 (none, unless a user asked for them) to [`PAYLOAD_LEN_MAX`].
    pub payload_max: u8,
    /// Where all of its sessions come from; none stands for anywhere (the clients' own addresses).
    pub sources: Ranges<'a>,
}

impl<'a> Subscription<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let ([payload_max, count, whole @ ..], rest) = body.split_first_chunk::<4>()?;
        let (payload_max, count) = (*payload_max, usize::from(*count));
        let whole = usize::from(u16::from_be_bytes(*whole));
        let (ranges, endpoints) = rest.split_at_checked(count * RANGE_LEN)?;
        let (ranges, []) = ranges.as_chunks() else {
            return None;
        };
        if count > SOURCES_MAX {
            return None;
        }
        match endpoints.as_chunks() {
            (endpoints, [])
                if (1..=TARGETS_MAX).contains(&endpoints.len())
                    && payload_max <= PAYLOAD_LEN_MAX =>
            {
                Some(Self {
                    whole: Endpoints(endpoints.get(..whole)?),
                    targets: Endpoints(endpoints),
                    payload_max,
                    sources: Ranges(ranges),
                })
            }
            _ => None,
        }
    }
}

/// Ranges of sources in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges<'a>(&'a [[u8; RANGE_LEN]]);

impl Ranges<'_> {
    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = PoolRange> {
        self.0.iter().map(range)
    }
}

/// Endpoints in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints<'a>(&'a [[u8; ENDPOINT_LEN]]);

impl Endpoints<'_> {
    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Endpoint> {
        self.0.iter().map(endpoint)
    }
}

/// Flows in a message, from a session's source to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flows<'a>(&'a [[u8; FLOW_LEN]]);

impl<'a> Flows<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        match body.as_chunks() {
            (flows, []) if !flows.is_empty() => Some(Self(flows)),
            _ => None,
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FlowKey> {
        self.0.iter().map(|bytes| {
            let (ends, _) = bytes.as_chunks::<ENDPOINT_LEN>();
            FlowKey {
                client: endpoint(&ends[0]),
                server: endpoint(&ends[1]),
            }
        })
    }
}

/// A batch of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reports<'a> {
    /// Whole reports only: checked by [`Reports::parse`].
    body: &'a [u8],
    count: usize,
}

impl<'a> Reports<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let (mut rest, mut count) = (body, 0);
        while !rest.is_empty() {
            (_, _, rest) = Report::split(rest)?;
            count += 1;
        }
        (count > 0).then_some(Self { body, count })
    }

    /// How many there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Report<'a>> + use<'a> {
        let mut rest = self.body;
        core::iter::from_fn(move || {
            let (report, _, tail) = Report::split(rest)?;
            rest = tail;
            Some(report)
        })
    }
}
