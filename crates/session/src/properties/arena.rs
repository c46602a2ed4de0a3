//! A chain is a queue of bytes.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::{
    ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use crate::arena::{Arena, Chain};

/// Less than the chains of a run want.
const BUDGET: u64 = 40_000;

#[derive(Clone, Debug)]
enum Step {
    Append(usize, u16),
    Drop(usize, u16),
    Clear(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize, 0..6000u16).prop_map(|(chain, len)| Step::Append(chain, len)),
        3 => (0..3usize, 0..6000u16).prop_map(|(chain, len)| Step::Drop(chain, len)),
        1 => (0..3usize).prop_map(Step::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chains_are_queues_that_share_a_budget(steps in vec(step(), 1..60), reads in any::<u16>()) {
        let mut arena = Arena::new(BUDGET);
        let mut chains: [Chain; 3] = Default::default();
        let mut oracles: [VecDeque<u8>; 3] = Default::default();
        for (round, step) in (0u32..).zip(steps) {
            match step {
                Step::Append(at, len) => {
                    let bytes: Vec<u8> = (0..len).map(|i| (u32::from(i) ^ round) as u8).collect();
                    let used = arena.used();
                    match arena.append(&mut chains[at], &bytes) {
                        Ok(()) => oracles[at].extend(bytes),
                        Err(_) => prop_assert_eq!(arena.used(), used, "all or nothing"),
                    }
                }
                Step::Drop(at, len) => {
                    arena.drop_front(&mut chains[at], len.into());
                    let len = oracles[at].len().min(len.into());
                    oracles[at].drain(..len);
                }
                Step::Clear(at) => {
                    arena.clear(&mut chains[at]);
                    oracles[at].clear();
                }
            }
            prop_assert!(arena.used() <= BUDGET);
            let held: usize = oracles.iter().map(VecDeque::len).sum();
            prop_assert!(arena.used() >= held as u64);
            for (chain, oracle) in chains.iter().zip(&oracles) {
                prop_assert_eq!(chain.len(), oracle.len());
                prop_assert_eq!(chain.is_empty(), oracle.is_empty());
                let from = usize::from(reads) % (oracle.len() + 1);
                let mut out = vec![0; (oracle.len() - from).min(3000)];
                arena.copy_out(chain, from, &mut out);
                prop_assert!(out.iter().eq(oracle.range(from..from + out.len())));
            }
        }
        for chain in &mut chains {
            arena.clear(chain);
        }
        prop_assert_eq!(arena.used(), 0);
    }
}
