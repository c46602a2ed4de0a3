//! Which of a run is done inside another network namespace (`--netns`), and what outside.

use host::netns::{Namespace, Outside};
use process::rights;
use sd_notify::NotifyState;

use super::ending::{Ending, Unusable};
use crate::args::Args;
use crate::plan::Plan;

/// Does a run in the network namespace that the arguments name.
pub(super) fn run(args: &Args, course: impl FnOnce(&Outside) -> Ending + Send) -> Ending {
    match (inside(args, course), &args.netns) {
        (Err(error), _) => Unusable::new(error, "no-namespace").into(),
        (Ok(Ending::Unusable(unusable)), Some(place)) => {
            let words = format!(
                "{} (this is about the network namespace of --netns {place}: commands for it begin with `{}`)",
                unusable.words,
                place.command()
            );
            Unusable { words, ..unusable }.into()
        }
        (Ok(ending), _) => ending,
    }
}

/// Does something in the network namespace that the arguments name: in this one, where they name none.
///
/// # Errors
///
/// Where there is none, or it may not be entered.
pub(crate) fn inside<T: Send>(
    args: &Args,
    work: impl FnOnce(&Outside) -> T + Send,
) -> Result<T, host::Error> {
    match &args.netns {
        // This thread waits for the other, and then ends the process.
        Some(place) => Namespace::open(place)?.run(|| rights::keep_only(rights::NOTHING), work),
        None => Ok(work(&Outside::default())),
    }
}

/// Starts threads that need nothing of the network namespace that is worked in.
pub(super) fn outside<T: Send>(plan: &Plan, start: impl FnOnce() -> T + Send) -> Result<T, Ending> {
    let started = plan.outside.run(start);
    started.map_err(|error| Unusable::new(error, "no-namespace").into())
}

/// Tells systemd, whose socket may have a name that only its own network namespace knows.
pub(super) fn notify(outside: &Outside, state: NotifyState<'_>) {
    // Fails only where that socket is gone, which is systemd's own trouble.
    let _ = outside.run(|| sd_notify::notify(&[state]));
}
