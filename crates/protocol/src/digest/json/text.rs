//! Strings of JSON, without their escapes.
//!
//! A half of a surrogate pair that stands alone is told as the three bytes that UTF-8 would have for it.

/// A byte of each of eight.
const EACH: u64 = u64::from_le_bytes([1; 8]);
/// The highest bit of each of eight bytes.
const HIGHEST: u64 = EACH << 7;

/// How many bytes stand before the first one that is no letter of a string: a quote, a backslash, a control character.
///
/// It looks at eight bytes at a time: subtracting from all of them borrows from the highest bit of those that are too small. A byte
/// behind one that is found may be found wrongly, and is not asked for.
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

/// Where in a string.
#[derive(Clone, Debug, Default)]
pub(super) enum At {
    /// Among letters.
    #[default]
    Letters,
    /// Behind a backslash.
    Escape,
    /// Among the four digits of `\u`.
    Digits { count: u8, value: u16 },
}

/// A string that is being read.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    at: At,
    /// The first half of a surrogate pair, whose second one may follow.
    high: Option<u16>,
}

/// What came of some bytes.
#[derive(Clone, Copy)]
pub(super) enum Read<'a> {
    /// The string goes on.
    On,
    /// It has ended; these are behind it.
    End(&'a [u8]),
    /// It is none.
    Fault,
}

impl Text {
    /// The next bytes; `tell` gets what they mean.
    pub(super) fn read<'a>(
        &mut self,
        mut bytes: &'a [u8],
        mut tell: impl FnMut(&[u8]),
    ) -> Read<'a> {
        while let Some(&first) = bytes.first() {
            match self.at {
                At::Letters => {
                    let len = letters(bytes);
                    if len > 0 {
                        self.end_pair(&mut tell);
                        tell(&bytes[..len]);
                    }
                    match bytes.get(len) {
                        None => return Read::On,
                        Some(b'"') => {
                            self.end_pair(&mut tell);
                            return Read::End(&bytes[len + 1..]);
                        }
                        Some(b'\\') => self.at = At::Escape,
                        Some(_) => return Read::Fault,
                    }
                    bytes = &bytes[len + 1..];
                }
                At::Escape => {
                    let Some(at) = self.escape(first, &mut tell) else {
                        return Read::Fault;
                    };
                    self.at = at;
                    bytes = &bytes[1..];
                }
                At::Digits { count, value } => {
                    let Some(digit) = char::from(first).to_digit(16) else {
                        return Read::Fault;
                    };
                    let value = value << 4 | u16::try_from(digit).unwrap_or_default();
                    self.at = if count == 3 {
                        self.unit(value, &mut tell);
                        At::Letters
                    } else {
                        let count = count + 1;
                        At::Digits { count, value }
                    };
                    bytes = &bytes[1..];
                }
            }
        }
        Read::On
    }

    /// The byte behind a backslash.
    fn escape(&mut self, byte: u8, tell: &mut impl FnMut(&[u8])) -> Option<At> {
        let meant = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return Some(At::Digits { count: 0, value: 0 }),
            _ => return None,
        };
        self.end_pair(tell);
        tell(&[meant]);
        Some(At::Letters)
    }

    /// A unit of UTF-16.
    fn unit(&mut self, unit: u16, tell: &mut impl FnMut(&[u8])) {
        if let (Some(high), 0xdc00..=0xdfff) = (self.high, unit) {
            self.high = None;
            let code = 0x10000 + (u32::from(high - 0xd800) << 10) + u32::from(unit - 0xdc00);
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            tell(character.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
        self.end_pair(tell);
        match char::from_u32(u32::from(unit)) {
            Some(character) => tell(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None if unit < 0xdc00 => self.high = Some(unit),
            None => tell(&lone(unit)),
        }
    }

    /// No second half has followed.
    fn end_pair(&mut self, tell: &mut impl FnMut(&[u8])) {
        if let Some(high) = self.high.take() {
            tell(&lone(high));
        }
    }
}

/// Half of a pair, in the bytes that UTF-8 would have for it.
fn lone(unit: u16) -> [u8; 3] {
    let [high, low] = unit.to_be_bytes();
    [
        0xe0 | high >> 4,
        0x80 | (high & 0x0f) << 2 | low >> 6,
        0x80 | low & 0x3f,
    ]
}
