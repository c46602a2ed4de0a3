//! `tcpcopy doctor`: what keeps a run from working here, hop by hop, and what to do about it.
//!
//! It checks what a run checks, in the same words; then it proves the path with one probe connection to each target
//! through the very programs of a run, with nobody's packets captured. It changes nothing that it does not undo.
//!
//! | module | holds |
//! |---|---|
//! | [`finding`] | a finding: verdict, words, commands; and what all come to |
//! | [`sheet`] | where findings are written: a check list, or JSON |
//! | [`machine`] | kernel, rights, programs, memory, clock |
//! | [`links`] | interfaces, offloads, programs of others |
//! | [`ways`] | routes, pool, listeners, targets that call back |
//! | [`firewall`] | what this host's netfilter drops and remembers |
//! | [`refused`] | a refused plan, with the command that helps |
//! | [`line`] | the line that probes go out by and answers come back on |
//! | [`assistant`] | the assistants: whether they serve us, and what they would do without intercept |
//! | [`handshake`], [`narrow`] | one probe connection; how long packets may be on it |
//! | [`icmp`] | what routers and firewalls say of our segments |
//! | [`path`], [`trial`] | the proof: who is sent what when; one target of it |
//! | [`evidence`], [`diagnosis`] | what was seen of a target, and what follows from it |

mod assistant;
mod diagnosis;
mod evidence;
mod finding;
mod firewall;
mod handshake;
mod icmp;
mod line;
mod links;
mod machine;
mod narrow;
mod path;
mod refused;
mod sheet;
mod trial;
mod ways;

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use host::clsact::Direction;
use host::netns::Outside;
use programs::name;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use telemetry::Mode;
use wire::flow::Endpoint;

use crate::args::Args;
use crate::loader;
use crate::plan::facts::Facts;
use crate::plan::{Hook, Plan};
use assistant::Assistants;
use finding::{Conclusion, Finding};
use line::Intercepts;
use path::{Prover, Stopped};
use sheet::Sheet;

/// How long a plain connection may take, where the line is somebody else's.
const PLAIN_MAX: Duration = Duration::from_secs(2);
/// Most plain connections at a time.
const PLAIN_AT_A_TIME: usize = 16;

/// Examines, tells, and gives the exit status.
pub(crate) fn run(args: &Args) -> u8 {
    let mut sheet = Sheet::new(args.json, args.netns.as_ref());
    let examined =
        crate::run::namespace::inside(args, |outside| examine(args, outside, &mut sheet));
    let (conclusion, words) = match examined {
        Ok(examined) => examined,
        Err(error) => {
            let finding = Finding::fail("netns", "no-namespace", error.to_string());
            sheet.add(finding.look_outside("ip netns"));
            unusable()
        }
    };
    sheet.conclude(conclusion, &words);
    conclusion.code()
}

fn examine(args: &Args, outside: &Outside, sheet: &mut Sheet) -> (Conclusion, String) {
    let mut signals = match Signals::new([SIGINT, SIGTERM]) {
        Ok(signals) => signals,
        Err(cause) => {
            return (
                Conclusion::Unusable,
                format!("cannot listen for signals: {cause}"),
            );
        }
    };
    let mut interrupted = move || signals.pending().next().is_some();
    if let (Some(place), true) = (&args.netns, outside.is_elsewhere()) {
        let words = format!(
            "all of this is about the network namespace of --netns {place}, but for metrics, intercept and files"
        );
        sheet.add(Finding::ok("netns", words));
    }
    sheet.extend(machine::limits(args));
    sheet.extend(machine::kernel_and_rights(args));
    let facts = match Facts::gather(args, outside) {
        Ok(facts) => facts,
        Err(refusal) => {
            sheet.add(refused::finding(&refusal));
            return unusable();
        }
    };
    let plan = match Plan::new(args, &facts) {
        Ok(plan) => plan,
        Err(refusal) => {
            sheet.add(refused::finding(&refusal));
            return unusable();
        }
    };
    let owner = host::device::owner(&facts.interfaces);
    // What another tcpcopy has bound says nothing about these arguments.
    if owner.is_none() {
        sheet.extend(machine::outputs(args, outside));
        sheet.extend(links::left_behind(&facts.interfaces));
    }
    sheet.extend(machine::memory_and_clock(&plan, facts.memory_available));
    // Up to here everything is what a run refuses.
    let is_fit = !sheet.has_failure();
    sheet.extend(links::examine(&plan, &facts));
    sheet.extend(ways::examine(args, &plan, &facts));
    sheet.extend(firewall::examine(&plan, &facts));
    if !is_fit {
        return unusable();
    }
    if let Some(owner) = owner {
        return beside_another(&plan, owner, sheet);
    }
    prove(&plan, &facts, sheet, &mut interrupted)
}

