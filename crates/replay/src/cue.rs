//! What comes out of a file: packets with their times, and what became of the others.

use wire::flow::FlowKey;

use crate::sides::Side;

/// A packet as the engine is to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cue<'a> {
    /// Whose it is.
    pub side: Side,
    /// The flow that it is replayed as.
    pub flow: FlowKey,
    /// When it is due, in nanoseconds since the start.
    pub due_ns: u64,
    /// When it was seen, on the clock of `due_ns`. A client's is seen when it is due; an answer so long after its request as in the
    /// file, however fast that is replayed, so that what is measured of it is true at any speed.
    pub stamp_ns: u64,
    /// How many connections the file has open here: whose client has said something and not its last word.
    pub flows_open: u32,
    /// From its IP header on: of a client's packet all, of the online server's the headers and what may be sampled, or all
    /// that the file has of a service whose answers are wanted whole.
    pub packet: &'a [u8],
}

/// What became of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of clients of a service, bare acknowledgements among them.
    pub clients: u64,
    /// Of the online server.
    pub online: u64,
    /// That belong to no rule.
    pub unmatched: u64,
    /// That are no TCP segment.
    pub malformed: u64,
    /// That a copier made.
    pub copies: u64,
    /// Before or behind the part of the file that was asked for.
    pub outside: u64,
    /// Bare acknowledgements of clients, which carry nothing to copy.
    pub pure_acks: u64,
    /// Of clients, with a wrong checksum; dropped where a good copy came, taken otherwise.
    pub doubtful: u64,
    /// ... that were dropped.
    pub doubtful_dropped: u64,
    /// Answers that stood before their request.
    pub early: u64,
    /// Requests that stood before the answer that their client had seen.
    pub late: u64,
    /// Of clients, that are not whole in the file.
    pub cut: u64,
    /// ... and the bytes that are missing.
    pub cut_bytes: u64,
    /// Flows whose addresses and ports another flow has, in another network, and that got a port of their own.
    pub aliased: u64,
    /// Packets of such flows for which no port was free.
    pub unaliased: u64,
    /// That were seen already in another network, as on the other side of a router.
    pub again: u64,
    /// Packets of the online server that were made from what clients acknowledge.
    pub made: u64,
}
