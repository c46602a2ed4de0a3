//! A file of keys that is looked at once a second, so that keys are replaced without a restart.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use channel::Keys;
use process::rights;
use tracing::{info, warn};

use crate::read::{Error, read_with};

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// The keys of a file, as it is now. The last one that is dropped ends the thread.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Watcher>);

#[derive(Debug)]
struct Watcher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    keys: Mutex<Arc<Keys>>,
    is_over: AtomicBool,
}

impl Watch {
    /// Reads the file, and follows it from now on in a thread of its own, which keeps of the calling thread's rights what reading files takes.
    ///
    /// # Errors
    ///
    /// Those of [`crate::read()`]; and [`Error::Open`] where there is no thread to be had.
    pub fn start(path: &Path) -> Result<Self, Error> {
        let (keys, metadata) = read_with(path)?;
        let shared = Arc::new(Shared {
            keys: Mutex::new(Arc::new(keys)),
            is_over: AtomicBool::new(false),
        });
        let follower = Follower {
            path: path.into(),
            seen: Some(Sight::of(&metadata)),
            shared: Arc::clone(&shared),
        };
        let named = thread::Builder::new().name("keys".into());
        let thread = named.spawn(move || {
            rights::keep_only(rights::FILES);
            follower.run();
        });
        let thread = thread.map_err(|cause| Error::Open {
            path: path.into(),
            cause,
        })?;
        Ok(Self(Arc::new(Watcher {
            shared,
            thread: Some(thread),
        })))
    }

    /// The keys of now.
    #[must_use]
    pub fn current(&self) -> Arc<Keys> {
        self.0.shared.current()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, keys: Keys) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

/// What tells a file from the one that stood there before.
#[derive(Debug, PartialEq, Eq)]
struct Sight {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Sight {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

struct Follower {
    path: PathBuf,
    /// What was seen last; `None` where there was no file.
    seen: Option<Sight>,
    shared: Arc<Shared>,
}

impl Follower {
    fn run(mut self) {
        while !self.shared.is_over.load(Ordering::Relaxed) {
            thread::park_timeout(PERIOD);
            self.look();
        }
    }

    /// Takes the keys of a file that has changed. One that cannot be used changes nothing, and is complained of once.
    fn look(&mut self) {
        let sight = fs::metadata(&self.path).ok().map(|it| Sight::of(&it));
        if sight == self.seen {
            return;
        }
        match read_with(&self.path) {
            Ok((keys, metadata)) => {
                self.seen = Some(Sight::of(&metadata));
                if keys != *self.shared.current() {
                    info!(
                        "{} has changed: {} key(s)",
                        self.path.display(),
                        keys.iter().len()
                    );
                    self.shared.set(keys);
                }
            }
            Err(error) => {
                self.seen = sight;
                warn!(
                    finding = "key-file",
                    "{error}; the keys of before are used until then"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::Watch;
    use crate::make::{create, rotate};

    fn until(what: &str, is_true: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_true() {
            assert!(began.elapsed() < Duration::from_secs(10), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn keys_follow_their_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        create(&path).expect("it is made");
        let watch = Watch::start(&path).expect("it is read");
        let first = watch.current().of_attempt(0);
        rotate(&path).expect("it is replaced");
        until("the new key", || watch.current().of_attempt(0) != first);
        assert!(watch.current().contains(&first));
        let keys = watch.current();
        fs::write(&path, "nonsense").expect("written");
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(watch.current(), keys, "what is no key changes nothing");
        fs::remove_file(&path).expect("removed");
        create(&path).expect("it is made");
        until("the third key", || watch.current() != keys);
        assert!(!watch.current().contains(&first));
    }
}
