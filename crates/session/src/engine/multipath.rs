//! Multipath TCP (RFC 8684): what segments say of the data that they carry, and that has come by other paths.

use wire::flow::FlowKey;
use wire::multipath::{Mapping, Multipath, Signal};
use wire::segment::Segment;
use wire::seq::ClientSeq;

use super::Engine;
use crate::time::Instant;

impl Engine {
    /// A segment of the client says which data it carries (Multipath TCP).
    pub(crate) fn on_mapping(
        &mut self,
        now: Instant,
        key: &FlowKey,
        mapping: &Mapping,
        segment: &Segment,
    ) {
        let Some(id) = self.flow_of(key) else {
            return;
        };
        let (seq, len) = (ClientSeq::new(segment.seq), segment.payload_len);
        let lost = self.tell(id, now, |flow, room| {
            flow.on_mapping(mapping, seq, len, room)
        });
        if let Some(lost) = lost.flatten() {
            self.lose(id, now);
            self.for_each_session(id, now, |session, ctx| session.on_gap(lost, ctx));
        }
    }
}

/// Which data a segment carries. One with a mapping has at least 16 bytes of options: timestamps alone, which most have, are not
/// looked at twice.
pub(crate) fn mapping_of(segment: &Segment, packet: &[u8]) -> Option<Mapping> {
    const USUAL_LEN: u16 = 32;
    if segment.payload_offset - segment.tcp_offset <= USUAL_LEN {
        return None;
    }
    signal_of(segment, packet)?.mapping
}

/// What a segment says of its sender's data, and of what has come of the other side's.
pub(crate) fn signal_of(segment: &Segment, packet: &[u8]) -> Option<Signal> {
    match segment.options(packet).multipath {
        Some(Multipath::Signal(signal)) => Some(signal),
        _ => None,
    }
}
