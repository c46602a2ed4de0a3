//! Whether the machine does anything else: then what is measured means little.

use std::time::Duration;

use ::lab::interrupt;
use ::lab::machine::Moment;
use anyhow::{Result, bail};

use crate::step;

/// How long it is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// How often, before it is given up.
const LOOKS: u32 = 30;
/// Work of others that does not matter, as a share of one core.
const SHARE_MAX: f64 = 0.1;

/// Waits until the machine is quiet; an error if it does not become so.
pub(super) fn wait() -> Result<()> {
    for look in 0..LOOKS {
        let before = Moment::now();
        interrupt::sleep(LOOK)?;
        let after = Moment::now();
        let share = after.busy_since(&before).as_secs_f64()
            / after.elapsed_since(&before).as_secs_f64().max(1e-9);
        if share <= SHARE_MAX {
            return Ok(());
        }
        if look == 0 {
            step::say(&format!(
                "waiting: others use {share:.1} cores of this machine"
            ));
        }
    }
    bail!(
        "this machine is busy otherwise, and figures that are measured beside other work mean little: end that work, or say --busy"
    )
}
