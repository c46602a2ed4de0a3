//! Lines for whoever watches, written by a thread of their own: a terminal that is held, a reader that has stopped reading, a
//! disk that is full or a network file system that hangs must not hold the run.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::rights;

/// Lines of a log that wait for a slow reader; with more, the newest are left out and counted.
pub const LINES_MAX: usize = 1024;
/// Longer texts that wait.
pub const TEXTS_MAX: usize = 8;
/// How long the end of the run waits for a slow reader.
pub const END_MAX: Duration = Duration::from_secs(2);
/// How long to stay away from a descriptor that somebody else has made non-blocking, and that takes nothing now.
const AGAIN: Duration = Duration::from_millis(20);

/// Where lines go. Clones write to the same place, in the order in which they are given.
#[derive(Clone, Debug)]
pub struct Printer {
    texts: Sender<Text>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    left_out: AtomicU64,
    /// It was waited for in vain, and is not waited for again.
    is_stuck: AtomicBool,
    /// Why the first text was lost that could not be written. That nobody reads any more is no failure.
    failure: Mutex<Option<io::Error>>,
}

#[derive(Debug)]
enum Text {
    Lines(Vec<u8>),
    /// To be answered once all before it is written.
    End(Sender<()>),
}

impl Printer {
    /// A thread that writes to `to`. At most `waiting_max` texts wait for it; with more, the newest are left out and counted.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread.
    pub fn start(to: impl Write + Send + 'static, waiting_max: usize) -> io::Result<Self> {
        let (texts, waiting) = bounded(waiting_max);
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || {
                rights::keep_only(rights::NOTHING);
                write_all(to, &waiting, &ours);
            })?;
        Ok(Self { texts, shared })
    }

    /// A printer for a descriptor of this process. It gets a copy of its own: whoever else writes there is not locked out by a
    /// writing that hangs.
    ///
    /// # Errors
    ///
    /// Where the process has no descriptor left, or the kernel gives no thread.
    pub fn for_descriptor(descriptor: impl AsFd, waiting_max: usize) -> io::Result<Self> {
        let copy = descriptor.as_fd().try_clone_to_owned()?;
        Self::start(File::from(copy), waiting_max)
    }

    /// Hands over whole lines; never waits. Whoever is too far behind, or gone, misses them.
    pub fn print(&self, text: Vec<u8>) {
        if self.texts.try_send(Text::Lines(text)).is_err() {
            self.shared.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands over lines that matter: waits for room, but no longer than [`END_MAX`].
    pub fn print_surely(&self, text: Vec<u8>) {
        if !self.send(Text::Lines(text)) {
            self.shared.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send(&self, text: Text) -> bool {
        let is_sent = self.texts.send_timeout(text, self.patience()).is_ok();
        self.shared.is_stuck.fetch_or(!is_sent, Ordering::Relaxed);
        is_sent
    }

    fn patience(&self) -> Duration {
        if self.shared.is_stuck.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            END_MAX
        }
    }

    /// Waits until everything is written, but no longer than [`END_MAX`]: a thread that waits for its reader ends with the
    /// process.
    ///
    /// # Errors
    ///
    /// Where something could not be written, but for a reader that has gone or does not read.
    pub fn finish(&self) -> io::Result<()> {
        let (end, ended) = bounded(1);
        if self.send(Text::End(end)) && ended.recv_timeout(self.patience()).is_err() {
            self.shared.is_stuck.store(true, Ordering::Relaxed);
        }
        let failure = self.shared.failure.lock();
        match failure.unwrap_or_else(PoisonError::into_inner).take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

/// Writes what comes. Ends when every [`Printer`] is gone.
fn write_all(mut to: impl Write, waiting: &Receiver<Text>, shared: &Shared) {
    for text in waiting {
        let lines = match text {
            Text::Lines(lines) => lines,
            Text::End(end) => {
                let _ = end.try_send(());
                continue;
            }
        };
        let left_out = shared.left_out.swap(0, Ordering::Relaxed);
        let mut written = write(&mut to, &lines);
        if left_out > 0 && written.is_ok() {
            let words =
                format!("({left_out} lines before this were left out: nobody read them in time)\n");
            written = write(&mut to, words.as_bytes());
        }
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            let mut failure = shared
                .failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
        }
    }
}

fn write(to: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(error) => return Err(error),
        }
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::{Read, pipe};
    use std::time::{Duration, Instant};

    use super::{END_MAX, Printer, TEXTS_MAX};

    #[test]
    fn everything_is_written_before_the_end() {
        let (mut reader, writer) = pipe().unwrap();
        let printer = Printer::start(writer, TEXTS_MAX).unwrap();
        printer.print(b"one\n".to_vec());
        printer.clone().print_surely(b"two\n".to_vec());
        printer.finish().unwrap();
        drop(printer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nothing_and_hears_of_it_later() {
        let (mut reader, writer) = pipe().unwrap();
        let printer = Printer::start(writer, TEXTS_MAX).unwrap();
        let began = Instant::now();
        for _ in 0..TEXTS_MAX + 100 {
            printer.print(vec![b'x'; 1 << 16]);
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        printer.print_surely(b"the end\n".to_vec());
        printer.finish().unwrap();
        assert!(began.elapsed() < 2 * END_MAX);
        drop(printer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.contains("lines before this were left out"));
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is_one() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let printer = Printer::start(writer, TEXTS_MAX).unwrap();
        printer.print(b"x".to_vec());
        printer.print(b"y".to_vec());
        printer.finish().unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let printer = Printer::start(full, TEXTS_MAX).unwrap();
        printer.print(b"x".to_vec());
        printer.finish().unwrap_err();
    }
}
