//! Lines for whoever watches, written by a thread of their own: a terminal that is held, or a reader that has stopped
//! reading, must not hold the run.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Texts that wait for a slow reader; with more, the newest are left out.
const WAITING_MAX: usize = 8;
/// How long the end of the run waits for a slow reader.
const END_MAX: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Debug)]
pub(super) struct Printer {
    lines: Option<Sender<Vec<u8>>>,
    done: Receiver<()>,
}

impl Printer {
    /// A thread that writes to `to`.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread.
    pub(super) fn start(mut to: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = bounded::<Vec<u8>>(WAITING_MAX);
        let (end, done) = bounded(0);
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || {
                // Dropped when everything was written, or nobody reads any more: then the rest is not wanted either.
                let _end: Sender<()> = end;
                for text in waiting {
                    if to.write_all(&text).and_then(|()| to.flush()).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            lines: Some(lines),
            done,
        })
    }

    /// Hands over whole lines; never waits.
    pub(super) fn print(&self, text: Vec<u8>) {
        if let Some(lines) = &self.lines {
            // Whoever is eight lines behind, or gone, misses this one.
            let _ = lines.try_send(text);
        }
    }

    /// The last lines: waits a moment for room, and until they are written.
    pub(super) fn finish(mut self, text: Vec<u8>) {
        if let Some(lines) = self.lines.take() {
            let _ = lines.send_timeout(text, END_MAX);
        }
        // A thread that waits for its reader ends with the process.
        let _ = self.done.recv_timeout(END_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};
    use std::time::{Duration, Instant};

    use super::{END_MAX, Printer};

    #[test]
    fn everything_is_written_before_the_end() {
        let (mut reader, writer) = pipe().unwrap();
        let printer = Printer::start(writer).unwrap();
        printer.print(b"one\n".to_vec());
        printer.finish(b"two\n".to_vec());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nothing() {
        let (_reader, writer) = pipe().unwrap();
        let printer = Printer::start(writer).unwrap();
        let began = Instant::now();
        for _ in 0..100 {
            printer.print(vec![b'x'; 1 << 20]);
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        printer.finish(Vec::new());
        assert!(began.elapsed() < 3 * END_MAX);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let printer = Printer::start(writer).unwrap();
        printer.print(b"x".to_vec());
        printer.finish(b"y".to_vec());
    }
}
