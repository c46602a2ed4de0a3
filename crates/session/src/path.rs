//! What a path to a target carries: the route's MTU, or less where something on the way has said so or seems to.

use crate::limits::{MTU_MIN, PATH_MTU_AGE};
use crate::time::Instant;

/// The path to one target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// MTU of the route, in bytes.
    route: u16,
    /// A smaller MTU that was learned, and how long it is believed.
    learned: Option<(u16, Instant)>,
}

impl Path {
    /// A path over a route with this MTU, in bytes.
    pub(crate) fn new(route: u16) -> Self {
        Self {
            route: route.max(MTU_MIN),
            learned: None,
        }
    }

    /// The MTU, in bytes.
    pub(crate) fn mtu(&self, now: Instant) -> u16 {
        match self.learned {
            Some((mtu, until)) if now < until => mtu.min(self.route),
            _ => self.route,
        }
    }

    /// The path seems to carry no more than `mtu` bytes. Returns whether that is news; less than [`MTU_MIN`] is not
    /// believed. Believed for [`PATH_MTU_AGE`], after which larger segments are tried again (RFC 1191 section 6.3).
    pub(crate) fn narrow(&mut self, mtu: u16, now: Instant) -> bool {
        let news = mtu < self.mtu(now) && mtu >= MTU_MIN;
        if news {
            self.learned = Some((mtu, now + PATH_MTU_AGE));
        }
        news
    }

    /// The route has changed, and with it all that was learned.
    pub(crate) fn set_route(&mut self, mtu: u16) {
        *self = Self::new(mtu);
    }
}

#[cfg(test)]
mod tests {
    use super::Path;
    use crate::limits::PATH_MTU_AGE;
    use crate::time::Instant;

    #[test]
    fn what_was_learned_is_believed_for_a_while() {
        let now = Instant::from_nanos(1);
        let mut path = Path::new(1500);
        assert!(path.narrow(1280, now) && !path.narrow(1400, now) && !path.narrow(68, now));
        assert_eq!(path.mtu(now), 1280);
        assert_eq!(path.mtu(now + PATH_MTU_AGE), 1500);
        path.set_route(9000);
        assert_eq!(path.mtu(now), 9000);
    }
}
