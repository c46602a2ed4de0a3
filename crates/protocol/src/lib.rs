//! Protocol modules: where a message begins and ends, what may be copied of it, and what its response says.
//!
//! TCP alone does not say where a request ends, whether it writes, or whether two answers mean the same. A module does, for the
//! flows of a rule that asks for one ([`Module`]). It stands between a flow's bytes and a session's turns:
//!
//! | module | holds |
//! |---|---|
//! | [`module`] | what a rule asks for: [`Module`], read once at the start |
//! | [`requests`] | the client's side, one reader for a flow: its bytes become [`Part`]s |
//! | [`responses`] | a server's side, one reader for the online server and one for each session: its bytes become [`Said`] |
//! | [`http1`] | HTTP/1 (RFC 9112) |
//! | [`digest`] | what is kept of a response to compare it with another one: hashes, and no value |
//! | [`identifier`] | whether a word looks like an identifier |
//!
//! **Architecture invariant:** no I/O, no clock, no thread, no unsafe, and it knows nothing of sessions. Every byte is hostile: a
//! reader never panics, holds no more than the limits of its protocol, and says [`Part::Leave`] or [`Said::Lost`] of what it cannot
//! judge, which then passes as bytes. It never guesses.
#![forbid(unsafe_code)]

pub mod digest;
pub mod http1;
pub mod identifier;
pub mod module;
pub mod requests;
pub mod responses;

pub use digest::{Digest, Digester, Digests};
pub use module::{Choice, Module, Protocol};
pub use requests::{Expect, Head, Part, Requests, Why};
pub use responses::{Responses, Said, Verdict};
