//! What the lab's network is like under a load: what interfaces merge, and which packets are lost.

use ::lab::{Host, Lab};
use anyhow::Result;

use super::case::Case;

/// Begins to lose packets, where the load says so.
pub(super) fn begin_losses(lab: &Lab, case: Case) -> Result<()> {
    if let Some((ways, probability)) = case.losses() {
        for way in ways {
            lab.lose(*way, probability)?;
        }
    }
    Ok(())
}

/// Ends it, and returns how many packets were lost.
pub(super) fn end_losses(lab: &Lab, case: Case) -> Result<u64> {
    let Some(([way, ..], _)) = case.losses() else {
        return Ok(0);
    };
    let lost = lab.lost(*way)?;
    lab.lose_no_more(*way)?;
    Ok(lost)
}

/// Has the interfaces merge and cut segments, or not.
pub(super) fn set_offloads(lab: &Lab, on: bool) -> Result<()> {
    for (host, interface) in [
        (Host::Client, "eth0"),
        (Host::Online, "eth0"),
        (Host::Online, "eth1"),
        (Host::Target, "eth0"),
    ] {
        lab.namespace(host).set_offloads(interface, on)?;
    }
    Ok(())
}
