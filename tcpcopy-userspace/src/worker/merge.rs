//! Two sources in one order, for `--capture af-xdp`: a client's packet takes its time through the private device, and
//! the record of the online server's answer must not overtake it, or the engine would see an answer to bytes that
//! nobody sent.
//!
//! So records of the online server are held until a client's packet with a later stamp has come, or until a window has
//! passed that follows the delay which packets are seen to have. Replies of targets are not held: they answer what the
//! engine itself sent.

use std::collections::VecDeque;
use std::time::Duration;

use abi::record::HEADERS_LEN_MAX;
use session::Instant;

/// A record is held for so long at least and at most.
const WINDOW_MIN: Duration = Duration::from_millis(2);
const WINDOW_MAX: Duration = Duration::from_millis(50);
/// After so long the window forgets half of the delay that it saw.
const MEMORY: Duration = Duration::from_secs(1);
/// Most records that are held; of more the oldest goes at once.
const HELD_MAX: usize = 1 << 15;

/// Online records that wait, and how long clients' packets take, as far as can be told from here.
#[derive(Debug)]
pub(super) struct Merge {
    held: VecDeque<Held>,
    /// When the port was last found empty.
    emptied: Instant,
    /// Most that a packet was under way when the port was found empty: its stamp is older than that.
    late: Duration,
    remembered: Instant,
}

/// A record of an online server's segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) stamp: Instant,
    len: usize,
    bytes: [u8; HEADERS_LEN_MAX as usize],
}

impl Held {
    /// The captured bytes.
    pub(super) fn headers(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Merge {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            held: VecDeque::new(),
            emptied: now,
            late: Duration::ZERO,
            remembered: now,
        }
    }

    /// Holds a record; gives the oldest where there are too many.
    pub(super) fn hold(&mut self, stamp: Instant, headers: &[u8]) -> Option<Held> {
        let mut bytes = [0; HEADERS_LEN_MAX as usize];
        let len = headers.len().min(bytes.len());
        bytes[..len].copy_from_slice(&headers[..len]);
        self.held.push_back(Held { stamp, len, bytes });
        (self.held.len() > HELD_MAX).then(|| self.held.pop_front())?
    }

    /// The oldest record if it is not younger than `stamp`.
    pub(super) fn before(&mut self, stamp: Instant) -> Option<Held> {
        self.held.pop_front_if(|held| held.stamp <= stamp)
    }

    /// The oldest record if no packet can be expected any more that is older.
    pub(super) fn ripe(&mut self, now: Instant) -> Option<Held> {
        self.before(now - self.window())
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// A client's packet arrived. One that is older than the last moment when there was none was under way then.
    pub(super) fn saw(&mut self, stamp: Instant) {
        self.late = self.late.max(self.emptied.since(stamp));
    }

    /// The port was empty at `now`.
    pub(super) fn emptied(&mut self, now: Instant) {
        self.emptied = now;
        if now.since(self.remembered) >= MEMORY {
            self.remembered = now;
            self.late /= 2;
        }
    }

    fn window(&self) -> Duration {
        (self.late * 2).clamp(WINDOW_MIN, WINDOW_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::Instant;

    use super::{HELD_MAX, MEMORY, Merge, WINDOW_MAX, WINDOW_MIN};

    const START: Instant = Instant::from_nanos(50_000_000_000);

    #[test]
    fn the_window_follows_the_delay_that_packets_had() {
        let mut merge = Merge::new(START);
        merge.saw(START + Duration::from_millis(1));
        assert_eq!(
            merge.window(),
            WINDOW_MIN,
            "it began after the port was empty"
        );
        merge.saw(START - Duration::from_millis(3));
        assert_eq!(merge.window(), Duration::from_millis(6));
        merge.saw(START - Duration::from_secs(3));
        assert_eq!(merge.window(), WINDOW_MAX);
        for second in 1..=20 {
            merge.emptied(START + MEMORY * second);
        }
        assert_eq!(merge.window(), WINDOW_MIN);
    }

    #[test]
    fn a_record_goes_before_the_packet_that_is_younger_or_when_it_is_ripe() {
        let mut merge = Merge::new(START);
        for (millis, text) in [(1, b"one"), (2, b"two"), (3, b"six")] {
            assert!(
                merge
                    .hold(START + Duration::from_millis(millis), text)
                    .is_none()
            );
        }
        let before = merge.before(START + Duration::from_millis(1)).unwrap();
        assert_eq!(before.headers(), b"one");
        assert!(merge.before(START + Duration::from_millis(1)).is_none());
        assert!(merge.ripe(START + Duration::from_millis(3)).is_none());
        assert_eq!(
            merge
                .ripe(START + Duration::from_millis(4))
                .unwrap()
                .headers(),
            b"two"
        );
        assert!(!merge.is_empty());
    }

    #[test]
    fn no_more_is_held_than_the_limit() {
        let mut merge = Merge::new(START);
        for n in 0..HELD_MAX {
            assert!(
                merge
                    .hold(START + Duration::from_nanos(n as u64), b"")
                    .is_none()
            );
        }
        assert_eq!(merge.hold(START + MEMORY, b"").unwrap().stamp, START);
    }
}
