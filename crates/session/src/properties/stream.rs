//! Reassembly against a map of every byte: each comes once, in order, and with the cause of its first captured copy.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use wire::seq::{ClientSeq, OnlineSeq};

use crate::arena::Arena;
use crate::event::Counters;
use crate::flow::stream::{ClientStream, End, Piece};
use crate::time::Instant;

/// Length of the client's stream, in bytes; FIN follows.
const STREAM: u32 = 200;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_come_once_in_order_with_the_cause_of_their_first_copy(
        isn in any::<u32>(),
        segments in vec((0..STREAM, 0..60u32, any::<bool>()), 1..60),
    ) {
        let first = ClientSeq::new(isn);
        let bytes: Vec<u8> = (0..STREAM).map(|at| (at * 7) as u8).collect();
        let mut stream = ClientStream::new(first);
        let (mut arena, mut counters) = (Arena::new(1 << 20), Counters::default());
        let mut got: Vec<(u8, u32)> = Vec::new();
        // Which segment brought a byte first.
        let mut map: Vec<Option<u32>> = vec![None; STREAM as usize];
        let mut fin_seen = false;
        for (number, (left, len, fin)) in (0u32..).zip(segments) {
            let right = (left + len).min(STREAM);
            let fin = fin && right == STREAM;
            let piece = Piece {
                bytes: &bytes[left as usize..right as usize],
                cause: OnlineSeq::new(number),
                stamp: Instant::from_nanos(number.into()),
            };
            let ended = stream.end().is_some();
            stream.on_segment(first + left, fin, piece, &mut arena, &mut counters, &mut |_, piece| {
                got.extend(piece.bytes.iter().map(|byte| (*byte, piece.cause.raw())));
            });
            if !ended {
                fin_seen |= fin;
                for slot in &mut map[left as usize..right as usize] {
                    slot.get_or_insert(number);
                }
            }
            let expected: Vec<(u8, u32)> = bytes.iter().copied().zip(map.iter().map_while(|cause| *cause)).collect();
            prop_assert_eq!(stream.next(), first + expected.len() as u32);
            prop_assert_eq!(&got, &expected);
            let whole = fin_seen && expected.len() == bytes.len();
            prop_assert_eq!(stream.end().map(|end| end.end), whole.then_some(End::Fin));
            let waiting = map.iter().skip(expected.len()).flatten().count();
            prop_assert_eq!(stream.waiting_bytes(), waiting);
            prop_assert_eq!(arena.used(), stream.waiting_cost() as u64);
        }
        prop_assert_eq!(counters.reassembly_dropped, 0);
        stream.clear(&mut arena);
        prop_assert_eq!(arena.used(), 0);
    }
}
