//! How tc programs are attached: by tcx links where the kernel has them, else as clsact filters. Nobody else in the loader
//! knows which.
//!
//! Either way ours come first, and what they return means the same (`TCX_NEXT` is `TC_ACT_UNSPEC`: ask the next one). What differs
//! is how they end. A tcx link goes with its process; a filter stays. So with filters there is a [`keeper`]: it renews the
//! deadline past which the programs let everything pass, and it has a [`janitor`], another process, remove the filters as soon as
//! this one is gone.
//!
//! Dropping a [`Link`] detaches.

pub(crate) mod janitor;
mod keeper;

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};

use aya::Ebpf;
use aya::programs::links::LinkOrder;
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::{SchedClassifier, TcAttachType};
use host::clsact::{Clsact, Direction, Filter, Program};
use nix::net::if_::if_nametoindex;
use tracing::warn;
use words::Words;

use super::Error;
use super::object::PROGRAMS;
use crate::plan::Hook;
use keeper::Keeper;

/// The way that programs are attached by.
pub(super) enum Hooks {
    Tcx,
    Clsact(Filters),
}

/// Everything that filters need besides themselves.
pub(super) struct Filters {
    kernel: Arc<Clsact>,
    keeper: Arc<Keeper>,
    /// Interfaces that have the qdisc of filters, by index, and whether it was made here.
    qdiscs: HashMap<u32, Weak<Qdisc>>,
}

/// A program at a hook of an interface.
#[expect(dead_code, reason = "they are there to be dropped")]
pub(super) enum Link {
    Tcx(SchedClassifierLink),
    Clsact(FilterLink),
}

/// A filter of ours.
pub(super) struct FilterLink {
    filter: Filter,
    kernel: Arc<Clsact>,
    keeper: Arc<Keeper>,
    // The last filter of an interface takes it along.
    _qdisc: Arc<Qdisc>,
}

/// The qdisc of an interface that has both clsact hooks.
struct Qdisc {
    index: u32,
    is_ours: bool,
    kernel: Arc<Clsact>,
    keeper: Arc<Keeper>,
}

impl Hooks {
    /// Prepares what the programs of `ebpf` are attached by. `device` is the private device, by index, where there is one: the
    /// janitor is to remove it too.
    ///
    /// # Errors
    ///
    /// Where there can be no janitor.
    pub(super) fn new(hook: Hook, deadline: Words, device: Option<u32>) -> Result<Self, Error> {
        Ok(match hook {
            Hook::Tcx => Self::Tcx,
            Hook::Clsact => Self::Clsact(Filters {
                kernel: Arc::new(Clsact::open()?),
                keeper: Arc::new(
                    Keeper::start(deadline, device).map_err(|cause| Error::Janitor { cause })?,
                ),
                qdiscs: HashMap::new(),
            }),
        })
    }

    /// Attaches a program before all others: one before ours that says "pass" would hide us.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses, or somebody else would stay before us.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        program: &'static str,
        interface: &str,
        direction: Direction,
    ) -> Result<Link, Error> {
        let classifier: &mut SchedClassifier = ebpf
            .program_mut(program)
            .ok_or(Error::Absent(program))?
            .try_into()
            .map_err(|source| Error::Program { program, source })?;
        match self {
            Self::Tcx => tcx(classifier, program, interface, direction).map(Link::Tcx),
            Self::Clsact(filters) => filters
                .attach(classifier, program, interface, direction)
                .map(Link::Clsact),
        }
    }

    /// How often the deadline was missed, and for how many seconds altogether; nothing where none is kept.
    pub(super) fn missed(&self) -> Option<(u64, u64)> {
        match self {
            Self::Tcx => None,
            Self::Clsact(filters) => Some(filters.keeper.missed()),
        }
    }

    /// To be called when nothing of ours is left in the kernel.
    pub(super) fn end(&mut self) {
        if let Self::Clsact(filters) = self {
            filters.keeper.end();
        }
    }
}

