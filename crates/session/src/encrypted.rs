//! What a stream that is encrypted end to end looks like: its bytes mean nothing on another connection.

/// How far into a stream a TLS handshake is looked for at the start of any segment, in bytes, and not only where a turn begins:
/// `MySQL` asks for encryption and begins it without waiting for an answer.
const EARLY_BYTES: u64 = 4096;

/// Longest TLS record, in bytes (RFC 8446 section 5.2).
const RECORD_LEN_MAX: u16 = (1 << 14) + 256;

/// Whether a stream that begins like this is encrypted from its first byte on: TLS, or an SSH identification string (RFC 4253
/// section 4.2).
fn is_from_start(first: &[u8]) -> bool {
    matches!(first, [0x16, 3, 0..=4, _, _, 1, ..]) || first.starts_with(b"SSH-")
}

/// Whether these bytes begin a TLS handshake: a record (RFC 8446 section 5.1) with a `ClientHello` (section 4.1.2) that names
/// its version. Wherever in a stream a client says that, what follows is encrypted: after `STARTTLS`, after an `SSLRequest` of
/// `PostgreSQL`, after the flag in a handshake of `MySQL`. So no list of protocols is needed.
pub(crate) fn is_client_hello(first: &[u8]) -> bool {
    matches!(first, [0x16, 3, 0..=4, high, low, 1, 0, _, _, 3, 1..=4, ..]
        if (5..=RECORD_LEN_MAX).contains(&u16::from_be_bytes([*high, *low])))
}

/// Whether a segment that begins like this, so far from the stream's first byte, says that all from there on is encrypted.
#[must_use]
pub fn is_early(offset: u64, first: &[u8]) -> bool {
    offset == 0 && is_from_start(first) || offset < EARLY_BYTES && is_client_hello(first)
}

/// Whether these bytes look like a TLS record of any kind (RFC 8446 section 5.1), as in the middle of an encrypted stream.
#[must_use]
pub fn is_record(first: &[u8]) -> bool {
    matches!(first, [0x14..=0x17, 3, 0..=4, high, low, ..]
        if (1..=RECORD_LEN_MAX).contains(&u16::from_be_bytes([*high, *low])))
}

#[cfg(test)]
mod tests {
    use super::{is_client_hello, is_early, is_from_start, is_record};

    #[test]
    fn encryption_is_known_by_its_first_bytes() {
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 7, 7];
        assert!(is_from_start(&hello) && is_client_hello(&hello) && is_record(&hello));
        assert!(is_from_start(b"SSH-2.0-OpenSSH_9.7\r\n"));
        assert!(is_record(&[0x17, 3, 3, 0, 32, 9, 9]));
        assert!(is_early(36, &hello) && !is_early(36, b"SSH-") && !is_early(1 << 20, &hello));
        for plain in [
            &b""[..],
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            &hello[..10],
            &[0x16, 3, 1, 0xff, 0xff, 1, 0, 1, 0xfc, 3, 3],
            &[0x16, 3, 1, 2, 0, 1, 9, 1, 0xfc, 3, 3],
        ] {
            assert!(!is_client_hello(plain), "{plain:?}");
        }
        assert!(!is_record(&[0x17, 3, 3, 0xff, 0xff]));
        assert!(!is_record(&[0x17, 3, 3, 0, 0]));
    }
}
