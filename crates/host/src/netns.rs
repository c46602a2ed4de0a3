//! Another network namespace than the one that this process was started in (`--netns`).
//!
//! **Invariant:** the process stays outside, and one thread of it goes inside: [`Namespace::run`] has it do all that is to be done
//! there, from the first look at the host to the end of a run. A thread, and a program that is started, begin in the namespace of
//! the thread that starts them, and so do sockets. Whatever asks the host something, or changes it, therefore means the inside
//! without knowing of it, and what somebody forgets can never touch the host itself.
//!
//! The other way round has a name: what is to be outside (the metrics address, the channel to `intercept`, looking up its name,
//! telling systemd, and every thread that needs nothing of the inside) is opened or started through [`Outside`].
//!
//! Files are not part of it: this is the file system of the process, wherever the namespace's own processes have theirs. But
//! `/proc/net` is the process's own, not the thread's: `/proc/thread-self/net` is meant.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use rustix::fs::{FsWord, Mode, OFlags, fstat, fstatfs, open};

use crate::Error;

/// Where `ip netns` keeps its namespaces; the second is the same folder where `/var/run` is no link to `/run`.
const FOLDERS: [&str; 2] = ["/run/netns", "/var/run/netns"];
/// What a file of a namespace says of its file system (`NSFS_MAGIC`, linux/magic.h).
const NSFS_MAGIC: FsWord = 0x6e73_6673;
/// The namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// What there is to do where the kernel says no.
const RIGHTS: &str = "to enter another network namespace takes CAP_SYS_ADMIN (and CAP_SYS_PTRACE to look at another user's process): run as root; in a systemd unit see docs/containers.md";

/// A network namespace as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// As `ip netns` knows it.
    Name(String),
    /// That of a process: the first one of a container, for example.
    Process(u32),
    /// A file that stands for it, as container engines make them.
    File(PathBuf),
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::File(text.into()));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse() {
                Ok(pid @ 1..) => Ok(Self::Process(pid)),
                _ => Err(format!("{text} is no number of a process")),
            };
        }
        if matches!(text, "" | "." | "..") || text.contains('\0') {
            return Err(
                "write the name of a namespace (`ip netns` lists them), the number of a process, or the path of a file"
                    .to_owned(),
            );
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Process(pid) => write!(f, "{pid}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Reference {
    /// What a command begins with that is to run inside.
    #[must_use]
    pub fn command(&self) -> String {
        match self {
            Self::Name(name) => format!("ip netns exec {}", quoted(name)),
            Self::Process(pid) => format!("nsenter -t {pid} -n"),
            Self::File(path) => format!("nsenter --net={}", quoted(&path.display().to_string())),
        }
    }

    /// The file that stands for it.
    fn path(&self) -> PathBuf {
        match self {
            Self::Name(name) => named(name).unwrap_or_else(|| Path::new(FOLDERS[0]).join(name)),
            Self::Process(pid) => format!("/proc/{pid}/ns/net").into(),
            Self::File(path) => path.clone(),
        }
    }

    fn refused(&self, why: impl Into<String>, todo: impl Into<String>) -> Error {
        Error::Namespace {
            place: self.clone(),
            why: why.into(),
            todo: todo.into(),
        }
    }
}

/// A network namespace that is there.
#[derive(Debug)]
pub struct Namespace {
    place: Reference,
    file: OwnedFd,
}

impl Namespace {
    /// Finds it.
    ///
    /// # Errors
    ///
    /// Where there is none, or what is there is something else.
    pub fn open(place: &Reference) -> Result<Self, Error> {
        if let Reference::Process(pid) = place
            && let Some(path) = named(&pid.to_string())
        {
            return Err(place.refused(
                format!("{pid} is the name of a namespace as well as the number of a process"),
                format!("write {} or /proc/{pid}/ns/net", path.display()),
            ));
        }
        let path = place.path();
        // A pipe of that name must not hold us, and a terminal not become ours.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file =
            open(&path, flags, Mode::empty()).map_err(|errno| absent(place, &errno.into()))?;
        let is_namespace = fstatfs(&file).is_ok_and(|of| of.f_type == NSFS_MAGIC);
        if is_namespace {
            return Ok(Self {
                place: place.clone(),
                file,
            });
        }
        let todo = match place {
            // What `ip netns add` makes is an empty file, and what it mounts over it is gone after a restart.
            Reference::Name(name) => format!("it is a left-over of one (`ip netns delete {name}`)"),
            _ => "give the file that `ip netns` or the container engine made, or the number of a process (`--netns PID`)".to_owned(),
        };
        Err(place.refused(
            format!("{} is a file of another kind", path.display()),
            todo,
        ))
    }

    /// Does something inside, on a thread of its own, and waits for it. The calling thread does `meanwhile` before it waits: it may
    /// give up rights, say, that the other one needs.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses: without rights, or because it is a namespace of another kind. Nothing was done then.
    ///
    /// # Panics
    ///
    /// Where `work` does.
    pub fn run<T: Send>(
        self,
        meanwhile: impl FnOnce(),
        work: impl FnOnce(&Outside) -> T + Send,
    ) -> Result<T, Error> {
        let home = File::open(OWN).map_err(|cause| self.refused(&cause))?;
        let identity = |file: BorrowedFd<'_>| fstat(file).map(|about| (about.st_dev, about.st_ino));
        if identity(home.as_fd()) == identity(self.file.as_fd()) {
            return Ok(work(&Outside::default()));
        }
        let outside = Outside(Some(Arc::new(home.into())));
        let inside = || {
            let entered = setns(&self.file, CloneFlags::CLONE_NEWNET);
            entered.map_err(|errno| self.refused(&errno.into()))?;
            Ok(work(&outside))
        };
        on_a_thread("inside", inside, meanwhile).map_err(|cause| self.refused(&cause))?
    }

    fn refused(&self, cause: &io::Error) -> Error {
        match cause.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EINVAL) => self.place.refused(
                "it is a namespace, but none of the network",
                "give its ns/net, as in /proc/PID/ns/net",
            ),
            Some(Errno::EPERM) => self.place.refused(cause.to_string(), RIGHTS),
            _ => self
                .place
                .refused(cause.to_string(), "see the kernel's log (`dmesg`)"),
        }
    }
}

