//! A loop that a run has found: copies that cause requests to the online service.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

/// What was found, and on what evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feedback {
    /// The address that the requests come from.
    pub client: String,
    /// The target whose copies cause them.
    pub target: String,
    /// How many requests it sent per second while copies departed.
    pub requests_per_second: f64,
    /// How many of its requests were like copies that were being sent, as far as they were counted.
    pub requests: u64,
    /// How often departures were held to see whether its requests stop.
    pub holds: u64,
    /// How many requests were to be expected from it in these times.
    pub expected: f64,
    /// How many came.
    pub observed: u64,
}

impl Display for Feedback {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} asks the online service what {} was sent as a copy, {:.1} times per second ({} requests counted); while copies were \
             held for {} short times at random it sent {} where {:.0} were to be expected",
            self.client,
            self.target,
            self.requests_per_second,
            self.requests,
            self.holds,
            self.observed,
            self.expected
        )
    }
}
