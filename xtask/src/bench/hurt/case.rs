//! What could hurt the online server: the cases, and what each of them is made of.

use ::lab::Topology;
use clap::ValueEnum;
use serde::Serialize;

/// A state of target, link, assistant or memory in which a copy must not be felt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Case {
    /// The target answers each request after 200 ms.
    Slow,
    /// Nobody answers for the target's address: no ARP, no TCP.
    Dead,
    /// The target's host is there, and its port is closed.
    Closed,
    /// The target's process is stopped after a second: its kernel accepts connections and bytes, nobody answers.
    Frozen,
    /// The target answers each request with 100 MB, where the online server sends 600 bytes.
    Flooding,
    /// 100 further clients of the online server read 100 MB at 20 kB/s each, and are copied as well.
    SlowReaders,
    /// Clients upload 52 Mbit/s, three copies of it share a link of 100 Mbit/s with the online server's answers; the link's
    /// queue has the three bands of pfifo_fast, as Linux gives it to a device by itself.
    Uploads,
    /// The same where the link has one plain queue, and the copy is told --max-bandwidth 30M.
    UploadsBounded,
    /// Assistant mode, and intercept is killed after a second.
    InterceptGone,
    /// The memory budget is the smallest that the option takes, and uploads to a target that reads nothing spend it.
    Memory,
    /// The target is a proxy to the online service: each copy comes back as a request.
    Looping,
}

/// What answers copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A server like the online one.
    Alike,
    /// A server that answers after 200 ms.
    Slow,
    /// An address that nobody has.
    Nobody,
    /// A port that nobody listens on.
    Closed,
    /// A server that answers 100 MB.
    Flood,
    /// A proxy to the online service.
    Proxy,
}

/// When the target's processes are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frozen {
    Never,
    FromTheStart,
    AfterASecond,
}

/// What goes on at the online server beside the load that is measured, by a port and a rule of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    SlowReaders,
    /// So many bodies of [`UPLOAD_LEN`] bytes per second.
    Uploads(u32),
}

/// What connects the online server with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// One fast device towards clients, one towards the target.
    Fast,
    /// One device for both, behind 100 Mbit/s and a queue with bands.
    SharedWithBands,
    /// One device for both, behind 100 Mbit/s and a plain queue.
    SharedPlain,
}

impl Link {
    pub(super) const fn is_shared(self) -> bool {
        !matches!(self, Self::Fast)
    }
}

/// Length of each uploaded body, in bytes.
pub(super) const UPLOAD_LEN: u32 = 256 * 1024;

/// What a case is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) topology: Topology,
    pub(super) target: Target,
    pub(super) frozen: Frozen,
    pub(super) beside: Beside,
    pub(super) link: Link,
    pub(super) intercept_gone: bool,
    /// Whether the copy gets the smallest memory budget that it takes.
    pub(super) least_memory: bool,
    /// More arguments of tcpcopy.
    pub(super) more: &'static [&'static str],
    /// An option without which there is no such case.
    pub(super) needs: Option<&'static str>,
}

impl Plan {
    /// A healthy target, and nothing else.
    const HEALTHY: Self = Self {
        topology: Topology::Direct,
        target: Target::Alike,
        frozen: Frozen::Never,
        beside: Beside::Nothing,
        link: Link::Fast,
        intercept_gone: false,
        least_memory: false,
        more: &[],
        needs: None,
    };
}

impl Case {
    /// Its name on the command line and in tables.
    pub(super) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// What it is made of.
    pub(super) const fn plan(self) -> Plan {
        let mut plan = Plan::HEALTHY;
        match self {
            Self::Slow => plan.target = Target::Slow,
            Self::Dead => plan.target = Target::Nobody,
            Self::Closed => plan.target = Target::Closed,
            Self::Frozen => plan.frozen = Frozen::AfterASecond,
            Self::Flooding => plan.target = Target::Flood,
            Self::SlowReaders => plan.beside = Beside::SlowReaders,
            Self::Uploads => {
                plan.beside = Beside::Uploads(25);
                plan.link = Link::SharedWithBands;
                plan.more = &["-n", "3"];
            }
            Self::UploadsBounded => {
                plan.beside = Beside::Uploads(25);
                plan.link = Link::SharedPlain;
                plan.more = &["-n", "3", "--max-bandwidth", "30M"];
                plan.needs = Some("--max-bandwidth");
            }
            Self::InterceptGone => {
                plan.topology = Topology::Assistant;
                plan.intercept_gone = true;
            }
            Self::Memory => {
                plan.beside = Beside::Uploads(100);
                plan.frozen = Frozen::FromTheStart;
                plan.least_memory = true;
            }
            Self::Looping => plan.target = Target::Proxy,
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::{Beside, Case, UPLOAD_LEN};

    #[test]
    fn names_are_those_of_the_command_line() {
        assert_eq!(Case::SlowReaders.name(), "slow-readers");
        for case in Case::value_variants() {
            assert_eq!(Case::from_str(&case.name(), false), Ok(*case));
        }
    }

    #[test]
    fn an_upload_fits_the_link_and_its_copies_do_not() {
        for case in [Case::Uploads, Case::UploadsBounded] {
            let Beside::Uploads(per_second) = case.plan().beside else {
                panic!("{} uploads nothing", case.name());
            };
            let bits = 8 * per_second * UPLOAD_LEN;
            assert!(bits < 100_000_000 && 3 * bits > 100_000_000, "{bits} bit/s");
        }
    }
}
