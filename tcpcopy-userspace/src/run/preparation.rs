//! Everything that can be refused before anything is changed.

use std::path::Path;

use host::netns::Outside;
use recording::Names;
use telemetry::Place;
use tracing::warn;

use super::ending::Unusable;
use super::limits;
use crate::args::{Args, Recording};
use crate::plan::facts::Facts;
use crate::plan::{Plan, Refusal};

/// Looks at limits, kernel, rights and host, and makes the plan.
pub(super) fn prepare(args: &Args, outside: &Outside) -> Result<Plan, Unusable> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    limits::at_start(args, processors).map_err(|e| Unusable::new(e, "limit-short"))?;
    programs_run()?;
    host::kernel::require_af_xdp().map_err(|e| Unusable::new(e, "kernel-lacks"))?;
    if let Some(squatter) = host::claim::squatter() {
        warn!(
            finding = "name-taken",
            "{squatter}, the name by which one tcpcopy knows of another, and is none: somebody on this host tries to keep it \
             from starting, which is ignored"
        );
    }
    let facts = Facts::gather(args, outside).map_err(refused)?;
    let plan = Plan::new(args, &facts).map_err(refused)?;
    limits::for_frames(&plan).map_err(|e| Unusable::new(e, "memlock-short"))?;
    Ok(plan)
}

/// The same for a dry run of files, which needs nothing of this host: where it has no way to a target, one is made up.
pub(super) fn prepare_dry_run(args: &Args, outside: &Outside) -> Result<Plan, Unusable> {
    // With -s sessions have their clients' own addresses, and nobody is asked for anything.
    let unassisted = Args {
        intercepts: Vec::new(),
        ..args.clone()
    };
    let facts = Facts::gather(&unassisted, outside).map_err(refused)?;
    Plan::new(args, &facts.with_ways_everywhere()).map_err(refused)
}

/// The same for a recorder, which needs less.
pub(super) fn prepare_recorder(
    args: &Args,
    recording: Recording,
    outside: &Outside,
) -> Result<Plan, Unusable> {
    limits::at_start(args, 1).map_err(|e| Unusable::new(e, "limit-short"))?;
    programs_run()?;
    let facts = Facts::gather(args, outside).map_err(refused)?;
    Plan::of_recorder(args, recording, &facts).map_err(refused)
}

/// Whether there are programs, and this process may load them.
fn programs_run() -> Result<(), Unusable> {
    host::kernel::require().map_err(|e| Unusable::new(e, "kernel-lacks"))?;
    host::capability::require().map_err(|e| Unusable::new(e, "no-rights"))?;
    programs::tcpcopy().map_err(|e| Unusable::new(e, "no-programs"))?;
    Ok(())
}

/// In its own words, by its name.
#[expect(clippy::needless_pass_by_value, reason = "it ends here")]
fn refused(refusal: Refusal) -> Unusable {
    Unusable::new(&refusal, refusal.finding())
}

/// What files of packets are called, where nothing is in their way, or it may be replaced.
///
/// # Errors
///
/// In words.
pub(crate) fn file_names(path: &Path, rotates: bool, replaces: bool) -> Result<Names, String> {
    let names = Names::new(path, rotates)?;
    if replaces {
        return Ok(names);
    }
    match names.in_the_way() {
        Ok(None) => Ok(names),
        Ok(Some(file)) => Err(format!(
            "{} exists, and would be replaced; take another name, or say --force",
            file.display()
        )),
        Err(error) => Err(format!(
            "cannot read the folder of {}: {error}",
            path.display()
        )),
    }
}

/// Fails at the start rather than after an hour.
pub(crate) fn check_folder(path: &Path) -> std::io::Result<()> {
    let place = Place::open(path);
    place.map(drop).map_err(std::io::Error::other)
}
