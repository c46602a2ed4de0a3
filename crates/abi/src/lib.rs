//! What crosses the boundary between the programs in the kernel and user space.
//!
//! | module | holds |
//! |---|---|
//! | [`maps`] | names, keys and values of the maps, and the globals that are set at load time |
//! | [`bytes`] | keys and values of the maps as the programs see them |
//! | [`record`] | what a program puts into a worker's ring buffer |
//! | [`counter`] | one counter per hook and verdict |
//!
//! **Architecture invariant:** every type that crosses is `repr(C)`, has no implicit padding, and its size is
//! asserted at compile time; both sides are always built from the same commit, so there is no version.
#![no_std]
#![forbid(unsafe_code)]

pub mod bytes;
pub mod counter;
pub mod maps;
pub mod record;

#[cfg(test)]
extern crate std;
