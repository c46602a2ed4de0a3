//! One machine: QEMU without hardware support, from its start to its end.
//!
//! Its console and its verdicts are files that QEMU writes into a folder of this run; both are read while it runs, and a
//! machine that writes too much or takes too long is ended. Nothing of it outlives this process: it is a process group of
//! its own that is killed as a whole, the kernel ends it should this process be killed, and the folder is removed.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ::lab::interrupt;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::initrd;
use super::kernel::Kernel;
use super::shape::Shape;
use crate::{step, workspace};

/// Most that a console may say, in bytes.
const CONSOLE_MAX: u64 = 16 << 20;
/// Most that verdicts may say, in bytes.
const VERDICTS_MAX: u64 = 1 << 20;
/// How long a machine may take until its first case, and to switch itself off.
const BOOT_WITHIN: Duration = Duration::from_secs(90);
/// How often a kernel is booted that dies before it runs anything.
const BOOTS_MAX: u32 = 3;
/// What a kernel says that dies.
const DIED: &str = "Kernel panic - not syncing";
/// How often a machine is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a machine left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) console: String,
    pub(super) verdicts: String,
    /// Why it was ended, if it did not end by itself.
    pub(super) killed: Option<String>,
}

impl Left {
    /// Whether the kernel has died before it ran anything of ours.
    fn has_died_early(&self) -> bool {
        self.verdicts.is_empty() && self.console.contains(DIED)
    }
}

/// Boots a kernel and lets it run a script to its end, again where the kernel has died before it came to that: under load the
/// emulation sometimes runs code that the kernel is changing (a trap of its own patching, in the first two seconds). `look` gets the verdicts whenever there are more; with `show` the
/// console goes to standard output as it comes.
///
/// # Errors
///
/// Where the machine cannot be started, or a signal arrives.
pub(super) fn run(
    kernel: &Kernel,
    shape: Shape,
    script: &str,
    within: Duration,
    show: bool,
    mut look: impl FnMut(&str),
) -> Result<Left> {
    for _ in 1..BOOTS_MAX {
        let left = boot(kernel, shape, script, within, show, &mut look)?;
        if !left.has_died_early() {
            return Ok(left);
        }
        step::say(&format!(
            "{} has died before it ran anything: once more",
            kernel.release
        ));
    }
    boot(kernel, shape, script, within, show, &mut look)
}

/// The same, once.
fn boot(
    kernel: &Kernel,
    shape: Shape,
    script: &str,
    within: Duration,
    show: bool,
    look: &mut impl FnMut(&str),
) -> Result<Left> {
    let folder = Folder::new()?;
    let (share, image) = (folder.0.join("share"), folder.0.join("initrd"));
    fs::create_dir(&share)?;
    fs::write(share.join("run.sh"), script)?;
    initrd::make(kernel, &folder.0.join("first"), &image)?;
    let console = Said::new(&folder.0, "console", CONSOLE_MAX)?;
    let verdicts = Said::new(&folder.0, "verdicts", VERDICTS_MAX)?;
    let mut command = command(kernel, shape, &image, &share);
    for said in [&console, &verdicts] {
        command
            .arg("-serial")
            .arg(format!("file:{}", said.path.display()));
    }
    let errors = File::create(folder.0.join("errors"))?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .process_group(0);
    let mut machine = Running(command.spawn().context("cannot start qemu-system-x86_64")?);
    let killed = watch(
        &mut machine,
        [console, verdicts],
        within + BOOT_WITHIN,
        |console, verdicts| {
            if show {
                let _ = std::io::stdout().lock().write_all(&plain(console));
            }
            if !verdicts.is_empty() {
                look(&folder.read("verdicts", VERDICTS_MAX));
            }
        },
    )?;
    let errors = folder.read("errors", 1 << 16);
    let mut console = folder.read("console", CONSOLE_MAX);
    if !errors.trim().is_empty() {
        console = format!("{console}\nqemu: {errors}");
    }
    Ok(Left {
        console,
        verdicts: folder.read("verdicts", VERDICTS_MAX),
        killed,
    })
}

/// What a terminal may get of a console: text and ends of lines, nothing that moves its cursor.
fn plain(console: &[u8]) -> Vec<u8> {
    let keeps = |byte: &u8| matches!(byte, b'\n' | b'\t') || (*byte >= b' ' && *byte != 0x7f);
    console.iter().copied().filter(keeps).collect()
}

