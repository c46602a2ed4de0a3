//! Which loads are run, and with which copies.

use ::lab::copier::Capture;
use ::lab::{Topology, Way};
use serde::Serialize;

/// A load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Case {
    /// 50 keep-alive connections, 10,000 requests per second.
    KeepAlive,
    /// 5,000 keep-alive connections, each with one request per second.
    Many,
    /// 3,000 connections per second, a request on each.
    Short,
    /// wrk as fast as it goes, 50 keep-alive connections.
    Wrk,
    /// Two streams up, as fast as they go, with segmentation offload.
    Bulk,
    /// The same without it.
    BulkNoTso,
    /// So many keep-alive connections, each as fast as it goes.
    FlatOut(u8),
    /// A moderate load while packets get lost.
    Lossy(Lossy),
    /// 50 keep-alive connections, 400 Mb/s of responses of so many kilobytes.
    Answers(u16),
}

/// A load while packets get lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lossy {
    /// 500 connections per second with a request each; else 50 keep-alive connections with 20 requests per second each.
    pub(super) short: bool,
    pub(super) place: Place,
    /// Packets of a thousand that get lost.
    pub(super) per_mille: u16,
}

/// Where packets get lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    ToTarget,
    FromTarget,
    /// Between clients and online server, both ways.
    Clients,
}

impl Place {
    const ALL: [Self; 3] = [Self::ToTarget, Self::FromTarget, Self::Clients];

    pub(super) const fn ways(self) -> &'static [Way] {
        match self {
            Self::ToTarget => &[Way::ToTarget],
            Self::FromTarget => &[Way::FromTarget],
            Self::Clients => &[Way::ToOnline, Way::FromOnline],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ToTarget => "to-target",
            Self::FromTarget => "from-target",
            Self::Clients => "clients",
        }
    }
}

impl Case {
    /// Those that run where none is named.
    pub(super) const DEFAULT: [Self; 5] = [
        Self::KeepAlive,
        Self::Short,
        Self::Wrk,
        Self::Bulk,
        Self::BulkNoTso,
    ];

    /// All, those that run only where they are named included.
    pub(super) fn all() -> Vec<Self> {
        let mut all = Self::DEFAULT.to_vec();
        all.extend([Self::Many, Self::FlatOut(1), Self::FlatOut(4)]);
        all.extend([Self::Answers(10), Self::Answers(100)]);
        for place in Place::ALL {
            for (short, per_mille) in [(false, 1), (false, 10), (false, 50), (true, 1), (true, 10)]
            {
                all.push(Self::Lossy(Lossy {
                    short,
                    place,
                    per_mille,
                }));
            }
        }
        all
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::KeepAlive => "keep-alive-10k".to_owned(),
            Self::Many => "5000-connections-5k".to_owned(),
            Self::Short => "short-3k".to_owned(),
            Self::Wrk => "wrk-max".to_owned(),
            Self::Bulk => "bulk-tso".to_owned(),
            Self::BulkNoTso => "bulk-no-tso".to_owned(),
            Self::FlatOut(connections) => format!("flat-out-{connections}"),
            Self::Answers(kilobytes) => format!("answers-{kilobytes}k"),
            Self::Lossy(Lossy {
                short,
                place,
                per_mille,
            }) => {
                let load = if short { "short" } else { "keep" };
                let share = f64::from(per_mille) / 10.0;
                format!("loss-{}-{load}-{share}%", place.name())
            }
        }
    }

    /// Whether it is measured in Gb/s and not in requests.
    pub(super) const fn is_bulk(self) -> bool {
        matches!(self, Self::Bulk | Self::BulkNoTso)
    }

    /// Whether it is run with `variant`: losses without a copy would measure the clients' own TCP, and a plain client does the same
    /// work as the clients only where they do not go as fast as they can. Two workers are of interest where one has much to do.
    pub(super) const fn runs_with(self, variant: Variant) -> bool {
        match variant {
            Variant::Alone => !matches!(self, Self::Lossy(_)),
            Variant::PlainClient => matches!(
                self,
                Self::KeepAlive | Self::Many | Self::Short | Self::Answers(_)
            ),
            // Of the usual loads one: what a module costs is a matter of responses.
            Variant::Copied(Mode::DirectWithModule | Mode::AssistantWithModule, _) => {
                matches!(self, Self::KeepAlive | Self::Answers(_))
            }
            Variant::Copied(Mode::TwoWorkers, _) => {
                matches!(self, Self::KeepAlive | Self::Short | Self::Wrk)
            }
            Variant::Copied(..) => true,
        }
    }

    /// Where packets get lost, and with which probability.
    pub(super) fn losses(self) -> Option<(&'static [Way], f64)> {
        match self {
            Self::Lossy(lossy) => Some((lossy.place.ways(), f64::from(lossy.per_mille) / 1000.0)),
            _ => None,
        }
    }
}

impl Serialize for Case {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// A copy, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variant {
    /// The load alone.
    Alone,
    /// With a plain client (epoll, the kernel's TCP) on the online server, that sends as many requests to the target: what
    /// copies by sockets could not be cheaper.
    PlainClient,
    /// With a copy.
    Copied(Mode, Capture),
}

/// [`Topology`] in an order, and how many workers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Direct,
    Assistant,
    /// By way of the assistant, on a channel with a key.
    AssistantWithKey,
    /// Direct, with two workers, which use the processor of the online server and of the load as well.
    TwoWorkers,
    /// Direct, with a protocol module: responses come whole.
    DirectWithModule,
    /// The same by way of the assistant.
    AssistantWithModule,
}

impl Mode {
    /// Whether responses come whole.
    pub(super) const fn has_module(self) -> bool {
        matches!(self, Self::DirectWithModule | Self::AssistantWithModule)
    }

    pub(super) const fn topology(self) -> Topology {
        match self {
            Self::Direct | Self::TwoWorkers | Self::DirectWithModule => Topology::Direct,
            Self::Assistant | Self::AssistantWithKey | Self::AssistantWithModule => {
                Topology::Assistant
            }
        }
    }
}

impl Variant {
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Alone, Self::PlainClient];
        for mode in [Mode::Direct, Mode::Assistant] {
            for capture in [Capture::Ring, Capture::AfXdp] {
                all.push(Self::Copied(mode, capture));
            }
        }
        all.push(Self::Copied(Mode::AssistantWithKey, Capture::Ring));
        all.push(Self::Copied(Mode::TwoWorkers, Capture::Ring));
        all.push(Self::Copied(Mode::DirectWithModule, Capture::Ring));
        all.push(Self::Copied(Mode::AssistantWithModule, Capture::Ring));
        all
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Alone => "alone".to_owned(),
            Self::PlainClient => "plain-client".to_owned(),
            Self::Copied(Mode::Direct, capture) => format!("direct/{}", capture.name()),
            Self::Copied(Mode::Assistant, capture) => format!("assistant/{}", capture.name()),
            Self::Copied(Mode::AssistantWithKey, capture) => {
                format!("assistant-with-key/{}", capture.name())
            }
            Self::Copied(Mode::TwoWorkers, capture) => {
                format!("two-workers/{}", capture.name())
            }
            Self::Copied(Mode::DirectWithModule, capture) => {
                format!("direct-with-module/{}", capture.name())
            }
            Self::Copied(Mode::AssistantWithModule, capture) => {
                format!("assistant-with-module/{}", capture.name())
            }
        }
    }
}

impl Serialize for Variant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}
