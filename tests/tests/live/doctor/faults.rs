//! Planted faults: each is found, named and mended. [`table`] lists them, [`planting`] plants what takes more than a line.

mod planting;
mod table;

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};

use lab::{Host, Topology};
use tests::Stand;
use tests::copying::check_nothing_left;

use super::arguments;
use super::examination::{Examination, examine};
use planting::server;
pub(super) use planting::{intercept, target_drops};
use table::FAULTS;

/// What is planted stays as long as this does.
type Planted = Vec<Box<dyn Any>>;

/// One fault.
struct Fault {
    name: &'static str,
    topology: Topology,
    /// Plants it. A server listens at the target and, in assistant mode, intercept runs, unless `bare`.
    plant: fn(&Stand) -> Planted,
    bare: bool,
    /// More arguments of the doctor; an `-x` takes the place of the lab's.
    more: &'static [&'static str],
    /// The finding that names it, and the exit status.
    finding: &'static str,
    exit: i32,
    /// What is said.
    said: &'static [&'static str],
    /// The command that is offered, and whether it mends the fault when it is copied as it stands.
    fix: &'static str,
    mend: Mend,
}

enum Mend {
    /// The command that was offered, run where it was said.
    AsSaid,
    /// What it amounts to, by hand.
    By(fn(&Stand) -> Planted),
    /// What was planted goes.
    Uproot,
}

const NOTHING: fn(&Stand) -> Planted = |_| Vec::new();

/// Parts that most faults share.
const DIRECT: Fault = Fault {
    name: "",
    topology: Topology::Direct,
    plant: NOTHING,
    bare: false,
    more: &[],
    finding: "",
    exit: 1,
    said: &[],
    fix: "",
    mend: Mend::AsSaid,
};
const THROUGH_INTERCEPT: Fault = Fault {
    topology: Topology::Assistant,
    ..DIRECT
};

/// Faults that are looked for at the same time, each in a lab of its own: the doctor mostly waits for answers.
const AT_ONCE: usize = 4;

#[test]
fn every_planted_fault_is_found_and_its_fix_named() {
    let only = std::env::var("FAULT").ok();
    let asked = |fault: &&Fault| only.as_ref().is_none_or(|only| fault.name.contains(only));
    let faults: Vec<_> = FAULTS.iter().filter(asked).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let needs = ["iptables", "nginx"];
                    let Some(stand) = super::super::stand_with(fault.topology, &needs) else {
                        return;
                    };
                    check(fault, &stand);
                }
            });
        }
    });
}

fn check(fault: &Fault, stand: &Stand) {
    eprintln!("-- {}", fault.name);
    let mut planted = Planted::new();
    if !fault.bare {
        planted.push(Box::new(server(stand)));
        if fault.topology == Topology::Assistant {
            planted.push(Box::new(intercept(stand)));
        }
    }
    let base = planted.len();
    planted.extend((fault.plant)(stand));
    let mut arguments = arguments(fault.topology);
    if fault.more.first() == Some(&"-x") {
        arguments.drain(..2);
    }
    arguments.extend(fault.more.iter().map(|more| (*more).to_owned()));

    let sick = examine(stand, &arguments);
    let command = found(fault, &sick);
    match fault.mend {
        Mend::AsSaid => {
            let (host, command) = command;
            stand
                .lab
                .run(host, "sh", &["-c", &command])
                .unwrap_or_else(|error| panic!("{}: {command}: {error}", fault.name));
        }
        Mend::By(mend) => planted.extend(mend(stand)),
        Mend::Uproot => planted.truncate(base),
    }
    // Where what was planted was the server or intercept itself, the sound ones take its place.
    if matches!(fault.mend, Mend::Uproot) && fault.bare {
        planted.push(Box::new(server(stand)));
        planted.push(Box::new(intercept(stand)));
    }
    let sound = examine(stand, &arguments);
    assert_eq!(sound.exit, Some(0), "{} was mended: {sound}", fault.name);
    assert!(
        sound.find(fault.finding).is_none(),
        "{}: {sound}",
        fault.name
    );
    drop(planted);
    check_nothing_left(stand);
}

/// Checks that the fault was named, and gives the command that was to be offered and its host.
fn found(fault: &Fault, sick: &Examination) -> (Host, String) {
    let name = fault.name;
    assert_eq!(sick.exit, Some(fault.exit), "{name}: {sick}");
    let finding = sick
        .find(fault.finding)
        .unwrap_or_else(|| panic!("{name}: no {}: {sick}", fault.finding));
    for words in fault.said {
        assert!(
            finding.text("said").contains(words),
            "{name}: no `{words}`: {sick}"
        );
    }
    let offered = finding.fixes();
    offered
        .into_iter()
        .find(|(_, command)| command.contains(fault.fix))
        .unwrap_or_else(|| panic!("{name}: no `{}`: {sick}", fault.fix))
}
