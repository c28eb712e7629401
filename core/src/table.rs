//! Maps for look-ups on hot paths, with no order of their own that could show.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map that reads few places in memory to find a key, and shows its keys in their order alone.
///
/// An ordered map of 100,000 names compares some twenty of them to find one, and the bytes of each
/// lie somewhere else in memory; this one compares one. In exchange it has to sort to be iterated,
/// so it suits what is looked up all the time and iterated by tools alone.
///
/// Each entry has an allocation of its own, and its hash beside that, so that the table reads and
/// moves no entries when it grows. Serialized it is the ordered map that it stands for.
///
/// Invariant: every key is there once, under its hash.
#[derive(Clone)]
pub(crate) struct Table<K, V> {
    slots: HashTable<Slot<K, V>>,
}

/// Where an entry is.
#[derive(Clone)]
struct Slot<K, V> {
    hash: u64,
    entry: Box<(K, V)>,
}

impl<K: Eq + Hash, V> Table<K, V> {
    /// Returns how many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the value of `key`.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// Returns the entry of `key`.
    pub(crate) fn get_key_value(&self, key: &K) -> Option<(&K, &V)> {
        let hash = hash_of(key);
        let slot = self.slots.find(hash, |slot| slot.is_of(hash, key))?;
        Some((&slot.entry.0, &slot.entry.1))
    }

    /// Takes the entry of `key` out, and returns its value.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let hash = hash_of(key);
        let slot = self.slots.find_entry(hash, |slot| slot.is_of(hash, key)).ok()?;
        Some(slot.remove().0.entry.1)
    }
}

impl<K: Clone + Eq + Hash, V: Default> Table<K, V> {
    /// Returns the value of `key`, to be changed; a default one that is put there if there is none.
    pub(crate) fn get_or_default(&mut self, key: &K) -> &mut V {
        let hash = hash_of(key);
        let slot = self.slots.entry(hash, |slot| slot.is_of(hash, key), |slot| slot.hash);
        let slot = slot.or_insert_with(|| Slot::new(hash, key.clone()));
        &mut slot.into_mut().entry.1
    }

    /// Changes the value of `key`, a default one if there is none, and keeps it if `change` says
    /// that it is worth that. Looks for the key once.
    pub(crate) fn change<R>(&mut self, key: &K, change: impl FnOnce(&mut V) -> (R, bool)) -> R {
        let hash = hash_of(key);
        match self.slots.entry(hash, |slot| slot.is_of(hash, key), |slot| slot.hash) {
            Entry::Occupied(mut slot) => {
                let (result, stays) = change(&mut slot.get_mut().entry.1);
                if !stays {
                    slot.remove();
                }
                result
            }
            Entry::Vacant(place) => {
                let mut value = V::default();
                let (result, stays) = change(&mut value);
                if stays {
                    place.insert(Slot { hash, entry: Box::new((key.clone(), value)) });
                }
                result
            }
        }
    }
}

impl<K: Ord, V> Table<K, V> {
    /// Iterates over the entries, in the order of their keys. Sorts all keys first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.sorted().into_iter()
    }

    /// Iterates over the keys, in their order. Sorts all of them first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    fn sorted(&self) -> Vec<(&K, &V)> {
        let slots = self.slots.iter();
        let mut entries: Vec<(&K, &V)> = slots.map(|slot| (&slot.entry.0, &slot.entry.1)).collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
        entries
    }
}

impl<K: Eq, V> Slot<K, V> {
    fn is_of(&self, hash: u64, key: &K) -> bool {
        self.hash == hash && self.entry.0 == *key
    }
}

impl<K, V: Default> Slot<K, V> {
    fn new(hash: u64, key: K) -> Self {
        Self { hash, entry: Box::new((key, V::default())) }
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { slots: HashTable::new() }
    }
}

/// Equal entries; how they are laid out does not count.
impl<K: Eq + Hash, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        // No order shows: all of them have to hold.
        let has = |slot: &Slot<K, V>| other.get(&slot.entry.0) == Some(&slot.entry.1);
        self.len() == other.len() && self.slots.iter().all(has)
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord + Serialize, V: Serialize> Serialize for Table<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.sorted())
    }
}

impl<'de, K, V> Deserialize<'de> for Table<K, V>
where
    K: Clone + Deserialize<'de> + Eq + Hash + Ord,
    V: Default + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Self::default();
        for (key, value) in BTreeMap::<K, V>::deserialize(deserializer)? {
            *table.get_or_default(&key) = value;
        }
        Ok(table)
    }
}

/// Returns the hash of `key` for this process alone; it decides nothing that shows.
fn hash_of(key: &impl Hash) -> u64 {
    FixedState::default().hash_one(key)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire;

    proptest! {
        #[test]
        fn a_table_is_the_ordered_map_that_it_stands_for(
            steps in vec((0..5_u8, 0..20_u16, 0..4_u32), 0..200),
        ) {
            let (mut table, mut map) = (Table::default(), BTreeMap::new());
            for (step, key, number) in steps {
                match step {
                    0 => prop_assert_eq!(table.remove(&key), map.remove(&key)),
                    1 => prop_assert_eq!(table.get(&key), map.get(&key)),
                    2 => *table.get_or_default(&key) = *map.entry(key).insert_entry(number).get(),
                    _ => {
                        let before = table.change(&key, |value| {
                            (core::mem::replace(value, number), number != 0)
                        });
                        prop_assert_eq!(before, map.remove(&key).unwrap_or_default());
                        if number != 0 {
                            map.insert(key, number);
                        }
                    }
                }
                prop_assert_eq!(table.get_key_value(&key), map.get_key_value(&key));
                prop_assert_eq!(table.len(), map.len());
            }
            prop_assert!(table.iter().eq(&map) && table.keys().eq(map.keys()));

            let bytes = wire::encode(&table);
            prop_assert_eq!(&bytes, &wire::encode(&map), "stored as the map is");
            prop_assert_eq!(wire::decode::<Table<u16, u32>>(&bytes).unwrap(), table);
        }
    }
}
