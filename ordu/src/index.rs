//! The names of each registry in order, beside the map that lookups read.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use ordu_core::{Name, Scope};

/// The names of each registry, in order.
///
/// Invariant: no registry in it is empty.
#[derive(Debug, Default)]
pub(crate) struct Index {
    names: HashMap<Scope, BTreeSet<Name>>,
}

/// A part of a registry: the names that begin with `prefix` and come behind `after`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    pub(crate) prefix: Vec<u8>,
    pub(crate) after: Option<Vec<u8>>,
}

impl Index {
    /// Adds a name that was free. Takes O(log n) time for n names.
    pub(crate) fn insert(&mut self, scope: Scope, name: Name) {
        let is_new = self.names.entry(scope).or_default().insert(name);
        assert!(is_new, "a name that was free is not in the index");
    }

    /// Takes out a name that falls free. Takes O(log n) time for n names.
    pub(crate) fn remove(&mut self, scope: Scope, name: &Name) {
        let names = self.names.get_mut(&scope).expect("a name that was held is in the index");
        let was_there = names.remove(name);
        assert!(was_there, "a name that was held is in the index");
        if names.is_empty() {
            self.names.remove(&scope);
        }
    }

    /// Iterates over the names of a part of a registry, in order. Takes O(log n) time for n names,
    /// and O(1) for each that comes.
    pub(crate) fn part(&self, scope: Scope, part: &Part) -> impl Iterator<Item = &Name> {
        let prefix = part.prefix.as_slice();
        let from = match part.after.as_deref() {
            Some(after) if prefix <= after => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let names = self.names.get(&scope).into_iter();
        let names = names.flat_map(move |names| names.range::<[u8], _>((from, Bound::Unbounded)));
        names.take_while(move |name| name.as_bytes().starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_a_scan_of_all_names_finds() {
        let scope = Scope::named("shop");
        let texts = ["a", "b", "b/", "b/1", "b/10", "b/2", "b0", "ba", "c", "\u{fffd}"];
        let mut index = Index::default();
        for text in texts {
            index.insert(scope, Name::new(text).unwrap());
        }
        index.insert(Scope::named("bank"), Name::new("b/1").unwrap());
        let ends = ["", "a", "b", "b/", "b/1", "b/10", "b/3", "bb", "z", "\u{fffd}"];
        for prefix in ends {
            for after in ends.map(Some).into_iter().chain([None]) {
                let part = Part {
                    prefix: prefix.into(),
                    after: after.map(|after| after.as_bytes().to_vec()),
                };
                let found: Vec<&Name> = index.part(scope, &part).collect();
                let fits = |text: &&str| {
                    text.starts_with(prefix) && after.is_none_or(|after| after < *text)
                };
                let mut scanned: Vec<_> = texts.into_iter().filter(fits).collect();
                scanned.sort_unstable();
                let scanned: Vec<_> =
                    scanned.into_iter().map(|text| Name::new(text).unwrap()).collect();
                assert_eq!(found, scanned.iter().collect::<Vec<_>>(), "{prefix:?} {after:?}");
            }
        }
    }

    #[test]
    fn nothing_is_left_of_a_registry_without_names() {
        let (scope, name) = (Scope::named("shop"), Name::new("a").unwrap());
        let mut index = Index::default();
        index.insert(scope, name.clone());
        index.remove(scope, &name);
        assert!(index.names.is_empty());
        assert_eq!(index.part(scope, &Part::default()).count(), 0);
    }
}
