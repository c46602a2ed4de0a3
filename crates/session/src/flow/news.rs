//! What a packet has changed of its flow: each of its sessions then follows by itself.

use wire::seq::OnlineSeq;

/// What a segment of the client has changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    /// The number of the turn that has grown.
    pub(crate) grew: Option<u64>,
    /// Where in the stream the latest turn begins that began.
    pub(crate) began: Option<u64>,
    /// The bytes could not be kept.
    pub(crate) over_budget: bool,
    /// They are encrypted.
    pub(crate) unreplayable: bool,
    /// The client has reset the connection behind a hole that will not be filled any more, and so many turns are lost there.
    pub(crate) lost: Option<u64>,
    /// So many messages were filtered out.
    pub(crate) filtered: u32,
}

/// What a segment of the online server has changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heard {
    /// Nothing: it is about an older connection of the same client's port.
    Nothing,
    /// It has reset the connection.
    Reset,
    /// It has sent a segment.
    Segment(Answered),
}

/// A segment of the online server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    /// Its first byte.
    pub(crate) seq: OnlineSeq,
    /// How many it has.
    pub(crate) len: u32,
    /// Where the online server's bytes ended before it.
    pub(crate) before: OnlineSeq,
    /// The turn that it answers: its number, and where it starts.
    pub(crate) turn: Option<(u64, u64)>,
}
