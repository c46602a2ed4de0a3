//! The session engine: captured flows in, TCP sessions to targets out.
//!
//! A session is a TCP client of the target whose application is the captured flow. An [`Engine`] holds all the
//! sessions of one worker. It does no I/O and reads no clock: packets, time and randomness are arguments; frames,
//! events and deadlines are results.
//!
//! | module | holds |
//! |---|---|
//! | [`engine`], `state` | every input and output; `tables` behind it finds, opens, settles and removes sessions |
//! | `openings`, `admission`, `parked` | where sessions begin, who may have one, and who waits for a source |
//! | `outside`, `running`, `request` | flows without a session: what is told of them, where one may be joined, where a request ends |
//! | `encrypted` | what encryption looks like |
//! | `session` | one session and what the client does to it |
//! | `online` | what the online server's segments do to it |
//! | `target` | what the target's segments and the timers do to it |
//! | `advance` | what may depart, what is over, what becomes of a lost connection |
//! | `transmit` | its segments, written into the caller's frame |
//! | `stream` | the client's bytes, each once, in order, with their cause |
//! | `standalone` | which turns make sense on a connection of their own |
//! | `boundaries` | where its segments ended, for bytes that leave late |
//! | `taker`, `turn`, `turns` | the stream cut into turns; `turns::release` is the release rule, `turns::lessons` what is learned by it |
//! | `patience` | what the release rule is told of a session besides its turns |
//! | `send`, `receive` | the two halves of the TCP connection to the target |
//! | `window`, `inflow` | how much the target may send: what the online server has sent, and budgets |
//! | `send::{recovery, rtt, scoreboard}` | loss recovery, round trips, what the target holds |
//! | `nursery` | flows that have no session yet |
//! | [`echo`], `holds` | turns that begin like one before, by client address: what a loop looks like; departures that are held |
//! | `gate`, `pool`, `ports`, `path`, `reach` | whether a target may be sent to and for whom, from where, and in what pieces |
//! | `gates` | how sessions stand before the gates |
//! | `slots`, `resting`, `index` | the sessions, those that rest, and how they are found by flow |
//! | [`sights`] | which sides of each service are seen at all |
//! | [`sample`] | what responses begin with, where a user asked for it |
//! | `arena`, `wheel` | payload within a budget, and timers |
//! | [`config`], [`event`], [`limits`], [`time`] | what goes in once, what comes out, every limit, and time |
//!
//! **Architecture invariant:** no I/O, no clock, no thread, no unsafe, no logging; depends on `wire` only.
#![forbid(unsafe_code)]

mod arena;
pub mod config;
mod connection;
mod context;
pub mod echo;
mod encrypted;
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
mod path;
mod pool;
mod ports;
#[cfg(test)]
mod properties;
mod request;
mod running;
pub mod sample;
mod session;
pub mod sights;
mod standalone;
pub mod time;
mod turns;
mod wheel;

pub use config::{Config, Join, Rule, RuleId, Source};
pub use echo::{Suspect, Tally, Watch};
pub use engine::Engine;
pub use event::{Counters, Event, Outcome, Response, TurnEnded};
pub use ports::Ports;
pub use sample::{Prefix, Samples};
pub use sights::Sight;
pub use time::Instant;
