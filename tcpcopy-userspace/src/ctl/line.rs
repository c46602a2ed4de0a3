//! A line from a socket, of bounded length and within a bounded time, however slowly its bytes come.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Most bytes of a line.
pub(super) const LINE_MAX: usize = 64 << 10;

/// Reads up to a newline, or to the end; the newline is left out.
///
/// # Errors
///
/// Where the peer takes longer than `most`, says more than [`LINE_MAX`] bytes, or is gone.
pub(super) fn read(stream: &mut UnixStream, most: Duration) -> io::Result<Vec<u8>> {
    let until = Instant::now() + most;
    let (mut line, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let len = match stream.read(&mut piece) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        };
        let read = &piece[..len];
        let end = read.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&read[..end.unwrap_or(len)]);
        if line.len() > LINE_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a line of more than {LINE_MAX} bytes"),
            ));
        }
        if end.is_some() || len == 0 {
            return Ok(line);
        }
    }
}

/// Writes a line.
///
/// # Errors
///
/// Where the peer does not take it within `most`, or is gone.
pub(super) fn write(stream: &mut UnixStream, mut line: Vec<u8>, most: Duration) -> io::Result<()> {
    line.push(b'\n');
    stream.set_write_timeout(Some(most))?;
    stream.write_all(&line)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write as _};
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{LINE_MAX, read};

    const SOON: Duration = Duration::from_millis(200);

    #[test]
    fn a_line_comes_in_pieces() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"{\"do\":").unwrap();
        theirs.write_all(b"\"stop\"}\nmore").unwrap();
        assert_eq!(read(&mut ours, SOON).unwrap(), b"{\"do\":\"stop\"}");
        drop(theirs);
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(read(&mut ours, SOON).unwrap().is_empty());
    }

    #[test]
    fn who_says_nothing_too_much_or_too_slowly_is_left() {
        let (mut ours, _theirs) = UnixStream::pair().unwrap();
        assert_eq!(
            read(&mut ours, SOON).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let talker = thread::spawn(move || theirs.write_all(&vec![b'x'; 100 * LINE_MAX]));
        assert_eq!(
            read(&mut ours, SOON * 10).unwrap_err().kind(),
            ErrorKind::InvalidData
        );
        drop(ours);
        assert!(talker.join().unwrap().is_err());
        // A byte now and then does not make the time longer.
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let talker = thread::spawn(move || {
            while theirs.write_all(b"x").is_ok() {
                thread::sleep(SOON / 8);
            }
        });
        let began = Instant::now();
        assert_eq!(
            read(&mut ours, SOON).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        assert!(began.elapsed() < SOON * 4);
        drop(ours);
        talker.join().unwrap();
    }
}
