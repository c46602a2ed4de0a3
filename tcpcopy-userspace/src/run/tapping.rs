//! The file of `--tap` in the course of a run: begun before anything is changed on the host, ended when the last worker has.
//!
//! | module | holds |
//! |---|---|
//! | [`writing`] | the thread that writes |

mod writing;

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, io};

use abi::maps::{EGRESS_DEVICE, EGRESS_LOCAL, Egress};
use host::PrivateDevice;
use nix::net::if_::if_indextoname;
use process::signals;
use recording::Form;
use signal_hook::iterator::Signals;
use telemetry::warning::Kind;
use tracing::warn;
use wire::flow::Addr;

use super::ending::Unusable;
use super::preparation::file_names;
use super::warnings::{Subject, Warnings};
use crate::args::Args;
use crate::clock;
use crate::plan::Plan;
use crate::worker::tap::{Lost, Tap, channel};
use writing::{Shared, Writing};

/// How long the end waits for the file: a disk that hangs is to keep nobody from ending.
const END_MAX: Duration = Duration::from_secs(10);
/// How often it looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The device to a target that cannot be reached.
const NO_DEVICE: &str = "none";

/// The file of `--tap`, of a run that is to have one.
#[derive(Default)]
pub(super) struct Tapping {
    file: Option<PathBuf>,
    /// Until the thread is started.
    tap: Option<recording::Tap>,
    targets: Vec<IpAddr>,
    shared: Option<Arc<Shared>>,
    thread: Option<JoinHandle<()>>,
    /// Whether the run has begun, so that the file is worth keeping.
    is_kept: bool,
}

impl Tapping {
    /// Begins the file.
    pub(super) fn open(args: &Args) -> Result<Self, Unusable> {
        let mut tapping = Self::default();
        let Some(file) = args.tap.file() else {
            return Ok(tapping);
        };
        let (tap, form) = begin(args, file)?;
        tapping.tap = Some(tap);
        tapping.is_kept = form == Form::Nowhere;
        tapping.file = Some(file.clone());
        Ok(tapping)
    }

    /// Starts the thread that writes; gives the workers' ends.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread.
    pub(super) fn start(&mut self, plan: &Plan) -> io::Result<Vec<Tap>> {
        let Some(tap) = self.tap.take() else {
            return Ok(Vec::new());
        };
        self.targets = plan.egress.iter().map(|(target, _)| *target).collect();
        let addresses: Vec<Addr> = self.targets.iter().map(|it| (*it).into()).collect();
        let lost = Arc::new(Lost::new(addresses));
        let devices = plan.egress.iter().map(|(_, egress)| device_of(egress));
        let shared = Arc::new(Shared::new(&lost, devices.collect()));
        let (taps, drain) = channel(plan.workers as usize, &lost);
        let writing = Writing::new(tap, drain, plan.mode, &shared);
        let thread = thread::Builder::new()
            .name("tap".to_owned())
            .spawn(move || {
                process::rights::keep_only(process::rights::FILES);
                // The worker goes before the file.
                if let Err(error) = process::priority::yield_to_all() {
                    warn!(
                        finding = "no-priority",
                        "the thread that writes the file of --tap does not wait for others: {error}"
                    );
                }
                writing.run();
            })?;
        (self.shared, self.thread) = (Some(shared), Some(thread));
        Ok(taps)
    }

    /// The run has begun.
    pub(super) const fn keep(&mut self) {
        self.is_kept = true;
    }

    /// The way to a target has changed.
    pub(super) fn follow(&self, target: IpAddr, egress: &Egress) {
        let index = self.targets.iter().position(|known| *known == target);
        if let (Some(shared), Some(index)) = (&self.shared, index) {
            let mut devices = shared
                .devices
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(device) = devices.get_mut(index) {
                *device = device_of(egress);
            }
        }
    }

    /// Says once what is missing in the file, and why.
    pub(super) fn look(&self, warnings: &mut Warnings) {
        let Some(shared) = &self.shared else {
            return;
        };
        let failure = shared
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &*failure {
            let words = format!(
                "THE TAP ENDS HERE: {failure}. What was written before is readable, and copying goes on"
            );
            warnings.raise(Kind::TapEnded, Subject::Run, &words);
            return;
        }
        let lost = shared.lost.total();
        if lost > 0 {
            let words = format!(
                "NOT EVERYTHING IS IN THE FILE: {lost} packet(s) so far are missing there, and nowhere else. The disk or the thread that \
                 writes is too slow for them; .pcapng.zst writes less, and so does copying less (-r, -n)"
            );
            warnings.raise(Kind::TapDropped, Subject::Run, &words);
        }
    }

