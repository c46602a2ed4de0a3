//! What is said before anything is copied: from where to where, how much at most, and what may go wrong.

use tracing::{info, warn};

use crate::args::{Args, Capture, Priority};
use crate::plan::Plan;

/// Says what is going to happen.
pub(super) fn announce(args: &Args, plan: &Plan) {
    for (rule, sources) in plan.rule_names.iter().zip(&plan.source_words) {
        info!(
            "copying {rule} {sources}, {} session(s) per flow, at most {} at a time; THE TARGET WILL EXECUTE THE REQUESTS, WRITES INCLUDED",
            plan.copies, plan.sessions_max
        );
    }
    for warning in &plan.warnings {
        warn!("{warning}");
    }
    if let (Some(room), true) = (&plan.room, plan.warnings.is_empty()) {
        info!("{room}");
    }
    info!(
        "up to {} MiB of captured bytes may wait, {} MiB per worker",
        plan.payload_bytes_max >> 20,
        (plan.payload_bytes_max / u64::from(plan.workers)) >> 20
    );
    if plan.sample_bytes > 0 {
        warn!(
            "--sample-bytes: the first {} payload bytes of every response are compared, and those of the first turns that differ \
             are kept in the summary{}",
            plan.sample_bytes,
            if plan.wait_for_responses {
                ""
            } else {
                "; with -W no turn is in step, so none will be"
            }
        );
    }
    if let Some(bits) = plan.bits_per_second_max {
        info!(
            "at most {} kbit/s leave as copies (--max-bandwidth); what clients send beyond that is copied late",
            bits / 1000
        );
    }
    match args.priority {
        Priority::Low => info!(
            "low priority: workers are nice ({}), and the kernel ends tcpcopy first where memory is out (oom_score_adj {})",
            process::priority::NICE,
            process::priority::OOM_SCORE
        ),
        Priority::Normal => info!(
            "normal priority: workers compete with the online server for processors, and for memory (--priority)"
        ),
    }
    let engine = match plan.capture {
        Capture::Ring => "ring",
        Capture::AfXdp => "af-xdp",
    };
    info!(
        "capturing on {} ({engine}), observing on {}, {} worker(s), {} % of the flows, seed {}",
        plan.capture_on.join(", "),
        plan.observe_on.join(", "),
        plan.workers,
        args.share,
        plan.seed
    );
}
