//! Sequence numbers near the wrap: a host's numbers as its peers see them are its stack's, moved so that each connection
//! begins shortly before 2^32.

use std::collections::HashMap;

use smoltcp::wire::TcpSeqNumber;
use wire::segment::Segment;
use wire::tcp::Flags;

use crate::packet;
use crate::random::Random;

/// How far before the wrap a connection begins at most.
const DISTANCE_MAX: u64 = 4000;

/// How far apart two connections of the same ports begin: the numbers of one must mean nothing to the next.
const APART: u32 = 1 << 30;

/// What is added to the numbers of each connection.
#[derive(Debug)]
pub(crate) struct Wrap {
    random: Random,
    /// By local and remote port: the stack's ISN, and what is added.
    moved: HashMap<(u16, u16), (u32, u32)>,
}

impl Wrap {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self {
            random: random.fork(),
            moved: HashMap::new(),
        }
    }

    /// A packet leaves the host.
    pub(crate) fn on_leaving(&mut self, packet: &mut [u8]) {
        let Ok(segment) = Segment::parse(&packet[..], 0) else {
            return;
        };
        let ports = (segment.source.port, segment.destination.port);
        if segment.flags.contains(Flags::SYN)
            && self
                .moved
                .get(&ports)
                .is_none_or(|(isn, _)| *isn != segment.seq)
        {
            let before = self.moved.get(&ports);
            let wanted = match before {
                Some((isn, by)) => isn.wrapping_add(*by).wrapping_add(APART),
                None => 0u32.wrapping_sub(self.random.range(1, DISTANCE_MAX) as u32),
            };
            let by = wanted.wrapping_sub(segment.seq);
            self.moved.insert(ports, (segment.seq, by));
        }
        let Some(&(_, by)) = self.moved.get(&ports) else {
            return;
        };
        let seq = segment.seq.wrapping_add(by);
        packet::edit(packet, |tcp| {
            tcp.set_seq_number(TcpSeqNumber(seq.cast_signed()));
        });
    }

    /// A packet arrives at the host.
    pub(crate) fn on_arrived(&self, packet: &mut [u8]) {
        let Some(segment) = packet::valid(packet) else {
            return;
        };
        let ports = (segment.destination.port, segment.source.port);
        let Some(&(_, by)) = self.moved.get(&ports) else {
            return;
        };
        if !segment.flags.contains(Flags::ACK) {
            return;
        }
        let options = usize::from(segment.tcp_offset) + 20..usize::from(segment.payload_offset);
        move_blocks(&mut packet[options], by);
        let ack = segment.ack.wrapping_sub(by).cast_signed();
        packet::edit(packet, |tcp| {
            tcp.set_ack_number(TcpSeqNumber(ack));
        });
    }
}

/// Moves the blocks of the SACK option (RFC 2018), if there is one.
fn move_blocks(options: &mut [u8], by: u32) {
    let mut at = 0;
    while at + 1 < options.len() && options[at] != 0 {
        let len = match options[at] {
            1 => 1,
            _ => usize::from(options[at + 1]).max(2),
        };
        let end = (at + len).min(options.len());
        if options[at] == 5 {
            for edge in options[at + 2..end].chunks_exact_mut(4) {
                let moved = u32::from_be_bytes([edge[0], edge[1], edge[2], edge[3]]);
                edge.copy_from_slice(&moved.wrapping_sub(by).to_be_bytes());
            }
        }
        at = end;
    }
}
