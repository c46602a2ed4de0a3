//! What was counted of one route's responses.

use core::time::Duration;
use std::collections::BTreeMap;

use protocol::digest::{Digest, Fields, Unread};

use crate::arm::{Arm, Both};
use crate::contrast::{Compared, contrast};
use crate::history::Histories;
use crate::moments::Moments;
use crate::place::{Basis, Kind, Name, Place};
use crate::times::Times;

/// Most places of one group at which differences are counted.
pub const PLACES_MAX: usize = 512;
/// Most fields of one group whose responses are counted.
pub const FIELDS_MAX: usize = 1024;
/// Most pairs of statuses of one group.
pub const STATUSES_MAX: usize = 64;

/// How often responses differ at one place, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Responses.
    pub responses: u64,
    /// The moments in which there were some.
    pub moments: Moments,
}

/// How many responses of an arm were compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compares {
    /// By what they have in common with the online server's: see [`Basis`].
    pub(crate) by_basis: [u64; Basis::COUNT],
    /// Those that differ, in one way or in several.
    pub(crate) differing: u64,
    /// Those whose body is hidden by a coding, and the online server's is not, or the other way round.
    pub(crate) hidden: u64,
    /// The moments in which they came.
    pub(crate) seen: Moments,
    /// Those whose fields are not known, by why.
    pub(crate) unread: BTreeMap<Unread, u64>,
}

impl Compares {
    pub(crate) fn of(&self, basis: Basis) -> u64 {
        self.by_basis[basis as usize]
    }

    fn unite(&mut self, other: &Self) {
        for (one, other) in self.by_basis.iter_mut().zip(other.by_basis) {
            *one += other;
        }
        self.differing += other.differing;
        self.hidden += other.hidden;
        self.seen.unite(other.seen);
        for (why, count) in &other.unread {
            *self.unread.entry(*why).or_default() += count;
        }
    }
}

/// Both responses to one request, and their times, where they count.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// The online server's.
    pub online: &'a Digest,
    /// From the request's last byte to the response's, if it is to be compared.
    pub online_time: Option<Duration>,
    /// The target's or the baseline's; nothing where it has not answered, or not completely.
    pub other: Option<&'a Digest>,
    /// As above.
    pub other_time: Option<Duration>,
}

/// What was counted of a group. `N` is [`Name`] in a worker, and text where workers are added up.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<N: Ord> {
    pub(crate) compares: Both<Compares>,
    pub(crate) places: BTreeMap<Place<N>, Both<Count>>,
    /// Responses that have a field, on either side.
    pub(crate) present: BTreeMap<N, Both<u64>>,
    /// Responses by both statuses; a target's that is missing is 0.
    pub(crate) statuses: BTreeMap<(u32, u32), Both<u64>>,
    /// Differences, fields and statuses that there was no room for.
    pub(crate) refused: u64,
    pub(crate) online: Times,
    pub(crate) others: Both<Times>,
}

impl<N: Ord> Default for Group<N> {
    fn default() -> Self {
        Self {
            compares: Default::default(),
            places: BTreeMap::new(),
            present: BTreeMap::new(),
            statuses: BTreeMap::new(),
            refused: 0,
            online: Times::default(),
            others: Default::default(),
        }
    }
}

/// The count under a key, unless there are too many keys.
fn entry<'a, K: Ord, V: Default>(
    map: &'a mut BTreeMap<K, V>,
    key: K,
    most: usize,
    refused: &mut u64,
) -> Option<&'a mut V> {
    if map.len() >= most && !map.contains_key(&key) {
        *refused += 1;
        return None;
    }
    Some(map.entry(key).or_default())
}

impl Group<Name> {
    /// Compares both responses; `at` is the time since the run began. What both said last is known by `histories`.
    pub(crate) fn record(
        &mut self,
        arm: Arm,
        answers: &Answers<'_>,
        at: Duration,
        histories: &mut Histories,
    ) {
        let index = arm as usize;
        let mut differs = false;
        let (places, refused) = (&mut self.places, &mut self.refused);
        let compared = contrast(answers.online, answers.other, |mut place, values| {
            differs = true;
            if values.is_some_and(|values| histories.says_moment(arm, place.name, values)) {
                place.kind = Kind::Moment;
            }
            if let Some(counts) = entry(places, place, PLACES_MAX, refused) {
                counts[index].responses += 1;
                counts[index].moments.add(at);
            }
        });
        if let Some(other) = answers.other {
            histories.agree(arm, answers.online, other);
        }
        self.compares[index].seen.add(at);
        self.count(index, answers, compared, differs);
        let status = answers.other.map_or(0, |other| other.status);
        let statuses = (answers.online.status, status);
        if let Some(counts) = entry(
            &mut self.statuses,
            statuses,
            STATUSES_MAX,
            &mut self.refused,
        ) {
            counts[index] += 1;
        }
        if arm == Arm::Target
            && let Some(time) = answers.online_time
        {
            self.online.add(time);
        }
        if let Some(time) = answers.other_time {
            self.others[index].add(time);
        }
    }

