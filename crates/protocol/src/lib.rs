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
//! | `digesting` | digests of responses, as they are read |
//! | [`filter`], [`glob`] | which messages are copied: the language of `--only` and `--except` |
//! | [`rewrite`], [`account`] | what is changed of them, and who logs in |
//! | [`mask`] | what is never shown of a message |
//! | [`parts`], [`asked`], [`expect`], [`said`] | the words that readers of all protocols have in common |
//! | [`opening`] | how a client has opened its connection, for the logins of its copies |
//! | [`joining`] | where a connection may be joined whose beginning was not seen |
//! | [`cancels`] | what cancels statements of copies |
//! | [`login`], [`step`] | a session's own login at the target |
//! | [`credentials`], [`scram`] | passwords and verifiers that logins need, and the dialogue that proves them |
//! | [`http1`] | HTTP/1 (RFC 9112) |
//! | [`redis`] | Redis (RESP2 and RESP3) |
//! | [`digest`] | what is kept of a response to compare it with another one: hashes, and no value |
//! | [`identifier`] | whether a word looks like an identifier |
//! | [`postgres`] | PostgreSQL: messages, responses, logins |
//! | [`mysql`] | MySQL and MariaDB: commands, responses, logins |
//! | `place` | whether a connection is in a transaction |
//! | `sql`, `word` | what can be told of a statement by its words |
//!
//! **Architecture invariant:** no I/O, no clock, no thread, no unsafe, and it knows nothing of sessions. Every byte is hostile: a
//! reader never panics, holds no more than the limits of its protocol, and says [`Part::Leave`] or [`Said::Lost`] of what it cannot
//! judge, which then passes as bytes, or is not copied where the rule says what may be ([`Module::judges`]) or a login stands before it. It never guesses.
#![forbid(unsafe_code)]

pub mod account;
pub mod asked;
pub mod cancels;
pub mod credentials;
pub mod digest;
mod digesting;
pub mod expect;
pub mod filter;
pub mod glob;
pub mod http1;
pub mod identifier;
pub mod joining;
pub mod login;
pub mod mask;
pub mod module;
pub mod mysql;
pub mod opening;
pub mod parts;
mod place;
pub mod postgres;
pub mod protocol;
pub mod redis;
pub mod requests;
pub mod responses;
pub mod rewrite;
pub mod said;
pub mod scram;
mod sql;
pub mod step;
mod word;

pub use account::Account;
pub use asked::Asked;
pub use credentials::Credentials;
pub use digest::{Digest, Digester, Digests};
pub use expect::Expect;
pub use filter::Filter;
pub use login::{Login, Opened, Step};
pub use mask::Mask;
pub use module::{Choice, Module, Protocol};
pub use opening::{CancelKey, Opening};
pub use parts::{Head, Part, Patch, Why};
pub use requests::Requests;
pub use responses::Responses;
pub use said::{Said, Verdict};
