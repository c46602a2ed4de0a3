//! This host's netfilter: what it drops of the services' packets, and what it remembers of copies to a target on this host.

use host::conntrack::Tracked;
use host::{Firewall, Route};
use wire::flow::Endpoint;

use super::finding::Finding;
use crate::advice::iptables;
use crate::plan::Plan;
use crate::plan::facts::Facts;

const CHECK: &str = "firewall";
const CONNTRACK: &str = "conntrack";

/// How long netfilter remembers a connection that has ended, in seconds (`nf_conntrack_tcp_timeout_time_wait`).
const REMEMBERED_S: u64 = 120;

/// Rules, and room in the table of connections.
pub(crate) fn examine(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![rules(plan)];
    findings.extend(conntrack(plan, facts));
    findings
}

fn rules(plan: &Plan) -> Finding {
    let waits = if plan.confirmed {
        "a run has bytes wait until the online server has acknowledged them (--confirmed)"
    } else {
        "give --confirmed to have bytes wait until the online server has acknowledged them"
    };
    match &plan.firewall {
        Firewall::Open => Finding::ok(
            CHECK,
            "no rule of this host's netfilter drops, rejects or queues packets of the service",
        ),
        Firewall::Guards { rule } => Finding::note(
            CHECK,
            "firewall-before-service",
            format!(
                "packets are captured before this host's firewall may drop some of them, and the target should not get what the \
                 online server never gets: {waits}. The rule: {rule}"
            ),
        )
        .look_here("nft list ruleset"),
        Firewall::Unknown { why } => Finding::note(
            CHECK,
            "firewall-unknown",
            format!(
                "whether this host's firewall drops packets of the service after their capture is not known: {why}; {waits}"
            ),
        ),
    }
}

/// Copies to a target on this host pass its own stack, and netfilter remembers each of them.
fn conntrack(plan: &Plan, facts: &Facts) -> Option<Finding> {
    let local = plan
        .targets()
        .into_iter()
        .find(|target| matches!(facts.route(target.addr.into()), Some(Route::Local { .. })))?;
    Some(table(local, facts.tracked?, u64::from(plan.sessions_max)))
}

/// What `sessions` copies at a time mean for a table of so many connections, of at most so many.
fn table(local: Endpoint, Tracked { count, max }: Tracked, sessions: u64) -> Finding {
    let free = max.saturating_sub(count);
    let words = format!(
        "copies to {local} pass this host's own netfilter, which remembers {count} of at most {max} connections: a run adds up to \
         {sessions} that are open, and those that ended in the last {REMEMBERED_S} s"
    );
    if free / 2 > sessions {
        let per_second = free / 2 / REMEMBERED_S;
        return Finding::ok(
            CONNTRACK,
            format!("{words}; there is room for about {per_second} new ones per second"),
        );
    }
    let tables = iptables(local.addr.into());
    Finding::note(
        CONNTRACK,
        "conntrack-fills",
        format!(
            "{words}. A full table drops packets of the online service too: do not track what passes tcpcopy0, or limit the run \
             (--max-sessions, --max-new-sessions)"
        ),
    )
    .fix_here(format!(
        "{tables} -t raw -I PREROUTING -i tcpcopy0 -j CT --notrack; {tables} -t raw -I OUTPUT -o tcpcopy0 -j CT --notrack"
    ))
}

#[cfg(test)]
mod tests {
    use wire::flow::{Addr, Endpoint};

    use super::{Tracked, table};
    use crate::doctor::finding::Verdict;

    #[test]
    fn a_table_that_copies_would_fill_is_told_with_the_rules_that_spare_it() {
        let target = Endpoint::new(Addr::v4([127, 0, 0, 1]), 8081);
        let tracked = |count, max| Tracked { count, max };
        let roomy = table(target, tracked(1000, 262_144), 10_000);
        assert_eq!(roomy.verdict, Verdict::Ok, "{roomy:?}");
        for (room, sessions) in [
            (tracked(1000, 262_144), 200_000),
            (tracked(262_000, 262_144), 100),
            (tracked(5, 4), 1),
        ] {
            let full = table(target, room, sessions);
            assert_eq!(full.finding, "conntrack-fills", "{full:?}");
            assert!(
                full.fixes[0]
                    .command
                    .contains("-i tcpcopy0 -j CT --notrack")
            );
        }
    }
}