/// Looks at a machine until it ends; says why it had to be ended, if it had to.
fn watch(
    machine: &mut Running,
    mut said: [Said; 2],
    within: Duration,
    mut heard: impl FnMut(&[u8], &[u8]),
) -> Result<Option<String>> {
    let end = Instant::now() + within;
    loop {
        let ended = machine.0.try_wait().context("cannot wait for qemu")?;
        let [console, verdicts] = &mut said;
        let (more_console, more_verdicts) = (console.more()?, verdicts.more()?);
        heard(&more_console, &more_verdicts);
        if ended.is_some() {
            return Ok(None);
        }
        // What stands already is removed by the drops of those who own it.
        interrupt::check()?;
        let talks = [&*console, &*verdicts]
            .into_iter()
            .find(|said| said.at >= said.max);
        let why = if let Some(talks) = talks {
            format!("it said more than {} bytes", talks.max)
        } else if Instant::now() >= end {
            format!("it did not end within {} s", within.as_secs())
        } else {
            std::thread::sleep(LOOK_EVERY);
            continue;
        };
        machine.kill();
        return Ok(Some(why));
    }
}

/// The command line of a machine, without its serial lines.
fn command(kernel: &Kernel, shape: Shape, initrd: &Path, share: &Path) -> Command {
    // setpriv: the kernel ends the machine where this process is killed.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    command.args(["-accel", "tcg,thread=multi", "-nodefaults", "-no-reboot"]);
    command.args(["-display", "none", "-monitor", "none"]);
    command.args(["-smp", &shape.processors().to_string()]);
    command.args(["-m", &shape.memory_mb().to_string()]);
    command.arg("-kernel").arg(&kernel.image);
    command.arg("-initrd").arg(initrd);
    // A fault of the kernel ends the machine: what runs on would prove nothing. The emulated time stamp counter is the
    // host's, and any other clock is slow to ask.
    let line = "console=ttyS0 quiet panic=-1 oops=panic tsc=reliable";
    command.args(["-append", line]);
    command.args(shape.devices());
    for (tag, folder) in [("root", Path::new("/")), ("share", share)] {
        // A comma would end the value.
        let path = folder.display().to_string().replace(',', ",,");
        command.arg("-virtfs").arg(format!(
            "local,path={path},security_model=none,mount_tag={tag},readonly=on,multidevs=remap"
        ));
    }
    command
}

/// A machine that runs; it ends with this value.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        if let Ok(Some(_)) = self.0.try_wait() {
            return;
        }
        let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A file that grows while a machine runs.
struct Said {
    path: PathBuf,
    file: File,
    at: u64,
    max: u64,
}

impl Said {
    fn new(folder: &Path, name: &str, max: u64) -> Result<Self> {
        let path = folder.join(name);
        File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let file = File::open(&path)?;
        let at = 0;
        Ok(Self {
            path,
            file,
            at,
            max,
        })
    }

    /// What came since the last call, up to the bound.
    fn more(&mut self) -> Result<Vec<u8>> {
        let mut more = Vec::new();
        self.file.seek(SeekFrom::Start(self.at))?;
        let left = self.max.saturating_sub(self.at);
        (&self.file).take(left).read_to_end(&mut more)?;
        self.at += more.len() as u64;
        Ok(more)
    }
}

/// The folder of a machine that runs; it goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let parent = workspace::target().join("vm/run");
        sweep(&parent);
        let folder = parent.join(std::process::id().to_string());
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self(folder))
    }

    fn read(&self, name: &str, max: u64) -> String {
        let mut bytes = Vec::new();
        if let Ok(file) = File::open(self.0.join(name)) {
            let _ = file.take(max).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes the folders of processes that are gone: each is called by its id.
pub(super) fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Left, Said, plain};
    use std::fs::OpenOptions;
    use std::io::Write;

    #[test]
    fn only_a_kernel_that_died_before_anything_ran_is_booted_again() {
        let left = |console: &str, verdicts: &str| Left {
            console: console.to_owned(),
            verdicts: verdicts.to_owned(),
            killed: None,
        };
        let died = "[    1.4] Kernel panic - not syncing: Fatal exception in interrupt";
        assert!(left(died, "").has_died_early());
        assert!(!left(died, "ready 6.12.117\n").has_died_early());
        assert!(!left("vm: no root file system", "").has_died_early());
    }

    #[test]
    fn a_console_does_not_move_the_cursor() {
        assert_eq!(plain(b"a\x1b[2Jb\r\n\tc\x7f\x00"), b"a[2Jb\n\tc");
    }

    #[test]
    fn what_is_said_is_read_once_and_bounded() {
        let folder = std::env::temp_dir().join(format!("xtask-said-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut said = Said::new(&folder, "console", 5).unwrap();
        let mut out = OpenOptions::new().append(true).open(&said.path).unwrap();
        assert_eq!(said.more().unwrap(), b"");
        out.write_all(b"abc").unwrap();
        assert_eq!(said.more().unwrap(), b"abc");
        out.write_all(b"defghi").unwrap();
        assert_eq!(said.more().unwrap(), b"de");
        assert_eq!((said.more().unwrap().len(), said.at), (0, said.max));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
