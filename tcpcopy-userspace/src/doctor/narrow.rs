//! How long packets may be on the way to a target: the longest is tried first, and only where it is lost in silence are
//! shorter ones.

use std::time::Duration;

/// Lengths that are tried where the longest is lost: MTUs that tunnels leave, and the least of IPv6 and IPv4.
const LADDER: [u16; 10] = [1492, 1480, 1472, 1450, 1420, 1400, 1350, 1280, 1006, 576];
/// A packet without any payload to speak of: whoever does not acknowledge this one says nothing about lengths.
const SHORT: u16 = 100;
/// How often the longest and the short one are sent before they count as lost.
const TRIES: u8 = 2;
/// How long an acknowledgement may take.
const PATIENCE: Duration = Duration::from_millis(250);
const PATIENCE_LADDER: Duration = Duration::from_millis(150);

/// What is known so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Narrow {
    longest: u16,
    step: Step,
    router_mtu: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Longest { tries: u8 },
    Short { tries: u8 },
    Ladder(usize),
    Done(Width),
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// The longest packet arrives.
    Full,
    /// Packets of this length arrive, those of the next longer one do not; 0 where none that was tried does.
    Up(u16),
    /// The target acknowledges no repeated byte, so nothing is known.
    Unknown,
}

impl Narrow {
    /// Begins with the longest packet, in bytes from the IP header on.
    pub(crate) const fn new(longest: u16) -> Self {
        Self {
            longest,
            step: Step::Longest { tries: 0 },
            router_mtu: None,
        }
    }

    /// The longest packet.
    pub(crate) const fn longest(&self) -> u16 {
        self.longest
    }

    /// The length to try now; `None` where all is known.
    pub(crate) fn next_len(&self) -> Option<u16> {
        match self.step {
            Step::Longest { .. } => Some(self.longest),
            Step::Short { .. } => Some(SHORT),
            Step::Ladder(index) => LADDER.get(index).copied(),
            Step::Done(_) => None,
        }
    }

    /// How long to wait for the acknowledgement.
    pub(crate) const fn patience(&self) -> Duration {
        match self.step {
            Step::Ladder(_) => PATIENCE_LADDER,
            _ => PATIENCE,
        }
    }

    /// The length was tried.
    pub(crate) fn tried(&mut self, acknowledged: bool) {
        self.step = match (self.step, acknowledged) {
            (Step::Longest { .. }, true) => Step::Done(Width::Full),
            (Step::Longest { tries }, false) if tries + 1 < TRIES => {
                Step::Longest { tries: tries + 1 }
            }
            (Step::Longest { .. }, false) => Step::Short { tries: 0 },
            (Step::Short { .. }, true) => self.down(0),
            (Step::Short { tries }, false) if tries + 1 < TRIES => Step::Short { tries: tries + 1 },
            (Step::Short { .. }, false) => Step::Done(Width::Unknown),
            (Step::Ladder(index), true) => {
                Step::Done(Width::Up(LADDER.get(index).copied().unwrap_or_default()))
            }
            (Step::Ladder(index), false) => self.down(index + 1),
            (done @ Step::Done(_), _) => done,
        };
    }

    /// The next length of the ladder that is shorter than what was tried first.
    fn down(&self, from: usize) -> Step {
        let shorter = (from..LADDER.len()).find(|index| LADDER[*index] < self.longest);
        shorter.map_or(Step::Done(Width::Up(0)), Step::Ladder)
    }

    /// A router sent word of its MTU.
    pub(crate) fn router_said(&mut self, mtu: u32) {
        self.router_mtu = Some(mtu);
    }

    /// The MTU that a router told.
    pub(crate) const fn router_mtu(&self) -> Option<u32> {
        self.router_mtu
    }

    /// What it comes to; nothing is known before the end.
    pub(crate) const fn width(&self) -> Width {
        match self.step {
            Step::Done(width) => width,
            _ => Width::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Narrow, Width};

    /// A path that carries packets up to `mtu`.
    fn on_a_path(longest: u16, mtu: u16) -> Width {
        let mut narrow = Narrow::new(longest);
        while let Some(len) = narrow.next_len() {
            narrow.tried(len <= mtu);
        }
        narrow.width()
    }

    #[test]
    fn the_width_of_a_path_is_found() {
        assert_eq!(on_a_path(1500, 1500), Width::Full);
        assert_eq!(on_a_path(1500, 1400), Width::Up(1400));
        assert_eq!(on_a_path(1500, 1399), Width::Up(1350));
        assert_eq!(on_a_path(1400, 1300), Width::Up(1280));
        assert_eq!(on_a_path(1500, 200), Width::Up(0));
        assert_eq!(on_a_path(1500, 0), Width::Unknown);
    }
}
