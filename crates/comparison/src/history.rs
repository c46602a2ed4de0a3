//! What the servers said last at one place: a clock is known by it.
//!
//! The clocks of two servers are never the same. So a field that tells the time differs now and then, and how often depends upon by
//! how much a clock is ahead, which is another number for every server, equal as they may be in all else. But what one of them says,
//! the other one has said a moment before. A value that moves on and never comes back, and is now what the other server said just
//! before, is called [a moment's](crate::place::Kind::Moment) and not a difference of value.

use std::collections::HashMap;

use protocol::digest::{Digest, Fields, Header};

use crate::arm::{Arm, Both};
use crate::place::Name;

/// Values of each server that are remembered; one that follows itself is one.
const VALUES_MAX: usize = 8;
/// A value moves on where it has changed so often to what it was not before, ...
const FRESH_MIN: u64 = 4;
/// ... and at most once for so many such changes to what it was two changes before, or earlier. Once before it may be: responses
/// overtake each other.
const FRESH_FOR_A_RETURN: u64 = 10;

/// The last values of one server, by their hashes.
#[derive(Clone, Copy, Debug, Default)]
struct Values {
    list: [u64; VALUES_MAX],
    len: usize,
}

impl Values {
    fn has(&self, value: u64) -> bool {
        self.list[..self.len].contains(&value)
    }

    /// How many values ago this was the last one; nothing where it is not known.
    fn ago(&self, value: u64) -> Option<usize> {
        let list = &self.list[..self.len];
        list.iter().position(|known| *known == value)
    }

    fn push(&mut self, value: u64) {
        self.list.copy_within(..VALUES_MAX - 1, 1);
        self.list[0] = value;
        self.len = (self.len + 1).min(VALUES_MAX);
    }
}

/// Bits of a filter, two of which are set for each value that it has: of those that it has not it takes one in sixteen for one that it has
/// when it is full, and one in sixty on the average.
const FILTER_BITS: usize = 1024;
/// Values of a filter that is full; it begins anew then.
const FILTERED_MAX: u32 = 128;

/// Whether a value was said at any time, as far as can be told: what comes back after a round of a hundred others is no clock either.
#[derive(Clone, Copy, Debug, Default)]
struct Filter {
    bits: [u64; FILTER_BITS / 64],
    count: u32,
}

impl Filter {
    /// Whether the value was there; it is now. It is a hash, so that any of its bits are as good as others.
    fn put(&mut self, value: u64) -> bool {
        let places = [value >> 7, value >> 29].map(|it| it as usize % FILTER_BITS);
        let has = |place: &usize| self.bits[place / 64] & 1 << (place % 64) != 0;
        if places.iter().all(has) {
            return true;
        }
        if self.count == FILTERED_MAX {
            *self = Self::default();
        }
        self.count += 1;
        for place in places {
            self.bits[place / 64] |= 1 << (place % 64);
        }
        false
    }
}

/// Most places of a group whose values are remembered; each takes some 350 bytes.
const PLACES_MAX: usize = 512;

/// What was said at the places of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histories(HashMap<Name, History>);

impl Histories {
    /// Both servers have said something else at this place: whether by the moment alone.
    pub(crate) fn says_moment(&mut self, arm: Arm, name: Name, [online, other]: [u64; 2]) -> bool {
        self.of(name)
            .is_some_and(|history| history.says_moment(arm, online, other))
    }

    /// Both have answered with the same status: what they agree upon is remembered as well.
    pub(crate) fn agree(&mut self, arm: Arm, online: &Digest, other: &Digest) {
        if online.status != other.status {
            return;
        }
        let mut agree = |name, ours: u64, theirs: u64| {
            if ours == theirs
                && let Some(history) = self.of(name)
            {
                history.says_moment(arm, ours, theirs);
            }
        };
        for header in &online.headers {
            let same = |other: &&Header| other.name == header.name;
            if let Some(other) = other.headers.iter().find(same) {
                agree(Name::Header(header.name), header.hash, other.hash);
            }
        }
        if let (Fields::Known(ours), Fields::Known(theirs)) = (&online.fields, &other.fields) {
            for field in ours {
                let at = theirs.binary_search_by_key(&field.path, |other| other.path);
                if let Ok(at) = at {
                    agree(
                        Name::Field(field.path),
                        field.any_order,
                        theirs[at].any_order,
                    );
                }
            }
        } else {
            agree(Name::Whole, online.body().hash, other.body().hash);
        }
    }

