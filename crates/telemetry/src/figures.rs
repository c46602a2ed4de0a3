//! Named numbers in a fixed order. A map would sort them by name and bury `captured` between `aborted` and
//! `collision`; readers of a summary want the order of the design.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Numbers with their names, in the order in which they were pushed; a JSON object when serialised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures<T = u64>(Vec<(String, T)>);

impl<T> Figures<T> {
    /// No figures.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one at the end. A name is pushed once.
    pub fn push(&mut self, name: impl Into<String>, value: T) {
        self.0.push((name.into(), value));
    }

    /// The figure of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<T, N: Into<String>> FromIterator<(N, T)> for Figures<T> {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(figures: I) -> Self {
        Self(
            figures
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }
}

impl<T: Serialize> Serialize for Figures<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Thousands apart: 8,000.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn the_order_of_pushing_is_the_order_in_json() {
        let figures: Figures = [("z", 1), ("a", 2)].into_iter().collect();
        assert_eq!(serde_json::to_string(&figures).unwrap(), r#"{"z":1,"a":2}"#);
        assert_eq!(figures.get("a"), Some(&2));
        assert_eq!(figures.get("b"), None);
    }
}
