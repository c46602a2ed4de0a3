//! Loads with losses: packets are lost between the hosts of the lab while they run.

use ::lab::Lab;
use anyhow::Result;

use super::case::Case;

/// Begins to lose packets, where the load says so.
pub(super) fn begin(lab: &Lab, case: Case) -> Result<()> {
    if let Some((ways, probability)) = case.losses() {
        for way in ways {
            lab.lose(*way, probability)?;
        }
    }
    Ok(())
}

/// Ends it, and returns how many packets were lost.
pub(super) fn end(lab: &Lab, case: Case) -> Result<u64> {
    let Some(([way, ..], _)) = case.losses() else {
        return Ok(0);
    };
    let lost = lab.lost(*way)?;
    lab.lose_no_more(*way)?;
    Ok(lost)
}