/// The hook of a direction, in aya's words.
const fn type_of(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    }
}

fn tcx(
    classifier: &mut SchedClassifier,
    program: &'static str,
    interface: &str,
    direction: Direction,
) -> Result<SchedClassifierLink, Error> {
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    classifier
        .attach_with_options(interface, type_of(direction), order)
        .and_then(|id| classifier.take_link(id))
        .map_err(|source| Error::Attach {
            program,
            interface: interface.to_owned(),
            source,
        })
}

impl Filters {
    fn attach(
        &mut self,
        classifier: &SchedClassifier,
        name: &'static str,
        interface: &str,
        direction: Direction,
    ) -> Result<FilterLink, Error> {
        let index = if_nametoindex(interface).map_err(|errno| Error::Gone {
            interface: interface.to_owned(),
            cause: errno.into(),
        })?;
        let of_program = |source| Error::Program {
            program: name,
            source,
        };
        let fd = classifier.fd().map_err(of_program)?;
        let id = classifier.info().map_err(of_program)?.id();
        let number = (1..).zip(PROGRAMS).find(|(_, known)| *known == name);
        let program = Program {
            fd: fd.as_fd(),
            name,
            id,
            number: number.map_or(0, |(number, _)| number),
        };
        let qdisc = self.qdisc(index, interface)?;
        let filter = program.filter(index, direction, qdisc.is_ours);
        say_who_is_before(interface, direction);
        // Before it is there: nothing is to be in the kernel that the janitor does not know of.
        self.keeper.tell(&janitor::Thing::Filter(filter.clone()));
        let link = FilterLink {
            filter,
            kernel: Arc::clone(&self.kernel),
            keeper: Arc::clone(&self.keeper),
            _qdisc: qdisc,
        };
        self.kernel.attach(&link.filter, &program, interface)?;
        Ok(link)
    }

    fn qdisc(&mut self, index: u32, interface: &str) -> Result<Arc<Qdisc>, Error> {
        if let Some(known) = self.qdiscs.get(&index).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let is_ours = self.kernel.add_hooks(index, interface)?;
        if is_ours {
            self.keeper.tell(&janitor::Thing::Qdisc(index));
        }
        let qdisc = Arc::new(Qdisc {
            index,
            is_ours,
            kernel: Arc::clone(&self.kernel),
            keeper: Arc::clone(&self.keeper),
        });
        self.qdiscs.insert(index, Arc::downgrade(&qdisc));
        Ok(qdisc)
    }
}

impl Drop for FilterLink {
    fn drop(&mut self) {
        match self.kernel.detach(&self.filter) {
            Ok(_) => self
                .keeper
                .forget(&janitor::Thing::Filter(self.filter.clone())),
            Err(error) => warn!(
                finding = "filters-left",
                "{error}; the next start removes it"
            ),
        }
    }
}

impl Drop for Qdisc {
    fn drop(&mut self) {
        if !self.is_ours {
            return;
        }
        match self.kernel.remove_hooks(self.index) {
            Ok(()) => self.keeper.forget(&janitor::Thing::Qdisc(self.index)),
            Err(error) => warn!(
                finding = "filters-left",
                "{error}; it does nothing, and `tc qdisc del` takes it away"
            ),
        }
    }
}

/// The kernel asks tcx programs first, and filters only where those say "next".
fn say_who_is_before(interface: &str, direction: Direction) {
    let Ok((_, before)) = SchedClassifier::query_tcx(interface, type_of(direction)) else {
        return;
    };
    let names = before.iter().map(|program| {
        format!(
            "`{}` (id {})",
            program.name_as_str().unwrap_or("?"),
            program.id()
        )
    });
    let names: Vec<String> = names.collect();
    if !names.is_empty() {
        warn!(
            finding = "tcx-before-filters",
            "at {direction} of {interface} the kernel asks tcx programs before filters: {} can hide packets from a run with --hook clsact; \
             --hook tcx stands before them",
            names.join(", ")
        );
    }
}
