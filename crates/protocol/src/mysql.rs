//! MySQL and MariaDB: the client/server protocol with protocol version 10 and 4.1 (MySQL's internals manual, "Client/Server Protocol"; MariaDB's
//! knowledge base, "Client/Server Protocol").
//!
//! | module | holds |
//! |---|---|
//! | `packets` | where a payload begins and ends |
//! | `fields` | numbers and strings of a payload |
//! | `handshake` | the greeting and its answer, and what both agree upon |
//! | `commands` | what a command is answered with, and whether it may be copied |
//! | `requests` | the client's side |
//! | `responses` | a server's side |
//! | `passwords`, `rsa` | what proves a password |
//! | `joining` | where a connection may be joined whose beginning was not seen |
//! | `login` | a session's own login |
//!
//! A *message*, as an engine counts them, is one command, with the file that `LOAD DATA LOCAL` asks for. Its response is all that the server sends
//! up to the last result. Some commands have no response at all.

mod commands;
mod fields;
mod handshake;
mod joining;
mod login;
mod packets;
mod passwords;
mod requests;
mod responses;
mod rsa;

pub(crate) use login::Login;
pub use requests::{HEAD_LEN_MAX, HELD_LEN_MAX, OPENING_LEN_MAX, Requests};
pub use responses::{AWAITED_MAX, Responses};

pub(crate) use handshake::looks_like;
pub(crate) use joining::Watch;