    fn count(&mut self, index: usize, answers: &Answers<'_>, compared: Compared, differs: bool) {
        let compares = &mut self.compares[index];
        let mut add = |basis: Basis| compares.by_basis[basis as usize] += 1;
        add(Basis::All);
        if compared.basis != Basis::All {
            add(Basis::SameStatus);
        }
        if matches!(compared.basis, Basis::Fields | Basis::Whole) {
            add(compared.basis);
        }
        compares.differing += u64::from(differs);
        compares.hidden += u64::from(compared.is_hidden);
        let Some(other) = answers.other else { return };
        let both = [&answers.online.fields, &other.fields];
        let mut unread = both.into_iter().filter_map(|fields| match fields {
            Fields::Unknown(why) => Some(*why),
            Fields::Known(_) => None,
        });
        // What is wrong with JSON says more than that there is none.
        if let Some(why) = unread.by_ref().max() {
            *compares.unread.entry(why).or_default() += 1;
        }
        if compared.basis == Basis::Fields {
            self.count_fields(index, both);
        }
    }

    /// The fields that one of both has; both lists are sorted.
    fn count_fields(&mut self, index: usize, [online, other]: [&Fields; 2]) {
        let (Fields::Known(online), Fields::Known(other)) = (online, other) else {
            return;
        };
        let mut count = |path| {
            let name = Name::Field(path);
            if let Some(counts) = entry(&mut self.present, name, FIELDS_MAX, &mut self.refused) {
                counts[index] += 1;
            }
        };
        online.iter().for_each(|field| count(field.path));
        for field in other {
            if online
                .binary_search_by_key(&field.path, |one| one.path)
                .is_err()
            {
                count(field.path);
            }
        }
    }

    /// The same with the names as text, and what was counted taken out.
    pub(crate) fn take_named(&mut self, name: impl Fn(Name) -> Box<str>) -> Group<Box<str>> {
        let taken = core::mem::take(self);
        Group {
            compares: taken.compares,
            places: taken
                .places
                .into_iter()
                .map(|(place, counts)| {
                    let (kind, name) = (place.kind, name(place.name));
                    (Place { kind, name }, counts)
                })
                .collect(),
            present: taken
                .present
                .into_iter()
                .map(|(path, counts)| (name(path), counts))
                .collect(),
            statuses: taken.statuses,
            refused: taken.refused,
            online: taken.online,
            others: taken.others,
        }
    }
}

impl<N: Ord + Clone> Group<N> {
    /// Adds what was counted elsewhere. What one worker has room for is bounded, and so is what all of them have together.
    pub(crate) fn unite(&mut self, other: &Self) {
        for (one, other) in self.compares.iter_mut().zip(&other.compares) {
            one.unite(other);
        }
        for (place, counts) in &other.places {
            let ours = self.places.entry(place.clone()).or_default();
            for (one, other) in ours.iter_mut().zip(counts) {
                one.responses += other.responses;
                one.moments.unite(other.moments);
            }
        }
        add_all(&mut self.present, &other.present);
        add_all(&mut self.statuses, &other.statuses);
        self.refused += other.refused;
        self.online.unite(&other.online);
        for (one, other) in self.others.iter_mut().zip(&other.others) {
            one.unite(other);
        }
    }

    /// Whether nothing was compared.
    pub(crate) fn is_empty(&self) -> bool {
        self.compares
            .iter()
            .all(|compares| compares.of(Basis::All) == 0)
    }

    /// Of how many responses of both arms the differences of this kind are.
    pub(crate) fn of(&self, kind: Kind) -> Both<u64> {
        [0, 1].map(|index| self.compares[index].of(kind.basis()))
    }
}

fn add_all<K: Ord + Clone>(ours: &mut BTreeMap<K, Both<u64>>, theirs: &BTreeMap<K, Both<u64>>) {
    for (key, counts) in theirs {
        let ours = ours.entry(key.clone()).or_default();
        for (one, other) in ours.iter_mut().zip(counts) {
            *one += other;
        }
    }
}
