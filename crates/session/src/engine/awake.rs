//! Which slots of a table are awake, a bit each: of a million that rest nearly all the words are zero, so that a walk over those
//! that are awake costs what these cost.

/// The numbers of slots that are awake.
#[derive(Debug, Default)]
pub(crate) struct Awake(Vec<u64>);

impl Awake {
    /// A slot woke up, or came into use.
    pub(crate) fn add(&mut self, id: u32) {
        let (word, bit) = place(id);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= bit;
    }

    /// A slot rests, or is free.
    pub(crate) fn remove(&mut self, id: u32) {
        let (word, bit) = place(id);
        self.0[word] &= !bit;
    }

    /// All of them, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        let words = (0..).zip(&self.0).filter(|(_, word)| **word != 0);
        words.flat_map(|(index, &word): (u32, _)| {
            let mut left = word;
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(index * u64::BITS + bit)
            })
        })
    }
}

fn place(id: u32) -> (usize, u64) {
    ((id / u64::BITS) as usize, 1 << (id % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::Awake;

    #[test]
    fn those_that_are_awake_are_told_in_order() {
        let mut awake = Awake::default();
        for id in [0, 63, 64, 1_000, 700, 65] {
            awake.add(id);
        }
        awake.remove(64);
        awake.add(63);
        assert_eq!(awake.ids().collect::<Vec<_>>(), [0, 63, 65, 700, 1_000]);
        for id in [0, 63, 65, 700, 1_000] {
            awake.remove(id);
        }
        assert_eq!(awake.ids().next(), None);
    }
}
