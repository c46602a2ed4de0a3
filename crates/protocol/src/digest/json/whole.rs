//! Keys and scalars that stand in one piece, complete and without escapes, as nearly all do. What is no such one is read by the state
//! of the document, which judges it.
//!
//! What is marked to be inlined always belongs to the loop over an object's members: calls would take a sixth as much again.

use super::super::paths::{PathId, Paths};
use super::KEY_LEN_MAX;

/// A byte of each of eight.
const EACH: u64 = u64::from_le_bytes([1; 8]);
/// The highest bit of each of eight bytes.
const HIGHEST: u64 = EACH << 7;

/// A string that begins behind its quote, and what is behind its other one.
#[inline]
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at(letters(bytes));
    match rest {
        [b'"', rest @ ..] => Some((text, rest)),
        _ => None,
    }
}

/// The path of a key that stands in one piece, and what is behind its quote.
#[inline]
pub(super) fn key<'a>(
    paths: &mut Paths,
    parent: PathId,
    before: PathId,
    behind: &'a [u8],
) -> Option<(PathId, &'a [u8])> {
    if let Some(likely) = paths.likely(parent, before, behind) {
        return Some(likely);
    }
    let (name, rest) = text(behind)?;
    let name = &name[..name.len().min(KEY_LEN_MAX)];
    Some((paths.key(parent, before, name), rest))
}

/// A scalar without the quote at its end, and what is behind it.
#[inline(always)]
pub(super) fn scalar(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [b'"', behind @ ..] => {
            let (text, rest) = text(behind)?;
            Some((&bytes[..=text.len()], rest))
        }
        [b'-' | b'0'..=b'9', ..] => Some(bytes.split_at(number(bytes)?)),
        [b't', ..] => word(bytes, b"true"),
        [b'f', ..] => word(bytes, b"false"),
        [b'n', ..] => word(bytes, b"null"),
        _ => None,
    }
}

fn word<'a>(bytes: &'a [u8], word: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    bytes.starts_with(word).then(|| bytes.split_at(word.len()))
}

/// The length of a number without an exponent that something else stands behind.
#[inline(always)]
fn number(bytes: &[u8]) -> Option<usize> {
    let begin = usize::from(bytes.first() == Some(&b'-'));
    let digits = bytes.get(begin..)?;
    let (whole, len) = lengths(digits);
    let is_padded = digits.first() == Some(&b'0') && whole > 1;
    let is_cut = whole == 0 || len == whole + 1;
    let ends = !matches!(digits.get(len)?, b'e' | b'E');
    (ends && !is_padded && !is_cut).then_some(begin + len)
}

/// How many digits there are, and how many bytes with a dot and the digits behind it.
#[inline(always)]
fn lengths(bytes: &[u8]) -> (usize, usize) {
    if let Some(eight) = bytes.first_chunk::<8>() {
        let others = others(*eight);
        let whole = others.trailing_zeros() as usize / 8;
        // A dot adds nothing to the byte behind it, so the next one that is found is no digit either.
        let next = (others & others.wrapping_sub(1)).trailing_zeros() as usize / 8;
        match eight.get(whole) {
            Some(b'.') if next < 8 => return (whole, next),
            Some(b'.') | None => {}
            Some(_) => return (whole, whole),
        }
    }
    let whole = behind_digits(bytes, 0);
    match bytes.get(whole) {
        Some(b'.') => (whole, behind_digits(bytes, whole + 1)),
        _ => (whole, whole),
    }
}

/// The highest bit of each byte that is no digit. A byte behind such a one may be found wrongly.
#[inline(always)]
fn others(eight: [u8; 8]) -> u64 {
    // A digit is a zero with a number below ten in its lower half: adding 0x76 to it leaves the highest bit alone.
    let numbers = u64::from_le_bytes(eight) ^ (EACH * u64::from(b'0'));
    (numbers.wrapping_add(EACH * 0x76) | numbers) & HIGHEST
}

