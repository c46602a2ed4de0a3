//! Where a message of the protocol begins and ends: a byte for its kind, four for its length, which counts itself, and its body.

/// Bytes before a body.
pub(super) const HEAD_LEN: usize = 5;

/// What stands next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The first bytes of a head, so many of them; its kind is known, its length is not.
    PartOfHead(usize),
    /// The rest of a head, so many bytes.
    Head(usize),
    /// So many bytes of the body.
    Body(usize),
    /// The message ends.
    End,
}

/// Goes through a stream.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_LEN],
    have: usize,
    left: u32,
}

/// A length that cannot be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Impossible;

impl Frames {
    /// What the next bytes are; nothing where there are none and the current message does not end with those before.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Option<Piece>, Impossible> {
        if self.have == HEAD_LEN {
            if self.left == 0 {
                self.have = 0;
                return Ok(Some(Piece::End));
            }
            let len = bytes
                .len()
                .min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= u32::try_from(len).unwrap_or(self.left);
            return Ok((len > 0).then_some(Piece::Body(len)));
        }
        let len = bytes.len().min(HEAD_LEN - self.have);
        if len == 0 {
            return Ok(None);
        }
        self.head[self.have..self.have + len].copy_from_slice(&bytes[..len]);
        self.have += len;
        if self.have < HEAD_LEN {
            return Ok(Some(Piece::PartOfHead(len)));
        }
        let [_, length @ ..] = self.head;
        let length = u32::from_be_bytes(length);
        // A signed number on the other side.
        if !(4..=u32::MAX >> 1).contains(&length) {
            return Err(Impossible);
        }
        self.left = length - 4;
        Ok(Some(Piece::Head(len)))
    }

    /// The kind of the message that has begun, or began last.
    pub(super) fn kind(&self) -> u8 {
        self.head[0]
    }

    /// Bytes of the body that are still to come.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        self.have > 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Frames, Impossible, Piece};

    #[test]
    fn a_message_is_cut_anywhere() {
        let stream = b"Q\0\0\0\x06ab";
        for at in 0..stream.len() {
            let (mut frames, mut body, mut ends) = (Frames::default(), Vec::new(), 0);
            for mut bytes in [&stream[..at], &stream[at..]] {
                while let Some(piece) = frames.next(bytes).expect("a message") {
                    match piece {
                        Piece::PartOfHead(len) | Piece::Head(len) => bytes = &bytes[len..],
                        Piece::Body(len) => {
                            body.extend_from_slice(&bytes[..len]);
                            bytes = &bytes[len..];
                        }
                        Piece::End => ends += 1,
                    }
                }
            }
            assert_eq!(
                (body.as_slice(), ends, frames.kind()),
                (&b"ab"[..], 1, b'Q')
            );
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_told() {
        for length in [[0, 0, 0, 3], [0x80, 0, 0, 0], [0xff; 4]] {
            let stream = [&b"Q"[..], &length].concat();
            assert_eq!(Frames::default().next(&stream), Err(Impossible));
        }
    }
}