    /// What was tapped so far.
    pub(super) fn figures(&self) -> Option<telemetry::Tap> {
        let (file, shared) = (self.file.as_ref()?, self.shared.as_ref()?);
        let tapped = shared.tapped();
        Some(telemetry::Tap {
            file: file.display().to_string(),
            sent_packets: tapped.sent,
            received_packets: tapped.received,
            packet_bytes: tapped.packet_bytes,
            file_bytes: tapped.file_bytes,
            dropped_packets: shared.lost.total(),
        })
    }

    /// Waits until everything is written, which the workers have handed over before they ended.
    pub(super) fn finish(&mut self, signals: &mut Signals, warnings: &mut Warnings) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let began = Instant::now();
        while !thread.is_finished() && began.elapsed() < END_MAX {
            if signals.pending().any(signals::hurries) {
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        let why = match thread.is_finished().then(|| thread.join()) {
            Some(Ok(())) => return self.look(warnings),
            Some(Err(_)) => {
                "the thread that writes it panicked: a bug, please report what it printed"
            }
            None => "that takes too long",
        };
        let words = format!(
            "THE TAP ENDS HERE: the file was not written to its end, for {why}. What was written before is readable"
        );
        warnings.raise(Kind::TapEnded, Subject::Run, &words);
    }
}

/// Whether the file is one of those that are replayed: it would be empty before it is read.
fn is_replayed(args: &Args, file: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|it| (it.dev(), it.ino())).ok();
    let Some(own) = identity(file) else {
        return false;
    };
    let files = args.replay.iter().flat_map(|replay| &replay.files);
    files.into_iter().any(|other| identity(other) == Some(own))
}

impl Drop for Tapping {
    /// A file without a run would be in the way of the next try.
    fn drop(&mut self) {
        if !self.is_kept
            && let Some(file) = &self.file
        {
            // It was made a moment ago, so that fails only where somebody else has taken it away.
            let _ = fs::remove_file(file);
        }
    }
}

/// Begins the file of `--tap` or `--dry-run`.
///
/// # Errors
///
/// Where it cannot be, or would replace what nobody wants to lose.
pub(super) fn begin(args: &Args, file: &Path) -> Result<(recording::Tap, Form), Unusable> {
    let unusable =
        |words: String| Unusable::new(format!("{}: {words}", args.tap.option()), "tap-file");
    if is_replayed(args, file) {
        let words = format!(
            "{} is what is to be replayed; take another name",
            file.display()
        );
        return Err(unusable(words));
    }
    let names = file_names(file, false, args.tap.force).map_err(unusable)?;
    let tap = recording::Tap::open(&names, args.tap.force, clock::wall_offset_ns());
    let tap = tap.map_err(|error| unusable(error.to_string()))?;
    Ok((tap, names.form()))
}

/// The name of the device by which copies leave.
fn device_of(egress: &Egress) -> String {
    match egress.kind {
        EGRESS_LOCAL => PrivateDevice::OUTER.to_owned(),
        EGRESS_DEVICE => {
            let name = if_indextoname(egress.ifindex).ok();
            let name = name.and_then(|name| name.into_string().ok());
            name.unwrap_or_else(|| format!("if{}", egress.ifindex))
        }
        _ => NO_DEVICE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::Tapping;
    use crate::args::{Args, CommandLine, Task};

    fn args(line: &str) -> Args {
        match CommandLine::read(line.split(' ').map(OsString::from)) {
            Ok(Task::Run(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_is_replayed_is_not_overwritten_and_a_run_that_does_not_begin_leaves_no_file() {
        let folder = std::env::temp_dir().join(format!("tapping-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (file, link) = (folder.join("a.pcapng"), folder.join("b.pcapng"));
        std::fs::write(&file, "precious").expect("a file");
        std::fs::hard_link(&file, &link).expect("a link");
        let line = |tap: &str| {
            let (file, folder) = (file.display(), folder.display());
            format!("tcpcopy replay --pcap {file} -x 80-10.0.0.2:80 --tap {folder}/{tap} --force")
        };
        for tap in ["a.pcapng", "b.pcapng"] {
            let refused = Tapping::open(&args(&line(tap))).err().expect(tap);
            assert!(
                refused.words.contains("is what is to be replayed"),
                "{refused:?}"
            );
        }
        let other = folder.join("c.pcapng");
        let tapping = Tapping::open(&args(&line("c.pcapng"))).expect("another file");
        assert!(other.exists());
        drop(tapping);
        assert!(!other.exists());
        let mut tapping = Tapping::open(&args(&line("c.pcapng"))).expect("another file");
        tapping.keep();
        drop(tapping);
        assert!(other.exists());
        assert_eq!(std::fs::read(&file).expect("it is there"), b"precious");
        std::fs::remove_dir_all(folder).expect("it is ours");
    }
}
