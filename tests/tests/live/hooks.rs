//! Clsact filters in the place of tcx links (`--hook clsact`): the same copy, and nothing that outlives it, however it ends.

use std::time::Duration;

use abi::counter::Counter;
use aya::maps::PerCpuArray;
use aya::programs::tc::{NlOptions, TcAttachOptions, qdisc_add_clsact};
use aya::programs::{SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader};
use lab::copier::{Capture, Copier, Options, Summary};
use lab::{Host, Process, Topology, interrupt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::copying::{check_books, check_clients, check_nothing_left, finish, start_with};
use tests::{Clients, Stand, check_clean, check_complete};

use super::robust::pause;

/// How long the kernel and the janitor may take after a SIGKILL.
const SOON: Duration = Duration::from_secs(3);
/// The deadline of the programs, and a little.
const PAST_THE_DEADLINE: u64 = 9000;
const NEEDS: [&str; 2] = ["nginx", "tc"];

fn with_filters(stand: &Stand) -> Options {
    stand.options().more("--hook").more("clsact")
}

/// What stands at both hooks of the interfaces of the online host.
fn filters(stand: &Stand) -> String {
    let mut shown = String::new();
    for interface in ["eth0", "eth1"] {
        for direction in ["ingress", "egress"] {
            let arguments = ["filter", "show", "dev", interface, direction];
            shown += &stand
                .lab
                .run(Host::Online, "tc", &arguments)
                .unwrap_or_default();
        }
    }
    shown
}

fn tc(stand: &Stand, arguments: &str) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    stand.lab.run(Host::Online, "tc", &arguments).expect("tc");
}

/// The janitor of a run.
pub(super) fn janitor(copier: &Copier) -> Pid {
    let pid = copier.tcpcopy.pid();
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("the children");
    let mut all = std::fs::read_dir(format!("/proc/{pid}/task"))
        .expect("the threads")
        .flatten()
        .flat_map(|task| {
            let children =
                std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children
                .split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<i32>>()
        });
    let found = all.find(|child| {
        std::fs::read_to_string(format!("/proc/{child}/comm"))
            .is_ok_and(|name| name.trim() == "janitor")
    });
    Pid::from_raw(found.unwrap_or_else(|| panic!("no janitor among {children}")))
}

fn gone(stand: &Stand, what: &str) {
    let left = || filters(stand).contains("tcpcopy/") || device_is_there(stand);
    interrupt::wait_until(what, SOON, || Ok(!left()))
        .unwrap_or_else(|error| panic!("{error}: {}", filters(stand)));
    check_nothing_left(stand);
}

fn device_is_there(stand: &Stand) -> bool {
    let links = stand
        .lab
        .run(Host::Online, "ip", &["-brief", "link"])
        .expect("ip link");
    links.contains("tcpcopy0")
}

/// Copies a load and checks that it is complete; what the kernel shows meanwhile is said by `look`.
fn copies_all(topology: Topology, capture: Capture, look: impl FnOnce(&Stand)) {
    let Some(stand) = super::stand_with(topology, &NEEDS) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut options = with_filters(&stand);
    options.capture = capture;
    let mut copier = start_with(&stand, &options);
    let clients = Clients::keep_alive(20, 500, 3).start(&stand);
    pause(1000);
    look(&stand);
    let report = clients.wait();
    let summary = finish(&mut copier);
    let log = copier.tcpcopy.log();
    assert!(
        log.contains("clsact filters") && !log.contains("janitor removed"),
        "{log}"
    );
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    assert_eq!(summary.count("/hooks/capture/abandoned"), 0);
    check_nothing_left(&stand);
}

#[test]
fn filters_copy_all_in_direct_mode() {
    copies_all(Topology::Direct, Capture::Ring, |stand| {
        let shown = filters(stand);
        for name in ["tcpcopy/capture+qdisc", "tcpcopy/observe+qdisc"] {
            assert_eq!(shown.matches(name).count(), 2, "{shown}");
        }
        assert_eq!(shown.matches("direct-action").count(), 4, "{shown}");
    });
}

#[test]
fn filters_copy_all_by_clones() {
    copies_all(Topology::Direct, Capture::AfXdp, |_| ());
}

#[test]
fn filters_copy_all_in_assistant_mode() {
    copies_all(Topology::Assistant, Capture::Ring, |_| ());
}

