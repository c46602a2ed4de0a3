//! Words, names in quotes, and what stands between them.

use super::Dialect;

/// What stands next in a text. Comments, strings and numbers are [`Token::Other`], or nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, or a name without quotes.
    Word(&'a [u8]),
    /// A name in quotes, without them.
    Name(&'a [u8]),
    /// A statement ends.
    Semicolon,
    /// An opening parenthesis, which may stand before a statement.
    Open,
    /// Anything else.
    Other,
    /// It cannot be told what the server makes of it.
    Unsafe,
}

/// Goes through a text.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    left: &'a [u8],
    dialect: Dialect,
    /// Whether a backslash escapes in ordinary strings.
    escapes: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], dialect: Dialect, escapes: bool) -> Self {
        Self {
            left: text,
            dialect,
            escapes,
        }
    }

    fn skip(&mut self, len: usize) -> &'a [u8] {
        let (skipped, left) = self.left.split_at(len.min(self.left.len()));
        self.left = left;
        skipped
    }

    /// Skips what is nothing: spaces, and comments. Whether all of it is known to be nothing.
    fn skip_nothing(&mut self) -> bool {
        loop {
            match self.left {
                [b' ' | b'\t'..=b'\r', ..] => drop(self.skip(1)),
                [b'-', b'-', ..] if self.is_line_comment() => self.skip_line(),
                [b'#', ..] if self.dialect == Dialect::Mysql => self.skip_line(),
                [b'/', b'*', ..] => {
                    if !self.skip_block() {
                        return false;
                    }
                }
                _ => return true,
            }
        }
    }

    fn is_line_comment(&self) -> bool {
        match self.dialect {
            Dialect::Postgres => true,
            // Otherwise it is minus a negative number.
            Dialect::Mysql => self.left.get(2).is_none_or(|byte| *byte <= b' '),
        }
    }

    fn skip_line(&mut self) {
        let end = self
            .left
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'));
        self.skip(end.unwrap_or(self.left.len()));
    }

    /// Skips a comment in `/*` and `*/`: `PostgreSQL`'s nest. Whether the server skips it as well.
    fn skip_block(&mut self) -> bool {
        // MySQL executes what stands in these.
        if self.dialect == Dialect::Mysql
            && matches!(self.left, [_, _, b'!', ..] | [_, _, b'M' | b'm', b'!', ..])
        {
            return false;
        }
        self.skip(2);
        let mut depth = 1_usize;
        while depth > 0 {
            match self.left {
                [] => break,
                [b'*', b'/', ..] => {
                    depth -= 1;
                    self.skip(2);
                }
                [b'/', b'*', ..] if self.dialect == Dialect::Postgres => {
                    depth += 1;
                    self.skip(2);
                }
                _ => drop(self.skip(1)),
            }
        }
        true
    }

    /// Skips up to the end of what is in quotes, whose first one is skipped already; a quote twice is one of it. What is in it.
    fn quoted(&mut self, quote: u8, escapes: bool) -> &'a [u8] {
        let (text, mut at) = (self.left, 0);
        while let Some(byte) = text.get(at) {
            if *byte == b'\\' && escapes {
                at += 2;
            } else if *byte != quote {
                at += 1;
            } else if text.get(at + 1) == Some(&quote) {
                at += 2;
            } else {
                break;
            }
        }
        let inside = self.skip(at);
        self.skip(1);
        inside
    }

    /// Skips a string in dollars (`$$` or `$tag$`). Whether one begins here.
    fn dollars(&mut self) -> bool {
        let is_of_tag = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let tag = self.left[1..]
            .iter()
            .take_while(|byte| is_of_tag(byte))
            .count();
        if self.left.get(1 + tag) != Some(&b'$') || self.left.get(1).is_some_and(u8::is_ascii_digit)
        {
            return false;
        }
        let tag = self.skip(tag + 2);
        let end = self
            .left
            .windows(tag.len())
            .position(|window| window == tag);
        self.skip(end.map_or(self.left.len(), |end| end + tag.len()));
        true
    }

    fn word(&mut self) -> Token<'a> {
        let is_of_word = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80
        };
        let len = self.left.iter().take_while(|byte| is_of_word(byte)).count();
        let word = self.skip(len);
        if self.dialect == Dialect::Postgres {
            match (word, self.left) {
                // Always with escapes.
                ([b'e' | b'E'], [b'\'', ..]) => {
                    self.skip(1);
                    self.quoted(b'\'', true);
                    return Token::Other;
                }
                // Names and strings whose characters are written as numbers.
                ([b'u' | b'U'], [b'&', b'"' | b'\'', ..]) => return Token::Unsafe,
                _ => {}
            }
        }
        Token::Word(word)
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if !self.skip_nothing() {
            return Some(Token::Unsafe);
        }
        let first = *self.left.first()?;
        Some(match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.word(),
            b'0'..=b'9' => {
                // A number, or a name that begins with a digit, which is no keyword.
                self.word();
                Token::Other
            }
            b'\'' => {
                self.skip(1);
                self.quoted(b'\'', self.escapes);
                Token::Other
            }
            b'"' => {
                self.skip(1);
                // A string of MySQL, or a name, as the server is set.
                let escapes = self.escapes && self.dialect == Dialect::Mysql;
                Token::Name(self.quoted(b'"', escapes))
            }
            b'`' if self.dialect == Dialect::Mysql => {
                self.skip(1);
                Token::Name(self.quoted(b'`', false))
            }
            b'$' if self.dialect == Dialect::Postgres && self.dollars() => Token::Other,
            b';' => {
                self.skip(1);
                Token::Semicolon
            }
            b'(' => {
                self.skip(1);
                Token::Open
            }
            // No text has one; what a server makes of it is not known.
            0 => Token::Unsafe,
            _ => {
                self.skip(1);
                Token::Other
            }
        })
    }
}
