//! Whether a run sees both sides of what it is to copy: a judgement on figures, with the time as an argument.
//!
//! Clients' packets without answers, or answers without clients' packets, are half of a flow, of which nothing comes. A server
//! that is slow, silent or one-way acknowledges what it gets, one that has no such port resets, and under a flood of SYNs it
//! answers those: none of them is silent. A scan of ports is a handful of packets. So what is looked for is many packets of one side
//! and *nothing at all* of the other, and it is looked for since the other was seen last.

use std::time::{Duration, Instant};

use session::Sight;

/// One side must speak alone for so long ...
pub(super) const ALONE_MIN: Duration = Duration::from_secs(2);
/// ... say so much ...
const PACKETS_MIN: u64 = 10;
/// ... and be about so many flows, or go on saying so much from one look to the next: a sender that nobody answers sends
/// again ever more rarely.
const FLOWS_MIN: u32 = 3;
const PACKETS_PER_LOOK_MIN: u64 = 5;
/// Somebody who was silent for so long begins anew.
const FORGET: Duration = Duration::from_secs(10);
/// Of the handshakes of a rule at least one in so many goes unanswered where that is worth a word.
const UNMET_SHARE: u64 = 10;
/// ... and so many do.
const UNMET_MIN: u64 = 5;
/// How long after `ready` some packet should have come.
pub(super) const NOTHING_AFTER: Duration = Duration::from_secs(5);

/// What changed with the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It holds from now on.
    Begins,
    /// It is over.
    Ends,
}

/// Figures of a run, as of one moment, that are not about one rule.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Common {
    /// Bare acknowledgements of clients: a server that pushes hears nothing else.
    pub(super) pure_acks: u64,
    /// Clients' packets that matched and were lost on the way to the workers.
    pub(super) clients_lost: u64,
    /// The same of the online server's.
    pub(super) online_lost: u64,
}

/// Both sides of one rule.
#[derive(Debug, Default)]
pub(super) struct Sides {
    requests: Lone,
    answers: Lone,
    unmet: Unmet,
    half: bool,
}

/// What is new of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Clients' packets without answers.
    pub(super) no_answers: Option<Change>,
    /// ... of some clients only.
    pub(super) in_part: bool,
    /// Answers without clients' packets.
    pub(super) no_requests: Option<Change>,
}

impl Sides {
    /// Looks at what was seen so far; to be called about once a second.
    pub(super) fn look(&mut self, now: Instant, sight: &Sight, common: &Common) -> News {
        let answers = sight.online + common.online_lost;
        let flows = sight.unanswered.flows();
        self.requests.look(now, sight.clients, answers, flows);
        self.unmet.look(now, sight);
        let in_part = self.unmet.holds && !self.requests.holds;
        let half = self.unmet.holds || self.requests.holds;
        let requests = sight.clients + common.clients_lost + common.pure_acks;
        let before = self.answers.holds;
        let flows = sight.unasked.flows();
        self.answers.look(now, sight.online, requests, flows);
        News {
            no_answers: change(std::mem::replace(&mut self.half, half), half),
            in_part,
            no_requests: change(before, self.answers.holds),
        }
    }
}

const fn change(before: bool, now: bool) -> Option<Change> {
    match (before, now) {
        (false, true) => Some(Change::Begins),
        (true, false) => Some(Change::Ends),
        _ => None,
    }
}

/// One side that may speak alone.
#[derive(Debug, Default)]
struct Lone {
    /// Since when, and how much it had said before.
    since: Option<(Instant, u64)>,
    /// How much it had said at the last look, and when it was seen to speak last.
    said: u64,
    spoke: Option<Instant>,
    /// How much the other side had said.
    other: u64,
    holds: bool,
}

impl Lone {
    fn look(&mut self, now: Instant, said: u64, other: u64, flows: u32) {
        let before = std::mem::replace(&mut self.said, said);
        if std::mem::replace(&mut self.other, other) != other {
            (self.since, self.holds) = (None, false);
            return;
        }
        let new = said.saturating_sub(before);
        if new == 0 {
            if self.spoke.is_none_or(|spoke| now - spoke >= FORGET) {
                self.since = None;
            }
            return;
        }
        self.spoke = Some(now);
        let (since, first) = *self.since.get_or_insert((now, before));
        let goes_on = flows >= FLOWS_MIN || new >= PACKETS_PER_LOOK_MIN;
        if now - since >= ALONE_MIN && said - first >= PACKETS_MIN && goes_on {
            self.holds = true;
        }
    }
}

/// Handshakes that go on although nobody was seen to answer: the answers to some clients are not seen.
#[derive(Debug, Default)]
struct Unmet {
    /// Since when, and how many were unmet and met before.
    since: Option<(Instant, u64, u64)>,
    unmet: u64,
    met: u64,
    last: Option<Instant>,
    holds: bool,
}

impl Unmet {
    fn look(&mut self, now: Instant, sight: &Sight) {
        let unmet = std::mem::replace(&mut self.unmet, sight.unmet);
        let met = std::mem::replace(&mut self.met, sight.met);
        if sight.unmet == unmet {
            let long_ago = self.last.is_none_or(|last| now - last >= FORGET);
            if long_ago {
                self.since = None;
                self.holds &= sight.met == met;
            }
            return;
        }
        self.last = Some(now);
        let (since, unmet_first, met_first) = *self.since.get_or_insert((now, unmet, met));
        let (unmet, met) = (sight.unmet - unmet_first, sight.met - met_first);
        if now - since >= ALONE_MIN && unmet >= UNMET_MIN && unmet * UNMET_SHARE >= unmet + met {
            self.holds = true;
        }
    }
}

/// Whether anything was seen at all.
#[derive(Debug, Default)]
pub(super) struct Nothing {
    is_over: bool,
    holds: bool,
}

impl Nothing {
    /// Looks at how long the run has been ready, and how many packets of its rules were seen so far, on either side.
    pub(super) fn look(&mut self, ready_for: Duration, seen: u64) -> Option<Change> {
        if self.is_over {
            return None;
        }
        if seen > 0 {
            self.is_over = true;
            return self.holds.then_some(Change::Ends);
        }
        let begins = !self.holds && ready_for >= NOTHING_AFTER;
        self.holds |= begins;
        begins.then_some(Change::Begins)
    }
}

#[cfg(test)]
mod tests;
