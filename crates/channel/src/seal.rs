//! What the two directions of a connection with a key carry: records.
//!
//! ```text
//! 0        2
//! | length | length bytes: a piece of the stream of frames, encrypted, and 16 bytes of tag |
//! ```
//!
//! A record can be opened by nobody else, once, and in its place only: Noise's nonce is its number. After each [`REKEY_RECORDS`]
//! both sides go on with a key that the one before gives and that does not give the one before.

use core::fmt;

use snow::params::CipherChoice;
use snow::resolvers::{CryptoResolver as _, DefaultResolver};
use snow::types::Cipher;

use crate::error::Error;
use crate::key::KEY_LEN;

/// Bytes of a record's length.
pub(crate) const LENGTH_LEN: usize = 2;
/// Bytes that encrypting adds.
pub(crate) const TAG_LEN: usize = 16;
/// Longest record without its length: as Noise has it.
pub(crate) const RECORD_LEN_MAX: usize = 65_535;
/// Longest piece of the stream in one record.
pub(crate) const PIECE_LEN_MAX: usize = RECORD_LEN_MAX - TAG_LEN;
/// Records of a direction before its key changes.
pub const REKEY_RECORDS: u64 = 1 << 16;

/// One direction's cipher, and the number of the next record.
struct Direction {
    cipher: Box<dyn Cipher>,
    records: u64,
}

impl Direction {
    fn new(key: &[u8; KEY_LEN]) -> Self {
        let cipher = DefaultResolver.resolve_cipher(&CipherChoice::ChaChaPoly);
        let mut cipher = cipher.expect("the crate is built with this cipher");
        cipher.set(key);
        Self { cipher, records: 0 }
    }

    fn count(&mut self) {
        self.records += 1;
        if self.records.is_multiple_of(REKEY_RECORDS) {
            self.cipher.rekey();
        }
    }
}

/// Seals what is said.
pub struct Sealer(Direction);

/// Opens what is heard.
pub(crate) struct Opener(Direction);

impl Sealer {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Direction::new(key))
    }

    /// Appends `plain` to `out` as records, in as many as needed; none for no bytes. What is appended has to be sent, in this order.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        for piece in plain.chunks(PIECE_LEN_MAX) {
            let len = piece.len() + TAG_LEN;
            // At most RECORD_LEN_MAX.
            let length = (len as u16).to_be_bytes();
            out.extend_from_slice(&length);
            let at = out.len();
            out.resize(at + len, 0);
            let nonce = self.0.records;
            self.0.cipher.encrypt(nonce, &length, piece, &mut out[at..]);
            self.0.count();
        }
    }
}

impl Opener {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Direction::new(key))
    }

    /// Opens a record without its length into `out`, and says how many bytes that are.
    pub(crate) fn open(&mut self, record: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let length = (record.len() as u16).to_be_bytes();
        if record.len() <= TAG_LEN || out.len() < record.len() - TAG_LEN {
            return Err(Error::Seal);
        }
        let nonce = self.0.records;
        let opened = self.0.cipher.decrypt(nonce, &length, record, out);
        let len = opened.map_err(|_| Error::Seal)?;
        self.0.count();
        Ok(len)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{LENGTH_LEN, Opener, PIECE_LEN_MAX, REKEY_RECORDS, Sealer};
    use crate::error::Error;

    fn open(opener: &mut Opener, record: &[u8]) -> Result<Vec<u8>, Error> {
        let mut plain = vec![0; PIECE_LEN_MAX];
        let len = opener.open(&record[LENGTH_LEN..], &mut plain)?;
        plain.truncate(len);
        Ok(plain)
    }

    fn sealed(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sealer.seal(plain, &mut out);
        out
    }

    #[test]
    fn a_record_is_opened_once_and_in_its_place() {
        let (mut sealer, mut opener) = (Sealer::new(&[7; 32]), Opener::new(&[7; 32]));
        let (first, second) = (
            sealed(&mut sealer, b"first"),
            sealed(&mut sealer, b"second"),
        );
        assert_eq!(open(&mut opener, &second), Err(Error::Seal));
        assert_eq!(open(&mut opener, &first).unwrap(), b"first");
        assert_eq!(open(&mut opener, &first), Err(Error::Seal));
        assert_eq!(open(&mut opener, &second).unwrap(), b"second");
        let third = sealed(&mut sealer, b"third");
        for bit in LENGTH_LEN * 8..third.len() * 8 {
            let mut changed = third.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&mut opener, &changed), Err(Error::Seal), "{bit}");
        }
        for len in LENGTH_LEN..third.len() {
            assert_eq!(open(&mut opener, &third[..len]), Err(Error::Seal), "{len}");
        }
        assert!(opener.open(&third[LENGTH_LEN..], &mut [0; 4]).is_err());
        assert_eq!(open(&mut opener, &third).unwrap(), b"third");
    }

    #[test]
    fn a_key_changes_on_both_sides_at_once() {
        let (mut sealer, mut opener) = (Sealer::new(&[7; 32]), Opener::new(&[7; 32]));
        // So that the test need not make all those before.
        for records in [&mut sealer.0.records, &mut opener.0.records] {
            *records = REKEY_RECORDS - 2;
        }
        for number in REKEY_RECORDS - 2..REKEY_RECORDS + 3 {
            let record = sealed(&mut sealer, &number.to_be_bytes());
            assert_eq!(open(&mut opener, &record).unwrap(), number.to_be_bytes());
        }
        // The first key is no longer any good.
        let mut kept = Sealer::new(&[7; 32]);
        kept.0.records = opener.0.records;
        assert_eq!(
            open(&mut opener, &sealed(&mut kept, b"x")),
            Err(Error::Seal)
        );
    }

    #[test]
    fn what_is_long_goes_into_several_records() {
        let (mut sealer, mut opener) = (Sealer::new(&[7; 32]), Opener::new(&[7; 32]));
        let long: Vec<u8> = (0..2 * PIECE_LEN_MAX + 5).map(|at| at as u8).collect();
        let out = sealed(&mut sealer, &long);
        let (mut rest, mut opened) = (&out[..], Vec::new());
        while let Some((length, tail)) = rest.split_first_chunk::<LENGTH_LEN>() {
            let len = usize::from(u16::from_be_bytes(*length));
            opened.extend(open(&mut opener, &rest[..LENGTH_LEN + len]).unwrap());
            rest = &tail[len..];
        }
        assert_eq!(opened, long);
        assert!(sealed(&mut sealer, b"").is_empty());
    }
}