fn unusable() -> (Conclusion, String) {
    let words = "a run would refuse to start here; nothing was sent";
    (Conclusion::Unusable, words.to_owned())
}

/// The proof, and what it comes to.
fn prove(
    plan: &Plan,
    facts: &Facts,
    sheet: &mut Sheet,
    interrupted: &mut dyn FnMut() -> bool,
) -> (Conclusion, String) {
    let intercepts = match plan.mode {
        Mode::Direct => None,
        Mode::Assistant => match plan.outside.run(|| Intercepts::connect(plan)).flatten() {
            Ok(intercepts) => Some(intercepts),
            Err(cause) => {
                return (
                    Conclusion::Unusable,
                    format!("cannot talk to intercept: {cause}"),
                );
            }
        },
    };
    if let Some(intercepts) = &intercepts {
        for (address, first) in &intercepts.firsts {
            sheet.add(assistant::of_intercept(address, first.as_ref(), plan));
        }
    }
    if interrupted() {
        return interruption();
    }
    let assistants = intercepts
        .as_ref()
        .and_then(|intercepts| Assistants::ask(intercepts, plan));
    let prover = match Prover::new(plan, facts, intercepts.as_ref(), interrupted) {
        Ok(prover) => prover,
        Err(error) => {
            sheet.add(of_set_up(&error));
            return unusable();
        }
    };
    sheet.extend(order(plan));
    match prover.prove() {
        Ok(mut evidence) => {
            if let Some(assistants) = &assistants {
                sheet.extend(assistants.ask_again(plan, &mut evidence));
            }
            for evidence in &evidence {
                sheet.extend(diagnosis::of(evidence));
            }
            conclude(plan, sheet)
        }
        Err(Stopped::Interrupted) => interruption(),
        Err(Stopped::Line(error)) => {
            sheet.add(Finding::fail("path", "line-broke", error.to_string()));
            conclude(plan, sheet)
        }
    }
}

fn interruption() -> (Conclusion, String) {
    let words = "interrupted; everything was undone and nothing is proven";
    (Conclusion::Interrupted, words.to_owned())
}

fn conclude(plan: &Plan, sheet: &Sheet) -> (Conclusion, String) {
    let targets: Vec<String> = plan.targets().iter().map(ToString::to_string).collect();
    let all_proven = sheet.ok_of(diagnosis::CHECK) == targets.len();
    let targets = targets.join(", ");
    match (sheet.has_failure(), all_proven) {
        (false, _) => (
            Conclusion::Proven,
            format!("the path to {targets} is proven; the same options will copy"),
        ),
        (true, true) => (
            Conclusion::NotProven,
            format!(
                "the path to {targets} works, but do not copy yet: mend the failure, then ask again"
            ),
        ),
        (true, false) => (
            Conclusion::NotProven,
            format!("the path to {targets} is NOT proven: mend the first failure, then ask again"),
        ),
    }
}

