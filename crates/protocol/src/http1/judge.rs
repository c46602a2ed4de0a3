//! Which requests are copied: by the write valve and by filters.

use crate::filter::{Filter, Property};
use crate::glob::Glob;
use crate::http1::body::Body;
use crate::http1::head::RequestHead;
use crate::module::Module;

/// Methods that only ask (RFC 9110, section 9.2.1). Others are registered as safe too (PROPFIND, REPORT), but few servers are
/// known to keep to that.
const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];
/// By these some frameworks take a request for one of another method.
const OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Whether a request is copied.
pub(super) fn is_copied(module: &Module, head: &RequestHead<'_, '_>, body: &Body) -> bool {
    (!module.read_only || is_safe(head, body)) && module.is_wanted(|filter| is_like(filter, head))
}

/// Whether a request is known to change nothing. One that may lead to another protocol is not: what follows then cannot be judged.
fn is_safe(head: &RequestHead<'_, '_>, body: &Body) -> bool {
    let overridden = OVERRIDES
        .iter()
        .any(|name| head.values(name).next().is_some());
    // A body of TRACE is forbidden (RFC 9110, section 9.3.8), so that nobody knows what a server makes of it.
    let is_odd = head.method == "TRACE" && !body.is_whole();
    SAFE.contains(&head.method) && !head.may_upgrade() && !overridden && !is_odd
}

fn is_like(filter: &Filter, head: &RequestHead<'_, '_>) -> bool {
    let target = head.target();
    let one_of = |patterns: &[Glob], text: &[u8]| patterns.iter().any(|glob| glob.matches(text));
    filter.matches(|key, patterns| match key {
        Property::Method => one_of(patterns, head.method.as_bytes()),
        Property::Path => one_of(patterns, target.path.as_bytes()),
        Property::Query => one_of(patterns, target.query.unwrap_or_default().as_bytes()),
        Property::Host => head
            .host()
            .is_some_and(|host| one_of(patterns, &host.to_ascii_lowercase())),
        Property::Header(name) => head.values(name).any(|value| one_of(patterns, value)),
        // Of another protocol.
        Property::Command | Property::Key => false,
    })
}
