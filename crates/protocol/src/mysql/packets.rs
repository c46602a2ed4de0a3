//! Where a payload begins and ends: three bytes for a packet's length, little-endian, one for its number, and its part of the payload. A payload of
//! 16 MiB - 1 and more has several packets, of which the last is shorter than that.

/// Bytes before a packet's part of the payload.
pub(super) const HEAD_LEN: usize = 4;
/// The length of a packet that another one follows.
const FULL: u32 = 0xff_ffff;

/// What stands next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// So many bytes of a packet's head, and not its last.
    PartOfHead(usize),
    /// The rest of a packet's head, so many bytes, and whether a payload begins with it.
    Head(usize, bool),
    /// So many bytes of the payload.
    Body(usize),
    /// The payload ends.
    End,
}

/// Goes through a stream.
#[derive(Debug, Default)]
pub(super) struct Packets {
    head: [u8; HEAD_LEN],
    have: usize,
    left: u32,
    /// The packet before was full: this one belongs to the same payload.
    goes_on: bool,
    /// Length of the payload so far, as the packets' heads say.
    len: u64,
}

impl Packets {
    /// What the next bytes are; nothing where there are none and the payload does not end with those before.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Option<Piece> {
        if self.have == HEAD_LEN {
            if self.left > 0 {
                let len = bytes
                    .len()
                    .min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= u32::try_from(len).unwrap_or(self.left);
                return (len > 0).then_some(Piece::Body(len));
            }
            self.have = 0;
            self.goes_on = self.packet_len() == FULL;
            if !self.goes_on {
                return Some(Piece::End);
            }
        }
        let len = bytes.len().min(HEAD_LEN - self.have);
        if len == 0 {
            return None;
        }
        self.head[self.have..self.have + len].copy_from_slice(&bytes[..len]);
        self.have += len;
        if self.have < HEAD_LEN {
            return Some(Piece::PartOfHead(len));
        }
        self.left = self.packet_len();
        let begins = !self.goes_on;
        self.len = if begins { 0 } else { self.len } + u64::from(self.left);
        Some(Piece::Head(len, begins))
    }

    fn packet_len(&self) -> u32 {
        let [a, b, c, _] = self.head;
        u32::from_le_bytes([a, b, c, 0])
    }

    /// The number of the packet whose head came last.
    pub(super) fn number(&self) -> u8 {
        self.head[3]
    }

    /// The head that came last.
    pub(super) fn head(&self) -> [u8; HEAD_LEN] {
        self.head
    }

    /// Length of the payload, as far as it is known.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether a payload has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        self.have > 0 || self.goes_on
    }
}

/// A packet that is all of its payload.
pub(super) fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() < FULL as usize, "ours are short");
    let [a, b, c, ..] = u32::try_from(payload.len()).unwrap_or(0).to_le_bytes();
    [&[a, b, c, number], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::{Packets, Piece, packet};

    /// The lengths of a stream's payloads, whose bytes come so many at a time.
    fn payloads(stream: &[u8], step: usize) -> Vec<(u64, usize)> {
        let (mut packets, mut all, mut body) = (Packets::default(), Vec::new(), 0);
        for mut bytes in stream.chunks(step) {
            while let Some(piece) = packets.next(bytes) {
                match piece {
                    Piece::PartOfHead(len) | Piece::Head(len, _) => bytes = &bytes[len..],
                    Piece::Body(len) => {
                        body += len;
                        bytes = &bytes[len..];
                    }
                    Piece::End => all.push((packets.len(), core::mem::take(&mut body))),
                }
            }
        }
        assert!(!packets.is_inside());
        all
    }

    #[test]
    fn a_payload_is_cut_anywhere() {
        let stream = [packet(0, b"abc"), packet(1, b""), packet(2, b"d")].concat();
        for step in 1..=stream.len() {
            assert_eq!(payloads(&stream, step), [(3, 3), (0, 0), (1, 1)]);
        }
    }

    #[test]
    fn a_payload_of_several_packets() {
        let full = [&[0xff, 0xff, 0xff, 0][..], &vec![7; 0xff_ffff]].concat();
        let stream = [full.clone(), packet(1, b""), full, packet(1, b"x")].concat();
        let len = 0xff_ffff;
        assert_eq!(
            payloads(&stream, 1 << 20),
            [(len, 0xff_ffff), (len + 1, 0x100_0000)]
        );
    }
}