    fn of(&mut self, name: Name) -> Option<&mut History> {
        if self.0.len() >= PLACES_MAX && !self.0.contains_key(&name) {
            return None;
        }
        Some(self.0.entry(name).or_default())
    }
}

/// What was said at one place.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    online: Values,
    others: Both<Values>,
    /// What the online server has ever said.
    filter: Filter,
    fresh: u64,
    returns: u64,
}

impl History {
    /// Both servers' values at this place, and whether they differ by the moment alone.
    fn says_moment(&mut self, arm: Arm, online: u64, other: u64) -> bool {
        let others = &mut self.others[arm as usize];
        let moves_on = self.fresh >= FRESH_MIN && self.returns * FRESH_FOR_A_RETURN <= self.fresh;
        let is_moment =
            online != other && moves_on && (self.online.has(other) || others.has(online));
        if others.ago(other) != Some(0) {
            others.push(other);
        }
        match self.online.ago(online) {
            Some(0) => return is_moment,
            Some(1) => {}
            Some(_) => self.returns += 1,
            None if self.filter.put(online) => self.returns += 1,
            None => self.fresh += 1,
        }
        self.online.push(online);
        is_moment
    }
}

#[cfg(test)]
mod tests {
    use oorandom::Rand64;

    use super::History;
    use crate::arm::Arm;

    /// Values get here as hashes.
    fn hash(value: u64) -> u64 {
        Rand64::new(value.into()).rand_u64()
    }

    /// How many of the differences are a moment's.
    fn moments(pairs: impl Iterator<Item = [u64; 2]>) -> (u64, u64) {
        let mut history = History::default();
        let (mut moments, mut differences) = (0, 0);
        for [online, other] in pairs {
            let is_moment = history.says_moment(Arm::Target, online, other);
            moments += u64::from(is_moment);
            differences += u64::from(online != other);
        }
        (moments, differences)
    }

    #[test]
    fn a_clock_that_is_ahead_or_behind_is_known() {
        for shift in [-30_i64, 30] {
            // Seconds, asked each 10 ms, with responses that overtake each other.
            let mut random = Rand64::new(1);
            let mut at = |index: u64| index * 10 + random.rand_range(0..25);
            let seconds = |millis: u64| millis / 1000;
            let pairs = (100..6000).map(|index| {
                let online = at(index);
                let other = at(index).saturating_add_signed(shift);
                [hash(seconds(online)), hash(seconds(other))]
            });
            let (moments, differences) = moments(pairs);
            assert!(differences > 150, "{differences}");
            assert!(
                moments + 20 >= differences,
                "{shift}: {moments} of {differences}"
            );
        }
    }

    #[test]
    fn what_comes_back_is_no_clock() {
        for kinds in [2, 3, 5, 20] {
            let mut random = Rand64::new(2);
            let pairs = (0..5000).map(|_| {
                let online = random.rand_range(0..kinds);
                let is_changed = random.rand_float() < 0.05;
                let other = if is_changed {
                    (online + 1) % kinds
                } else {
                    online
                };
                [hash(online), hash(other)]
            });
            let (moments, differences) = moments(pairs);
            assert!(differences > 200);
            assert!(
                moments * 20 < differences,
                "{kinds}: {moments} of {differences}"
            );
        }
    }

    #[test]
    fn what_comes_round_is_no_clock() {
        for round in [9, 10, 50, 100] {
            let pairs = (0..5000).map(|number| {
                let online = hash(number % round);
                let is_changed = number % 100 == 5;
                [
                    online,
                    if is_changed {
                        hash(number % round + 1)
                    } else {
                        online
                    },
                ]
            });
            let (moments, differences) = moments(pairs);
            assert_eq!(differences, 50);
            assert!(moments <= 2, "{round}: {moments}");
        }
    }

    #[test]
    fn identifiers_that_differ_are_no_moments() {
        let pairs = (0..1000).map(|number| [hash(number * 2), hash(number * 2 + 1)]);
        assert_eq!(moments(pairs), (0, 1000));
    }
}
