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
//! | [`opening`] | how a client has opened its connection, for the logins of its copies |
//! | [`login`] | a session's own login at the target |
//! | [`credentials`] | passwords and verifiers that logins need |
//! | [`http1`] | HTTP/1 (RFC 9112) |
//! | [`postgres`] | PostgreSQL: messages, responses, logins |
//! | `sql` | what can be told of a statement by its words |
//!
//! **Architecture invariant:** no I/O, no clock, no thread, no unsafe, and it knows nothing of sessions. Every byte is hostile: a
//! reader never panics, holds no more than the limits of its protocol, and says [`Part::Leave`] or [`Said::Lost`] of what it cannot
//! judge, which then passes as bytes. It never guesses.
#![forbid(unsafe_code)]

pub mod credentials;
pub mod http1;
pub mod login;
pub mod module;
pub mod opening;
pub mod postgres;
pub mod requests;
pub mod responses;
mod sql;

pub use credentials::Credentials;
pub use login::{Login, Opened, Step};
pub use module::{Choice, Module, Protocol};
pub use opening::Opening;
pub use requests::{Expect, Head, Part, Patch, Requests, Why};
pub use responses::{Responses, Said, Verdict};
