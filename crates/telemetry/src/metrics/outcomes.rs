//! What became of turns and sessions.

use exposition::Families;
use session::Outcome;

use crate::differences::DifferencesSummary;
use crate::figures::Figures;
use crate::summary::Summary;
use crate::totals::RunTotals;

pub(super) fn add(families: &mut Families, totals: &RunTotals, summary: &Summary) {
    turns(families, totals, summary);
    sessions(families, totals, summary);
    differences(families, &summary.differences);
    samples(families, summary);
}

fn turns(families: &mut Families, totals: &RunTotals, summary: &Summary) {
    let rules = || totals.rules.iter().zip(totals.ledger.rules());
    let mut turns = families.counter(
        "tcpcopy_turns_total",
        "Turns (requests, or pipelined batches of them) that ended, by rule and outcome; each turn ends once.",
    );
    for (rule, tally) in rules() {
        for outcome in Outcome::ALL {
            turns.count(
                &[("rule", rule), ("outcome", outcome.name())],
                tally.turns(*outcome),
            );
        }
    }
    let mut bytes = families.counter(
        "tcpcopy_turn_bytes_total",
        "Client bytes of turns that ended, by rule and outcome.",
    );
    for (rule, tally) in rules() {
        for outcome in Outcome::ALL {
            bytes.count(
                &[("rule", rule), ("outcome", outcome.name())],
                tally.bytes(*outcome),
            );
        }
    }
    let mut left_out = families.counter(
        "tcpcopy_left_out_total",
        "What is in no turn: flows and client bytes by the reason that they were left out for, and turns that a budget left out.",
    );
    for (what, n) in summary.left_out.iter() {
        left_out.count(&[("what", what)], *n);
    }
    families
        .gauge("tcpcopy_turns_open", "Turns that have not ended yet.")
        .count(&[], totals.turns_open);
    let mut fidelity = families.gauge(
        "tcpcopy_fidelity_ratio",
        "Turns answered or delivered, of those that ended and were served and what a budget left out; no sample where there is nothing to judge.",
    );
    if let Some(share) = totals.fidelity() {
        fidelity.sample(&[], share);
    }
}

fn sessions(families: &mut Families, totals: &RunTotals, summary: &Summary) {
    let count = |name| figure(&summary.budget, name);
    families
        .gauge(
            "tcpcopy_sessions",
            "Sessions with the targets at this moment.",
        )
        .count(&[], totals.sessions_open);
    families
        .gauge(
            "tcpcopy_sessions_max",
            "Most sessions that this run opens at a time.",
        )
        .count(&[], count("sessions_max"));
    let mut events = families.counter(
        "tcpcopy_sessions_total",
        "Sessions by what happened to them; one session may count under several.",
    );
    for (name, n) in totals.engine.iter() {
        if let Some(event) = name.strip_prefix("sessions_") {
            events.count(&[("event", event)], n);
        }
    }
    families
        .gauge(
            "tcpcopy_payload_bytes",
            "Captured bytes that wait to be sent, or to be acknowledged.",
        )
        .count(&[], count("payload_bytes"));
    families
        .gauge(
            "tcpcopy_payload_bytes_max",
            "Most bytes that may wait; beyond it sessions end as shed.",
        )
        .count(&[], count("payload_bytes_max"));
}

fn differences(families: &mut Families, said: &DifferencesSummary) {
    families
        .counter(
            "tcpcopy_turns_compared_total",
            "Turns whose two responses were compared.",
        )
        .count(&[], said.compared);
    families
        .counter(
            "tcpcopy_turns_differing_total",
            "Compared turns whose responses differ, in one way or in several: each counts once.",
        )
        .count(&[], said.differing);
    families
        .counter(
            "tcpcopy_turns_unpaired_total",
            "Turns that were not compared, because their session is out of step.",
        )
        .count(&[], said.unpaired);
    families
        .counter(
            "tcpcopy_turns_paced_total",
            "Turns whose target was kept from sending more than the online server had sent; their times are not compared.",
        )
        .count(&[], said.paced);
    let mut differences = families.counter(
        "tcpcopy_differences_total",
        "Compared turns whose responses differ, by how; one turn may count under several, so that their sum says too much.",
    );
    for (kind, n) in said.kinds.iter() {
        differences.count(&[("kind", kind)], *n);
    }
}

/// What responses begin with, where that was asked for.
fn samples(families: &mut Families, summary: &Summary) {
    let Some(samples) = &summary.samples else {
        return;
    };
    families
        .counter(
            "tcpcopy_turns_sampled_total",
            "Turns of which the beginnings of both responses are known (--sample-bytes).",
        )
        .count(&[], summary.differences.sampled.unwrap_or_default());
    let mut pairs = families.counter(
        "tcpcopy_turn_statuses_total",
        "Sampled turns by the class of the online server's status and of the target's.",
    );
    for pair in &samples.statuses {
        pairs.count(
            &[("online", pair.online), ("target", pair.target)],
            pair.turns,
        );
    }
}

fn figure(figures: &Figures, name: &str) -> u64 {
    figures.get(name).copied().unwrap_or_default()
}
