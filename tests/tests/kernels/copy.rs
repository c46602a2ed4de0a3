//! A copy of loads that are small enough for an emulated processor, and what must be true of it.

use std::time::Duration;

use lab::copier::{Copier, Options, Summary};
use lab::load::Report;
use lab::{Host, interrupt, system};
use tests::copying::{PROGRAMS, check_nothing_left, finish, start_with};
use tests::{Clients, Stand, check_complete, figures};

/// Keep-alive and short connections side by side.
pub(super) fn loads() -> [Clients; 2] {
    [Clients::keep_alive(10, 150, 4), Clients::short(60, 4)]
}

/// Runs loads side by side to their ends.
pub(super) fn run(stand: &Stand, loads: &[Clients]) -> Report {
    let running: Vec<_> = loads.iter().map(|load| load.start(stand)).collect();
    let mut all = Report::default();
    for running in running {
        let one = running.wait();
        all.sent += one.sent;
        all.completed += one.completed;
        all.connections += one.connections;
        all.errors.extend(one.errors);
    }
    all
}

/// Copies loads from one nginx to another: each request once, books in order, nothing left. `during` gets the running
/// copy before it is ended.
pub(super) fn complete(
    stand: &Stand,
    options: &Options,
    loads: &[Clients],
    during: impl FnOnce(&mut Copier),
) -> Summary {
    let (mut online, mut target) = (stand.nginx(Host::Online), stand.nginx(Host::Target));
    let mut copier = start_with(stand, options);
    let report = run(stand, loads);
    during(&mut copier);
    let summary = finish(&mut copier);
    let (online, target) = (
        online.finish().expect("online log"),
        target.finish().expect("target log"),
    );
    check_complete(&report, &online, &target, &summary);
    check_nothing_left(stand);
    check_kernel_is_clean();
    summary
}

/// No program of ours is loaded any more, attached or not, where this test has the kernel for itself.
pub(super) fn check_kernel_is_clean() {
    if !figures::alone() {
        return;
    }
    let mut listed = String::new();
    let what = "the kernel to let go of our programs";
    let gone = interrupt::wait_until(what, Duration::from_secs(2), || {
        listed = system::run("bpftool", &["prog", "show"])?;
        let named = |name: &str| listed.contains(&format!(" name {name} "));
        Ok(!PROGRAMS.iter().any(|name| named(name)))
    });
    figures::left(usize::from(gone.is_err()));
    assert!(gone.is_ok(), "programs are left: {listed}");
}
