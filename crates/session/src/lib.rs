//! The session engine: captured flows in, TCP sessions to targets out.
//!
//! A session is a TCP client of the target whose application is the captured flow. An [`Engine`] holds all the
//! sessions of one worker. It does no I/O and reads no clock: packets, time and randomness are arguments; frames,
//! events and deadlines are results.
//!
//! | module | holds |
//! |---|---|
//! | [`engine`], `state` | every input and output; `following`, `flows` and `tables` behind it find, open, settle and remove flows and sessions |
//! | `openings`, `admission`, `parked` | where sessions begin, who may have one, and who waits for a source |
//! | `outside`, `running`, `request` | flows without a session: what is told of them, where one may be joined, where a request ends |
//! | `encrypted`, `standalone` | what encryption looks like, and which turns make sense on a connection of their own |
//! | `flow` | what was captured of a client's connection, once for all the sessions that copy it: the stream in order, cut into turns, with what the online server answered, and the payload |
//! | `session` | the player of a flow on a connection to the target: what may depart, what is over, how much the target may send |
//! | `turns` | what one session knows of its turns; `turns::release` is the release rule, `turns::lessons` what is learned by it |
//! | `connection` | a TCP client: sending, receiving, loss recovery, its segments |
//! | [`probe`] | a connection without data, by which a path is proven |
//! | `inflow` | budgets of what targets may send |
//! | `nursery` | flows that have no session yet |
//! | [`echo`], `holds` | turns that begin like one before, by client address: what a loop looks like; departures that are held |
//! | `gate`, `pool`, `ports`, `path`, `reach` | whether a target may be sent to and for whom, from where, and in what pieces |
//! | `gates` | how sessions stand before the gates |
//! | `slots`, `resting`, `index` | the sessions, those that rest, and how they and their flows are found |
//! | [`sights`] | which sides of each service are seen at all |
//! | [`sample`] | what responses begin with, where a user asked for it |
//! | `ordered` | a server's bytes in order, where a protocol module reads them |
//! | `arena`, `wheel` | payload within a budget, and timers |
//! | `tuning` | what may change while an engine runs |
//! | [`config`], [`event`], [`limits`], [`time`] | what goes in once, what comes out, every limit, and time |
//!
//! **Architecture invariant:** no I/O, no clock, no thread, no unsafe, no logging; depends on `wire` and `protocol` only.
#![forbid(unsafe_code)]

mod arena;
pub mod config;
mod connection;
mod context;
pub mod echo;
pub mod encrypted;
pub mod engine;
pub mod event;
mod flow;
mod gate;
mod holes;
mod id;
mod index;
mod inflow;
pub mod limits;
mod nursery;
mod ordered;
mod path;
mod pool;
mod ports;
pub mod probe;
#[cfg(test)]
mod properties;
mod request;
mod running;
pub mod sample;
mod session;
pub mod sights;
mod standalone;
pub mod time;
mod tuning;
mod turns;
mod wheel;

pub use config::{Config, Join, Rule, RuleId, Source};
pub use echo::{Suspect, Tally, Watch};
pub use engine::Engine;
pub use engine::owed::Owed;
pub use event::{Compared, Counters, Event, Outcome, Prefix, Response, Samples, TurnEnded};
pub use ports::Ports;
pub use probe::Probe;
pub use sights::Sight;
pub use time::Instant;
pub use tuning::{RuleTuning, Sample, Tuning};
