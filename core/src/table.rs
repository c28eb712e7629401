//! Maps for look-ups on hot paths, with no order of their own that could show.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map that reads few places in memory to find a key, and shows its keys in their order alone.
///
/// An ordered map of 100,000 names compares some twenty of them to find one, and the bytes of each
/// lie somewhere else in memory; this one compares one. In exchange it has to sort to be iterated,
/// so it suits what is looked up all the time and iterated by tools alone.
///
/// Entries have their room in chunks, as an allocation for each would cost more than all the rest;
/// what grows moves no entries, and reads none, as their hashes stand beside their places. Room is
/// reused, and given back once the last entry has gone. Serialized it is the ordered map that it
/// stands for.
///
/// Invariant: exactly the filled rooms are in `places`, every key once and under its hash; `free`
/// are the empty ones.
#[derive(Clone)]
pub(crate) struct Table<K, V> {
    places: HashTable<Place>,
    chunks: Vec<Vec<Option<(K, V)>>>,
    free: Vec<u32>,
}

/// Where an entry is.
#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    room: u32,
}

/// How many entries a chunk has room for: few enough that one is soon made, and many enough that
/// the chunks themselves are soon found.
const CHUNK: usize = 64;

impl<K: Eq + Hash, V> Table<K, V> {
    /// Returns how many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns the value of `key`.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// Returns the entry of `key`.
    pub(crate) fn get_key_value(&self, key: &K) -> Option<(&K, &V)> {
        let place = self.place_of(key)?;
        let (key, value) = entry_in(&self.chunks, place.room)?;
        Some((key, value))
    }

    /// Takes the entry of `key` out, and returns its value.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.place_of(key)?;
        Some(self.vacate(place))
    }

    fn place_of(&self, key: &K) -> Option<Place> {
        let hash = hash_of(key);
        let is_it = |place: &Place| {
            place.hash == hash
                && entry_in(&self.chunks, place.room).is_some_and(|(other, _)| other == key)
        };
        self.places.find(spread(hash), is_it).copied()
    }

    fn vacate(&mut self, place: Place) -> V {
        match self.places.find_entry(spread(place.hash), |other| other.room == place.room) {
            Ok(found) => drop(found.remove()),
            Err(_) => unreachable!("every filled room has a place"),
        }
        let (_, value) = room_at(&mut self.chunks, place.room).take().expect("the room is filled");
        self.free.push(place.room);
        if self.places.is_empty() {
            *self = Self::default();
        }
        value
    }

    fn insert(&mut self, key: K, value: V) -> Place {
        let hash = hash_of(&key);
        let room = self.free.pop().unwrap_or_else(|| {
            if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                self.chunks.push(Vec::with_capacity(CHUNK));
            }
            let before = (self.chunks.len() - 1) * CHUNK;
            let last = self.chunks.last_mut().expect("one was just made if there was none");
            last.push(None);
            u32::try_from(before + last.len() - 1).expect("a table has under 2^32 entries")
        });
        let place = Place { hash, room };
        let twin = room_at(&mut self.chunks, room).replace((key, value));
        assert!(twin.is_none(), "a free room is empty");
        self.places.insert_unique(spread(hash), place, |place| spread(place.hash));
        place
    }
}

impl<K: Clone + Eq + Hash, V: Default> Table<K, V> {
    /// Returns the value of `key`, to be changed; a default one that is put there if there is none.
    pub(crate) fn get_or_default(&mut self, key: &K) -> &mut V {
        let place = self.place_of(key);
        let place = place.unwrap_or_else(|| self.insert(key.clone(), V::default()));
        let entry = room_at(&mut self.chunks, place.room).as_mut();
        &mut entry.expect("a place leads to a filled room").1
    }

    /// Changes the value of `key`, a default one if there is none, and keeps it if `change` says
    /// that it is worth that.
    pub(crate) fn change<R>(&mut self, key: &K, change: impl FnOnce(&mut V) -> (R, bool)) -> R {
        let Some(place) = self.place_of(key) else {
            let mut value = V::default();
            let (result, stays) = change(&mut value);
            if stays {
                self.insert(key.clone(), value);
            }
            return result;
        };
        let entry = room_at(&mut self.chunks, place.room).as_mut();
        let (result, stays) = change(&mut entry.expect("a place leads to a filled room").1);
        if !stays {
            self.vacate(place);
        }
        result
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
        let mut entries: Vec<(&K, &V)> = entries_of(&self.chunks).collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
        entries
    }
}

fn entries_of<K, V>(chunks: &[Vec<Option<(K, V)>>]) -> impl Iterator<Item = (&K, &V)> {
    chunks.iter().flatten().flatten().map(|(key, value)| (key, value))
}

fn entry_in<K, V>(chunks: &[Vec<Option<(K, V)>>], room: u32) -> Option<&(K, V)> {
    chunks[room as usize / CHUNK][room as usize % CHUNK].as_ref()
}

fn room_at<K, V>(chunks: &mut [Vec<Option<(K, V)>>], room: u32) -> &mut Option<(K, V)> {
    &mut chunks[room as usize / CHUNK][room as usize % CHUNK]
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { places: HashTable::new(), chunks: Vec::new(), free: Vec::new() }
    }
}

/// Equal entries; how they are laid out does not count.
impl<K: Eq + Hash, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let mut entries = entries_of(&self.chunks);
        self.len() == other.len() && entries.all(|(key, value)| other.get(key) == Some(value))
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
fn hash_of(key: &impl Hash) -> u32 {
    let hash = FixedState::default().hash_one(key);
    (hash ^ (hash >> 32)) as u32
}

/// Returns a hash with entropy at both ends, where the table looks for it.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
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
            steps in vec((0..5_u8, 0..100_u16, 0..4_u32), 0..400),
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
                let rooms: usize = table.chunks.iter().map(Vec::len).sum();
                prop_assert_eq!(rooms, table.len() + table.free.len(), "rooms are reused");
            }
            prop_assert!(table.iter().eq(&map) && table.keys().eq(map.keys()));

            let bytes = wire::encode(&table);
            prop_assert_eq!(&bytes, &wire::encode(&map), "stored as the map is");
            prop_assert_eq!(wire::decode::<Table<u16, u32>>(&bytes).unwrap(), table);
        }
    }
}
