//! The file of the channel's keys: made, read with its rights checked, and watched while a run goes on.
//!
//! | module | holds |
//! |---|---|
//! | [`make`] | a file with a new key, or a new key in a file |
//! | [`read`] | the keys of a file that nobody else can read |
//! | [`watch`] | the same, as the file changes |
//!
//! **Architecture invariant:** no message shows a byte of a file.
#![forbid(unsafe_code)]

pub mod make;
pub mod read;
pub mod watch;

pub use make::{create, rotate};
pub use read::{Error, read};
pub use watch::Watch;
