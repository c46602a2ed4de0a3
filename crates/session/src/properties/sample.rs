//! What a response begins with, against a set of every byte that was seen.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use wire::seq::TargetSeq;

use crate::sample::Window;

/// Length of the stream, in bytes, each of which tells its place.
const STREAM: u32 = 250;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_beginning_is_what_was_seen_from_the_first_byte_on(
        isn in any::<u32>(),
        len in 1u32..=128,
        steps in vec((0..STREAM, 0..140u32, 0..40u32), 1..30),
        response in 0..200u32,
    ) {
        let first = TargetSeq::new(isn);
        let stream: Vec<u8> = (0..STREAM).map(|at| at as u8).collect();
        let (mut window, mut start) = (Window::new(first, len as usize), 0);
        let mut seen = BTreeSet::new();
        for (left, bytes, moved) in steps {
            let right = (left + bytes).min(STREAM);
            window.put(first + left, &stream[left as usize..right as usize]);
            seen.extend((left..right).filter(|at| (start..start + len).contains(at)));
            // Now and then the response turns out to begin later.
            if moved > 30 {
                start += moved - 30;
                window.move_to(first + start);
                seen.retain(|at| *at >= start);
            }
            let known = (start..start + len).take_while(|at| seen.contains(at)).count() as u32;
            let wanted = len.min(response);
            let prefix = window.prefix(response.into());
            let expected: Vec<u8> = (start..start + known.min(wanted)).map(|at| at as u8).collect();
            prop_assert_eq!(prefix.bytes, expected);
            prop_assert_eq!(prefix.whole, known >= wanted);
        }
    }
}
