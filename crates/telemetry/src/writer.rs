//! A thread that keeps a file up to date. It may hang (a network file system, a frozen disk) without holding anybody: what is
//! to be written waits in a place for one, where the newest replaces what waits.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use process::rights;

use crate::file::{FileError, Place};

/// How long the end of the run waits for the last writing.
pub const END_MAX: Duration = Duration::from_secs(5);
/// A writing that takes longer than this is said to hang.
const HANGS_AFTER: Duration = Duration::from_secs(10);

/// Where contents are handed over.
#[derive(Debug)]
pub struct Writer {
    place: Place,
    desk: Arc<Desk>,
    is_complained: bool,
}

#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Option<Vec<u8>>,
    /// Since when the thread has been writing.
    busy: Option<Instant>,
    /// Why the latest writing failed.
    failure: Option<FileError>,
    is_last: bool,
    has_ended: bool,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread.
    pub fn start(place: Place) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let (ours, file) = (Arc::clone(&desk), place.clone());
        let body = move || {
            rights::keep_only(rights::FILES);
            file.sweep();
            serve(&ours, |bytes, is_last| file.write(bytes, is_last));
        };
        thread::Builder::new()
            .name("summary".to_owned())
            .spawn(body)?;
        Ok(Self {
            place,
            desk,
            is_complained: false,
        })
    }

    /// Hands over what the file is to hold; never waits.
    pub fn write(&self, bytes: Vec<u8>) {
        self.desk.state().waiting = Some(bytes);
        self.desk.changed.notify_all();
    }

    /// Why the file is not up to date, said once however long that lasts.
    pub fn complaint(&mut self) -> Option<FileError> {
        if self.is_complained {
            return None;
        }
        let mut state = self.desk.state();
        let hangs = state
            .busy
            .is_some_and(|since| since.elapsed() >= HANGS_AFTER);
        let complaint = state.failure.take().or_else(|| {
            hangs.then(|| FileError::Hangs {
                path: self.place.path(),
                waited: HANGS_AFTER,
            })
        });
        self.is_complained = complaint.is_some();
        complaint
    }

    /// Hands over what the file is to hold at the end, and waits for it, but no longer than [`END_MAX`]. A thread that hangs
    /// ends with the process.
    ///
    /// # Errors
    ///
    /// Why the file does not hold it.
    pub fn finish(self, bytes: Vec<u8>) -> Result<(), FileError> {
        let mut state = self.desk.state();
        state.waiting = Some(bytes);
        state.is_last = true;
        self.desk.changed.notify_all();
        let goes_on = |state: &mut State| !state.has_ended;
        let (mut state, _) = self
            .desk
            .changed
            .wait_timeout_while(state, END_MAX, goes_on)
            .unwrap_or_else(PoisonError::into_inner);
        match (state.failure.take(), state.has_ended) {
            (None, true) => Ok(()),
            (Some(failure), true) => Err(failure),
            (_, false) => Err(FileError::Hangs {
                path: self.place.path(),
                waited: END_MAX,
            }),
        }
    }
}

/// Writes what waits, until the last of it is written.
fn serve(desk: &Desk, write: impl Fn(&[u8], bool) -> Result<(), FileError>) {
    loop {
        let mut state = desk.state();
        let (bytes, is_last) = loop {
            if let Some(bytes) = state.waiting.take() {
                break (bytes, state.is_last);
            }
            state = desk
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        state.busy = Some(Instant::now());
        drop(state);
        let written = write(&bytes, is_last);
        let mut state = desk.state();
        state.busy = None;
        state.failure = written.err();
        state.has_ended = is_last;
        desk.changed.notify_all();
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;
    use std::thread;
    use std::time::Duration;

    use super::{Desk, END_MAX, Writer, serve};
    use crate::file::{FileError, Place};

    /// A place in the temporary folder.
    fn place(name: &str) -> Place {
        let name = format!("tcpcopy-writer-{name}-{}", std::process::id());
        Place::open(&std::env::temp_dir().join(name)).unwrap()
    }

    #[test]
    fn the_last_is_written() {
        let place = place("last");
        let writer = Writer::start(place.clone()).unwrap();
        for n in 0..100 {
            writer.write(n.to_string().into_bytes());
        }
        writer.finish(b"end".to_vec()).unwrap();
        assert_eq!(fs::read(place.path()).unwrap(), b"end");
        fs::remove_file(place.path()).unwrap();
    }

    #[test]
    fn a_writing_that_hangs_holds_nobody() {
        let desk = Arc::new(Desk::default());
        let ours = Arc::clone(&desk);
        let (hold, held) = sync_channel::<()>(0);
        let _thread = thread::spawn(move || {
            serve(&ours, |_, _| {
                let _ = held.recv();
                Ok(())
            });
        });
        let writer = Writer {
            place: place("hangs"),
            desk,
            is_complained: false,
        };
        let (done, ended) = sync_channel(1);
        let _others = thread::spawn(move || {
            for _ in 0..10 {
                writer.write(vec![0; 1 << 20]);
            }
            let _ = done.send(writer.finish(Vec::new()));
        });
        // The thread that writes hangs until `hold` goes. Whoever waits for it is still there after a minute, which is many times
        // what a busy machine needs.
        let result = ended.recv_timeout(12 * END_MAX).expect("nobody is held");
        let error = result.unwrap_err();
        assert!(matches!(error, FileError::Hangs { .. }), "{error}");
        drop(hold);
    }

    #[test]
    fn a_failure_is_said_once_and_at_the_end() {
        let desk = Arc::new(Desk::default());
        let ours = Arc::clone(&desk);
        let _thread = thread::spawn(move || {
            serve(&ours, |_, _| {
                Err(FileError::Write {
                    path: "x".into(),
                    cause: std::io::Error::other("full"),
                })
            });
        });
        let mut writer = Writer {
            place: place("fails"),
            desk,
            is_complained: false,
        };
        let mut complaints = 0;
        for _ in 0..20 {
            writer.write(Vec::new());
            thread::sleep(Duration::from_millis(5));
            complaints += usize::from(writer.complaint().is_some());
        }
        assert_eq!(complaints, 1);
        let error = writer.finish(Vec::new()).unwrap_err();
        assert!(error.to_string().contains("full"), "{error}");
    }
}
