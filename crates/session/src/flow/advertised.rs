//! How far ahead a client may be, by what its online server has advertised: what is farther ahead is forged, or another connection's.

use crate::limits::{CLIENT_WINDOW_MAX, CLIENT_WINDOW_SLACK, CLIENT_WINDOW_UNKNOWN};

/// Largest window scale (RFC 7323 section 2.3).
const SCALE_MAX: u8 = 14;
/// Windows are kept in steps of so many scaled units, as a power of two: a million silent flows have one each.
const STEP: u8 = 4;

/// The windows that an online server has advertised, in two bytes: its window scale above twelve bits for the largest window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advertised(u16);

impl Advertised {
    /// The SYN-ACK was not seen: no scale is as large.
    const UNKNOWN: Self = Self(u16::MAX);

    /// Nothing is known of it.
    pub(crate) const fn unknown() -> Self {
        Self::UNKNOWN
    }

    /// What a SYN-ACK says: its window scale, and its window, which is not scaled.
    pub(crate) fn of_handshake(scale: Option<u8>, window: u16) -> Self {
        let scale = scale.unwrap_or(0).min(SCALE_MAX);
        let mut new = Self(u16::from(scale) << 12);
        new.on_segment(window.div_ceil(1 << scale));
        new
    }

    /// What another segment says.
    pub(crate) fn on_segment(&mut self, window: u16) {
        if *self != Self::UNKNOWN {
            let steps = window.div_ceil(1 << STEP).min(0xfff);
            self.0 = self.0 & 0xf000 | steps.max(self.0 & 0xfff);
        }
    }

    /// How far ahead of what was acknowledged a segment of the client is believed, in bytes. The segment with the window that it
    /// uses may have been lost to us, and a window that grows doubles at most in a round trip.
    pub(crate) fn reach(self) -> u32 {
        if self == Self::UNKNOWN {
            return CLIENT_WINDOW_UNKNOWN;
        }
        let window = u32::from(self.0 & 0xfff) << STEP << (self.0 >> 12);
        (2 * window + CLIENT_WINDOW_SLACK).min(CLIENT_WINDOW_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Advertised;
    use crate::limits::{CLIENT_WINDOW_MAX, CLIENT_WINDOW_SLACK, CLIENT_WINDOW_UNKNOWN};

    #[test]
    fn a_window_is_scaled_but_for_the_first() {
        let mut it = Advertised::of_handshake(Some(7), 60_000);
        assert_eq!(it.reach(), 122_880 + CLIENT_WINDOW_SLACK);
        it.on_segment(1000);
        it.on_segment(500);
        assert_eq!(it.reach(), 258_048 + CLIENT_WINDOW_SLACK);
        let mut unscaled = Advertised::of_handshake(None, 1000);
        unscaled.on_segment(2000);
        assert_eq!(unscaled.reach(), 4000 + CLIENT_WINDOW_SLACK);
    }

    #[test]
    fn what_is_not_known_or_not_true_has_a_limit() {
        let mut it = Advertised::unknown();
        it.on_segment(u16::MAX);
        assert_eq!(it.reach(), CLIENT_WINDOW_UNKNOWN);
        let mut it = Advertised::of_handshake(Some(255), u16::MAX);
        it.on_segment(u16::MAX);
        assert_eq!(it.reach(), CLIENT_WINDOW_MAX);
    }
}
