//! Which loads are run, and with which copies.

use ::lab::Topology;
use ::lab::copier::Capture;
use serde::Serialize;

/// A load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Case {
    /// 50 keep-alive connections, 10,000 requests per second.
    KeepAlive,
    /// 3,000 connections per second, a request on each.
    Short,
    /// wrk as fast as it goes, 50 keep-alive connections.
    Wrk,
    /// Two streams up, as fast as they go, with segmentation offload.
    Bulk,
    /// The same without it.
    BulkNoTso,
}

impl Case {
    pub(super) const ALL: [Self; 5] = [
        Self::KeepAlive,
        Self::Short,
        Self::Wrk,
        Self::Bulk,
        Self::BulkNoTso,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep-alive-10k",
            Self::Short => "short-3k",
            Self::Wrk => "wrk-max",
            Self::Bulk => "bulk-tso",
            Self::BulkNoTso => "bulk-no-tso",
        }
    }

    /// Whether it is measured in Gb/s and not in requests.
    pub(super) const fn is_bulk(self) -> bool {
        matches!(self, Self::Bulk | Self::BulkNoTso)
    }
}

impl Serialize for Case {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A copy, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variant {
    /// The load alone.
    Alone,
    /// With a copy.
    Copied(Mode, Capture),
}

/// [`Topology`] in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Direct,
    Assistant,
}

impl Mode {
    pub(super) const fn topology(self) -> Topology {
        match self {
            Self::Direct => Topology::Direct,
            Self::Assistant => Topology::Assistant,
        }
    }
}

impl Variant {
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Alone];
        for mode in [Mode::Direct, Mode::Assistant] {
            for capture in [Capture::Ring, Capture::AfXdp] {
                all.push(Self::Copied(mode, capture));
            }
        }
        all
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Alone => "alone".to_owned(),
            Self::Copied(Mode::Direct, capture) => format!("direct/{}", capture.name()),
            Self::Copied(Mode::Assistant, capture) => format!("assistant/{}", capture.name()),
        }
    }
}

impl Serialize for Variant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}