/// Where the digits end that begin here.
#[inline]
fn behind_digits(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let others = others(*eight);
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// Behind an object: what is behind the quote of the first key of a further one.
#[inline]
pub(super) fn next_object(behind: &[u8]) -> Option<&[u8]> {
    let object = behind_blanks(behind.strip_prefix(b",")?);
    behind_blanks(object.strip_prefix(b"{")?).strip_prefix(b"\"")
}

#[inline]
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[inline]
pub(super) fn behind_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().position(|byte| !is_blank(*byte));
    &bytes[blanks.unwrap_or(bytes.len())..]
}

/// How many bytes stand before the first one that is no letter of a string: a quote, a backslash, a control character.
///
/// It looks at eight bytes at a time: subtracting from all of them borrows from the highest bit of those that are too small. A byte
/// behind one that is found may be found wrongly, and is not asked for.
#[inline(always)]
pub(super) fn letters(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(eight) = bytes[len..].first_chunk::<8>() {
        let eight = u64::from_le_bytes(*eight);
        let is_below = |word: u64, bound: u64| word.wrapping_sub(EACH * bound) & !word;
        let is_byte = |byte: u8| is_below(eight ^ (EACH * u64::from(byte)), 1);
        let found = (is_below(eight, 0x20) | is_byte(b'"') | is_byte(b'\\')) & HIGHEST;
        if found != 0 {
            return len + found.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    let rest = &bytes[len..];
    len + rest.iter().position(is_special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{behind_digits, letters, scalar};

    #[test]
    fn what_is_complete_is_taken_and_nothing_else() {
        for (bytes, value) in [
            ("\"\",", "\""),
            ("\"some name\"}", "\"some name"),
            ("12345,", "12345"),
            ("0]", "0"),
            ("-0.50 ", "-0.50"),
            ("true", "true"),
            ("null,", "null"),
            ("1700000000000,", "1700000000000"),
            ("9.5,\"a\":1", "9.5"),
            ("1234567.5,\"a\":1", "1234567.5"),
            ("-1234.56789}        ", "-1234.56789"),
        ] {
            let (read, rest) = scalar(bytes.as_bytes()).expect(bytes);
            assert_eq!(read, value.as_bytes());
            assert!(bytes.as_bytes().ends_with(rest));
        }
        for bytes in [
            "",
            "\"",
            "\"a",
            "\"a\\n\"",
            "\"\n\"",
            "1",
            "-,",
            "-",
            "01,",
            "1.,",
            "1e5,",
            "1.5E2,",
            "tru",
            "nul,",
            "[",
            "{",
            ",",
            "01,     ",
            "-.5,     ",
            "1.,      ",
            "1.5e1,    ",
            "12e4,    ",
            "1234567.,    ",
        ] {
            assert_eq!(scalar(bytes.as_bytes()), None, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn digits_end_where_each_byte_alone_says(
            bytes in proptest::collection::vec(proptest::sample::select(b"0123456789/:.+\x00\x2f\x8a\xb5\xff".to_vec()), 0..40),
        ) {
            for from in 0..bytes.len() {
                let end = bytes[from..].iter().position(|byte| !byte.is_ascii_digit());
                let end = end.map_or(bytes.len(), |end| from + end);
                prop_assert_eq!(behind_digits(&bytes, from), end);
            }
        }

        #[test]
        fn letters_end_where_each_byte_alone_says(
            bytes in proptest::collection::vec(proptest::sample::select(b"a \x1f\x20\x21\"#[\\]\x7f\x80\xa2\xdc\xff".to_vec()), 0..40),
            more in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let bytes = [bytes, more].concat();
            for from in 0..bytes.len() {
                let bytes = &bytes[from..];
                let first = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
                prop_assert_eq!(letters(bytes), first.unwrap_or(bytes.len()));
            }
        }
    }
}
