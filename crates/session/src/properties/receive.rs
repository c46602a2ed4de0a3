//! What has arrived, against a map of every byte.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use wire::seq::TargetSeq;

use crate::connection::receive::ReceiveHalf;

/// Length of the target's stream, in bytes; FIN follows.
const STREAM: u32 = 64;

/// Stretches of the map that have arrived behind the first hole, in order.
fn islands(map: &[bool]) -> Vec<(u32, u32)> {
    let mut islands = Vec::new();
    let mut start = None;
    let in_order = map.iter().take_while(|arrived| **arrived).count();
    for (at, arrived) in (0u32..).zip(map).skip(in_order) {
        match (arrived, start) {
            (true, None) => start = Some(at),
            (false, Some(left)) => {
                islands.push((left, at));
                start = None;
            }
            _ => {}
        }
    }
    islands.extend(start.map(|left| (left, map.len() as u32)));
    islands
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_arrived_is_acknowledged_and_nothing_else(
        isn in any::<u32>(),
        segments in vec((0..STREAM, 0..20u32, any::<bool>()), 1..60),
    ) {
        let first = TargetSeq::new(isn);
        let mut half = ReceiveHalf::new(first, u16::MAX);
        // One longer than the stream: FIN.
        let mut map = [false; STREAM as usize + 1];
        let mut total = 0;
        for (left, len, fin) in segments {
            let right = (left + len).min(STREAM);
            let fin = fin && right == STREAM;
            let was_finished = half.is_finished();
            let arrived = half.on_segment(first + left, right - left, fin);
            map[left as usize..right as usize].fill(true);
            map[STREAM as usize] |= fin;
            let in_order = map.iter().take_while(|arrived| **arrived).count() as u32;
            prop_assert_eq!(half.nxt(), first + in_order);
            total += arrived.in_order;
            prop_assert_eq!(total, in_order);
            prop_assert_eq!(half.is_finished(), in_order == STREAM + 1);
            prop_assert_eq!(arrived.fin, half.is_finished() && !was_finished);

            let islands = islands(&map[..STREAM as usize]);
            prop_assert_eq!(half.has_hole(), !islands.is_empty());
            if in_order < left + u32::from(right > left) && right > left {
                prop_assert!(arrived.ack_now, "out of order");
            }
            let blocks = half.sack_blocks(4);
            let blocks: Vec<_> = blocks
                .as_slice()
                .iter()
                .map(|(l, r)| (l.wrapping_sub(isn), r.wrapping_sub(isn)))
                .collect();
            prop_assert_eq!(blocks.len(), islands.len().min(4));
            for block in &blocks {
                prop_assert!(islands.contains(block), "{:?} of {:?}", block, islands);
            }
            // RFC 2018 section 4: the first block holds the segment that has just arrived.
            if let Some(new) = islands.iter().find(|(l, r)| *l <= left && right <= *r && left < right) {
                prop_assert_eq!(blocks.first(), Some(new));
            }
        }
    }
}
