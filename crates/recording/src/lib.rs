//! Capture files as tcpcopy writes them, pcapng: of what the programs recorded (`tcpcopy record`), and of what a run has sent and
//! received (`--tap`).
//!
//! | module | holds |
//! |---|---|
//! | [`blocks`] | the blocks of pcapng, as bytes |
//! | [`names`] | what the files are called, and whether they are compressed |
//! | [`file`] | one file: what is whole in it stays readable, whatever happens |
//! | [`packet`] | how long a packet was, and its checksum |
//! | [`mask`] | well-known secrets of HTTP/1, overwritten before anything is written |
//! | [`unmark`] | a copier's mark, taken away |
//! | [`writer`] | records in, files out: rotation, statistics |
//! | [`tap`] | packets sent and received in, put in order, one file out |
//!
//! Nothing here asks for the time or knows the kernel: records come with their stamps.
#![forbid(unsafe_code)]

mod blocks;
mod file;
mod mask;
mod names;
mod packet;
mod tap;
mod unmark;
mod writer;

pub use blocks::{Direction, Interface};
pub use file::Error;
pub use mask::Mask;
pub use names::{Form, Names};
pub use tap::{Tap, Tapped};
pub use writer::{Options, Writer, Written};
