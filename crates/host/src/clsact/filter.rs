//! What stands at a hook: a filter, somebody's or ours, and a program of ours that is to be one.

use std::fmt;
use std::os::fd::BorrowedFd;

use super::message;

/// First of all: nothing can stand before it, but what comes later with the same preference.
pub const PREFERENCE: u16 = 1;
/// Marks a filter as ours, by the upper half of its handle: `tc` in ASCII.
const TAG: u32 = 0x7463_0000;
/// What the name of a filter of ours begins with.
const NAME: &str = "tcpcopy/";
/// What it ends with where the qdisc was made for it.
const WITH_QDISC: &str = "+qdisc";
/// Which way packets go that a hook sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// In.
    Ingress,
    /// Out.
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The word that tools use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The direction of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|found| found.name() == name)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A filter at a hook, somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Index of the interface.
    pub interface_index: u32,
    /// The hook.
    pub direction: Direction,
    /// The lower one is asked first.
    pub preference: u16,
    /// EtherType of the packets that it is asked about; 3 (`ETH_P_ALL`) for all.
    pub protocol: u16,
    /// Its number among those of its preference.
    pub handle: u32,
    /// The chain that it stands in; packets begin at chain 0.
    pub chain: u32,
    /// What it is: `bpf`, `flower`, `u32`, ...
    pub kind: String,
    /// The name that a `bpf` filter was given.
    pub name: Option<String>,
    /// The kernel's number of its program.
    pub program_id: Option<u32>,
}

impl Filter {
    /// A filter of ours as far as it has to be known to be removed.
    #[must_use]
    pub fn of_program(
        interface_index: u32,
        direction: Direction,
        handle: u32,
        program_id: u32,
    ) -> Self {
        Self {
            interface_index,
            direction,
            preference: PREFERENCE,
            protocol: message::ALL_PROTOCOLS,
            handle,
            chain: 0,
            kind: message::BPF.to_owned(),
            name: None,
            program_id: Some(program_id),
        }
    }

    /// Whether some tcpcopy made it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let named = self
            .name
            .as_deref()
            .is_some_and(|name| name.starts_with(NAME));
        self.kind == message::BPF && self.handle & 0xffff_0000 == TAG && named
    }

    /// Whether the tcpcopy that made it had made the qdisc for it.
    #[must_use]
    pub fn came_with_qdisc(&self) -> bool {
        self.is_ours()
            && self
                .name
                .as_deref()
                .is_some_and(|name| name.ends_with(WITH_QDISC))
    }

    /// Whether a filter of ours can stand before it.
    #[must_use]
    pub fn gives_way(&self) -> bool {
        // Of one preference all have one kind and one protocol, and the newest is asked first.
        self.chain != 0
            || self.preference > PREFERENCE
            || self.kind == message::BPF && self.protocol == message::ALL_PROTOCOLS
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the {} filter of preference {}",
            self.kind, self.preference
        )?;
        match (&self.name, self.program_id) {
            (Some(name), Some(id)) => write!(f, " (`{name}`, program {id})"),
            (Some(name), None) => write!(f, " (`{name}`)"),
            (None, Some(id)) => write!(f, " (program {id})"),
            (None, None) => Ok(()),
        }
    }
}

/// A program to attach.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its descriptor.
    pub fd: BorrowedFd<'a>,
    /// Its name.
    pub name: &'static str,
    /// The kernel's number of it.
    pub id: u32,
    /// Tells it from other programs of ours at the same hook.
    pub number: u16,
}

impl Program<'_> {
    /// The filter that it is to be.
    #[must_use]
    pub fn filter(&self, interface_index: u32, direction: Direction, with_qdisc: bool) -> Filter {
        let end = if with_qdisc { WITH_QDISC } else { "" };
        let handle = TAG | u32::from(self.number);
        Filter {
            name: Some(format!("{NAME}{}{end}", self.name)),
            ..Filter::of_program(interface_index, direction, handle, self.id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, Filter, message};

    fn filter(
        preference: u16,
        protocol: u16,
        kind: &str,
        name: Option<&str>,
        handle: u32,
    ) -> Filter {
        Filter {
            interface_index: 1,
            direction: Direction::Ingress,
            preference,
            protocol,
            handle,
            chain: 0,
            kind: kind.to_owned(),
            name: name.map(str::to_owned),
            program_id: Some(7),
        }
    }

    #[test]
    fn ours_are_known_by_handle_and_name_together() {
        for (name, handle, ours, with_qdisc) in [
            (Some("tcpcopy/capture"), 0x7463_0001, true, false),
            (Some("tcpcopy/capture+qdisc"), 0x7463_0001, true, true),
            (Some("tcpcopy/capture"), 1, false, false),
            (Some("somebody/capture+qdisc"), 0x7463_0001, false, false),
            (None, 0x7463_0001, false, false),
        ] {
            let found = filter(1, message::ALL_PROTOCOLS, "bpf", name, handle);
            assert_eq!(
                (found.is_ours(), found.came_with_qdisc()),
                (ours, with_qdisc),
                "{found:?}"
            );
        }
        let flower = filter(
            1,
            message::ALL_PROTOCOLS,
            "flower",
            Some("tcpcopy/capture"),
            0x7463_0001,
        );
        assert!(!flower.is_ours());
    }

    #[test]
    fn what_cannot_be_stood_before_is_told() {
        const IPV4: u16 = 0x0800;
        assert!(filter(2, IPV4, "flower", None, 1).gives_way());
        assert!(filter(1, message::ALL_PROTOCOLS, "bpf", None, 1).gives_way());
        assert!(!filter(1, IPV4, "bpf", None, 1).gives_way());
        assert!(!filter(1, message::ALL_PROTOCOLS, "u32", None, 1).gives_way());
    }
}
