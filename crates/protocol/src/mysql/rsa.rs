//! Encrypts a password with a server's public key: RSAES-OAEP (RFC 8017, section 7.1) with SHA-1, as `MySQL` wants it.
//!
//! Only the public side of RSA is here, which has no secret key to lose by its timing; that is why the crate `rsa`, whose private side has an
//! advisory without a fix (RUSTSEC-2023-0071), was not taken, and the arithmetic is num-bigint's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

/// Longest key, in bytes.
const KEY_LEN_MAX: usize = 1024;
/// Shortest key, in bytes: one that is shorter than 1024 bits keeps nothing secret.
const KEY_LEN_MIN: usize = 128;
/// Longest public exponent, in bytes.
const EXPONENT_LEN_MAX: usize = 8;
/// Length of SHA-1, in bytes.
const HASH_LEN: usize = 20;

/// A server's public key.
#[derive(Debug)]
pub(super) struct PublicKey {
    modulus: BigUint,
    exponent: BigUint,
    len: usize,
}

impl PublicKey {
    /// Out of PEM (`BEGIN PUBLIC KEY`, RFC 7468, section 13).
    pub(super) fn parse(pem: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(pem).ok()?;
        let (_, text) = text.split_once("-----BEGIN PUBLIC KEY-----")?;
        let (text, _) = text.split_once("-----END PUBLIC KEY-----")?;
        let text: String = text.split_whitespace().collect();
        let der = STANDARD.decode(text).ok()?;
        // SubjectPublicKeyInfo (RFC 5280, section 4.1), of which the algorithm is passed over: what a server sends here is RSA.
        let mut info = value(&mut &der[..], 0x30)?;
        value(&mut info, 0x30)?;
        let mut key = value(&mut info, 0x03)?.strip_prefix(&[0])?;
        let mut key = value(&mut key, 0x30)?;
        let modulus = unsigned(value(&mut key, 0x02)?);
        let exponent = unsigned(value(&mut key, 0x02)?);
        let is_fit = (KEY_LEN_MIN..=KEY_LEN_MAX).contains(&modulus.len())
            && (1..=EXPONENT_LEN_MAX).contains(&exponent.len());
        is_fit.then(|| Self {
            len: modulus.len(),
            modulus: BigUint::from_bytes_be(modulus),
            exponent: BigUint::from_bytes_be(exponent),
        })
    }

    /// Encrypts a message with a seed that is random. Nothing where the message is too long for the key.
    pub(super) fn encrypt(&self, message: &[u8], seed: &[u8; HASH_LEN]) -> Option<Vec<u8>> {
        let padding = self.len.checked_sub(message.len() + 2 * HASH_LEN + 2)?;
        let mut block = Zeroizing::new(Sha1::digest(b"").to_vec());
        block.reserve_exact(self.len);
        block.resize(HASH_LEN + padding, 0);
        block.push(1);
        block.extend_from_slice(message);
        let mut seed = *seed;
        mask(&mut block, &seed);
        mask(&mut seed, &block);
        let encoded = Zeroizing::new([&[0][..], &seed, &block].concat());
        let encrypted = BigUint::from_bytes_be(&encoded)
            .modpow(&self.exponent, &self.modulus)
            .to_bytes_be();
        Some([&vec![0; self.len - encrypted.len()][..], &encrypted].concat())
    }
}

/// MGF1 (RFC 8017, appendix B.2.1) of a seed, laid over something.
fn mask(onto: &mut [u8], seed: &[u8]) {
    for (counter, part) in (0_u32..).zip(onto.chunks_mut(HASH_LEN)) {
        let hash = Sha1::new()
            .chain_update(seed)
            .chain_update(counter.to_be_bytes())
            .finalize();
        for (byte, mask) in part.iter_mut().zip(hash) {
            *byte ^= mask;
        }
    }
}

/// Takes a value of DER with this tag off.
fn value<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let [found, len, rest @ ..] = *der else {
        return None;
    };
    let (len, rest) = match len {
        0..=0x7f => (usize::from(*len), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (
            usize::from(u16::from_be_bytes(*rest.first_chunk()?)),
            rest.get(2..)?,
        ),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    *der = rest;
    (*found == tag).then_some(value)
}

/// A number without the zeros that its sign needs.
fn unsigned(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0);
    first.map_or(&[], |first| &number[first..])
}

#[cfg(test)]
pub(in crate::mysql) mod tests;
