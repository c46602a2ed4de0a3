//! Filters at an interface's clsact hooks: how programs are attached where the kernel has no tcx (before Linux 6.6).
//!
//! | module | holds |
//! |---|---|
//! | [`filter`] | a filter, somebody's or ours, and a program of ours that is to be one |
//! | [`message`] | the bytes of netlink messages about filters and qdiscs |
//! | [`request`] | the connection to the kernel, and an answer to a question |
//!
//! A tcx link goes with the process that made it. A filter stays, and so does the qdisc that it needs; hence all that stands here
//! besides attaching: a filter of ours is known by its handle and its name, whoever made it, and the name says whether the
//! qdisc was ours too.
//!
//! Invariant: nothing is removed that has not our handle and our name, and no qdisc that somebody else's filter is in.

mod filter;
mod message;
mod request;

use nix::errno::Errno;

use crate::Error;
pub use filter::{Direction, Filter, PREFERENCE, Program};
use message::Failure;
use request::Socket;

/// The qdisc that has both hooks.
const CLSACT: &str = "clsact";

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
