//! A set of ports.

use wire::flow::PoolRange;

const WORDS: usize = 1024;

/// A set of ports: one bit for each.
#[derive(Clone, PartialEq, Eq)]
pub struct Ports([u64; WORDS]);

impl Ports {
    /// Puts a port in.
    pub fn insert(&mut self, port: u16) {
        self.0[usize::from(port / 64)] |= 1 << (port % 64);
    }

    /// Whether a port is in it.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0[usize::from(port / 64)] & 1 << (port % 64) != 0
    }

    /// How many ports of a range are in it.
    #[must_use]
    pub fn count_in(&self, range: &PoolRange) -> usize {
        let ports = range.port_first..=range.port_last;
        ports.filter(|port| self.contains(*port)).count()
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl FromIterator<u16> for Ports {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let mut set = Self::default();
        ports.into_iter().for_each(|port| set.insert(port));
        set
    }
}

impl core::fmt::Debug for Ports {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let ports = (0..=u16::MAX).filter(|port| self.contains(*port));
        f.debug_set().entries(ports).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Ports;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: Ports = [0, 63, 64, 65_535].into_iter().collect();
        let held: Vec<u16> = (0..=u16::MAX).filter(|port| set.contains(*port)).collect();
        assert_eq!(held, [0, 63, 64, 65_535]);
        assert_eq!(format!("{set:?}"), "{0, 63, 64, 65535}");
    }
}