/// Whether ours come first on the hooks of the interfaces, now that they are attached.
fn order(plan: &Plan) -> Vec<Finding> {
    let capture = plan
        .capture_on
        .iter()
        .map(|name| (name.as_str(), Direction::Ingress));
    let observe = plan
        .observe_on
        .iter()
        .map(|name| (name.as_str(), Direction::Egress));
    let apart = plan.hooks_apart();
    let apart = apart.iter().map(|(name, _, direction)| (*name, *direction));
    let mut findings = Vec::new();
    for (name, direction) in capture.chain(observe).chain(apart) {
        let places = links::attached(name, direction);
        if links::position_of_ours(&places) != Some(0) {
            let names: Vec<String> = places.into_iter().map(|place| place.name).collect();
            findings.push(
                Finding::fail(
                    "hooks",
                    "hidden-by-tcx",
                    format!(
                        "our program does not come first at {direction} of {name}, though it was attached so: {}; {}",
                        names.join(", "),
                        match plan.hook {
                            Hook::Tcx => "somebody attaches programs just now",
                            Hook::Clsact => "tcx programs come before filters, and --hook tcx before both",
                        }
                    ),
                )
                .look_here(format!("bpftool net show dev {name}")),
            );
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "hooks",
            format!(
                "programs load and attach, before all others, {}: {}inject and absorb on tcpcopy0",
                match plan.hook {
                    Hook::Tcx => "by tcx links",
                    Hook::Clsact => "as clsact filters, with a janitor that removes them",
                },
                attached_where(plan)
            ),
        ));
    }
    findings
}

/// Which program is where, each followed by a comma.
fn attached_where(plan: &Plan) -> String {
    let apart = plan.hooks_apart();
    let (everything, replies): (Vec<&str>, Vec<&str>) = plan
        .capture_on
        .iter()
        .map(String::as_str)
        .partition(|name| apart.is_empty() || plan.online_on.iter().any(|online| online == name));
    let observed = plan.observe_on.iter().map(String::as_str).collect();
    let mut places = vec![
        (name::CAPTURE, everything),
        (name::OBSERVE, observed),
        (name::REPLIES, replies),
    ];
    places.extend(
        apart
            .iter()
            .map(|(device, program, _)| (*program, vec![*device])),
    );
    let places = places.iter().filter(|(_, devices)| !devices.is_empty());
    places
        .map(|(program, devices)| format!("{program} on {}, ", devices.join(", ")))
        .collect()
}

/// A line that could not be set up.
fn of_set_up(error: &loader::Error) -> Finding {
    let fail = |check| Finding::fail(check, error.finding(), error.to_string());
    match error {
        loader::Error::Host(host::Error::ForeignDevice { name, .. }) => {
            fail("device").fix_here(format!("ip link del {name}"))
        }
        loader::Error::Host(host::Error::FilterFirst {
            interface,
            direction,
            ..
        }) => fail("hooks").look_here(format!("tc filter show dev {interface} {direction}")),
        loader::Error::Host(host::Error::HooksTaken { interface, kind }) => fail("hooks").fix_here(
            format!("tc qdisc del dev {interface} {kind}; tc qdisc add dev {interface} clsact"),
        ),
        loader::Error::Host(host::Error::Occupied { .. }) => {
            fail("device").look_here("pgrep -a tcpcopy")
        }
        _ => fail("device"),
    }
}

/// Another tcpcopy has the private device: it is left alone, and what can be tried without it is tried.
fn beside_another(plan: &Plan, owner: String, sheet: &mut Sheet) -> (Conclusion, String) {
    let words = host::Error::Occupied { owner }.to_string();
    sheet.add(
        Finding::fail(
            "device",
            "occupied",
            format!(
                "{words}. It owns the private device that the proof needs, so it is left alone and only plain connections \
                 are tried"
            ),
        )
        .look_here("pgrep -a tcpcopy"),
    );
    let targets = plan.targets();
    for some in targets.chunks(PLAIN_AT_A_TIME) {
        let threads: Vec<_> = some
            .iter()
            .map(|&target| thread::spawn(move || plain(target)))
            .collect();
        sheet.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
    }
    let words = "the path is not proven: another tcpcopy runs here, and its own ledger says how its copies fare";
    (Conclusion::NotProven, words.to_owned())
}

/// One connection of this host's own to a target.
fn plain(target: Endpoint) -> Finding {
    match TcpStream::connect_timeout(&SocketAddr::from(target), PLAIN_MAX) {
        Ok(_) => Finding::ok(
            "plain",
            format!("{target} takes a plain connection of this host"),
        ),
        Err(cause) => Finding::fail(
            "plain",
            "plain-connection-fails",
            format!("{target} does not take a plain connection of this host: {cause}"),
        )
        .look(target.addr, format!("ss -tln 'sport = :{}'", target.port)),
    }
}
