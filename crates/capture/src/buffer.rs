//! The bytes of a file that are read and not yet parsed.
//!
//! One allocation serves a whole file: it grows only for a record that is longer than it, up to what its caller asks for. A
//! stretch that nobody wants to see is passed over without being kept.

use std::io::{self, ErrorKind, Read};

/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the file, uncompressed, of what stands at `start`.
    offset: u64,
    /// Bytes that are to be passed over before anything else.
    unwanted: u64,
}

impl Buffer {
    /// What is read and not yet taken.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Offset in the uncompressed file of the next byte, those that are to be passed over left out.
    pub(crate) fn offset(&self) -> u64 {
        self.offset + self.unwanted
    }

    /// Whether bytes stand here, or are still to be passed over: an end of the file is then not where a record ends.
    pub(crate) fn is_torn(&self) -> bool {
        self.unwanted > 0 || self.start < self.end
    }

    /// Bytes `at` from the first unread one on, as they were when [`Buffer::take`] was called: they stay until more is read.
    pub(crate) fn taken(&self, taken: usize) -> &[u8] {
        &self.bytes[self.start - taken..self.start]
    }

    /// Takes bytes that [`Buffer::want`] has found.
    pub(crate) fn take(&mut self, len: usize) {
        debug_assert!(len <= self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Passes over bytes, whether they are here or still to be read.
    pub(crate) fn pass(&mut self, len: u64) {
        self.unwanted += len;
        self.drop_unwanted();
    }

    fn drop_unwanted(&mut self) {
        let here = (self.end - self.start) as u64;
        let len = self.unwanted.min(here);
        self.unwanted -= len;
        // No more than what is here, so it fits.
        self.take(len as usize);
    }

    /// Reads until `len` bytes stand here, and says whether they do: not at the end of the file.
    pub(crate) fn want(&mut self, from: &mut dyn Read, len: usize) -> io::Result<bool> {
        if self.unwanted == 0 && self.end - self.start >= len {
            return Ok(true);
        }
        self.read_until(from, len)
    }

    fn read_until(&mut self, from: &mut dyn Read, len: usize) -> io::Result<bool> {
        while self.unwanted > 0 || self.end - self.start < len {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.bytes.len() < len.max(CHUNK_BYTES) {
                self.bytes.resize(len.max(CHUNK_BYTES), 0);
            }
            match from.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.drop_unwanted();
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;
    use std::io::Read;

    /// Gives one byte at a time, as a slow pipe does.
    struct Dripping(Vec<u8>);

    impl Read for Dripping {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            to[0] = self.0.remove(0);
            Ok(1)
        }
    }

    #[test]
    fn what_is_passed_over_may_come_later() {
        let mut from = Dripping((0..40).collect());
        let mut buffer = Buffer::default();
        assert!(buffer.want(&mut from, 4).unwrap());
        buffer.take(2);
        assert_eq!(buffer.taken(2), [0, 1]);
        buffer.pass(20);
        assert_eq!(buffer.offset(), 22);
        assert!(buffer.is_torn());
        assert!(buffer.want(&mut from, 3).unwrap());
        assert_eq!(buffer.unread(), [22, 23, 24]);
        buffer.pass(100);
        assert!(!buffer.want(&mut from, 1).unwrap());
        assert!(buffer.is_torn());
    }
}
