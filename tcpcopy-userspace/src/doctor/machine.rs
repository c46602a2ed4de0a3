//! This machine: its kernel, our rights, the programs, memory and clock.

use std::thread;
use std::time::Duration;

use host::Error;
use host::kernel::{self, Tcx};
use host::netns::Outside;
use nix::time::{ClockId, clock_gettime};

use super::finding::Finding;
use super::refused;
use crate::args::Args;
use crate::clock;
use crate::loader;
use crate::plan::Plan;
use crate::run;

/// Limits of this process, which are raised where that is allowed, as a run does: what comes after them would fail in words of
/// its own.
pub(crate) fn limits(args: &Args) -> Option<Finding> {
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let short = run::limits::at_start(args, processors).err()?;
    let finding = Finding::fail("limits", "limit-short", short.to_string());
    Some(finding.fix_here(short.command()))
}

/// What a run needs of any machine.
pub(crate) fn kernel_and_rights(args: &Args) -> Vec<Finding> {
    let mut findings = Vec::new();
    match host::kernel::require().and_then(|()| host::kernel::require_af_xdp()) {
        Ok(()) => {
            let hooks = match kernel::tcx() {
                Tcx::Yes => "tcx hooks",
                Tcx::No => "clsact hooks (no tcx)",
                Tcx::Unknown => "hooks (whether tcx, this process may not ask)",
            };
            let release = kernel::release();
            findings.push(Finding::ok(
                "kernel",
                format!("Linux {release} with {hooks}, BTF and AF_XDP sockets"),
            ));
        }
        // Without rights no AF_XDP socket can be made, which says nothing of the kernel.
        Err(Error::Refused { .. }) if host::capability::require().is_err() => {}
        Err(error) => findings.push(Finding::fail("kernel", "kernel-lacks", error.to_string())),
    }
    findings.push(match host::capability::require() {
        Ok(()) => Finding::ok(
            "rights",
            "this process may load programs, attach them and make AF_XDP sockets",
        ),
        Err(error) => {
            let me = std::env::args().collect::<Vec<_>>().join(" ");
            Finding::fail("rights", "no-rights", error.to_string()).fix_here(format!("sudo {me}"))
        }
    });
    if args.listen.is_some() && !host::capability::may_administer() {
        let words = "without CAP_SYS_ADMIN the kernel does not say what the programs cost, and the metrics of --listen lack that; all \
                     else is as it should be";
        findings.push(Finding::note("rights", "rights-fewer", words));
    }
    findings.push(match programs::tcpcopy() {
        Ok(_) => Finding::ok(
            "programs",
            "the compiled BPF programs are part of this binary",
        ),
        Err(error) => Finding::fail("programs", "no-programs", error.to_string())
            .fix_here("cargo xtask build-ebpf"),
    });
    findings
}

/// Memory and clock, for this plan.
pub(crate) fn memory_and_clock(plan: &Plan, available: Option<u64>) -> Vec<Finding> {
    vec![memory(plan, available), locked(plan), time()]
}

fn memory(plan: &Plan, available: Option<u64>) -> Finding {
    let (rings, frames) = loader::memory_of(plan);
    let needed = plan.payload_bytes_max + rings + frames;
    let mebibytes = |bytes: u64| bytes >> 20;
    let words = format!(
        "captured bytes may take {} MiB, rings and frames {} MiB",
        mebibytes(plan.payload_bytes_max),
        mebibytes(rings + frames)
    );
    match available {
        Some(free) if free < needed => Finding::note(
            "memory",
            "memory-short",
            format!(
                "{words}, and {} MiB are free: under load the kernel would have to swap, or to kill somebody; give \
                 --memory less",
                mebibytes(free)
            ),
        ),
        Some(free) => Finding::ok(
            "memory",
            format!("{words}, {} MiB are free", mebibytes(free)),
        ),
        None => Finding::ok("memory", words),
    }
}

fn locked(plan: &Plan) -> Finding {
    let (_, frames) = loader::memory_of(plan);
    match host::kernel::locked_memory_short_of(frames) {
        None => Finding::ok("memlock", "no limit of locked memory stands in the way"),
        Some(limit) => Finding::fail(
            "memlock",
            "memlock-short",
            format!(
                "frames need {} MiB of locked memory, and the limit is {} KiB (RLIMIT_MEMLOCK, without CAP_IPC_LOCK)",
                frames >> 20,
                limit >> 10
            ),
        )
        .fix_here("ulimit -l unlimited"),
    }
}

