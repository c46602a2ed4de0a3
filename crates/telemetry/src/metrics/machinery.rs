//! Packets, frames, programs, threads: whether the copy itself is well.

use std::collections::BTreeMap;

use abi::counter::Counter;
use exposition::Families;

use super::Snapshot;
use crate::left_out;
use crate::totals::{CLOCK_ERROR, RunTotals};

/// The hook of `intercept`, which does not run here.
const SINK: &str = "sink";

/// What the engines count of packets: where from, and what became of them.
const PACKETS: [(&str, &str, &str); 13] = [
    ("client_packets", "client", "parsed"),
    ("client_malformed", "client", "malformed"),
    ("client_corrupt", "client", "corrupt"),
    ("client_urgent", "client", "urgent"),
    ("online_packets", "online", "parsed"),
    ("online_malformed", "online", "malformed"),
    ("reply_packets", "reply", "parsed"),
    ("reply_malformed", "reply", "malformed"),
    ("reply_corrupt", "reply", "corrupt"),
    ("reply_unacceptable", "reply", "unacceptable"),
    ("reply_unknown", "reply", "unknown"),
    ("too_big_believed", "icmp_too_big", "believed"),
    ("too_big_ignored", "icmp_too_big", "ignored"),
];
/// ... of segments to targets ...
const SEGMENTS: [(&str, &str); 2] = [
    ("segments_sent", "sent"),
    ("segments_retransmitted", "retransmitted"),
];
/// ... and of bytes.
const BYTES: [(&str, &str); 4] = [
    ("bytes_sent", "sent"),
    ("bytes_skipped", "skipped"),
    ("reply_bytes", "replied"),
    ("reassembly_dropped", "dropped"),
];

pub(super) fn add(families: &mut Families, snapshot: &Snapshot) {
    let totals = &snapshot.totals;
    hooks(families, totals);
    frames(families, totals);
    let mut residue = families.gauge(
        "tcpcopy_residue",
        "What an equation of counters leaves unexplained. While the run goes on it is what is under way; it must not grow.",
    );
    for (equation, row) in snapshot.summary.kernel.rows().iter() {
        let left = row.get("residue").copied().unwrap_or_default();
        residue.sample(&[("equation", equation)], left as f64);
    }
    engine(families, totals);
    channels(families, snapshot);
    costs(families, snapshot);
}

fn hooks(families: &mut Families, totals: &RunTotals) {
    let mut packets = families.counter(
        "tcpcopy_packets_total",
        "Packets that the programs counted, by hook and verdict. The verdicts of a hook do not add up: `matched` and \
         `frames` contain others.",
    );
    for counter in Counter::ALL.iter().filter(|counter| counter.hook() != SINK) {
        packets.count(
            &[("hook", counter.hook()), ("verdict", counter.verdict())],
            totals.kernel.get(*counter),
        );
    }
}

fn frames(families: &mut Families, totals: &RunTotals) {
    let workers = &totals.workers;
    let mut frames = families.counter(
        "tcpcopy_frames_total",
        "Frames of the workers' AF_XDP sockets: sent to the kernel, of which dropped by it, and clones lost on the way in.",
    );
    for (event, n) in [
        ("sent", workers.frames_sent),
        ("dropped", workers.frames_dropped),
        ("lost", workers.frames_lost),
    ] {
        frames.count(&[("event", event)], n);
    }
    families
        .gauge(
            "tcpcopy_frames_waiting",
            "Frames that the kernel has not taken yet.",
        )
        .count(&[], workers.frames_waiting);
    families
        .counter(
            "tcpcopy_records_broken_total",
            "Records that were shorter than they said or of an unknown kind: a bug.",
        )
        .count(&[], workers.records_broken);
    let mut duplicates = families.counter(
        "tcpcopy_duplicate_records_total",
        "Records of packets that another device had shown already (a bridge and its member, a device and its mirror): each \
         packet was taken once.",
    );
    for (source, n) in [
        ("client", workers.duplicate_clients),
        ("online", workers.duplicate_online),
    ] {
        duplicates.count(&[("source", source)], n);
    }
    families
        .counter(
            "tcpcopy_reports_total",
            "Replies of targets that came as reports over the channel.",
        )
        .count(&[], workers.reports);
    let mut payload = families.counter(
        "tcpcopy_response_payload_bytes_total",
        "Payload bytes of responses that a protocol module reads, by server: those that came with their packets, and those \
         that did not.",
    );
    for (side, result, n) in [
        ("online", "seen", workers.online_payload_seen),
        ("online", "missing", workers.online_payload_missing),
        ("target", "seen", workers.target_payload_seen),
        ("target", "missing", workers.target_payload_missing),
    ] {
        payload.count(&[("side", side), ("result", result)], n);
    }
}

