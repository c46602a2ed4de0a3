//! Numbers of JSON, letter by letter.

/// How far a number was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// `-`
    Minus,
    /// `0`, behind which no digit may stand.
    Zero,
    /// Digits.
    Whole,
    /// The dot.
    Dot,
    /// Digits behind it.
    Fraction,
    /// `e`
    Exponent,
    /// The sign behind it.
    Sign,
    /// Digits behind it.
    Power,
}

impl Number {
    /// A number that begins with this byte.
    pub(super) fn new(byte: u8) -> Option<Self> {
        match byte {
            b'-' => Some(Self::Minus),
            b'0' => Some(Self::Zero),
            b'1'..=b'9' => Some(Self::Whole),
            _ => None,
        }
    }

    /// How many of these bytes are part of it; they have been read then.
    pub(super) fn read(&mut self, bytes: &[u8]) -> usize {
        let mut len = 0;
        while let Some(byte) = bytes.get(len) {
            let is_among_digits = matches!(self, Self::Whole | Self::Fraction | Self::Power);
            if !(is_among_digits && byte.is_ascii_digit() || self.goes_on(*byte)) {
                break;
            }
            len += 1;
        }
        len
    }

    /// Whether this byte is part of it; then it has been read.
    fn goes_on(&mut self, byte: u8) -> bool {
        *self = match (*self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Dot,
            (Self::Dot | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::Sign,
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Self::Power,
            _ => return false,
        };
        true
    }

    /// Whether it may end, and this byte may stand behind it as far as the number goes.
    pub(super) fn ends_before(self, byte: u8) -> bool {
        self.is_complete() && !byte.is_ascii_digit()
    }

    /// Whether it may end here.
    pub(super) fn is_complete(self) -> bool {
        matches!(
            self,
            Self::Zero | Self::Whole | Self::Fraction | Self::Power
        )
    }
}
