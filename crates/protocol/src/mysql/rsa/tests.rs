//! A key of 2048 bits, made by `openssl genrsa`, and its private exponent, to read what is encrypted.

use num_bigint::BigUint;
use sha1::{Digest as _, Sha1};

use super::{HASH_LEN, PublicKey, mask};

pub(in crate::mysql) const PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAl7e+45rUiAduWMz/31Mm
ToM2biKAky2eXisQg7FxUKH3EDW68crFCDlWZ/CTi/5JOhfat5dH2UuLNjgnZjPE
kBr47Qv3EsRb9zEtCsWvofg+QDfK60twFuUyekYnazQkKK3gUMZ6n2RululAhE1k
BZVgV1uSllQq2+XdCSm7hEZgBuKVXKHncZtspi+/YZFAIASERi67NyGEM2TSa8pu
Fr2Vxo2I6mnvQyUTMXIv44roIo8gttPSnV+bRlGU3buXFEi5tiBt5S2xpqO435g9
bVQfmrvFxG1lpIE4ccVV9GCJ93i2EgjNZ8CXAzr6sYCuXHQ8jbNH3le0Hj8Fgz9T
cQIDAQAB
-----END PUBLIC KEY-----
";
const PRIVATE: &[u8] = b"\
    227d20a5b8e2ab71950216c7ebca8920bbef39a61a385adc6f67b6bf592cfb39766276f46256c7e790b135bb98aef04551316f04e11cf2269c24dd2b\
    07aea8f6614b4907b948c8de671904b6382e2ed1b1c50369db873099e3cc4fc376de85e1da657c62a05bebb3f6f7d35a5939068dc6613a3a94de1b90\
    0aa0fc5842e65fb10e193e52cf706d93d2dc68235f0b3e141ca0bd2470377d575c1c74511b4450bd3f7c5dea3867b1373073523b248723e6bc4d81b2\
    b9f1d05bc1324794d11bf2de7eefec827ea858bcdd0de30e13ccfaf2371660aff4f1379b1ca60e03511bfa5d85a434585631a034d29211dda398e50e\
    6a7f58de2eaf51ea157d40736fb92e9";

/// What is in a block, as a server takes it out.
pub(in crate::mysql) fn decrypt(block: &[u8]) -> Vec<u8> {
    let key = PublicKey::parse(PEM.as_bytes()).expect("a key");
    let private = BigUint::parse_bytes(PRIVATE, 16).expect("a number");
    let plain = BigUint::from_bytes_be(block)
        .modpow(&private, &key.modulus)
        .to_bytes_be();
    let mut plain = [&vec![0; key.len - plain.len()][..], &plain].concat();
    assert_eq!(plain[0], 0);
    let (seed, block) = plain[1..].split_at_mut(HASH_LEN);
    mask(seed, block);
    mask(block, seed);
    assert_eq!(block[..HASH_LEN], Sha1::digest(b"")[..]);
    let at = HASH_LEN
        + block[HASH_LEN..]
            .iter()
            .position(|byte| *byte == 1)
            .expect("the end of the padding");
    assert!(block[HASH_LEN..at].iter().all(|byte| *byte == 0));
    block[at + 1..].to_vec()
}

#[test]
fn what_is_encrypted_can_be_read() {
    let key = PublicKey::parse(PEM.as_bytes()).expect("a key");
    for message in [&b""[..], b"secret\0", &[7; 214]] {
        let block = key.encrypt(message, &[9; HASH_LEN]).expect("it fits");
        assert_eq!(block.len(), 256);
        assert_eq!(decrypt(&block), message);
    }
    assert_eq!(key.encrypt(&[7; 215], &[9; HASH_LEN]), None);
}

#[test]
fn a_hostile_key_is_refused() {
    for at in 0..PEM.len() {
        let _ = PublicKey::parse(&PEM.as_bytes()[..at]);
        let mut other = PEM.as_bytes().to_vec();
        other[at] = b'A';
        let _ = PublicKey::parse(&other).map(|key| key.encrypt(b"secret", &[9; HASH_LEN]));
    }
    for text in [
        "",
        "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----",
    ] {
        assert!(PublicKey::parse(text.as_bytes()).is_none());
    }
}
