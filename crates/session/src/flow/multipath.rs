//! Multipath TCP (RFC 8684): the connection that is copied is one path of several, and the data that it carries may have holes where
//! its own numbers have none.

use wire::multipath::Mapping;
use wire::seq::ClientSeq;

use super::stream::ClientStream;
use super::{Flow, Room};

/// Where a connection's bytes stand among the data of all paths (Multipath TCP).
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    /// By how much the data's numbers are ahead of the path's: another value says that some of it took another path.
    shift: u32,
    /// By how much they are ahead of the connection's sequence numbers, at most: a mapping does not say which of its bytes its segment
    /// begins with.
    ahead_max: u32,
    /// Up to where the online server has the data, by whatever path.
    acknowledged: Option<u32>,
}

impl Data {
    /// The online server has more data than the first `next` bytes of this path can have brought it. The end of the data counts as a
    /// byte, which no path carries.
    fn is_beyond(&self, next: ClientSeq) -> bool {
        let brought = next.raw().wrapping_add(self.ahead_max);
        self.acknowledged
            .is_some_and(|it| it.wrapping_sub(brought).cast_signed() > 1)
    }
}

impl ClientStream {
    /// A segment with `len` bytes at `seq` says which data they are. Returns whether some before them took another path.
    pub(crate) fn on_mapping(&mut self, mapping: &Mapping, seq: ClientSeq, len: u16) -> bool {
        let offset_max = u32::from(mapping.len.saturating_sub(len));
        let ahead_max = mapping
            .data
            .wrapping_add(offset_max)
            .wrapping_sub(seq.raw());
        let shift = mapping.shift();
        let data = &mut self.waiting.get_or_insert_default().data;
        let Some(known) = data else {
            *data = Some(Data {
                shift,
                ahead_max,
                acknowledged: None,
            });
            return false;
        };
        if ahead_max.wrapping_sub(known.ahead_max).cast_signed() < 0 {
            known.ahead_max = ahead_max;
        }
        core::mem::replace(&mut known.shift, shift) != shift
    }

    /// Whether its segments say which data they carry.
    pub(crate) fn is_of_several_paths(&self) -> bool {
        self.waiting.as_ref().is_some_and(|it| it.data.is_some())
    }

    /// The online server has the data up to `ack`, whichever path it took.
    pub(crate) fn on_data_acknowledged(&mut self, ack: u32) {
        if let Some(data) = self.waiting.as_mut().and_then(|it| it.data.as_mut()) {
            data.acknowledged = Some(ack);
        }
    }

    /// Whether the online server has data that this path has not brought.
    pub(super) fn lacks_data(&self) -> bool {
        let data = self.waiting.as_ref().and_then(|it| it.data);
        data.is_some_and(|data| data.is_beyond(self.next))
    }
}

impl Flow {
    /// A segment of the client, of `len` bytes at `seq`, says which data they are (Multipath TCP). Where some before them took another
    /// path, that is a hole that can never be filled. Returns how many turns are lost then.
    pub(crate) fn on_mapping(
        &mut self,
        mapping: &Mapping,
        seq: ClientSeq,
        len: u16,
        room: &mut Room<'_>,
    ) -> Option<u64> {
        self.stream
            .on_mapping(mapping, seq, len)
            .then(|| self.end_at_gap(room))
    }

    /// Whether data may take other paths (Multipath TCP).
    pub(crate) fn is_of_several_paths(&self) -> bool {
        self.stream.is_of_several_paths()
    }

    /// The online server has the data up to `ack`, whichever path it took.
    pub(crate) fn on_data_acknowledged(&mut self, ack: u32) {
        self.stream.on_data_acknowledged(ack);
    }
}
