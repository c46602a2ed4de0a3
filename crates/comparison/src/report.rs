//! The comparison as it stands in the summary: groups, the worst first, and at each place how often it differs and whether that is noise.
//!
//! It holds numbers, routes, and names of headers and fields: no value, and no hash of one, from which a short value could be found.

mod judged;

use core::cmp::Reverse;
use std::collections::BTreeMap;

use protocol::digest::Unread;
use serde::Serialize;

use crate::arm::Both;
use crate::group::Group;
use crate::noise::{Evidence, FALSE_ALARM_RATE, Judge, Says};
use crate::place::{Basis, Kind};
use crate::tally::Tally;
use crate::times::Quantiles;
use judged::{Judged, JudgedGroup, badness, compare, evidence_of, judged};

/// Most groups that are listed.
pub const GROUPS_LISTED_MAX: usize = 50;
/// Most places of a group that are listed.
pub const PLACES_LISTED_MAX: usize = 20;
/// Most pairs of statuses of a group that are listed.
pub const STATUSES_LISTED_MAX: usize = 10;
/// Fewer times of a server say nothing of which group is the slowest.
const TIMES_MIN: u64 = 20;

/// The comparison of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether there is a baseline that has answered.
    pub has_baseline: bool,
    /// The probability that any place is called changed in a run in which nothing has.
    pub false_alarm_rate: f64,
    /// Places that the level was divided by.
    pub tested: u64,
    /// A smaller probability is an alarm.
    pub level: f64,
    /// Places that are called changed.
    pub changed: u64,
    /// Responses of the target and the baseline that were compared.
    pub responses: Responses,
    /// Of the target's responses, those whose fields were not read, by why; and `hidden`, whose body was not compared at all.
    pub unread: BTreeMap<&'static str, u64>,
    /// The largest share of a group's responses that differs at one place beyond noise; nothing where none does.
    pub largest: Option<Largest>,
    /// Groups, the worst first.
    pub groups: Vec<GroupReport>,
    /// How many more there are.
    pub groups_unlisted: u64,
    /// Differences, fields, pairs of statuses and paths that there was no room for.
    pub refused: u64,
}

/// How many responses were compared, and how many of them differ in one way or in several, noise among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Responses {
    /// The target's.
    pub compared: u64,
    /// Of these.
    pub differing: u64,
    /// The baseline's.
    pub baseline_compared: u64,
    /// Of these.
    pub baseline_differing: u64,
}

/// What `--max-difference` judges by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Largest {
    /// The group's method; empty for a protocol without one.
    pub method: String,
    /// Its route.
    pub route: String,
    /// How the responses differ.
    pub kind: Kind,
    /// The header or field; empty where the response as a whole is meant.
    pub name: String,
    /// Responses that differ there.
    pub responses: u64,
    /// Of so many.
    pub of: u64,
    /// With a baseline: the share of them that is beyond the baseline's. Without: the least share that is likely, at the level of the run.
    pub share: f64,
}

impl Largest {
    /// Where it is and what it is, in a line: `GET /users/* .price: another value in 23 of 2400`.
    #[must_use]
    pub fn words(&self) -> String {
        let method = if self.method.is_empty() { "" } else { " " };
        let name = if self.name.is_empty() { "" } else { " " };
        format!(
            "{}{method}{}{name}{}: {} in {} of {}",
            self.method,
            self.route,
            self.name,
            self.kind.words(),
            self.responses,
            self.of
        )
    }
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// Its method; empty for a protocol without one.
    pub method: String,
    /// Its route.
    pub route: String,
    /// What was compared.
    pub responses: Responses,
    /// Responses by both statuses, the most frequent first.
    pub statuses: Vec<Statuses>,
    /// The online server's response times.
    pub online_us: Quantiles,
    /// The target's.
    pub target_us: Quantiles,
    /// The baseline's; nothing where there is none.
    pub baseline_us: Option<Quantiles>,
    /// Where responses differ, the worst first.
    pub places: Vec<PlaceReport>,
    /// How many more places there are.
    pub places_unlisted: u64,
}

/// Responses by both statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Statuses {
    /// The online server's.
    pub online: u32,
    /// The target's, or the baseline's; 0 where it has not answered.
    pub other: u32,
    /// The target's responses.
    pub responses: u64,
    /// The baseline's.
    pub baseline_responses: u64,
}

/// One place of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlaceReport {
    /// How responses differ.
    pub kind: Kind,
    /// The header or field; empty where the response as a whole is meant.
    pub name: String,
    /// Whether that is noise.
    pub says: Says,
    /// The target's responses that differ.
    pub responses: u64,
    /// Of so many that can differ in this way.
    pub of: u64,
    /// Of these, those that have the field at all.
    pub having: u64,
    /// The baseline's responses that differ.
    pub baseline_responses: u64,
    /// Of so many.
    pub baseline_of: u64,
    /// With a baseline: how likely so many differences are where the target differs no more often than the baseline.
    pub probability: Option<f64>,
}