fn engine(families: &mut Families, totals: &RunTotals) {
    let count = |name: &str| {
        let mut counters = totals.engine.iter();
        counters.find(|(known, _)| *known == name).map(|(_, n)| n)
    };
    let mut packets = families.counter(
        "tcpcopy_engine_packets_total",
        "Packets that reached the workers, by source. `parsed` and `malformed` are all of them, the others some of the \
         parsed.",
    );
    for (name, source, verdict) in PACKETS {
        if let Some(n) = count(name) {
            packets.count(&[("source", source), ("verdict", verdict)], n);
        }
    }
    let mut segments = families.counter(
        "tcpcopy_engine_segments_total",
        "Segments made for the targets, and how many of them are retransmissions.",
    );
    for (name, kind) in SEGMENTS {
        if let Some(n) = count(name) {
            segments.count(&[("kind", kind)], n);
        }
    }
    let mut bytes = families.counter(
        "tcpcopy_engine_bytes_total",
        "Payload bytes: sent to targets for the first time, replied by them, skipped before a join, dropped for want of room.",
    );
    for (name, kind) in BYTES {
        if let Some(n) = count(name) {
            bytes.count(&[("kind", kind)], n);
        }
    }
    let mut events = families.counter(
        "tcpcopy_engine_events_total",
        "What else the engines count: timeouts, probes, targets that stopped answering.",
    );
    let is_told = |name: &str| {
        name.starts_with("sessions_")
            || name.starts_with(left_out::PREFIX)
            || PACKETS.iter().any(|(known, ..)| *known == name)
            || SEGMENTS
                .iter()
                .chain(&BYTES)
                .any(|(known, _)| *known == name)
    };
    for (event, n) in totals.engine.iter().filter(|(name, _)| !is_told(name)) {
        events.count(&[("event", event)], n);
    }
}

fn channels(families: &mut Families, snapshot: &Snapshot) {
    let mut connected = families.gauge(
        "tcpcopy_channel_connected",
        "1 while the connection to this intercept stands; copying pauses while one does not.",
    );
    let mut told = BTreeMap::new();
    for (intercept, is_up) in &snapshot.channels {
        // One that is named twice is one series, and up where both connections are.
        *told.entry(intercept).or_insert(true) &= is_up;
    }
    for (intercept, is_up) in told {
        connected.count(&[("intercept", intercept)], u64::from(is_up));
    }
    let notes = &snapshot.totals.notes;
    if let Some(micros) = notes.get(CLOCK_ERROR) {
        families
            .gauge(
                "tcpcopy_channel_clock_error_seconds",
                "How far the estimates of the assistants' clocks may be off; 0 where reports are stamped on arrival.",
            )
            .sample(&[], *micros as f64 / 1e6);
    }
    let mut incidents = families.counter(
        "tcpcopy_incidents_total",
        "Times that the run itself had to pause, lost something or found another route.",
    );
    for (kind, n) in snapshot.totals.incidents().iter() {
        incidents.count(&[("kind", kind)], *n);
    }
}

fn costs(families: &mut Families, snapshot: &Snapshot) {
    let mut cpu = families.counter(
        "tcpcopy_cpu_seconds_total",
        "CPU time of this process's threads. What the programs take is charged to whoever sends or receives.",
    );
    for (thread, seconds) in snapshot.totals.cpu_seconds.iter() {
        cpu.sample(&[("thread", thread)], *seconds);
    }
    let mut runs = families.counter(
        "tcpcopy_program_runs_total",
        "Runs of each program within windows of one second in every ten; outside of them nothing is counted.",
    );
    for program in &snapshot.programs {
        runs.count(&[("program", program.name)], program.count);
    }
    let mut time = families.counter(
        "tcpcopy_program_run_seconds_total",
        "How long the runs of tcpcopy_program_runs_total took: divide by them for the cost of a packet.",
    );
    for program in &snapshot.programs {
        time.sample(&[("program", program.name)], program.nanos as f64 / 1e9);
    }
}
