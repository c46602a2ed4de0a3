//! The timer wheel against a sorted list.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use crate::time::Instant;
use crate::wheel::{Armed, Entry, Wheel};

/// One tick, in nanoseconds.
const TICK: u64 = 1 << 19;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Something is due so many nanoseconds from now.
    Insert(u64),
    /// So many nanoseconds pass.
    Pass(u64),
    /// Time passes up to what the wheel says.
    Next,
}

/// Short spans and long ones, each scale alike: the wheel has a level for each.
fn span(bits: u32) -> impl Strategy<Value = u64> {
    (0..bits, any::<u64>()).prop_map(|(bits, at)| at % (1 << bits))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => span(58).prop_map(Step::Insert),
        2 => span(44).prop_map(Step::Pass),
        1 => Just(Step::Next),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entries_come_out_once_and_on_time(start in span(50), steps in vec(step(), 1..300)) {
        let mut wheel = Wheel::new(Instant::from_nanos(start));
        let (mut now, mut list, mut due) = (start, BTreeMap::new(), Vec::new());
        for (session, step) in (0u32..).zip(steps) {
            match step {
                Step::Insert(later) => {
                    let at = Instant::from_nanos(now + later);
                    wheel.insert(Entry { session, at });
                    list.insert((at, session), ());
                }
                Step::Pass(time) => now += time,
                Step::Next => now = wheel.next().map_or(now, |next| next.as_nanos().max(now)),
            }
            wheel.expire(Instant::from_nanos(now), &mut due);
            for Entry { session, at } in due.drain(..) {
                prop_assert!(at.as_nanos() <= now, "{} ns early", at.as_nanos() - now);
                prop_assert!(list.remove(&(at, session)).is_some(), "not in the list");
            }
            let first = list.first_key_value().map(|((at, _), ())| at.as_nanos());
            if let Some(first) = first {
                prop_assert!(first + 2 * TICK > now, "{} ns late", now - first);
            }
            let next = wheel.next().map(Instant::as_nanos);
            prop_assert_eq!(next.is_some(), first.is_some());
            if let (Some(next), Some(first)) = (next, first) {
                prop_assert!(next > now && next <= first.max(now) + 2 * TICK);
            }
        }
    }

    /// A deadline that moves about: its session is asked at each that still stood, and the wheel is left with nothing.
    #[test]
    fn a_session_is_asked_when_its_deadline_has_come(deadlines in vec((span(40), span(36)), 1..100)) {
        let mut now = 1 << 40;
        let mut wheel = Wheel::new(Instant::from_nanos(now));
        let (mut armed, mut due) = (Armed::default(), Vec::new());
        for (later, time) in deadlines {
            let at = Instant::from_nanos(now + later);
            let mut deadline = Some(at);
            if armed.arm(at) {
                wheel.insert(Entry { session: 0, at });
            }
            now += time;
            wheel.expire(Instant::from_nanos(now), &mut due);
            for entry in due.drain(..) {
                if armed.fire(entry.at) && deadline.is_some_and(|at| at.as_nanos() <= now) {
                    deadline = None;
                }
                // Asked too early, it is armed anew.
                if let Some(at) = deadline
                    && armed.arm(at)
                {
                    wheel.insert(Entry { session: 0, at });
                }
            }
            if let Some(at) = deadline {
                prop_assert!(at.as_nanos() + 3 * TICK > now, "forgotten");
            }
        }
    }
}
