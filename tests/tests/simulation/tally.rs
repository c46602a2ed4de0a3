//! What has occurred how often, over all seeds: a scenario that never happens proves nothing.

use std::collections::BTreeMap;
use std::fmt;

use session::Outcome;

use crate::application::Application;
use crate::link::Link;
use crate::pairs;
use crate::world::World;

/// Counters of the engine that must have moved.
const EXPECTED: &[&str] = &[
    "client_corrupt",
    "reply_unknown",
    "reply_unacceptable",
    "too_big_believed",
    "too_big_ignored",
    "black_holes",
    "sessions_joined",
    "sessions_shed",
    "sessions_collided",
    "sessions_reconnected",
    "sessions_streaming",
    "syn_recovered",
    "retransmission_timeouts",
    "tail_probes",
    "bytes_skipped",
    "turns_unpaired",
    "reassembly_dropped",
    "reply_bytes_excess",
    "turns_paced",
    "module_messages",
    "module_left_unknown",
    "module_left_unread",
    "module_online_lost",
];

/// Turns that were compared and of which samples were kept, and those of them in which the servers have answered different requests.
const SAMPLED: Key = ("compared turns with samples", "all");
const MISPAIRED: Key = ("compared turns with samples", "of different requests");
/// One of so many may be: which request an answer belongs to is inferred from lengths and silences, and chance can imitate both.
const SAMPLED_PER_MISPAIRED: u64 = 20_000;

/// Group and name.
type Key = (&'static str, &'static str);

/// Counts by group and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    counts: BTreeMap<Key, u64>,
}

impl Tally {
    /// What occurred in a world.
    pub(crate) fn of(world: &World) -> Self {
        let mut tally = Self::default();
        for outcome in Outcome::ALL {
            tally.expect("outcomes", outcome.name());
        }
        for application in Application::ALL {
            tally.expect("applications", application.name());
        }
        for ended in &world.ended {
            tally.count("outcomes", ended.outcome.name(), 1);
            let lengths = [ended.online, ended.target].map(|it| it.map(|it| it.bytes));
            if let [Some(online), Some(target)] = lengths {
                let alike = ["other length", "same length"][usize::from(online == target)];
                tally.count("answered by both", alike, 1);
                tally.count("answered by both and compared", alike, ended.paired.into());
            }
        }
        let (sampled, mispaired) = pairs::mispaired(world);
        tally.count(SAMPLED.0, SAMPLED.1, sampled);
        tally.count(MISPAIRED.0, MISPAIRED.1, mispaired);
        for connection in &world.plan.connections {
            tally.count("applications", connection.application.name(), 1);
        }
        for (is, feature) in world.plan.features() {
            tally.expect("plans with", feature);
            tally.count("plans with", feature, u64::from(is));
        }
        let links = &world.links;
        tally.count_link("client path", &links.to_online);
        tally.count_link("online path", &links.to_client);
        tally.count_link("target path", &links.to_target);
        tally.count_link("reply path", &links.to_engine);
        if let Some(report) = &links.report {
            tally.count_link("report path", report);
        }
        let merged = world.capture_merge.merged + world.reply_merge.merged;
        let counters = world.engine.counters();
        for (name, times) in [
            ("records lost", world.records_lost),
            ("segments merged", merged),
            ("segments and messages forged", world.forged),
            ("clients stuck", u64::from(world.stuck)),
        ] {
            tally.count("other faults", name, times);
        }
        for (name, times) in counters.iter() {
            if EXPECTED.contains(&name) {
                tally.expect("counters", name);
            }
            tally.count("counters", name, times);
        }
        tally
    }

    fn count(&mut self, group: &'static str, name: &'static str, times: u64) {
        if times > 0 {
            *self.counts.entry((group, name)).or_default() += times;
        }
    }

    /// It is to occur in a run of many seeds.
    fn expect(&mut self, group: &'static str, name: &'static str) {
        self.counts.entry((group, name)).or_default();
    }

    fn count_link(&mut self, group: &'static str, link: &Link) {
        let done = link.done;
        for (name, times) in [
            ("lost", done.lost),
            ("duplicated", done.duplicated),
            ("reordered", done.reordered),
            ("corrupted", done.corrupted),
            ("split", done.split),
            ("overflowed", done.overflowed),
        ] {
            self.count(group, name, times);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (key, times) in &other.counts {
            *self.counts.entry(*key).or_default() += times;
        }
    }

    /// Fails where turns are compared with answers to other requests more often than chance explains; one may be.
    pub(crate) fn assert_that_pairs_are_true(&self) {
        let count = |key| self.counts.get(&key).copied().unwrap_or(0);
        let (sampled, mispaired) = (count(SAMPLED), count(MISPAIRED));
        assert!(
            mispaired <= 1 + sampled / SAMPLED_PER_MISPAIRED,
            "{mispaired} of {sampled} turns are compared with answers to other requests"
        );
    }

    /// Fails where something never occurred.
    pub(crate) fn assert_that_everything_occurred(&self) {
        let never = self.counts.iter().filter(|(_, times)| **times == 0);
        let never: Vec<_> = never.map(|(key, _)| key).collect();
        assert!(never.is_empty(), "never occurred: {never:?}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = "";
        for ((of, name), times) in &self.counts {
            if group != *of {
                group = of;
                writeln!(f, "{group}:")?;
            }
            writeln!(f, "  {times:>10} {name}")?;
        }
        Ok(())
    }
}
