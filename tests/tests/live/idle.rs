//! What a run holds before anybody asks anything of it.

use std::fs;

use lab::Topology;
use tests::copying::finish;

use super::places::start;

/// Most resident kilobytes of `tcpcopy` with one worker, and of `intercept` with one queue, right after they are ready.
const TCPCOPY_KB_MAX: u64 = 33_500;
const INTERCEPT_KB_MAX: u64 = 27_500;

/// Resident kilobytes of a process.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("VmRSS")
}

#[test]
fn who_has_nothing_to_do_holds_little_memory() {
    let Some(stand) = super::stand_with(Topology::Assistant, &[]) else {
        return;
    };
    let mut copier = start(&stand, &stand.options());
    let tcpcopy = resident(copier.tcpcopy.pid());
    let intercept = copier
        .intercept
        .as_ref()
        .map(|process| resident(process.pid()));
    eprintln!("resident: tcpcopy {tcpcopy} kB, intercept {intercept:?} kB");
    finish(&mut copier);
    assert!(tcpcopy <= TCPCOPY_KB_MAX, "tcpcopy: {tcpcopy} kB");
    assert!(
        intercept.is_some_and(|kb| kb <= INTERCEPT_KB_MAX),
        "intercept: {intercept:?} kB"
    );
}
