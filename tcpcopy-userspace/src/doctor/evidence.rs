//! What was seen of one target, as data for [`super::diagnosis`].

use std::net::IpAddr;
use std::time::Duration;

use host::Route;
use telemetry::Mode;
use wire::flow::Endpoint;

use super::handshake::{Answer, Via};
use super::icmp::Word;
use super::narrow::Narrow;

/// Everything that was seen of one target.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) target: Endpoint,
    pub(crate) mode: Mode,
    /// Address of the first intercept.
    pub(crate) assistant: Option<IpAddr>,
    pub(crate) route: Option<Route>,
    /// The neighbour that frames are given to; `None` for a target on this host.
    pub(crate) hop: Option<Hop>,
    /// Whether sessions keep their clients' own addresses.
    pub(crate) keeps_addresses: bool,
    /// From where sessions come.
    pub(crate) probes: Vec<Try>,
    /// From this host's own address towards the target, where that is another one and the probes were silent.
    pub(crate) control: Option<Try>,
    /// Whether probes were sent at all: not without every intercept.
    pub(crate) may_probe: bool,
    /// Until the first answer to a probe.
    pub(crate) took: Duration,
    pub(crate) narrow: Option<Narrow>,
    /// Frames to all targets together: given to the kernel, seen by `inject`, passed on by it.
    pub(crate) sent: u64,
    pub(crate) seen: u64,
    pub(crate) left: u64,
    pub(crate) no_egress: u64,
    pub(crate) too_big: u64,
    /// Replies of all targets that the intercepts' programs took meanwhile; `None` where that is not known, or where
    /// others' replies may be among them.
    pub(crate) taken_by_intercept: Option<u64>,
    /// What somebody said by ICMP of our SYNs.
    pub(crate) told: Option<Word>,
    /// Programs of others on the interface that copies leave by.
    pub(crate) suspects: Vec<String>,
}

/// The next hop, or the target itself.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    pub(crate) address: IpAddr,
    /// Its Ethernet address; `None` where it did not tell.
    pub(crate) mac: Option<[u8; 6]>,
}

/// One probe.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) source: Endpoint,
    /// The network that the source stands for.
    pub(crate) prefix: String,
    pub(crate) answer: Option<Answer>,
    /// Whether anything was heard on the connection after the target took it: what is sent after the handshake arrives.
    pub(crate) has_word: bool,
}

impl Evidence {
    /// Which way answers to probes must come.
    pub(crate) const fn via(&self) -> Via {
        match self.mode {
            Mode::Direct => Via::Here,
            Mode::Assistant => Via::Channel,
        }
    }

    /// The first probe with this answer.
    pub(crate) fn answered(&self, answer: Answer) -> Option<&Try> {
        self.probes
            .iter()
            .find(|probe| probe.answer == Some(answer))
    }
}
