//! Whether a word looks like an identifier: a number, a date, a UUID, a hash, an address. Such a word names one thing among many,
//! so it says nothing of the form of a path or of a document, and it may be somebody's secret.
//!
//! It judges by the word alone and errs both ways; what it misses is found by how many such words there are, where they are counted.

/// A longer word is no name that somebody gave to a place or a field, in bytes.
pub const NAME_LEN_MAX: usize = 64;
/// A word of hexadecimal digits alone is one from so many on, in bytes; shorter ones are words such as `face`.
const HEX_LEN_MIN: usize = 16;
/// Where it has a digit, so many are enough.
const HEX_LEN_WITH_DIGIT_MIN: usize = 6;
/// A number that is part of a word counts from so many digits on.
const NUMBER_LEN_MIN: usize = 3;
/// A word of letters and digits is looked at from so many on, in bytes.
const MIXED_LEN_MIN: usize = 8;
/// So many digits in such a word, or ...
const MIXED_DIGITS_MIN: usize = 4;
/// ... so many changes between letters and digits, make an identifier of it. `sha256sum` has two changes, and three digits.
const MIXED_CHANGES_MIN: usize = 3;

/// Whether `word` looks like an identifier.
///
/// ```
/// use protocol::identifier::is_like_one;
/// assert!(is_like_one(b"123") && is_like_one(b"2026-11-29") && is_like_one(b"user-8f3kd92x"));
/// assert!(!is_like_one(b"users") && !is_like_one(b"v2") && !is_like_one(b"base64url"));
/// ```
#[must_use]
pub fn is_like_one(word: &[u8]) -> bool {
    word.len() > NAME_LEN_MAX || is_number(word) || is_address(word) || {
        is_hex(word)
            || word
                .split(|byte| matches!(byte, b'-' | b'_' | b'.' | b':' | b'~'))
                .any(|piece| is_long_number(piece) || is_hex(piece) || is_mixed(piece))
    }
}

/// Digits and what stands between the digits of numbers, dates and times.
fn is_number(word: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':' | b',');
    word.iter().any(u8::is_ascii_digit) && word.iter().all(is_part)
}

/// As part of a word: `order-20231`, but not `utf-8`.
fn is_long_number(piece: &[u8]) -> bool {
    piece.len() >= NUMBER_LEN_MIN && piece.iter().all(u8::is_ascii_digit)
}

/// `name@host.example`.
fn is_address(word: &[u8]) -> bool {
    let at = word.iter().position(|byte| *byte == b'@');
    at.is_some_and(|at| at > 0 && word[at..].contains(&b'.'))
}

/// Hexadecimal digits and hyphens, as in a UUID or a hash.
fn is_hex(word: &[u8]) -> bool {
    let all = word
        .iter()
        .all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let has_digit = word.iter().any(u8::is_ascii_digit);
    all && (word.len() >= HEX_LEN_MIN || (has_digit && word.len() >= HEX_LEN_WITH_DIGIT_MIN))
}

fn is_mixed(word: &[u8]) -> bool {
    if word.len() < MIXED_LEN_MIN || !word.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let changes = word
        .windows(2)
        .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
        .count();
    digits >= MIXED_DIGITS_MIN || changes >= MIXED_CHANGES_MIN
}

#[cfg(test)]
mod tests {
    use super::is_like_one;

    #[test]
    fn names_are_names_and_identifiers_are_not() {
        for name in [
            "",
            "users",
            "v1",
            "face",
            "decade",
            "sha256sum",
            "oauth2callback",
            "created_at",
            "@context",
            "index.html",
            "getUserAccountById",
            "i18n",
            "größe",
        ] {
            assert!(!is_like_one(name.as_bytes()), "{name}");
        }
        for identifier in [
            "1",
            "-7",
            "1.25",
            "12:30:00",
            "2026-11-29",
            "9f86d0",
            "app.9f86d081.js",
            "9f86d081884c7d659a2feaa0c55ad015",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "order-20231",
            "somebody@example.com",
            "user12345",
            "a1b2c3d4e5",
        ] {
            assert!(is_like_one(identifier.as_bytes()), "{identifier}");
        }
        assert!(is_like_one(&[b'a'; 65]));
    }
}
