//! The session engine: captured flows in, TCP sessions to targets out.
//!
//! A session is a TCP client of the target whose application is the captured flow. An [`Engine`] holds all the
//! sessions of one worker. It does no I/O and reads no clock: packets, time and randomness are arguments, frames,
//! events and deadlines are results.
#![forbid(unsafe_code)]

pub mod config;
pub mod engine;
pub mod event;
pub mod time;

pub use config::{Config, Rule, RuleId, Source};
pub use engine::Engine;
pub use event::{Counters, Event, Outcome, Response, TurnEnded};
pub use time::Instant;
