//! Requests by route: `/users/123` is `/users/*`.
//!
//! | module | holds |
//! |---|---|
//! | [`template`] | templates that a user gives |
//! | [`folds`] | what is known of several workers' routes |
//!
//! Where no template fits, routes are learned. A segment that looks like an identifier is `*` at once. Of the others each is its own
//! until one place has more than [`SPLIT_MAX`] of them: then all of them are `*`, those before as well. So it does not matter in which
//! order requests came.
//!
//! Nothing is learned from a request that the online server refused (4xx): who tries names until one is there would make a `*` of
//! every place. Such a request has the route that is known for it, or [`RouteId::UNKNOWN`].
//!
//! **Bounded:** [`NODES_MAX`] places, [`SEGMENTS_MAX`] segments; what there is no room for is [`RouteId::OTHER`].

pub mod folds;
pub mod template;

use std::collections::{BTreeSet, HashMap};

use protocol::identifier;
use template::Template;

/// Most segments at one place that are told apart.
pub const SPLIT_MAX: usize = 100;
/// Most segments of a route; deeper paths end with `**`.
pub const SEGMENTS_MAX: usize = 8;
/// Most places in the tree of routes.
pub const NODES_MAX: usize = 8192;

/// A route's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(u32);

impl RouteId {
    /// `/`
    const ROOT: Self = Self(0);
    /// A path that no successful request had.
    pub const UNKNOWN: Self = Self(u32::MAX);
    /// A path that there is no room for.
    pub const OTHER: Self = Self(u32::MAX - 1);
    /// Templates have numbers from here on.
    const GIVEN: u32 = u32::MAX - 1 - template::TEMPLATES_MAX as u32;

    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A place in the tree.
#[derive(Debug)]
struct Node {
    parent: RouteId,
    segment: Box<str>,
    children: HashMap<Box<str>, RouteId>,
    /// The child for every segment that is not told apart.
    any: Option<RouteId>,
    /// Whether no segment is told apart any more.
    is_folded: bool,
    /// What it has become a part of, once its parent was folded.
    into: Option<RouteId>,
}

/// The routes of a worker.
#[derive(Debug)]
pub struct Routes {
    given: Vec<Template>,
    nodes: Vec<Node>,
    /// How often places were folded.
    folds: u64,
}

impl Routes {
    /// Those that are given, of which the first that fits is taken, and none yet that were learned.
    #[must_use]
    pub fn new(given: Vec<Template>) -> Self {
        let mut routes = Self {
            given,
            nodes: Vec::new(),
            folds: 0,
        };
        routes.given.truncate(template::TEMPLATES_MAX);
        routes.node(RouteId::ROOT, "");
        routes
    }

    /// The route of a request's target, without its query. Only where `learns` it may become a new one.
    pub fn of(&mut self, target: &[u8], learns: bool) -> RouteId {
        let segments = segments(path_of(target));
        let fits = |template: &Template| template.fits(&segments);
        if let Some(place) = self.given.iter().position(fits) {
            return RouteId(RouteId::GIVEN + u32::try_from(place).unwrap_or_default());
        }
        let mut at = RouteId::ROOT;
        for segment in &segments {
            let next = match &self.nodes[at.index()] {
                node if node.is_folded || is_any(segment) => node.any,
                node => node.children.get(segment.as_str()).copied(),
            };
            at = match next {
                Some(next) => next,
                None if !learns => return RouteId::UNKNOWN,
                None => match self.learn(at, segment) {
                    Some(next) => next,
                    None => return RouteId::OTHER,
                },
            };
        }
        at
    }

    /// How often places were folded: when it has grown, [`Routes::now`] may say something else.
    #[must_use]
    pub fn folds(&self) -> u64 {
        self.folds
    }

    /// What a route has become.
    #[must_use]
    pub fn now(&self, mut route: RouteId) -> RouteId {
        while let Some(into) = self.nodes.get(route.index()).and_then(|node| node.into) {
            route = into;
        }
        route
    }

    /// A route as text.
    #[must_use]
    pub fn text(&self, route: RouteId) -> String {
        match route {
            RouteId::UNKNOWN => "(paths that were refused)".to_owned(),
            RouteId::OTHER => "(further paths)".to_owned(),
            RouteId(number) if number >= RouteId::GIVEN => {
                let template = self.given.get((number - RouteId::GIVEN) as usize);
                template.map(ToString::to_string).unwrap_or_default()
            }
            RouteId::ROOT => "/".to_owned(),
            mut at => {
                let mut segments = Vec::new();
                while at != RouteId::ROOT {
                    let node = &self.nodes[at.index()];
                    segments.push(&*node.segment);
                    at = node.parent;
                }
                segments.reverse();
                format!("/{}", segments.join("/"))
            }
        }
    }

    /// Whether a route was given by the user.
    #[must_use]
    pub fn is_given(&self, route: RouteId) -> bool {
        (RouteId::GIVEN..RouteId::OTHER.0).contains(&route.0)
    }

    /// The places whose segments are not told apart.
    #[must_use]
    pub fn folded(&self) -> BTreeSet<Box<str>> {
        (0..)
            .map(RouteId)
            .zip(&self.nodes)
            .filter(|(_, node)| node.is_folded && node.into.is_none())
            .map(|(route, _)| self.text(route).into_boxed_str())
            .collect()
    }

