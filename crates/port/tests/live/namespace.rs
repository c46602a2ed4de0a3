//! A network namespace per test, with a veth pair `a0`/`b0` in it.

use std::io::{self, Write as _};
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};

/// Runs `test` on a thread in a fresh network namespace, or says why not. The namespace goes with the thread.
pub(crate) fn with_veth(queues: u32, test: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(move || {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            // Not through `println!`, which is not shown for a test that passes.
            let _ = writeln!(
                io::stderr(),
                "SKIP: cannot make a network namespace ({errno}); run as root"
            );
            return;
        }
        let many = format!("numtxqueues {queues} numrxqueues {queues}");
        ip(&format!("link add a0 {many} type veth peer name b0 {many}"));
        for end in ["a0", "b0"] {
            // No neighbour or router is looked for, so that only the test's own frames are seen.
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6"), "1");
            ip(&format!("link set {end} up"));
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs the `ip` command.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split_whitespace())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "ip {arguments}"
    );
}
