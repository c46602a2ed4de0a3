//! Filters at an interface's clsact hooks: how programs are attached where the kernel has no tcx (before Linux 6.6).
//!
//! | module | holds |
//! |---|---|
//! | [`message`] | the bytes of netlink messages about filters and qdiscs |
//! | [`request`] | the connection to the kernel, and an answer to a question |
//!
//! A tcx link goes with the process that made it. A filter stays, and so does the qdisc that it needs; hence all that stands here
//! besides attaching: a filter of ours is known by its handle and its name, whoever made it, and the name says whether the
//! qdisc was ours too.
//!
//! Invariant: nothing is removed that has not our handle and our name, and no qdisc that somebody else's filter is in.

mod message;
mod request;

use std::fmt;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use crate::Error;
use message::Failure;
use request::Socket;

/// First of all: nothing can stand before it, but what comes later with the same preference.
pub const PREFERENCE: u16 = 1;
/// Marks a filter as ours, by the upper half of its handle: `tc` in ASCII.
const TAG: u32 = 0x7463_0000;
/// What the name of a filter of ours begins with.
const NAME: &str = "tcpcopy/";
/// What it ends with where the qdisc was made for it.
const WITH_QDISC: &str = "+qdisc";
/// The qdisc that has both hooks.
const CLSACT: &str = "clsact";

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

/// The hooks of the network namespace of the thread that opened this, whichever thread asks later.
#[derive(Debug)]
pub struct Clsact(Socket);

impl Clsact {
    /// Opens the connection to the kernel.
    ///
    /// # Errors
    ///
    /// Where the process may not use netlink at all.
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::open().map_err(|cause| Error::Socket { cause })?;
        Ok(Self(socket))
    }

    /// The filters of a hook, in the order in which they are asked.
    ///
    /// # Errors
    ///
    /// Where the kernel does not answer. A hook without a qdisc has none.
    pub fn filters(
        &self,
        interface_index: u32,
        direction: Direction,
    ) -> Result<Vec<Filter>, Error> {
        let request = message::list_filters(interface_index, direction);
        match self.0.dump(&request) {
            Ok(answers) => Ok(answers
                .iter()
                .filter_map(|answer| message::filter(answer, interface_index, direction))
                .collect()),
            // There is no qdisc (before Linux 5.x), or no such interface any more.
            Err(failure) if failure.is(&[Errno::EINVAL, Errno::ENODEV, Errno::ENOENT]) => {
                Ok(Vec::new())
            }
            Err(failure) => Err(refused("list the clsact filters of an interface", failure)),
        }
    }

    /// Filters of ours at any hook of these interfaces, whoever made them.
    ///
    /// # Errors
    ///
    /// Where the kernel does not answer.
    pub fn ours(
        &self,
        interface_indexes: impl IntoIterator<Item = u32>,
    ) -> Result<Vec<Filter>, Error> {
        let mut ours = Vec::new();
        for index in interface_indexes {
            for direction in Direction::ALL {
                let filters = self.filters(index, direction)?;
                ours.extend(filters.into_iter().filter(Filter::is_ours));
            }
        }
        Ok(ours)
    }

    /// Makes sure that an interface has the hooks; says whether they had to be made.
    ///
    /// # Errors
    ///
    /// Where something else has their place, or the kernel refuses.
    pub fn add_hooks(&self, interface_index: u32, interface: &str) -> Result<bool, Error> {
        match self.qdisc(interface_index)?.as_deref() {
            Some(CLSACT) => return Ok(false),
            Some(kind) => {
                return Err(Error::HooksTaken {
                    interface: interface.to_owned(),
                    kind: kind.to_owned(),
                });
            }
            None => {}
        }
        match self.0.change(&message::add_qdisc(interface_index)) {
            Ok(()) => Ok(true),
            // Somebody was faster.
            Err(failure) if failure.is(&[Errno::EEXIST]) => Ok(false),
            Err(failure) => Err(refused(
                &format!("make the clsact hooks of {interface}"),
                failure,
            )),
        }
    }

    /// Takes the hooks away, unless a filter is there. Between the look and the removal somebody may add one: the kernel has
    /// no way to remove what is empty alone, so this is done for hooks that were made for us, and for no others.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses; that there are none any more is no error.
    pub fn remove_hooks(&self, interface_index: u32) -> Result<(), Error> {
        if self.qdisc(interface_index)?.as_deref() != Some(CLSACT) {
            return Ok(());
        }
        for direction in Direction::ALL {
            if !self.filters(interface_index, direction)?.is_empty() {
                return Ok(());
            }
        }
        gone(self.0.change(&message::remove_qdisc(interface_index)))
            .map_err(|failure| refused("remove the clsact hooks of an interface", failure))
    }

    /// Attaches a program as this filter, which is asked before all others.
    ///
    /// # Errors
    ///
    /// Where somebody else's filter cannot be stood before, or the kernel refuses.
    pub fn attach(
        &self,
        filter: &Filter,
        program: &Program<'_>,
        interface: &str,
    ) -> Result<(), Error> {
        let there = self.filters(filter.interface_index, filter.direction)?;
        if let Some(first) = there.iter().find(|found| !found.gives_way()) {
            return Err(Error::FilterFirst {
                interface: interface.to_owned(),
                direction: filter.direction,
                filter: first.to_string(),
            });
        }
        self.0
            .change(&message::add_filter(filter, program.fd))
            .map_err(|failure| {
                let what = format!(
                    "attach `{}` to clsact {} of {interface}",
                    program.name, filter.direction
                );
                refused(&what, failure)
            })
    }

    /// Removes a filter of ours; one of a program with another number is left alone. Says whether it was there.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn detach(&self, filter: &Filter) -> Result<bool, Error> {
        let there = self.filters(filter.interface_index, filter.direction)?;
        let is_it = |found: &&Filter| {
            found.is_ours()
                && found.handle == filter.handle
                && found.program_id == filter.program_id
        };
        let Some(found) = there.iter().find(is_it) else {
            return Ok(false);
        };
        gone(self.0.change(&message::remove_filter(found)))
            .map_err(|failure| refused("remove a clsact filter", failure))?;
        Ok(true)
    }

    /// Removes filters of ours, and the hooks that were made for them. Returns how many there were.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn remove(&self, filters: &[Filter]) -> Result<usize, Error> {
        let mut removed = 0;
        for filter in filters {
            removed += usize::from(self.detach(filter)?);
        }
        for filter in filters.iter().filter(|filter| filter.came_with_qdisc()) {
            self.remove_hooks(filter.interface_index)?;
        }
        Ok(removed)
    }

    /// What kind of qdisc has the place of the hooks.
    fn qdisc(&self, interface_index: u32) -> Result<Option<String>, Error> {
        let answers = self
            .0
            .dump(&message::list_qdiscs())
            .map_err(|failure| refused("list the qdiscs", failure))?;
        let mut found = answers
            .iter()
            .filter_map(|answer| message::hook_qdisc(answer, interface_index));
        Ok(found.next())
    }
}

/// That something is not there any more is what was wanted.
fn gone(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.is(&[Errno::ENOENT, Errno::ENODEV, Errno::EINVAL]) => Ok(()),
        result => result,
    }
}

fn refused(what: &str, failure: Failure) -> Error {
    let what = match failure.words {
        Some(words) => format!("{what} (the kernel says: {words})"),
        None => what.to_owned(),
    };
    Error::Refused {
        what,
        cause: failure.cause,
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
