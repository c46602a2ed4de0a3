//! Control of a run that goes on: `tcpcopy ctl` and the socket that it talks to.
//!
//! | module | holds |
//! |---|---|
//! | [`message`] | what is asked and answered: one line of JSON each |
//! | [`line`] | a line from a socket, of bounded length and within a bounded time |
//! | [`place`] | where the sockets lie, and which run is meant |
//! | [`server`] | the thread that takes requests and has the run answer them |
//! | [`client`] | the command `tcpcopy ctl` |
//!
//! **Invariant:** nobody but root and the user whose run it is is listened to: the socket's permissions say so, and the kernel is asked who
//! the peer is. Whatever a peer sends, a run spends at most [`line::LINE_MAX`] bytes and [`server::CLIENT_MAX`] of a thread's time on it.

pub(crate) mod client;
mod line;
pub(crate) mod message;
mod place;
pub(crate) mod server;
