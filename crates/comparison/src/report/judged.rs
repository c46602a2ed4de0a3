//! The places of a group as they were judged, in the order in which they are listed.

use core::cmp::Reverse;

use crate::group::Group;
use crate::noise::{Evidence, Finding, Judge, Says, share_low};
use crate::place::{Kind, Place};
use crate::tally::GroupName;

/// A place and what was found of it.
pub(super) struct Judged<'a> {
    pub(super) place: &'a Place<Box<str>>,
    pub(super) evidence: Evidence,
    pub(super) finding: Finding,
    /// By how much, from 0 to 1.
    pub(super) share: f64,
}

/// A group and what was found of its places, the worst first.
pub(super) struct JudgedGroup<'a> {
    pub(super) name: &'a GroupName,
    pub(super) group: &'a Group<Box<str>>,
    pub(super) places: Vec<Judged<'a>>,
}

/// What is worse is larger.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Badness {
    pub(super) says: Reverse<Says>,
    pub(super) share: f64,
}

/// What was counted at each place of a group, in the order of its places.
pub(super) fn evidence_of(group: &Group<Box<str>>) -> Vec<Evidence> {
    let places = group.places.iter().map(|(place, counts)| {
        let of = group.of(place.kind);
        let is_of_field = matches!(
            place.kind,
            Kind::Missing | Kind::Added | Kind::Value | Kind::Moment | Kind::Order
        );
        let present = group.present.get(&place.name).filter(|_| is_of_field);
        Evidence {
            kind: place.kind,
            counts: *counts,
            of,
            seen: [0, 1].map(|arm| group.compares[arm].seen),
            present: present.map_or(of[0], |[target, _]| *target),
        }
    });
    places.collect()
}

/// The places of a group, the worst first.
pub(super) fn judged<'a>(
    group: &'a Group<Box<str>>,
    evidence: &[Evidence],
    judge: &Judge,
) -> Vec<Judged<'a>> {
    let mut judged: Vec<Judged<'a>> = group
        .places
        .keys()
        .zip(evidence)
        .map(|(place, evidence)| {
            let finding = judge.judge(evidence);
            Judged {
                place,
                evidence: *evidence,
                finding,
                share: share_of(evidence, finding, judge.level()),
            }
        })
        .collect();
    judged.sort_by(|one, other| compare(badness(other), badness(one)));
    judged
}

/// How much of a group is concerned: beyond the baseline, at least, or all in all.
fn share_of(evidence: &Evidence, finding: Finding, level: f64) -> f64 {
    let share = |arm: usize| {
        let (count, of) = (evidence.counts[arm].responses, evidence.of[arm].max(1));
        count as f64 / of as f64
    };
    match finding.says {
        Says::Changed => share(0) - share(1),
        Says::Differs => share_low(evidence.counts[0].responses, evidence.of[0], level),
        Says::CannotTell | Says::Always | Says::Noise => share(0),
    }
}

pub(super) fn badness(judged: &Judged<'_>) -> Badness {
    Badness {
        says: Reverse(judged.finding.says),
        share: judged.share,
    }
}

pub(super) fn compare(one: Badness, other: Badness) -> core::cmp::Ordering {
    let says = one.says.cmp(&other.says);
    says.then(one.share.total_cmp(&other.share))
}
