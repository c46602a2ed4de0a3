//! Which places' segments are not told apart, as several workers have found: when one of them has folded a place, it is folded for
//! all.

use std::collections::BTreeSet;

use super::ANY;

/// Folded places, each as the route that leads to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folds(BTreeSet<Box<str>>);

impl Folds {
    /// These of one worker.
    #[must_use]
    pub fn new(places: BTreeSet<Box<str>>) -> Self {
        let mut folds = Self::default();
        folds.unite(&Self(places));
        folds
    }

    /// Adds those of another worker; whether there are new ones.
    pub fn unite(&mut self, other: &Self) -> bool {
        if other.0.is_subset(&self.0) {
            return false;
        }
        let mut all: Vec<Box<str>> = self.0.union(&other.0).cloned().collect();
        // The outer ones first: they change the names of the inner ones.
        all.sort_by_key(|place| (place.matches('/').count(), place.clone()));
        let mut united = Self::default();
        for place in all {
            let place = united.route(&place);
            united.0.insert(place.into_boxed_str());
        }
        let is_new = united != *self;
        *self = united;
        is_new
    }

    /// A route with a star wherever segments are not told apart.
    #[must_use]
    pub fn route(&self, route: &str) -> String {
        if !route.starts_with('/') || self.0.is_empty() {
            return route.to_owned();
        }
        let mut folded = String::new();
        for segment in route.split('/').filter(|segment| !segment.is_empty()) {
            let place = if folded.is_empty() { "/" } else { &folded };
            let is_folded = self.0.contains(place);
            folded.push('/');
            folded.push_str(if is_folded { ANY } else { segment });
        }
        if folded.is_empty() {
            folded.push('/');
        }
        folded
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{prop_assert_eq, proptest};

    use super::Folds;

    fn of(places: &[&str]) -> Folds {
        Folds::new(places.iter().map(|place| (*place).into()).collect())
    }

    #[test]
    fn a_folded_place_has_one_child() {
        let folds = of(&["/users", "/users/bob/orders"]);
        assert_eq!(folds.route("/users/alice"), "/users/*");
        assert_eq!(folds.route("/users/alice/orders/new"), "/users/*/orders/*");
        assert_eq!(folds.route("/"), "/");
        assert_eq!(folds.route("(further paths)"), "(further paths)");
        assert_eq!(of(&["/"]).route("/a/b"), "/*/b");
    }

    proptest! {
        #[test]
        fn folds_unite_in_any_order(
            places in proptest::collection::vec("(/[ab]){0,4}", 0..9),
            route in "(/[abc]){1,5}",
            cut in 0_usize..9,
        ) {
            let places: Vec<Box<str>> = places.into_iter().map(|p| if p.is_empty() { "/".into() } else { p.into_boxed_str() }).collect();
            let (one, other) = places.split_at(cut.min(places.len()));
            let of = |list: &[Box<str>]| Folds::new(list.iter().cloned().collect::<BTreeSet<_>>());
            let (mut ab, mut ba) = (of(one), of(other));
            ab.unite(&of(other));
            ba.unite(&of(one));
            prop_assert_eq!(&ab, &ba);
            prop_assert_eq!(&ab, &of(&places));
            // What one has folded already folds no other way.
            prop_assert_eq!(ab.route(&of(one).route(&route)), ab.route(&route));
        }
    }
}
