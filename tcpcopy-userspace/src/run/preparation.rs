//! Everything that can be refused before anything is changed.

use std::path::Path;

use host::netns::Outside;
use telemetry::Place;
use tracing::warn;

use super::ending::Ending;
use super::limits;
use crate::args::Args;
use crate::plan::Plan;
use crate::plan::facts::Facts;

/// Looks at limits, kernel, rights and host, and makes the plan.
pub(super) fn prepare(args: &Args, outside: &Outside) -> Result<Plan, Ending> {
    let unusable = |error: &dyn std::error::Error| Ending::Unusable(error.to_string());
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    limits::at_start(args, processors).map_err(|e| unusable(&e))?;
    host::kernel::require().map_err(|e| unusable(&e))?;
    host::capability::require().map_err(|e| unusable(&e))?;
    host::kernel::require_af_xdp().map_err(|e| unusable(&e))?;
    programs::tcpcopy().map_err(|e| unusable(&e))?;
    if let Some(squatter) = host::claim::squatter() {
        warn!(
            "{squatter}, the name by which one tcpcopy knows of another, and is none: somebody on this host tries to keep it \
             from starting, which is ignored"
        );
    }
    let facts = Facts::gather(args, outside).map_err(|e| unusable(&e))?;
    let plan = Plan::new(args, &facts).map_err(|e| unusable(&e))?;
    limits::for_frames(&plan).map_err(|e| unusable(&e))?;
    Ok(plan)
}

/// Fails at the start rather than after an hour.
pub(crate) fn check_folder(path: &Path) -> std::io::Result<()> {
    let place = Place::open(path);
    place.map(drop).map_err(std::io::Error::other)
}
