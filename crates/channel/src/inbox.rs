//! What comes in on a connection: frames, as they are or out of sealed records.

use crate::decoder::{Decoder, Frame};
use crate::error::Error;
use crate::seal::Opener;

/// The stream of one direction, from the socket to its frames.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The frames; before the proof of a key, the stream itself.
    clear: Decoder,
    sealed: Option<Sealed>,
}

/// The stream of records that the frames come out of.
#[derive(Debug)]
struct Sealed {
    records: Decoder,
    opener: Opener,
}

impl Inbox {
    /// Where the socket's next bytes go. Never empty once [`Inbox::next_frame`] gave `None`.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        match &mut self.sealed {
            None => self.clear.space(),
            Some(sealed) => sealed.records.space(),
        }
    }

    /// Says that the first `len` bytes of [`Inbox::space`] were filled.
    pub(crate) fn filled(&mut self, len: usize) {
        match &mut self.sealed {
            None => self.clear.filled(len),
            Some(sealed) => sealed.records.filled(len),
        }
    }

    /// The stream before there are frames: hellos and proofs are read from it.
    pub(crate) const fn clear(&mut self) -> &mut Decoder {
        &mut self.clear
    }

    /// From here on the stream is records.
    pub(crate) fn seal(&mut self, opener: Opener) {
        let records = core::mem::take(&mut self.clear);
        self.sealed = Some(Sealed { records, opener });
    }

    /// The next whole frame, or `None` where more bytes are needed.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        if let Some(sealed) = &mut self.sealed {
            while !self.clear.has_frame() {
                let Some(record) = sealed.records.next_record()? else {
                    return Ok(None);
                };
                match sealed.opener.open(record, self.clear.space()) {
                    Ok(len) => self.clear.filled(len),
                    Err(error) => return Err(self.clear.fail(error)),
                }
            }
        }
        self.clear.next_frame()
    }
}
