//! Which labs stand, and whose they are: one folder per lab under `/run/tcpcopy-lab`.
//!
//! A folder holds `owner` (process id and its start time, or `kept`), `processes` (what was started in the lab) and
//! `folder` (where its logs are).
//! A lab whose owner is gone is removed by whoever comes next: its processes, by id and only if they still live in
//! its namespaces, then the namespaces.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, Result, Tried};
use crate::host::Namespace;
use crate::interrupt;
use crate::plan::Host;
use crate::prefix::{FOLDER, Prefix};
use crate::system;

const KEPT: &str = "kept";

/// The right to a lab's name; dropping it removes the lab.
#[derive(Debug)]
pub(crate) struct Claim {
    prefix: Prefix,
    kept: bool,
}

impl Claim {
    pub(crate) fn take(prefix: Prefix) -> Result<Self> {
        if !system::is_root() {
            return Err(Error::NotRoot);
        }
        sweep()?;
        let folder = prefix.folder();
        let pid = std::process::id();
        // Made elsewhere and renamed, so that nobody sees a lab without an owner.
        let draft = PathBuf::from(FOLDER).join(format!(".{prefix}-{pid}"));
        let line = format!("{pid} {}\n", start_time(pid).unwrap_or_default());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&draft)
            .and_then(|()| fs::write(draft.join("owner"), line))
            .tried(|| format!("write {}", draft.display()))?;
        if fs::rename(&draft, &folder).is_err() {
            let _ = fs::remove_dir_all(&draft);
            return Err(match owner(&prefix) {
                Owner::Alive(pid) => Error::InUse {
                    prefix: prefix.to_string(),
                    pid,
                },
                Owner::Kept | Owner::Gone => Error::Kept {
                    prefix: prefix.to_string(),
                },
            });
        }
        Ok(Self {
            prefix,
            kept: false,
        })
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    pub(crate) fn keep(&mut self) -> Result<()> {
        let file = self.prefix.folder().join("owner");
        fs::write(&file, KEPT).tried(|| format!("write {}", file.display()))?;
        self.kept = true;
        Ok(())
    }

    /// Notes the folder of logs, which is removed with the lab; `None` leaves it.
    pub(crate) fn remember_folder(&self, folder: Option<&Path>) -> Result<()> {
        let file = self.prefix.folder().join("folder");
        match folder {
            Some(folder) => fs::write(&file, folder.as_os_str().as_encoded_bytes()),
            None => fs::remove_file(&file),
        }
        .tried(|| format!("write {}", file.display()))
    }

    /// Notes a process that was started in the lab.
    pub(crate) fn remember(&self, pid: u32) -> Result<()> {
        let file = self.prefix.folder().join("processes");
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&file)
            .and_then(|mut open| writeln!(open, "{pid}"))
            .tried(|| format!("write {}", file.display()))
    }

    pub(crate) fn release(prefix: &Prefix) -> Result<()> {
        match owner(prefix) {
            Owner::Alive(pid) if pid != std::process::id() => Err(Error::InUse {
                prefix: prefix.to_string(),
                pid,
            }),
            _ => remove(prefix),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = remove(&self.prefix)
        {
            eprintln!("lab: {} is not removed completely: {error}", self.prefix);
        }
    }
}

/// Removes the labs whose owners are gone.
fn sweep() -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(FOLDER)
        .tried(|| format!("create {FOLDER}"))?;
    let entries = fs::read_dir(FOLDER).tried(|| format!("read {FOLDER}"))?;
    for entry in entries.flatten() {
        let Some(prefix) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<Prefix>().ok())
        else {
            continue;
        };
        if owner(&prefix) == Owner::Gone {
            remove(&prefix)?;
        }
    }
    Ok(())
}

/// The namespaces of a lab that stand.
///
/// # Errors
///
/// Where `ip` fails.
pub fn namespaces(prefix: &Prefix) -> Result<Vec<String>> {
    let list = system::run("ip", &["netns", "list"])?;
    let start = format!("{prefix}-");
    let names = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let mut found: Vec<String> = names
        .filter(|name| name.strip_prefix(&start).and_then(Host::named).is_some())
        .map(str::to_owned)
        .collect();
    found.sort();
    Ok(found)
}

fn remove(prefix: &Prefix) -> Result<()> {
    let folder = prefix.folder();
    let namespaces = namespaces(prefix)?;
    let inodes: Vec<u64> = namespaces
        .iter()
        .filter_map(|name| fs::metadata(PathBuf::from("/run/netns").join(name)).ok())
        .map(|file| file.ino())
        .collect();
    let list = fs::read_to_string(folder.join("processes")).unwrap_or_default();
    let ours: Vec<Pid> = list
        .lines()
        .filter_map(|line| line.trim().parse::<i32>().ok())
        .filter(|pid| {
            fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|file| inodes.contains(&file.ino()))
        })
        .map(Pid::from_raw)
        .collect();
    for pid in &ours {
        let _ = kill(*pid, Signal::SIGKILL);
    }
    // Their sockets and programs hold the namespace; a second is plenty unless gigabytes are to be freed.
    for _ in 0..50 {
        if !ours
            .iter()
            .any(|pid| start_time(pid.as_raw().unsigned_abs()).is_some())
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for name in &namespaces {
        Namespace::delete(name)?;
    }
    if let Ok(logs) = fs::read_to_string(folder.join("folder")) {
        let _ = fs::remove_dir_all(logs);
    }
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).tried(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Alive(u32),
    Kept,
    Gone,
}

fn owner(prefix: &Prefix) -> Owner {
    let text = fs::read_to_string(prefix.folder().join("owner")).unwrap_or_default();
    if text.trim() == KEPT {
        return Owner::Kept;
    }
    let mut words = text.split_whitespace();
    let pid = words.next().and_then(|word| word.parse::<u32>().ok());
    match (pid, words.next().and_then(|word| word.parse::<u64>().ok())) {
        (Some(pid), Some(started)) if start_time(pid) == Some(started) => Owner::Alive(pid),
        _ => Owner::Gone,
    }
}

/// When a process started, in ticks since boot, unless it is gone or a zombie: tells a process from a later one of
/// the same id.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces: count from its end. Field 3 is the state, 22 the start time.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// Waits until a namespace has no process any more; for tests that look for left-overs.
///
/// # Errors
///
/// [`Error::Timeout`] after `limit`.
pub fn wait_empty(namespace: &str, limit: Duration) -> Result<()> {
    interrupt::wait_until(
        &format!("the end of all processes in {namespace}"),
        limit,
        || {
            Ok(system::run("ip", &["netns", "pids", namespace])?
                .trim()
                .is_empty())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::start_time;

    #[test]
    fn this_process_has_a_start_time_and_no_process_has_none() {
        assert!(start_time(std::process::id()).is_some());
        assert_eq!(start_time(u32::MAX), None);
    }
}