/// Where this process came from; nowhere, where it has not left.
#[derive(Clone, Debug, Default)]
pub struct Outside(Option<Arc<OwnedFd>>);

impl Outside {
    /// Whether inside and outside are two.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.0.is_some()
    }

    /// Does something outside, on a thread of its own, and waits for it. What is opened and whoever is started there stays there.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread, or does not let it out, because rights were given up meanwhile.
    ///
    /// # Panics
    ///
    /// Where `work` does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let Some(home) = &self.0 else {
            return Ok(work());
        };
        let outside = || {
            setns(home, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        };
        on_a_thread("outside", outside, || {})?
    }
}

/// Does something on a thread that ends with it.
fn on_a_thread<T: Send>(
    name: &str,
    work: impl FnOnce() -> T + Send,
    meanwhile: impl FnOnce(),
) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn_scoped(scope, work)?;
        meanwhile();
        Ok(thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The file of a namespace of this name, if there is one.
fn named(name: &str) -> Option<PathBuf> {
    let mut paths = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    paths.find(|path| fs::symlink_metadata(path).is_ok())
}

/// Why the file of a namespace cannot be opened.
fn absent(place: &Reference, cause: &io::Error) -> Error {
    let is_missing = cause.kind() == io::ErrorKind::NotFound;
    match place {
        Reference::Name(_) if is_missing => place.refused(
            format!("there is none of that name; there are: {}", names()),
            "give one of them, the number of a process (`--netns PID`, as `docker inspect -f '{{.State.Pid}}' NAME` says it), or the path of a file",
        ),
        Reference::Process(pid) if is_missing => place.refused(
            format!("there is no process {pid}, or it has just ended"),
            "ask the container engine again (`docker inspect -f '{{.State.Pid}}' NAME`, `crictl inspect ID`)",
        ),
        _ if cause.kind() == io::ErrorKind::PermissionDenied => place.refused(cause.to_string(), RIGHTS),
        _ => place.refused(
            format!("cannot open {}: {cause}", place.path().display()),
            "correct the path, or give the number of a process (`--netns PID`)",
        ),
    }
}

/// The names of the namespaces that there are.
fn names() -> String {
    const SHOWN: usize = 20;
    let entries = FOLDERS.iter().find_map(|folder| fs::read_dir(folder).ok());
    let names = entries.into_iter().flatten().flatten();
    let mut names: Vec<String> = names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    match names.len() {
        0 => "none (/run/netns)".to_owned(),
        all if all > SHOWN => format!(
            "{}, and {} more (`ip netns`)",
            names[..SHOWN].join(", "),
            all - SHOWN
        ),
        _ => names.join(", "),
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:@%+=".contains(&byte);
    if word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Namespace, Outside, Reference};
    use crate::Error;

    fn place(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn a_namespace_is_named_in_three_ways() {
        assert_eq!(place("web"), Reference::Name("web".into()));
        assert_eq!(place("17"), Reference::Process(17));
        assert_eq!(
            place("/proc/17/ns/net"),
            Reference::File("/proc/17/ns/net".into())
        );
        assert_eq!(place("./x"), Reference::File("./x".into()));
        for text in ["", "0", "99999999999", ".", "..", "a\0b"] {
            assert!(text.parse::<Reference>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn commands_go_inside() {
        assert_eq!(place("web").command(), "ip netns exec web");
        assert_eq!(place("17").command(), "nsenter -t 17 -n");
        assert_eq!(place("/run/x y").command(), "nsenter --net='/run/x y'");
        assert_eq!(place("a'b").command(), r"ip netns exec 'a'\''b'");
    }

    #[test]
    fn what_is_no_network_namespace_is_refused() {
        let refusal = |text: &str| {
            let error = Namespace::open(&place(text)).err();
            assert!(
                matches!(error, Some(Error::Namespace { .. })),
                "{text}: {error:?}"
            );
            error.unwrap().to_string()
        };
        assert!(refusal("no-such-namespace").contains("there is none of that name"));
        // Above the largest number that a process can have.
        assert!(refusal("4194399").contains("no process 4194399"));
        assert!(refusal("/etc/hostname").contains("another kind"));
        assert!(refusal("/").contains("another kind"));
        assert!(refusal("/no/such/file").contains("/no/such/file"));
        assert!(Namespace::open(&place("/proc/self/ns/net")).is_ok());
    }

    #[test]
    fn our_own_namespace_is_not_another_one() {
        let own = Namespace::open(&place("/proc/thread-self/ns/net")).unwrap();
        assert!(!own.run(|| {}, Outside::is_elsewhere).unwrap());
        assert_eq!(Outside::default().run(|| 17).unwrap(), 17);
    }
}
