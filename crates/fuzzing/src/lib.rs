//! What the fuzzer feeds, and what must hold whatever it feeds.
//!
//! Each target is a function from bytes to nothing that panics where an invariant is broken. `fuzz/` hands these
//! functions to libFuzzer, which wants nightly; `tests/replay.rs` calls them on stable with every file of the corpus.
//! Nothing here knows libFuzzer.
//!
//! | module | feeds |
//! |---|---|
//! | [`wire`] | the parsers of packets, options and checksums |
//! | [`channel`] | both ends of the channel between `intercept` and `tcpcopy` |
//! | [`capture`] | capture files, and frames of each link type |
//! | [`player`] | packets of a capture file, as a replay plays them |
//! | [`digest`] | responses, through digests and comparison |
//! | [`http1`] | the module of HTTP/1: a client's side and a server's |
//! | [`redis`] | the module of Redis, likewise |
//! | [`engine`] | the session engine: clients, online servers and targets that mostly behave |
//! | [`sql`] | clients, servers and logins of PostgreSQL and MySQL |
#![forbid(unsafe_code)]

pub mod capture;
pub mod channel;
pub mod digest;
pub mod engine;
pub mod http1;
mod modules;
pub mod player;
pub mod redis;
pub mod sql;
pub mod wire;

/// A fuzz target: its name, as `fuzz/fuzz_targets` and `fuzz/corpus` have it, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every fuzz target.
pub const TARGETS: [Target; 10] = [
    ("wire", wire::run),
    ("channel", channel::run),
    ("engine", engine::run),
    ("capture", capture::run),
    ("player", player::run),
    ("digest", digest::run),
    ("http1", http1::run),
    ("redis", redis::run),
    ("postgres", sql::postgres),
    ("mysql", sql::mysql),
];
