//! Which services a file has, told by ports: what a user is shown whose rules match nothing in it.

use wire::segment::Segment;
use wire::tcp::Flags;

/// Packets that belong to no rule, by the port that looks like a service's.
#[derive(Clone, Debug)]
pub struct Census {
    packets: Box<[u64]>,
}

impl Default for Census {
    fn default() -> Self {
        Self {
            packets: vec![0; 1 << 16].into(),
        }
    }
}

impl Census {
    /// A packet of no rule.
    pub(crate) fn note(&mut self, segment: &Segment) {
        let (from, to) = (segment.source.port, segment.destination.port);
        let opens = segment.flags.contains(Flags::SYN);
        let service = match (opens, opens && segment.flags.contains(Flags::ACK)) {
            (true, true) => from,
            (true, false) => to,
            // Clients mostly have the higher one.
            (false, _) => from.min(to),
        };
        if let Some(packets) = self.packets.get_mut(usize::from(service)) {
            *packets += 1;
        }
    }

    /// The busiest ports, with the number of their packets; at most `most`.
    #[must_use]
    pub fn busiest(&self, most: usize) -> Vec<(u16, u64)> {
        let mut ports: Vec<(u16, u64)> = (0..=u16::MAX)
            .zip(self.packets.iter().copied())
            .filter(|(_, packets)| *packets > 0)
            .collect();
        ports.sort_by_key(|(port, packets)| (std::cmp::Reverse(*packets), *port));
        ports.truncate(most);
        ports
    }
}
