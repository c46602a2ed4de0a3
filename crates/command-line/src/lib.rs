//! What the command lines of both programs have in common, beside what clap does.
//!
//! | module | holds |
//! |---|---|
//! | [`letters`] | TCPCopy's letters that are not ours: each says what to write instead |
//! | [`refusal`] | what is said of a command line that cannot be read |
//! | [`endpoint`] | an address with a port |
//!
//! **Architecture invariant:** nothing here asks the host anything; a line is judged by its words alone.
#![forbid(unsafe_code)]

pub mod endpoint;
pub mod letters;
pub mod refusal;

pub use endpoint::endpoint;
pub use letters::Letter;
pub use refusal::explain;
