//! What is said before anything is copied: from where to where, how much at most, and what may go wrong.

use std::net::IpAddr;

use host::Firewall;
use telemetry::Mode;
use telemetry::warning::Kind;
use tracing::{debug, info, warn};

use super::warnings::{Subject, Warnings};
use crate::args::{Args, Capture, Confirmed, Priority, protocol_name};
use crate::dials::RuleDials;
use crate::plan::{Hook, Plan};
use crate::playback;

/// Says what is going to happen: in four lines what everybody has to know, and the rest with `--verbose`.
pub(super) fn announce(args: &Args, plan: &Plan, warnings: &mut Warnings) {
    namespace(args, plan);
    let rules = plan.rule_names.iter().zip(&plan.dials.rules);
    for ((rule, dials), sources) in rules.zip(&plan.source_words) {
        info!("copying    {rule}, {}", manner(dials, plan));
        info!("from       {}", room(sources, plan));
    }
    if let Some(room) = &plan.room {
        if args.pool.is_empty() {
            debug!("pool       {}", room.fits);
        } else {
            info!("pool       {}", room.fits);
        }
    }
    if let Some(files) = &args.replay {
        info!("reading    {}", playback::of_files(files));
    }
    if let Some(file) = args.tap.file() {
        let what = if plan.is_dry_run {
            "what would be sent"
        } else {
            "all that is sent"
        };
        info!("writing    {}, with {what}", file.display());
    }
    places(plan);
    if plan.is_dry_run {
        info!("DRY RUN: NOTHING IS SENT, and the target is made up");
    } else {
        warn!(
            finding = "writes-included",
            "THE TARGET WILL EXECUTE THE REQUESTS, WRITES INCLUDED"
        );
    }
    if let Some(own) = plan.own_source.filter(|_| !plan.is_dry_run) {
        warn!(finding = "own-address-trusted", "{}", trusted(own));
    }
    confirmed(args, plan);
    for unheard in &plan.unheard {
        let mut rules = plan.rule_names.iter();
        let rule = rules.find(|rule| unheard.contains(*rule));
        let subject = rule.map_or(Subject::Run, |rule| Subject::Rule(rule));
        warnings.raise(Kind::Unheard, subject, unheard);
    }
    for warning in &plan.warnings {
        warnings.raise(Kind::PoolSmall, Subject::Run, warning);
    }
    for words in &plan.heard_on_loopback {
        info!("{words}");
    }
    modules(plan);
    if plan.comparing.is_some() {
        info!(
            "compared   status, headers and body of both servers' responses, of JSON each field, by route; --no-compare leaves it out"
        );
    }
    samples(plan);
    limits(args, plan);
}

/// In which mode a rule is copied, how much of it, and by whom.
fn manner(dials: &RuleDials, plan: &Plan) -> String {
    let mode = match plan.mode {
        Mode::Direct => "direct mode".to_owned(),
        Mode::Assistant => format!("through intercept at {}", plan.intercepts.join(", ")),
    };
    let mut share = if dials.percent < 100.0 {
        format!("{} % of the connections", dials.percent)
    } else {
        "all connections".to_owned()
    };
    if let Some(weight) = dials.weight {
        share.push_str(&format!(" by weight {weight}"));
    }
    let copies = match dials.copies {
        1 => String::new(),
        copies => format!(", {copies} sessions for each"),
    };
    let workers = match plan.workers {
        1 => "1 worker".to_owned(),
        workers => format!("{workers} workers"),
    };
    format!("{mode}, {share}{copies}, {workers}, seed {}", plan.seed)
}

/// Where sessions come from, and how much there is room for.
fn room(sources: &str, plan: &Plan) -> String {
    let sources = sources.strip_prefix("from ").unwrap_or(sources);
    // The ports that are free are told as what there is room for.
    let sources = sources.split(" (").next().unwrap_or(sources);
    // What the pool has no room for stands in a warning then.
    let room = plan.room.as_ref().filter(|_| plan.warnings.is_empty());
    let room = room.map(|room| format!(": room for {} connections at a time", grouped(room.flows)));
    format!(
        "{sources}{}; at most {} sessions, and {} MiB may wait",
        room.unwrap_or_default(),
        grouped(plan.sessions_max.into()),
        grouped(plan.payload_bytes_max >> 20)
    )
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// What a run is bounded by, besides memory.
fn limits(args: &Args, plan: &Plan) {
    debug!(
        "up to {} MiB of captured bytes may wait, {} MiB per worker",
        plan.payload_bytes_max >> 20,
        (plan.payload_bytes_max / u64::from(plan.workers)) >> 20
    );
    if let Some(room) = &plan.room {
        debug!("{}", room.words);
    }
    debug!(
        "at most {} Mbit/s of what targets answer are taken (--max-reply-bandwidth), and of each turn what the online server \
         answers and 256 KiB",
        plan.reply_bits_per_second_max / 1_000_000
    );
    if let Some(bits) = plan.bits_per_second_max {
        debug!(
            "at most {} kbit/s leave as copies (--max-bandwidth); what clients send beyond that is copied late",
            bits / 1000
        );
    }
    match args.priority {
        Priority::Low => debug!(
            "low priority: workers are nice ({}), and the kernel ends tcpcopy first where memory is out (oom_score_adj {})",
            process::priority::NICE,
            process::priority::OOM_SCORE
        ),
        Priority::Normal => debug!(
            "normal priority: workers compete with the online server for processors, and for memory (--priority)"
        ),
    }
}

/// Where the programs are attached, and how.
fn places(plan: &Plan) {
    let engine = match plan.capture {
        Capture::Ring => "ring",
        Capture::AfXdp => "af-xdp",
    };
    for (devices, words) in [
        (&plan.host_sides, "the host's end of a container's link"),
        (&plan.mirrors, "a mirror port"),
    ] {
        for device in devices {
            info!("capturing and observing on {device}, {words}");
        }
    }
    match plan.hook {
        Hook::Tcx => debug!("{}", hook(plan.hook)),
        // Another process belongs to it, which people find among theirs.
        Hook::Clsact => info!("{}", hook(plan.hook)),
    }
    if plan.capture == Capture::AfXdp && host::kernel::is_before(6, 16) {
        warn!(
            finding = "clones-dropped",
            "--capture af-xdp: before Linux 6.16 the private device drops clones where clients send much at once, and what they said is missing \
             from the copy (`gap`, counted as `steer` / `dropped`); --capture ring loses nothing there"
        );
    }
    let (requests, answers) = (list(&plan.capture_on), list(&plan.observe_on));
    if plan.is_replay {
        debug!("replies of the targets come in on {requests} ({engine})");
    } else if requests == answers {
        info!("watching   {requests} ({engine})");
    } else {
        info!("watching   {requests} for requests and replies, {answers} for answers ({engine})");
    }
}

/// Names of devices, in words.
fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "no device of this host's own".to_owned();
    }
    names.join(", ")
}