    /// A new place, unless there are too many.
    fn node(&mut self, parent: RouteId, segment: &str) -> Option<RouteId> {
        if self.nodes.len() >= NODES_MAX {
            return None;
        }
        let route = RouteId(u32::try_from(self.nodes.len()).ok()?);
        self.nodes.push(Node {
            parent,
            segment: segment.into(),
            children: HashMap::new(),
            any: None,
            is_folded: false,
            into: None,
        });
        Some(route)
    }

    /// A segment that was not yet seen at this place.
    fn learn(&mut self, at: RouteId, segment: &str) -> Option<RouteId> {
        let node = &self.nodes[at.index()];
        if !is_any(segment) && !node.is_folded {
            if node.children.len() < SPLIT_MAX {
                let child = self.node(at, segment)?;
                self.nodes[at.index()]
                    .children
                    .insert(segment.into(), child);
                return Some(child);
            }
            self.fold(at)?;
        }
        self.any(at)
    }

    /// The child of a place for every segment.
    fn any(&mut self, at: RouteId) -> Option<RouteId> {
        if self.nodes[at.index()].any.is_none() {
            let any = self.node(at, ANY)?;
            self.nodes[at.index()].any = Some(any);
        }
        self.nodes[at.index()].any
    }

    /// Makes one of all children of a place.
    fn fold(&mut self, at: RouteId) -> Option<()> {
        let any = self.any(at)?;
        self.folds += 1;
        let node = &mut self.nodes[at.index()];
        node.is_folded = true;
        let mut children: Vec<RouteId> = node.children.drain().map(|(_, child)| child).collect();
        children.sort_unstable();
        for child in children {
            self.merge(child, any);
        }
        Some(())
    }

    /// `from` becomes a part of `into`, and so do its children. They are at most [`SEGMENTS_MAX`] levels.
    fn merge(&mut self, from: RouteId, into: RouteId) {
        let node = &mut self.nodes[from.index()];
        node.into = Some(into);
        let was_folded = node.is_folded;
        let any = node.any.take();
        let mut children: Vec<(Box<str>, RouteId)> = node.children.drain().collect();
        children.sort_unstable();
        if was_folded && !self.nodes[into.index()].is_folded && self.fold(into).is_none() {
            // There is no room for what is not told apart: it stays where it was.
            self.nodes[into.index()].is_folded = true;
        }
        if let Some(any) = any {
            self.adopt(any, into, None);
        }
        for (segment, child) in children {
            self.adopt(child, into, Some(segment));
        }
    }

    /// `child` becomes a child of `parent`, or a part of the one that is there already. Without a segment it is the one for all.
    fn adopt(&mut self, child: RouteId, parent: RouteId, segment: Option<Box<str>>) {
        let node = &mut self.nodes[parent.index()];
        let segment = segment.filter(|_| !node.is_folded);
        let there = match &segment {
            None => node.any,
            Some(segment) => node.children.get(segment).copied(),
        };
        if let Some(there) = there {
            return self.merge(child, there);
        }
        let is_any = segment.is_none();
        match segment {
            None => node.any = Some(child),
            Some(segment) => {
                node.children.insert(segment, child);
            }
        }
        let is_split = node.children.len() > SPLIT_MAX;
        self.nodes[child.index()].parent = parent;
        if is_any {
            self.nodes[child.index()].segment = ANY.into();
        }
        if is_split {
            // Without room the place has some children more.
            let _ = self.fold(parent);
        }
    }
}

/// A segment that stands for all.
const ANY: &str = "*";
/// What is deeper.
const DEEPER: &str = "**";

fn is_any(segment: &str) -> bool {
    segment == ANY
}

/// The path of a request's target (RFC 9112, section 3.2): without scheme and authority, query and fragment.
fn path_of(target: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b'?' | b'#');
    let target = &target[..target.iter().position(is_end).unwrap_or(target.len())];
    let Some(scheme) = target.windows(3).position(|part| part == b"://") else {
        return target;
    };
    if target.starts_with(b"/") {
        return target;
    }
    let rest = &target[scheme + 3..];
    let slash = rest.iter().position(|byte| *byte == b'/');
    slash.map_or(b"/", |slash| &rest[slash..])
}

/// The segments as they are shown: printable, and `*` where one looks like an identifier. Empty ones are none.
fn segments(path: &[u8]) -> Vec<String> {
    let mut segments: Vec<String> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        // Parameters of a segment (RFC 3986, section 3.3), where sessions are kept.
        let end = segment.iter().position(|byte| *byte == b';');
        let segment = &segment[..end.unwrap_or(segment.len())];
        if segment.is_empty() {
            continue;
        }
        if segments.len() + 1 >= SEGMENTS_MAX {
            segments.push(DEEPER.to_owned());
            break;
        }
        if identifier::is_like_one(segment) || is_encoded(segment) {
            segments.push(ANY.to_owned());
        } else {
            let shown = segment.iter().map(|byte| match byte {
                b'!'..=b'~' if *byte != b'*' => char::from(*byte),
                _ => '?',
            });
            segments.push(shown.collect());
        }
    }
    segments
}

/// Whether a segment has letters that a path cannot have: it is a value, not a name.
fn is_encoded(segment: &[u8]) -> bool {
    segment.contains(&b'%') || segment.iter().any(|byte| !byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
