//! Looks for a word in a text that comes in pieces, and holds nothing of it.

/// How much of a word, in any case of letters and wherever it stands, a text has had last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Word {
    matched: usize,
}

impl Word {
    /// The next piece of the text. The word is in small letters, and its first one comes no second time: so what does not go on can only begin
    /// anew.
    pub(crate) fn read(&mut self, word: &[u8], text: &[u8]) {
        for byte in text {
            if self.is_found(word) {
                return;
            }
            let byte = byte.to_ascii_lowercase();
            self.matched = if byte == word[self.matched] {
                self.matched + 1
            } else {
                usize::from(byte == word[0])
            };
        }
    }

    pub(crate) fn is_found(self, word: &[u8]) -> bool {
        self.matched == word.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Word;

    #[test]
    fn a_word_is_found_wherever_it_is_cut() {
        for (text, is_there) in [
            ("copy", true),
            ("xCCOPy t", true),
            ("cop", false),
            ("co py", false),
            ("coccopy", true),
        ] {
            for at in 0..=text.len() {
                let mut word = Word::default();
                word.read(b"copy", &text.as_bytes()[..at]);
                word.read(b"copy", &text.as_bytes()[at..]);
                assert_eq!(word.is_found(b"copy"), is_there, "{text}, cut at {at}");
            }
        }
    }
}