/// How programs are attached, and what that means.
fn hook(hook: Hook) -> String {
    match hook {
        Hook::Tcx => {
            "programs are attached by tcx links, which go with this process (--hook)".to_owned()
        }
        Hook::Clsact => format!(
            "programs are attached as clsact filters (--hook; Linux {}): should this process be killed, its janitor removes them",
            host::kernel::release()
        ),
    }
}

/// Which network namespace all of it is about.
fn namespace(args: &Args, plan: &Plan) {
    match (&args.netns, plan.outside.is_elsewhere()) {
        (Some(place), true) => info!(
            "in the network namespace of --netns {place}: devices, addresses, routes and ports are those inside; metrics, the \
             connection to intercept and files are outside"
        ),
        (Some(place), false) => info!(
            "--netns {place} is the network namespace in which tcpcopy was started: the option changes nothing"
        ),
        (None, _) => {}
    }
}

/// Which rules have a protocol module, and what that costs.
fn modules(plan: &Plan) {
    for (name, module) in plan.rule_names.iter().zip(&plan.modules) {
        let Some(module) = module else {
            continue;
        };
        info!(
            "module     {} reads {name}: responses of both servers are taken whole{}",
            protocol_name(module.choice),
            match plan.mode {
                Mode::Direct => "",
                Mode::Assistant => ", the target's over the channel from intercept",
            }
        );
        if module.judges() {
            let all = [&module.only, &module.except];
            let [only, except] = all.map(|filters| {
                let shown = filters.iter().map(|it| format!("'{it}'"));
                shown.collect::<Vec<_>>().join(" or ")
            });
            let mut said = Vec::new();
            if !only.is_empty() {
                said.push(format!("all but what is like {only}"));
            }
            if !except.is_empty() {
                said.push(format!("what is like {except}"));
            }
            if module.read_only {
                said.push(format!(
                    "what is not known to be safe ({})",
                    module.blocked_words()
                ));
            }
            info!(
                "filtered   {}; and what cannot be read",
                said.join("; and ")
            );
        }
    }
}

/// What is kept of payload.
fn samples(plan: &Plan) {
    if plan.sample_bytes > 0 {
        warn!(
            finding = "payload-kept",
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
}

/// What it means that sessions come from this host's own address; the doctor says so too.
pub(crate) fn trusted(own: IpAddr) -> String {
    format!(
        "the target sees every client's request come from {own}, this host's own address: what trusts {own} there (allow lists, \
         database logins without a password, rate limits) trusts strangers too; -c takes another address"
    )
}

/// Whether bytes wait for the online server's acknowledgement, and why.
fn confirmed(args: &Args, plan: &Plan) {
    match (args.confirmed, &plan.firewall) {
        (Confirmed::Always, _) => {
            info!("--confirmed: bytes leave once the online server has acknowledged them");
        }
        (Confirmed::Auto, Firewall::Guards { rule }) => info!(
            "--confirmed auto: bytes leave once the online server has acknowledged them, because this host's firewall may drop \
             some after their capture: {rule}"
        ),
        (Confirmed::Auto, Firewall::Open) => {}
        (Confirmed::Auto, Firewall::Unknown { why }) => info!(
            "--confirmed auto: bytes leave as they are captured, and whether a firewall of this host drops some of them is not \
             known ({why}); --confirmed has them wait for the online server"
        ),
        (Confirmed::Never, Firewall::Guards { rule }) => warn!(
            finding = "firewall-before-service",
            "--confirmed never: the target may get what this host's firewall drops before the online server sees it: {rule}"
        ),
        (Confirmed::Never, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_threes() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (22_768, "22,768"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(grouped(number), expected);
        }
    }
}