/// A filter of somebody else's, which counts what it is asked about and passes it on: `inject`, to which no packet here means
/// anything.
struct Stranger(Ebpf);

impl Stranger {
    fn plant(stand: &Stand, direction: TcAttachType, priority: u16) -> Self {
        let attached = stand.lab.namespace(Host::Online).enter(|| {
            let object = programs::tcpcopy().expect("the programs are built");
            let mut ebpf = EbpfLoader::new().load(object).expect("they load");
            let program: &mut SchedClassifier = ebpf
                .program_mut(programs::name::INJECT)
                .expect("it is there")
                .try_into()
                .expect("a classifier");
            program.load().expect("it loads");
            // It may be there.
            let _ = qdisc_add_clsact("eth0");
            let options = NlOptions {
                priority,
                ..NlOptions::default()
            };
            let link = program
                .attach_with_options("eth0", direction, TcAttachOptions::Netlink(options))
                .expect("it attaches");
            // It stays, as filters do.
            std::mem::forget(program.take_link(link));
            Self(ebpf)
        });
        attached.expect("the namespace")
    }

    /// Packets that it was asked about.
    fn packets(&self) -> u64 {
        let map = self.0.map(abi::maps::COUNTERS).expect("counters");
        let map = PerCpuArray::<_, u64>::try_from(map).expect("counters");
        map.get(&(Counter::InjectForeign as u32), 0)
            .expect("slot")
            .iter()
            .sum()
    }
}

/// Whoever has filters there keeps them, before the run, with it and after it, and they are asked as before, whether they have a
/// higher preference than ours or the same.
#[test]
fn filters_of_others_stay_and_are_asked() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let before = [
        Stranger::plant(&stand, TcAttachType::Ingress, 1),
        Stranger::plant(&stand, TcAttachType::Egress, 7),
    ];
    let mut copier = start_with(&stand, &with_filters(&stand));
    // Without a preference: the kernel chooses one.
    let after = Stranger::plant(&stand, TcAttachType::Ingress, 0);
    let shown = filters(&stand);
    let ours = shown.find("tcpcopy/").expect("ours");
    assert!(
        shown.find("inject").is_some_and(|theirs| ours < theirs),
        "{shown}"
    );
    let counted = |of: &Stranger| of.packets();
    let at_first = [&before[0], &before[1], &after].map(counted);
    let report = Clients::keep_alive(20, 500, 3).run(&stand);
    let at_last = [&before[0], &before[1], &after].map(counted);
    for (first, last) in at_first.iter().zip(at_last) {
        assert!(
            last - first >= report.completed,
            "{at_first:?}, {at_last:?}, {}",
            report.completed
        );
    }
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    let left = filters(&stand);
    assert_eq!(left.matches("name inject").count(), 3, "{left}");
    assert!(!left.contains("tcpcopy/"), "{left}");
    let qdiscs = stand
        .lab
        .run(Host::Online, "tc", &["qdisc", "show"])
        .expect("tc");
    assert_eq!(
        qdiscs.matches("clsact").count(),
        1,
        "only what somebody else made: {qdiscs}"
    );
}

/// What would hide packets from us, or leaves no place for the hooks: refused before anything is changed, in words that help.
#[test]
fn what_stands_in_the_way_of_filters_is_named() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    for (plant, uproot, words) in [
        (
            vec![
                "qdisc add dev eth0 clsact",
                "filter add dev eth0 ingress pref 1 protocol ip u32 match u32 0 0 classid 1:1",
            ],
            "qdisc del dev eth0 clsact",
            "the u32 filter of preference 1 is asked before any filter of ours",
        ),
        (
            vec!["qdisc add dev eth0 ingress"],
            "qdisc del dev eth0 ingress",
            "has a qdisc `ingress` in the place of the clsact hooks",
        ),
    ] {
        plant.iter().for_each(|arguments| tc(&stand, arguments));
        let before = filters(&stand);
        let options = with_filters(&stand);
        let mut copier =
            Copier::start_without_intercept(&stand.lab, &stand.binaries, &options, Host::Online)
                .expect("tcpcopy");
        let ended = copier
            .tcpcopy
            .wait(Duration::from_secs(15))
            .expect("it ends");
        let log = copier.tcpcopy.log();
        assert_eq!(ended.code(), Some(2), "{log}");
        assert!(log.contains(words), "{log}");
        assert_eq!(filters(&stand), before);
        tc(&stand, uproot);
        check_nothing_left(&stand);
    }
}

