//! A small HTTP server that shows what a process says of itself: metrics, readiness, summary, pages.
//!
//! | module | holds |
//! |---|---|
//! | [`board`] | what the process publishes and the server reads |
//! | [`routes`] | which path gives what |
//! | `pace` | how fast it works at most |
//! | [`place`] | where it listens: an address, or a socket of the file system |
//! | [`access`] | who may read |
//! | [`server`] | the listening socket and the thread `metrics` that answers |
//!
//! It serves readers of one machine or one network that is trusted: there is no TLS, and a token if one is given. Its thread is
//! confined.
//!
//! **Architecture invariant:** a request reads what was published and nothing else. It takes no lock that a worker may
//! want, starts no work in the process, and whoever is slow or hostile holds a connection of a bounded number for a
//! bounded time.
#![forbid(unsafe_code)]

pub mod access;
pub mod board;
mod pace;
pub mod place;
pub mod routes;
pub mod server;

pub use access::{Access, TokenError};
pub use board::{Board, Phase};
pub use place::Place;
pub use routes::{Reply, Routes};
pub use server::{BindError, Bound, Server};
