//! A worker's comparison: it learns routes, and counts by route.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use protocol::Asked;
use protocol::digest::{Digests, Paths};

use crate::arm::Arm;
use crate::group::{Answers, Group};
use crate::history::Histories;
use crate::place::Name;
use crate::route::folds::Folds;
use crate::route::template::Template;
use crate::route::{RouteId, Routes};
use crate::tally::{GroupName, Tally};

/// Most groups of a worker; what comes further is one more.
pub const GROUPS_MAX: usize = 1024;
/// Longest name of a request, in bytes; longer ones are cut off.
const NAME_LEN_MAX: usize = 200;
/// Statuses of HTTP that say that the request was refused, as a path that does not exist is.
const REFUSED: core::ops::Range<u32> = 400..500;

/// Methods of HTTP (RFC 9110, RFC 5789); others are `OTHER`, because anybody can make some up.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// Which group a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Route(&'static str, RouteId),
    Name(Box<str>),
    /// There are as many groups as there may be.
    Further,
}

/// A group, and what was said in it last.
#[derive(Debug, Default)]
struct Watched {
    group: Group<Name>,
    histories: Histories,
}

/// A worker's comparison.
#[derive(Debug)]
pub struct Comparison {
    digests: Arc<Digests>,
    routes: Routes,
    groups: HashMap<Key, Watched>,
    /// How often routes had been folded when groups were last.
    folds: u64,
    span: Duration,
}

impl Comparison {
    /// Nothing compared yet. The digests are those that the responses are made with; `given` are the routes that need not be learned.
    #[must_use]
    pub fn new(digests: Arc<Digests>, given: Vec<Template>) -> Self {
        Self {
            digests,
            routes: Routes::new(given),
            groups: HashMap::new(),
            folds: 0,
            span: Duration::ZERO,
        }
    }

    /// Compares the responses of target or baseline and online server to one request; `at` is the time since the run began.
    pub fn record(&mut self, arm: Arm, asked: &Asked<'_>, answers: &Answers<'_>, at: Duration) {
        self.span = self.span.max(at);
        let key = match asked {
            Asked::Path { method, target } => {
                let learns = !REFUSED.contains(&answers.online.status);
                let route = self.routes.of(target, learns);
                let known = METHODS
                    .into_iter()
                    .find(|name| name.as_bytes() == &**method);
                Key::Route(known.unwrap_or("OTHER"), route)
            }
            Asked::Name(name) => Key::Name(shown(name)),
        };
        if self.routes.folds() != self.folds {
            self.fold();
        }
        let has_room = self.groups.len() < GROUPS_MAX || self.groups.contains_key(&key);
        let key = if has_room { key } else { Key::Further };
        let Watched { group, histories } = self.groups.entry(key).or_default();
        group.record(arm, answers, at, histories);
    }

    /// Routes have become one: so do their groups.
    fn fold(&mut self) {
        self.folds = self.routes.folds();
        for (key, watched) in core::mem::take(&mut self.groups) {
            let key = match key {
                Key::Route(method, route) => Key::Route(method, self.routes.now(route)),
                key => key,
            };
            // What was said last in one of them says nothing of the others.
            self.groups
                .entry(key)
                .or_default()
                .group
                .unite(&watched.group);
        }
    }

    /// What was counted since the last time, to be added to the tally of all workers. Routes that were learned stay.
    #[must_use]
    pub fn drain(&mut self) -> Tally {
        let mut tally = Tally::new(Folds::new(self.routes.folded()), self.span);
        let digests = Arc::clone(&self.digests);
        let paths = digests.paths();
        tally.refuse_paths(paths.refused());
        for (key, Watched { group, .. }) in &mut self.groups {
            if group.is_empty() {
                continue;
            }
            let name = match key {
                Key::Route(method, route) => GroupName {
                    method: (*method).into(),
                    route: self.routes.text(*route).into_boxed_str(),
                    is_given: self.routes.is_given(*route),
                },
                Key::Name(name) => GroupName::of_name(name.clone()),
                Key::Further => GroupName::of_name("(further requests)".into()),
            };
            tally.add_group(name, &group.take_named(|name| text(&digests, &paths, name)));
        }
        tally
    }
}

fn text(digests: &Digests, paths: &Paths, name: Name) -> Box<str> {
    match name {
        Name::Whole => "".into(),
        Name::Header(place) => digests.headers().name(place).into(),
        Name::Field(path) => paths.text(path).into(),
    }
}

/// A name that can be shown.
fn shown(name: &str) -> Box<str> {
    let shown = name.chars().map(|character| {
        if character.is_alphanumeric() || character.is_ascii_graphic() || character == ' ' {
            character
        } else {
            '?'
        }
    });
    let mut text = String::new();
    for character in shown {
        if text.len() + character.len_utf8() > NAME_LEN_MAX {
            break;
        }
        text.push(character);
    }
    text.into_boxed_str()
}
