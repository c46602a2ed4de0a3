//! A capture file as a source of traffic: which of its packets are a client's and which the online server's, and when each is due.
//!
//! Sans-IO: packets of [`capture`] in, [`Cue`]s out. It reads no file, no clock, and knows no target. What captures look like in the
//! field is mended here, so that the engine behind it sees what live capture would have shown it.
//!
//! | module | holds |
//! |---|---|
//! | [`player`] | a packet in, cues out |
//! | [`cue`] | a packet and its times |
//! | [`schedule`] | from the file's time to the time at which a packet is due |
//! | [`sides`] | whose packet it is, by the rules |
//! | [`flows`] | what is remembered of each flow: bounded |
//! | [`waiting`] | packets that wait for others: of a wrong checksum, or of an answer that stands before its request |
//! | [`synthesis`] | the online server's side, where the file has only the clients' |
//! | [`renaming`] | another port for a client, where its own is taken |
//! | [`census`] | which ports the file has, where none of them is asked for |
#![forbid(unsafe_code)]

pub mod census;
pub mod cue;
mod flows;
pub mod player;
mod renaming;
pub mod schedule;
pub mod sides;
mod sight;
mod synthesis;
mod waiting;

pub use cue::{Counts, Cue};
pub use player::Player;
pub use schedule::{Schedule, Speed};
pub use sides::Side;
