//! One AF_XDP port: a UMEM, its four rings and one owner per frame.
//!
//! | module | noun |
//! |---|---|
//! | `config` | what a port is told once |
//! | `frame` | the ledger of frames: each is at all times in exactly one place |
//! | `memory` | the UMEM: turns a frame that is ours into bytes |
//! | `rings` | fill, completion, rx and tx ring as distinct types |
//! | `port` | the four rings and the memory together: send, receive, reap, kick |
//! | `statistics` | the kernel's counters and our own |
//!
//! All unsafe code of AF_XDP is in `memory` and `rings`. What it rests on: a [`frame::Frame`] is the only right to touch
//! a frame's bytes, only the ledger in `frame` makes one, and it makes at most one per frame. Nothing that a ring says
//! is believed before the ledger has confirmed it.
//!
//! A port attaches no program and knows nothing of packets: it moves whole frames, from their Ethernet header on.

mod config;
mod error;
mod frame;
mod memory;
mod port;
mod rings;
mod statistics;

pub use config::{Config, Mode};
pub use error::Error;
pub use port::Port;
pub use statistics::Statistics;
