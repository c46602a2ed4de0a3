//! The closing table of the demo.

use std::time::Duration;

use ::lab::Topology;

use super::scene::Scene;
use crate::stage::table;

/// The name of a mode.
pub(super) fn name(mode: Topology) -> &'static str {
    match mode {
        Topology::Direct => "direct",
        Topology::Assistant => "assistant",
    }
}

/// The table, one column per mode.
pub(super) fn closing(scenes: &[Scene]) -> String {
    let row = |label: &str, value: &dyn Fn(&Scene) -> String| {
        std::iter::once(label.to_owned())
            .chain(scenes.iter().map(value))
            .collect::<Vec<_>>()
    };
    let latency = |scene: &Scene, server: &str| {
        let at = |quantile| {
            scene
                .summary
                .count(&format!("/latency_us/{server}/first_byte/{quantile}"))
        };
        format!("{} / {}", at("p50"), at("p99"))
    };
    let rows = [
        row("", &|scene| name(scene.mode).to_owned()),
        row("requests sent by clients", &|scene| scene.sent.to_string()),
        row("errors that clients saw", &|scene| {
            scene.client_errors.to_string()
        }),
        row("requests seen by online", &|scene| {
            scene.online_requests.to_string()
        }),
        row("requests copied", &|scene| {
            scene.summary.captured().to_string()
        }),
        row("requests answered by target", &|scene| {
            scene.summary.answered().to_string()
        }),
        row("requests seen by target", &|scene| {
            scene.target_requests.to_string()
        }),
        row("fidelity", &|scene| {
            format!("{:.3} %", scene.summary.fidelity() * 100.0)
        }),
        row("online: time to first byte, p50 / p99, us", &|scene| {
            latency(scene, "online")
        }),
        row("target: time to first byte, p50 / p99, us", &|scene| {
            latency(scene, "target")
        }),
        row("CPU per request, whole machine, load alone, us", &|scene| {
            microseconds(scene.machine_alone)
        }),
        row("CPU per request, whole machine, with copy, us", &|scene| {
            microseconds(scene.machine_copied)
        }),
        row("... of which tcpcopy itself, us", &|scene| {
            microseconds(scene.tcpcopy)
        }),
        row("... of which intercept itself, us", &|scene| {
            scene.intercept.map_or("-".to_owned(), microseconds)
        }),
        row("online at full speed, alone, req/s", &|scene| {
            format!("{:.0}", scene.speed_alone)
        }),
        row("online at full speed, with copy, req/s", &|scene| {
            format!("{:.0}", scene.speed_copied)
        }),
        row("cost to the online server", &|scene| {
            format!(
                "{:+.1} %",
                (scene.speed_copied / scene.speed_alone.max(1.0) - 1.0) * 100.0
            )
        }),
    ];
    table(&rows) + &ledgers(scenes)
}

/// The ledger of each mode, and which counters do not add up.
fn ledgers(scenes: &[Scene]) -> String {
    let mut text = String::new();
    for scene in scenes {
        text.push_str(&format!(
            "ledger, {} mode: {}\n",
            name(scene.mode),
            scene.summary.ledger()
        ));
        for (row, residue) in scene.summary.residues() {
            text.push_str(&format!(
                "counters of `{row}` do not add up: residue {residue}\n"
            ));
        }
    }
    text
}

fn microseconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}
