//! Keys and scalars that stand in one piece, complete and without escapes, as nearly all do. What is no such one is read by the state
//! of the document, which judges it.

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
    let mut len = behind_digits(bytes, begin);
    let is_padded = bytes.get(begin) == Some(&b'0') && len > begin + 1;
    if len == begin || is_padded {
        return None;
    }
    if bytes.get(len) == Some(&b'.') {
        let fraction = len + 1;
        len = behind_digits(bytes, fraction);
        if len == fraction {
            return None;
        }
    }
    let behind = bytes.get(len)?;
    (!matches!(behind, b'e' | b'E')).then_some(len)
}

/// Where the digits end that begin here.
#[inline]
fn behind_digits(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        // A digit is a zero with a number below ten in its lower half: adding 0x76 to it leaves the highest bit alone.
        let numbers = u64::from_le_bytes(*eight) ^ (EACH * u64::from(b'0'));
        let found = (numbers.wrapping_add(EACH * 0x76) | numbers) & HIGHEST;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
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
        ] {
            let (read, rest) = scalar(bytes.as_bytes()).expect(bytes);
            assert_eq!(read, value.as_bytes());
            assert!(bytes.as_bytes().ends_with(rest));
        }
        for bytes in [
            "", "\"", "\"a", "\"a\\n\"", "\"\n\"", "1", "-,", "-", "01,", "1.,", "1e5,", "1.5E2,",
            "tru", "nul,", "[", "{", ",",
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
