//! Logins of our own at real servers of SQL, and sessions of real clients read from both sides to their end: what `crates/protocol` says
//! of them. Nothing is copied by `tcpcopy` here.
//!
//! | module | holds |
//! |---|---|
//! | [`relay`] | a relay that notes what both sides say, in its order |
//! | [`reading`] | a noted session, through both readers |
//! | [`player`] | a login at a target, and the messages of a read session |
//! | [`postgres`], [`mysql`] | PostgreSQL, MariaDB |

mod mysql;
mod player;
mod postgres;
mod reading;
mod relay;