#[test]
fn filters_of_a_killed_run_are_gone_soon() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_with(&stand, &with_filters(&stand));
    let janitor = janitor(&copier);
    // What ends a run, or hangs up its terminal, does not end the janitor.
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        kill(janitor, signal).expect("it lives");
    }
    let clients = Clients::keep_alive(20, 500, 4).start(&stand);
    pause(1500);
    copier.tcpcopy.stop(Signal::SIGKILL, SOON).expect("it dies");
    gone(&stand, "the janitor to clean up");
    // It says so afterwards.
    let says = || Ok(copier.tcpcopy.log().contains("janitor removed 6 filters"));
    interrupt::wait_until("the janitor to say so", SOON, says)
        .unwrap_or_else(|error| panic!("{error}: {}", copier.tcpcopy.log()));
    check_clients(&clients.wait());
    check_clean(&stand);
}

#[test]
fn a_run_whose_janitor_is_killed_gets_another() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_with(&stand, &with_filters(&stand));
    let first = janitor(&copier);
    let clients = Clients::keep_alive(20, 500, 3).start(&stand);
    pause(500);
    kill(first, Signal::SIGKILL).expect("it lives");
    copier
        .tcpcopy
        .wait_for("another one is started", SOON)
        .expect("it is missed");
    let report = clients.wait();
    let second = janitor(&copier);
    assert_ne!(first, second);
    let summary = finish(&mut copier);
    let (online, target) = (online.finish().expect("log"), target.finish().expect("log"));
    check_complete(&report, &online, &target, &summary);
    check_nothing_left(&stand);
    assert!(kill(second, None).is_err(), "the janitor is left");
}

/// Nobody is left who could remove anything: the programs let everything pass by themselves, and the next start cleans up.
#[test]
fn what_a_run_and_its_janitor_leave_does_nothing_and_is_removed_by_the_next() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_with(&stand, &with_filters(&stand));
    let janitor = janitor(&copier);
    let clients = Clients::keep_alive(20, 300, 16).start(&stand);
    pause(1000);
    kill(janitor, Signal::SIGKILL).expect("it lives");
    copier.tcpcopy.stop(Signal::SIGKILL, SOON).expect("it dies");
    pause(PAST_THE_DEADLINE);
    let shown = filters(&stand);
    assert_eq!(shown.matches("tcpcopy/").count(), 4, "{shown}");
    // Ports that the sessions had: what the target says to them is not consumed.
    super::own_traffic::ask_from_ports(&stand, 10_000..10_040);
    let examination = super::doctor::examine_with(&stand, &["--hook", "clsact"]);
    assert!(examination.contains("filters-left"), "{examination}");
    // The doctor leaves nothing either, and it cleans up as a run does.
    assert_eq!(
        filters(&stand).matches("tcpcopy/").count(),
        0,
        "{}",
        filters(&stand)
    );
    check_nothing_left(&stand);
    check_clients(&clients.stop());
    let mut next = start_with(&stand, &with_filters(&stand));
    check_books(&finish(&mut next));
    check_nothing_left(&stand);
}

/// A stop that is shorter than the deadline loses nothing; a longer one loses what passed meanwhile, says so, and hurts nobody.
#[test]
fn a_run_with_filters_that_was_stopped_goes_on() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let (_online, _target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_with(&stand, &with_filters(&stand));
    let clients = Clients::keep_alive(20, 200, 15).start(&stand);
    pause(1000);
    copier.tcpcopy.signal(Signal::SIGSTOP).expect("it runs");
    pause(PAST_THE_DEADLINE + 1500);
    copier.tcpcopy.signal(Signal::SIGCONT).expect("it is there");
    pause(1500);
    let report = clients.stop();
    let summary = finish(&mut copier);
    check_clients(&report);
    check_books(&summary);
    check_stopped(&copier.tcpcopy, &summary);
    check_nothing_left(&stand);
}

fn check_stopped(process: &Process, summary: &Summary) {
    let log = process.log();
    assert!(log.contains("stood still"), "{log}");
    assert!(
        summary.count("/hooks/capture/abandoned") > 0,
        "{}",
        summary.value()
    );
    assert_eq!(
        summary.count("/incidents/deadlines_missed"),
        1,
        "{}",
        summary.value()
    );
    assert!(
        summary.answered() * 10 > summary.captured() * 8,
        "{}",
        summary.ledger()
    );
}
