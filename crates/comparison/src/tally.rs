//! What all workers have counted together.
//!
//! Tallies unite exactly: in whatever order workers are added up, and however often each was asked, the sum is the same.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::group::Group;
use crate::route::folds::Folds;

/// What a group is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName {
    /// Its method; empty for a protocol that has none.
    pub method: Box<str>,
    /// Its route, or its name.
    pub route: Box<str>,
    /// Whether the route was given by the user, so that nothing folds it.
    pub is_given: bool,
}

impl GroupName {
    pub(crate) fn of_name(name: Box<str>) -> Self {
        Self {
            method: "".into(),
            route: name,
            is_given: true,
        }
    }
}

/// What was counted, by group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub(crate) groups: BTreeMap<GroupName, Group<Box<str>>>,
    folds: Folds,
    /// How long the run is.
    pub(crate) span: Duration,
    /// Paths of fields that a worker had no room for, at most.
    pub(crate) paths_refused: u64,
}

impl Tally {
    pub(crate) fn new(folds: Folds, span: Duration) -> Self {
        Self {
            folds,
            span,
            ..Self::default()
        }
    }

    /// A worker counts them from its beginning on.
    pub(crate) fn refuse_paths(&mut self, count: u64) {
        self.paths_refused = self.paths_refused.max(count);
    }

    pub(crate) fn add_group(&mut self, name: GroupName, group: &Group<Box<str>>) {
        let name = self.folded(name);
        self.groups.entry(name).or_default().unite(group);
    }

    /// Adds what was counted elsewhere, or since.
    pub fn unite(&mut self, other: &Self) {
        self.span = self.span.max(other.span);
        self.refuse_paths(other.paths_refused);
        if self.folds.unite(&other.folds) {
            for (name, group) in core::mem::take(&mut self.groups) {
                self.add_group(name, &group);
            }
        }
        for (name, group) in &other.groups {
            self.add_group(name.clone(), group);
        }
    }

    /// Whether nothing was compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn folded(&self, name: GroupName) -> GroupName {
        if name.is_given {
            return name;
        }
        GroupName {
            route: self.folds.route(&name.route).into_boxed_str(),
            ..name
        }
    }
}
