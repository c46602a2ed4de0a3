//! What proves a password, by each of the ways (*plugins*) that are spoken here.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The way of old: SHA-1.
pub(super) const NATIVE: &[u8] = b"mysql_native_password";
/// `MySQL`'s since version 8: SHA-256, which the server may have to be told the password for once.
pub(super) const CACHING: &[u8] = b"caching_sha2_password";
/// The password itself, encrypted by RSA.
pub(super) const SHA256: &[u8] = b"sha256_password";

/// The proof that goes first; empty for an empty password.
pub(super) fn proof(plugin: &[u8], password: &[u8], nonce: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match plugin {
        _ if password.is_empty() => Vec::new(),
        NATIVE => native(password, nonce),
        CACHING => caching(password, nonce),
        _ => Vec::new(),
    })
}

/// SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))).
fn native(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = Zeroizing::new(<[u8; 20]>::from(Sha1::digest(password)));
    let twice = Zeroizing::new(<[u8; 20]>::from(Sha1::digest(*once)));
    let mask: [u8; 20] = Sha1::new()
        .chain_update(nonce)
        .chain_update(*twice)
        .finalize()
        .into();
    xor(&*once, &mask)
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce).
fn caching(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(password)));
    let twice = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(*once)));
    let mask: [u8; 32] = Sha256::new()
        .chain_update(*twice)
        .chain_update(nonce)
        .finalize()
        .into();
    xor(&*once, &mask)
}

/// The password and a zero, disguised by the nonce: what is encrypted by RSA.
pub(super) fn disguised(password: &[u8], nonce: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut disguised = Zeroizing::new([password, b"\0"].concat());
    for (byte, mask) in disguised.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
    disguised
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter()
        .zip(other)
        .map(|(one, other)| one ^ other)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{CACHING, NATIVE, disguised, proof};
    use sha1::Sha1;
    use sha2::{Digest, Sha256};

    const NONCE: &[u8] = b"0123456789abcdefghij";

    /// As a server does it: it keeps the hash of the hash, and takes the proof's disguise off.
    #[test]
    fn a_server_takes_it() {
        let kept: [u8; 20] = Sha1::digest(Sha1::digest(b"secret")).into();
        let mask = Sha1::digest([NONCE, &kept].concat());
        let once: Vec<u8> = proof(NATIVE, b"secret", NONCE)
            .iter()
            .zip(mask)
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(<[u8; 20]>::from(Sha1::digest(once)), kept);
        let kept: [u8; 32] = Sha256::digest(Sha256::digest(b"secret")).into();
        let mask = Sha256::digest([&kept, NONCE].concat());
        let once: Vec<u8> = proof(CACHING, b"secret", NONCE)
            .iter()
            .zip(mask)
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(<[u8; 32]>::from(Sha256::digest(once)), kept);
        assert!(
            proof(NATIVE, b"", NONCE).is_empty() && proof(b"other", b"secret", NONCE).is_empty()
        );
    }

    #[test]
    fn a_disguise_is_taken_off() {
        let long = vec![b'x'; 50];
        let disguised = disguised(&long, NONCE);
        let plain: Vec<u8> = disguised
            .iter()
            .zip(NONCE.iter().cycle())
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(plain, [&long[..], b"\0"].concat());
    }
}