/// Whether the clock that programs stamp with goes on, and costs little to read.
fn time() -> Finding {
    let boot = || clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
    let before = (clock::now(), boot().unwrap_or_default());
    thread::sleep(Duration::from_millis(2));
    let passed = clock::now().since(before.0);
    let passed_boot = boot().unwrap_or_default().saturating_sub(before.1);
    if passed.is_zero() || passed_boot.is_zero() {
        return Finding::fail(
            "clock",
            "clock-stands",
            "CLOCK_MONOTONIC or CLOCK_BOOTTIME did not go on within 2 ms: nothing can be measured here",
        );
    }
    match host::clock::source() {
        Some(source) if host::clock::is_slow(&source) => Finding::note(
            "clock",
            "clock-slow",
            format!(
                "the kernel's clock source is {source}: each stamp costs about a microsecond, for the online server too"
            ),
        )
        .look_here("cat /sys/devices/system/clocksource/clocksource0/available_clocksource"),
        Some(source) => Finding::ok("clock", format!("clock source {source}, monotonic")),
        None => Finding::ok("clock", "monotonic"),
    }
}

/// What a run would refuse of its other arguments.
pub(crate) fn outputs(args: &Args, outside: &Outside) -> Vec<Finding> {
    let summary = args.summary.as_deref().and_then(|path| {
        let cause = crate::run::check_folder(path).err()?;
        Some(refused::of_file(path, &cause))
    });
    let histograms = args.hgrm.as_deref().and_then(|folder| {
        let above = folder
            .parent()
            .filter(|above| !above.as_os_str().is_empty())?;
        let cause = std::fs::read_dir(above).err()?;
        let words = format!("cannot write histograms to {}: {cause}", folder.display());
        let finding = Finding::fail("arguments", "summary-folder", words);
        Some(finding.fix_here(format!("mkdir -p {}", above.display())))
    });
    let metrics = args.listen.as_ref().and_then(|place| {
        // Bound and let go: a run binds it for itself.
        let error = match outside.run(|| exporter::Bound::bind(place)) {
            Ok(bound) => bound.err()?.to_string(),
            Err(error) => error.to_string(),
        };
        Some(Finding::fail("arguments", "metrics-address", error).look_outside(place.look()))
    });
    let token = args.access.access().err();
    let token = token.map(|error| Finding::fail("arguments", "metrics-token", error.to_string()));
    let files = summary.into_iter().chain(histograms).chain(packets(args));
    files.chain(metrics).chain(token).collect()
}

/// The file of packets that a run is to write.
fn packets(args: &Args) -> Option<Finding> {
    let file = args.tap.file()?;
    let words = match crate::run::file_names(file, false, args.tap.force) {
        Err(words) => words,
        Ok(_) => {
            let folder = file.parent().filter(|it| !it.as_os_str().is_empty())?;
            let cause = std::fs::read_dir(folder).err()?;
            format!("cannot write {}: {cause}", file.display())
        }
    };
    let words = format!("{}: {words}", args.tap.option());
    Some(Finding::fail("arguments", "tap-file", words))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use host::netns::Outside;

    use super::outputs;
    use crate::args::{CommandLine, Task};

    /// What the doctor says of a run's outputs.
    fn said_of(options: &str) -> String {
        let line = format!("tcpcopy doctor -x 80-10.0.0.2:80 {options}");
        match CommandLine::read(line.split(' ').map(OsString::from)) {
            Ok(Task::Doctor(args)) => format!("{:?}", outputs(&args, &Outside::default())),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_file_of_packets_that_a_run_would_refuse_is_told() {
        let file = std::env::temp_dir().join(format!("doctor-{}.pcapng", std::process::id()));
        std::fs::write(&file, b"precious").expect("a file");
        let name = file.display();
        for (options, words) in [
            (format!("--tap {name}"), "--tap: "),
            (format!("--dry-run {name}"), "would be replaced"),
            ("--tap x.pcap".to_owned(), "write FILE.pcapng"),
            ("--tap /nosuch/x.pcapng".to_owned(), "No such file"),
        ] {
            let said = said_of(&options);
            assert!(said.contains(words) && said.contains("tap-file"), "{said}");
        }
        for options in [
            format!("--tap {name} --force"),
            "--dry-run /dev/null".to_owned(),
        ] {
            assert_eq!(said_of(&options), "[]", "{options}");
        }
        std::fs::remove_file(&file).expect("it is there");
    }
}
