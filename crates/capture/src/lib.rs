//! Packets out of capture files.
//!
//! [`Files`] reads records: one stream out of several files, in whatever container and compression they are. [`Unwrapper`]
//! makes TCP packets of them: it takes off link layers and tunnels, puts fragments together, and hands out what a session
//! engine can take, well-formed and with what the file has not of it told beside it.
//!
//! | module | holds |
//! |---|---|
//! | `files` | several files as one stream of records |
//! | `input` | one file: its container, and the records in it |
//! | `opened` | its bytes, with their compression taken off |
//! | `record` | what is found at a place in a file |
//! | `buffer` | the bytes that are read and not yet parsed |
//! | `classic` | records of pcap files, in their six forms |
//! | `blocks` | blocks of pcapng files |
//! | `interface` | interfaces of pcapng files, and their clocks |
//! | `link` | link types, by number and name |
//! | `counts` | what was read, and what could not be |
//! | `unwrap` | link layers and tunnels, down to the TCP packet |
//! | `packet` | a TCP packet made well-formed |
//! | `error` | what a user is told where a file cannot be read |
//!
//! **Architecture invariant:** no threads, no clock, no `unsafe`; memory does not grow with the files, and no packet
//! costs an allocation.
#![forbid(unsafe_code)]

mod blocks;
mod buffer;
mod classic;
mod counts;
mod error;
mod files;
mod input;
mod interface;
mod link;
mod opened;
mod packet;
mod record;
mod unwrap;

pub use counts::{Counts, Note, NoteKind, Progress};
pub use error::Error;
pub use files::{Files, Frame, Place};
pub use link::LinkType;
pub use packet::{Packet, Sum};
pub use unwrap::{UnwrapCounts, Unwrapper};

/// The longest record that is taken for one, in bytes: Linux makes packets of up to 524,280 bytes of what it sends, and
/// what says that it is longer than this is a damaged file.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
