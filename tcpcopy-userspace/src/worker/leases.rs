//! Which ports of this host the sessions of a worker have leased, as `capture` sees it: it takes a target's packets to those
//! and to no other.
//!
//! A port is leased before the first frame of its session leaves, and for [`REST`] after the last one: what the target had on
//! its way is not for the local stack, which would answer RST. A port belongs to one worker, a word of the array to several.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use session::Instant;
use wire::flow::FlowKey;
use wire::hash::FlowHash;

use crate::plan::filter::Filter;
use words::Words;

/// How long a port stays leased after its session.
pub(crate) const REST: Duration = Duration::from_secs(2);

/// The leases of one worker.
#[derive(Debug)]
pub(crate) struct Leases {
    filter: Arc<Filter>,
    words: Arc<Words>,
    /// Each bit that is set, and when its session ended, if it has.
    set: HashMap<u32, Option<Instant>, FlowHash>,
    /// Sessions that have ended, in that order. At most as many as ports, times the sessions on one within [`REST`].
    ended: VecDeque<(Instant, u32)>,
}

impl Leases {
    pub(crate) fn new(filter: Arc<Filter>, words: Arc<Words>) -> Self {
        Self {
            filter,
            words,
            // The numbers are of our own choice: nobody can have them collide.
            set: HashMap::with_hasher(FlowHash::new(0)),
            ended: VecDeque::new(),
        }
    }

    /// A session is about to send its first frame.
    pub(crate) fn open(&mut self, flow: &FlowKey) {
        let Some(bit) = self.filter.bit(flow) else {
            return;
        };
        self.set.insert(bit, None);
        if let Some(word) = self.words.get(bit as usize / 64) {
            word.fetch_or(1 << (bit % 64), Ordering::SeqCst);
        }
    }

    /// A session has ended.
    pub(crate) fn close(&mut self, now: Instant, flow: &FlowKey) {
        if let Some(bit) = self.filter.bit(flow) {
            self.set.insert(bit, Some(now));
            self.ended.push_back((now, bit));
        }
    }

    /// Ends the leases whose rest is over, unless another session has them.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(&(ended, bit)) = self.ended.front()
            && now.since(ended) >= REST
        {
            self.ended.pop_front();
            if self.set.get(&bit) != Some(&Some(ended)) {
                continue;
            }
            self.set.remove(&bit);
            if let Some(word) = self.words.get(bit as usize / 64) {
                word.fetch_and(!(1 << (bit % 64)), Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use session::Instant;
    use wire::flow::{Addr, Endpoint, FlowKey};

    use super::{Leases, REST};
    use crate::args::PoolArg;
    use crate::plan::filter::Filter;
    use words::Words;

    const START: Instant = Instant::from_nanos(1_000_000_000);

    fn flow(port: u16) -> FlowKey {
        FlowKey {
            client: Endpoint::new(Addr::v4([10, 0, 0, 1]), port),
            server: Endpoint::new(Addr::v4([10, 1, 0, 9]), 80),
        }
    }

    fn leases() -> (Leases, Arc<Words>) {
        let pool: PoolArg = "10.0.0.1:1-65535".parse().unwrap();
        let own = [IpAddr::from([10, 0, 0, 1])];
        let target = (flow(1).server, vec![(pool.range, &own[..])]);
        let filter = Filter::new([target].into_iter()).unwrap();
        let words = Arc::new(Words::private(1024).unwrap());
        (Leases::new(Arc::new(filter), Arc::clone(&words)), words)
    }

    fn is_set(words: &Words, port: u16) -> bool {
        let word = words.get(usize::from(port) / 64).unwrap();
        word.load(Ordering::SeqCst) & 1 << (port % 64) != 0
    }

    #[test]
    fn a_port_is_leased_for_a_while_longer_than_its_session() {
        let (mut leases, words) = leases();
        leases.open(&flow(77));
        leases.open(&flow(78));
        leases.close(START, &flow(77));
        leases.expire(START + REST - Duration::from_nanos(1));
        assert!(is_set(&words, 77));
        leases.expire(START + REST);
        assert!(!is_set(&words, 77) && is_set(&words, 78));
    }

    #[test]
    fn a_port_that_was_leased_again_stays_leased() {
        let (mut leases, words) = leases();
        let half = REST / 2;
        leases.open(&flow(77));
        leases.close(START, &flow(77));
        leases.open(&flow(77));
        leases.expire(START + REST);
        assert!(is_set(&words, 77), "it has another session");
        leases.close(START + REST, &flow(77));
        leases.open(&flow(77));
        leases.close(START + REST + half, &flow(77));
        leases.expire(START + REST * 2);
        assert!(is_set(&words, 77), "the later session's rest is not over");
        leases.expire(START + REST * 2 + half);
        assert!(!is_set(&words, 77));
        assert!(leases.set.is_empty() && leases.ended.is_empty());
    }

    /// Two workers share a word.
    #[test]
    fn what_others_have_leased_is_left_alone() {
        let (mut leases, words) = leases();
        words.get(1).unwrap().store(1 << 63, Ordering::SeqCst);
        leases.open(&flow(64));
        leases.close(START, &flow(64));
        leases.expire(START + REST);
        assert!(is_set(&words, 127) && !is_set(&words, 64));
    }
}
