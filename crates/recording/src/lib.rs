//! Capture files as `tcpcopy record` writes them: pcapng, of what the programs recorded.
//!
//! | module | holds |
//! |---|---|
//! | [`blocks`] | the blocks of pcapng, as bytes |
//! | [`names`] | what the files are called, and whether they are compressed |
//! | [`file`] | one file: what is whole in it stays readable, whatever happens |
//! | [`mask`] | well-known secrets of HTTP/1, overwritten before anything is written |
//! | [`unmark`] | a copier's mark, taken away |
//! | [`writer`] | records in, files out: rotation, statistics |
//!
//! Nothing here asks for the time or knows the kernel: records come with their stamps.
#![forbid(unsafe_code)]

mod blocks;
mod file;
mod mask;
mod names;
mod unmark;
mod writer;

pub use blocks::Interface;
pub use mask::Mask;
pub use names::{Form, Names};
pub use writer::{Error, Options, Writer, Written};
