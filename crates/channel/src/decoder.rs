//! A bounded buffer between a socket and the frames in its stream.
//!
//! It is filled in place ([`Decoder::space`], [`Decoder::filled`]) or by copy ([`Decoder::push`]), and drained by
//! [`Decoder::next_frame`] until that gives `None`; then there is always space for more.

use crate::FRAME_LEN_MAX;
use crate::error::Error;
use crate::hello::Hello;
use crate::layout::LENGTH_LEN;
use crate::seal::LENGTH_LEN as RECORD_LENGTH_LEN;

/// Memory of a decoder, in bytes: two of the longest frames, so that a whole one always fits behind the rest of
/// the one before.
pub const BUFFER_LEN: usize = 2 * (LENGTH_LEN + FRAME_LEN_MAX);

/// A whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it means; see [`crate::message`].
    pub kind: u8,
    /// What follows the kind.
    pub body: &'a [u8],
}

/// The stream of one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    buffer: Box<[u8]>,
    /// Where the bytes begin that are not consumed.
    start: usize,
    /// Where the bytes end that are filled.
    end: usize,
    failed: Option<Error>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            start: 0,
            end: 0,
            failed: None,
        }
    }
}

impl Decoder {
    /// An empty decoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the socket's next bytes go. Never empty once [`Decoder::next_frame`] gave `None`.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }

    /// Says that the first `len` bytes of [`Decoder::space`] were filled.
    pub fn filled(&mut self, len: usize) {
        self.end = self.buffer.len().min(self.end + len);
    }

    /// Copies `bytes` in.
    ///
    /// # Errors
    ///
    /// [`Error::NotDrained`] where they do not fit, which cannot be as long as at most [`FRAME_LEN_MAX`] bytes
    /// are pushed and the decoder is drained in between.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let space = self
            .space()
            .get_mut(..bytes.len())
            .ok_or(Error::NotDrained)?;
        space.copy_from_slice(bytes);
        self.filled(bytes.len());
        Ok(())
    }

    /// The hello and its bytes, or `None` while it is not complete.
    ///
    /// # Errors
    ///
    /// Those of [`Hello::parse`]; from then on always the same.
    pub fn next_hello(&mut self) -> Result<Option<(Hello, &[u8])>, Error> {
        self.check()?;
        match Hello::parse(&self.buffer[self.start..self.end]) {
            Ok(None) => Ok(None),
            Ok(Some((hello, len))) => {
                let at = self.start;
                self.start += len;
                Ok(Some((hello, &self.buffer[at..at + len])))
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// The next whole record of [`crate::seal`] without its length, or `None` where more bytes are needed.
    pub(crate) fn next_record(&mut self) -> Result<Option<&[u8]>, Error> {
        self.check()?;
        let rest = &self.buffer[self.start..self.end];
        let Some((length, rest)) = rest.split_first_chunk::<RECORD_LENGTH_LEN>() else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes(*length));
        if rest.len() < len {
            return Ok(None);
        }
        let at = self.start + RECORD_LENGTH_LEN;
        self.start = at + len;
        Ok(Some(&self.buffer[at..at + len]))
    }

    /// Whether [`Decoder::next_frame`] has something to say, be it an error.
    pub(crate) fn has_frame(&self) -> bool {
        let rest = &self.buffer[self.start..self.end];
        let whole = rest.split_first_chunk::<LENGTH_LEN>();
        let whole = whole.is_some_and(|(length, rest)| {
            let len = u32::from_be_bytes(*length) as usize;
            len > FRAME_LEN_MAX || rest.len() >= len
        });
        whole || self.failed.is_some()
    }

    /// The next whole frame, or `None` where more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`Error::FrameEmpty`] and [`Error::FrameTooLong`]; from then on always the same.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        self.check()?;
        let rest = &self.buffer[self.start..self.end];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_LEN>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length);
        let len = length as usize;
        if len > FRAME_LEN_MAX {
            return Err(self.fail(Error::FrameTooLong(length)));
        }
        if len == 0 {
            return Err(self.fail(Error::FrameEmpty));
        }
        if rest.len() < len {
            return Ok(None);
        }
        let at = self.start + LENGTH_LEN;
        self.start = at + len;
        Ok(self.buffer[at..at + len]
            .split_first()
            .map(|(kind, body)| Frame { kind: *kind, body }))
    }

    /// Remembers that the stream makes no sense from here on.
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        self.failed = Some(error);
        error
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::{BUFFER_LEN, Decoder, Frame};
    use crate::FRAME_LEN_MAX;
    use crate::error::Error;

    #[test]
    fn frames_come_out_whole_however_they_went_in() {
        let stream = [0, 0, 0, 3, 7, b'a', b'b', 0, 0, 0, 1, 9];
        for chunk in 1..=stream.len() {
            let mut decoder = Decoder::new();
            let mut frames = Vec::new();
            for part in stream.chunks(chunk) {
                decoder.push(part).unwrap();
                while let Some(Frame { kind, body }) = decoder.next_frame().unwrap() {
                    frames.push((kind, body.to_vec()));
                }
            }
            assert_eq!(frames, [(7, b"ab".to_vec()), (9, Vec::new())]);
        }
    }

    #[test]
    fn there_is_space_for_a_whole_frame_behind_the_rest_of_another() {
        let mut decoder = Decoder::new();
        let mut longest = vec![1; 4 + FRAME_LEN_MAX];
        longest[..4].copy_from_slice(&(FRAME_LEN_MAX as u32).to_be_bytes());
        decoder.push(&longest[..longest.len() - 1]).unwrap();
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.space().len() >= FRAME_LEN_MAX);
        decoder.push(&longest[longest.len() - 1..]).unwrap();
        assert_eq!(
            decoder.next_frame().unwrap().unwrap().body.len(),
            FRAME_LEN_MAX - 1
        );
    }

    #[test]
    fn a_bad_length_ends_the_stream_for_good() {
        for (length, error) in [
            (0u32, Error::FrameEmpty),
            (65_537, Error::FrameTooLong(65_537)),
        ] {
            let mut decoder = Decoder::new();
            decoder.push(&length.to_be_bytes()).unwrap();
            assert_eq!(decoder.next_frame(), Err(error));
            decoder.push(&[0, 0, 0, 1, 1]).unwrap();
            assert_eq!(decoder.next_frame(), Err(error));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut decoder = Decoder::new();
        assert_eq!(
            decoder.push(&vec![0; BUFFER_LEN + 1]),
            Err(Error::NotDrained)
        );
        decoder.push(&vec![0; BUFFER_LEN]).unwrap();
        assert_eq!(decoder.push(&[0]), Err(Error::NotDrained));
    }
}
