//! Figures of a test for whoever runs it: `cargo xtask vm` makes a table of them.
//!
//! Where `TCPCOPY_FIGURES` names a file or a device, each figure is a line there: `figures` and a JSON object. Elsewhere
//! nothing is written. A figure that cannot be written is no reason for a test to fail.

use std::fs::OpenOptions;
use std::io::Write;

use lab::access_log::Request;
use lab::copier::Summary;
use serde_json::{Value, json};

/// Where figures go.
const PLACE: &str = "TCPCOPY_FIGURES";

/// Whether the test has a kernel for itself, so that whatever is loaded there is its own: in a machine of
/// `cargo xtask vm`.
#[must_use]
pub fn alone() -> bool {
    std::env::var_os(PLACE).is_some()
}

/// What online server and target have seen, and what the books of the copy say.
pub fn copied(online: &[Request], target: &[Request], summary: &Summary) {
    tell(&json!({
        "online": online.len(),
        "target": target.len(),
        "fidelity": summary.fidelity(),
        "residue": summary.residues().len(),
    }));
}

/// How many devices, programs and filters of a copy that has ended are left.
pub fn left(count: usize) {
    tell(&json!({ "left": count }));
}

/// Something to be told below the table.
pub fn note(text: &str) {
    tell(&json!({ "note": text }));
}

fn tell(figures: &Value) {
    let Some(place) = std::env::var_os(PLACE) else {
        return;
    };
    let line = format!("figures {figures}\n");
    let file = OpenOptions::new().append(true).create(true).open(place);
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}