impl Tally {
    /// The report of what was compared so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let responses = self.responses();
        let has_baseline = responses.baseline_compared > 0;
        let evidence: Vec<Vec<Evidence>> = self.groups.values().map(evidence_of).collect();
        let judge = Judge::new(evidence.iter().flatten(), has_baseline, self.span);
        let groups: Vec<JudgedGroup<'_>> = self
            .groups
            .iter()
            .zip(&evidence)
            .map(|((name, group), evidence)| JudgedGroup {
                name,
                group,
                places: judged(group, evidence, &judge),
            })
            .collect();
        let is_changed = |judged: &&Judged<'_>| judged.finding.says == Says::Changed;
        let places = groups.iter().flat_map(|group| &group.places);
        Report {
            has_baseline,
            false_alarm_rate: FALSE_ALARM_RATE,
            tested: judge.tested() as u64,
            level: judge.level(),
            changed: places.filter(is_changed).count() as u64,
            responses,
            unread: self.unread(),
            largest: largest(&groups),
            groups_unlisted: groups.len().saturating_sub(GROUPS_LISTED_MAX) as u64,
            groups: listed(groups, has_baseline),
            refused: self.paths_refused
                + self.groups.values().map(|group| group.refused).sum::<u64>(),
        }
    }

    fn responses(&self) -> Responses {
        let mut sum = Responses::default();
        for group in self.groups.values() {
            let one = responses_of(group);
            sum.compared += one.compared;
            sum.differing += one.differing;
            sum.baseline_compared += one.baseline_compared;
            sum.baseline_differing += one.baseline_differing;
        }
        sum
    }

    fn unread(&self) -> BTreeMap<&'static str, u64> {
        let mut unread: BTreeMap<&'static str, u64> =
            Unread::ALL.map(|why| (why.name(), 0)).into_iter().collect();
        unread.insert("hidden", 0);
        for group in self.groups.values() {
            let [target, _] = &group.compares;
            for (why, count) in &target.unread {
                *unread.entry(why.name()).or_default() += count;
            }
            *unread.entry("hidden").or_default() += target.hidden;
        }
        unread
    }
}

fn responses_of(group: &Group<Box<str>>) -> Responses {
    let [target, baseline] = &group.compares;
    Responses {
        compared: target.of(Basis::All),
        differing: target.differing,
        baseline_compared: baseline.of(Basis::All),
        baseline_differing: baseline.differing,
    }
}

fn largest(groups: &[JudgedGroup<'_>]) -> Option<Largest> {
    let counts =
        |judged: &&Judged<'_>| matches!(judged.finding.says, Says::Changed | Says::Differs);
    let places = groups.iter().flat_map(|group| {
        let places = group.places.iter().filter(counts);
        places.map(move |place| (group.name, place))
    });
    let (name, judged) = places.max_by(|(_, one), (_, other)| one.share.total_cmp(&other.share))?;
    Some(Largest {
        method: name.method.to_string(),
        route: name.route.to_string(),
        kind: judged.place.kind,
        name: judged.place.name.to_string(),
        responses: judged.evidence.counts[0].responses,
        of: judged.evidence.of[0],
        share: judged.share,
    })
}

/// By how much the target is slower in the median; nothing where too few times are known.
fn slowdown(group: &Group<Box<str>>) -> f64 {
    let (online, target) = (group.online.quantiles(), group.others[0].quantiles());
    if online.count.min(target.count) < TIMES_MIN {
        return 0.0;
    }
    target.p50 as f64 / online.p50.max(1) as f64
}

fn listed(mut groups: Vec<JudgedGroup<'_>>, has_baseline: bool) -> Vec<GroupReport> {
    // A group is as bad as its worst place. Where all is noise, the slowest is the worst.
    let worst = |places: &[Judged<'_>]| {
        let first = places.first().map(badness);
        first.filter(|first| first.says.0 <= Says::CannotTell)
    };
    groups.sort_by(|one, other| {
        let by_place = match (worst(&one.places), worst(&other.places)) {
            (Some(one), Some(other)) => compare(other, one),
            (one, other) => other.is_some().cmp(&one.is_some()),
        };
        by_place.then_with(|| slowdown(other.group).total_cmp(&slowdown(one.group)))
    });
    groups.truncate(GROUPS_LISTED_MAX);
    groups
        .into_iter()
        .map(
            |JudgedGroup {
                 name,
                 group,
                 places,
             }| GroupReport {
                method: name.method.to_string(),
                route: name.route.to_string(),
                responses: responses_of(group),
                statuses: statuses_of(&group.statuses),
                online_us: group.online.quantiles(),
                target_us: group.others[0].quantiles(),
                baseline_us: has_baseline.then(|| group.others[1].quantiles()),
                places_unlisted: places.len().saturating_sub(PLACES_LISTED_MAX) as u64,
                places: places
                    .iter()
                    .take(PLACES_LISTED_MAX)
                    .map(place_of)
                    .collect(),
            },
        )
        .collect()
}

fn statuses_of(statuses: &BTreeMap<(u32, u32), Both<u64>>) -> Vec<Statuses> {
    let mut list: Vec<Statuses> = statuses
        .iter()
        .map(
            |((online, other), [responses, baseline_responses])| Statuses {
                online: *online,
                other: *other,
                responses: *responses,
                baseline_responses: *baseline_responses,
            },
        )
        .collect();
    list.sort_by_key(|entry| Reverse(entry.responses.max(entry.baseline_responses)));
    list.truncate(STATUSES_LISTED_MAX);
    list
}

fn place_of(judged: &Judged<'_>) -> PlaceReport {
    let evidence = &judged.evidence;
    PlaceReport {
        kind: judged.place.kind,
        name: judged.place.name.to_string(),
        says: judged.finding.says,
        responses: evidence.counts[0].responses,
        of: evidence.of[0],
        having: evidence.present,
        baseline_responses: evidence.counts[1].responses,
        baseline_of: evidence.of[1],
        probability: judged.finding.probability,
    }
}
