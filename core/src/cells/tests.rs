//! Sites that write cells, hear of each other late, and tidy up as early as they may.

use alloc::format;

use super::*;
use crate::{Incarnation, Name, NodeId, Random, ReplicaKey};

const SITES: usize = 4;
const KEYS: u64 = 2;

/// A write of a cell.
type Id = (CellKey, Dot);

/// The entries of a journal, each with its version.
type Entries = BTreeMap<Blob, (Version, Blob)>;

/// A site with its journal, as it was at each version, and how far it has those of all.
struct Site {
    me: Replica,
    cells: Cells,
    history: Vec<Entries>,
    copies: [usize; SITES],
    /// What this site knows of how far each has each journal.
    acks: [[usize; SITES]; SITES],
    /// The writes that this site heard of, and those that they superseded.
    heard: BTreeSet<Id>,
    outdated: BTreeSet<Id>,
}

/// Some sites, and what they wrote, as somebody knows who saw all of it.
struct World {
    random: Random,
    sites: Vec<Site>,
    clock: u64,
    /// Every write, with what it superseded, directly or not.
    written: BTreeMap<Id, (Option<Blob>, BTreeSet<Id>)>,
}

fn cell(number: u64) -> CellKey {
    CellKey::Meta(Scope::named("default"), Name::new(&*format!("key {number}")).unwrap())
}

fn parts(key: &Blob) -> Id {
    match Key::decode(key) {
        Some(Key::Cell(cell, dot)) => (cell, dot),
        other => panic!("{other:?} is no cell"),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let site = |number: usize| Site {
            me: Replica::new(
                NodeId::new(&*format!("n{number}")).unwrap(),
                Incarnation { counter: 1, nonce: 1 },
            ),
            cells: Cells::default(),
            history: vec![Entries::new()],
            copies: [0; SITES],
            acks: [[0; SITES]; SITES],
            heard: BTreeSet::new(),
            outdated: BTreeSet::new(),
        };
        Self {
            random: Random::new(seed),
            sites: (0..SITES).map(site).collect(),
            clock: 0,
            written: BTreeMap::new(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.draw() % bound as u64).unwrap()
    }

    /// Returns the entries that `at` has of the journal of `of`.
    fn copy(&self, at: usize, of: usize) -> &Entries {
        &self.sites[of].history[self.sites[at].copies[of]]
    }

    /// Lets `at` put or delete something, having seen what its copies say. The first key is never
    /// deleted.
    fn write(&mut self, at: usize) {
        let number = self.random.draw() % KEYS;
        let key = cell(number);
        self.clock += 1;
        let is_put = number == 0 || self.below(3) != 0;
        let value = is_put.then(|| Blob::from(format!("{}", self.clock).as_str()));
        let mut superseded = BTreeSet::new();
        for of in 0..SITES {
            for seen in self.copy(at, of).keys().map(parts).filter(|(of, _)| *of == key) {
                superseded.extend(self.written[&seen].1.iter().cloned());
                superseded.insert(seen);
            }
        }
        let site = &mut self.sites[at];
        let stamp = Stamp::from_u64(self.clock);
        let dot = Dot { stamp, writer: site.me.key() };
        site.cells.write(&site.me, stamp, &key, value.clone());
        self.written.insert((key, dot), (value, superseded));
        self.carry_out(at);
    }

    /// Carries out what the cells of `at` ask for.
    fn carry_out(&mut self, at: usize) {
        while let Some(effect) = self.sites[at].cells.poll_effect() {
            let site = &mut self.sites[at];
            let mut entries = site.history.last().unwrap().clone();
            let version = site.history.len() as Version;
            if let Effect::Put { key, value } = effect {
                entries.insert(key, (version, value));
            } else if let Effect::Delete { key, .. } = effect {
                entries.remove(&key);
            } else {
                panic!("cells do not ask for {effect:?}");
            }
            site.history.push(entries);
            let head = site.history.len() - 1;
            self.bring(at, at, head);
        }
        while self.sites[at].cells.poll_change().is_some() {}
    }

    /// Brings the copy that `at` has of the journal of `of` forward to `version`.
    fn bring(&mut self, of: usize, at: usize, version: usize) {
        let before = self.copy(at, of).clone();
        let after = self.sites[of].history[version].clone();
        let holder = self.sites[of].me.clone();
        let site = &mut self.sites[at];
        site.copies[of] = version;
        site.acks[at][of] = version;
        for (key, _) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
            let (cell, dot) = parts(key);
            site.cells.handle_write(Some(&site.me), &holder, &cell, dot, None);
        }
        for (key, (_, value)) in
            after.iter().filter(|(key, entry)| before.get(*key) != Some(*entry))
        {
            let (cell, dot) = parts(key);
            let write = Write::decode(value);
            assert!(write.is_some(), "what was encoded can be decoded");
            let known = (cell.clone(), dot);
            site.outdated.extend(self.written[&known].1.iter().cloned());
            site.heard.insert(known);
            site.cells.handle_write(Some(&site.me), &holder, &cell, dot, write);
        }
    }

    /// Lets `at` hear of a part of what `of` wrote and it has not, and of what `of` has.
    fn hear(&mut self, at: usize, of: usize) {
        let (has, head) = (self.sites[at].copies[of], self.sites[of].history.len() - 1);
        let part = [self.below(head - has + 1), head - has];
        let version = has + part[self.below(2)];
        if at != of {
            self.bring(of, at, version);
            self.carry_out(at);
        }
    }

    fn learn(&mut self, at: usize, of: usize) {
        self.sites[at].acks[of] = self.sites[of].copies;
        self.sites[at].acks[of][of] = usize::MAX;
    }

    /// Lets `at` tidy up.
    fn beat(&mut self, at: usize) {
        let mut cells = core::mem::take(&mut self.sites[at].cells);
        let place =
            |holder: &Replica| self.sites.iter().position(|site| site.me == *holder).unwrap();
        let acks = &self.sites[at].acks;
        let journals = Journals {
            version: &|holder, key| {
                self.copy(at, place(holder)).get(key).map(|(version, _)| *version)
            },
            heads: &|| {
                let head = |of: usize| self.sites[at].copies[of] as Version;
                (0..SITES).map(|of| (self.sites[of].me.clone(), head(of))).collect()
            },
            is_everywhere: &|holder, version| {
                let of = place(holder);
                acks.iter().all(|has| version <= has[of] as Version)
            },
            counts: &|_| true,
        };
        cells.handle_beat(&self.sites[at].me, Version::MAX, &journals);
        self.sites[at].cells = cells;
        self.carry_out(at);
    }

    /// Returns what must be read under `key` once all is heard: of the values that no write that
    /// saw them replaced, the latest.
    fn expected(&self, key: &CellKey) -> Option<&Blob> {
        let of_key = || self.written.iter().filter(|((of, _), _)| of == key);
        let is_standing = |write| !of_key().any(|(_, (_, superseded))| superseded.contains(write));
        let standing = of_key().filter(|(write, _)| is_standing(*write));
        let values = standing.filter_map(|((_, dot), (value, _))| Some((dot, value.as_ref()?)));
        values.max().map(|(_, value)| value)
    }

    /// Checks that `at` reads nothing that it heard was replaced or deleted, and something where
    /// nothing was deleted.
    fn check(&self, at: usize, seed: u64) {
        let site = &self.sites[at];
        for (key, value) in site.cells.values() {
            let is_it =
                |write: &&Id| write.0 == *key && self.written[*write].0.as_ref() == Some(value);
            let back = site.outdated.iter().find(is_it);
            assert_eq!(back, None, "it came back on {}, seed {seed}", site.me);
        }
        let has_first = site.cells.values().any(|(key, _)| *key == cell(0));
        let heard_of_first = site.heard.iter().any(|(key, _)| *key == cell(0));
        assert_eq!(has_first, heard_of_first, "it is not read on {}, seed {seed}", site.me);
    }
}

/// However late anybody hears of anything, and however early all tidy up: what is read in the end
/// is the latest value that no write replaced or deleted that saw it, and nothing else is left.
#[test]
fn what_was_not_superseded_is_read_and_nothing_comes_back() {
    let mut resolved = [0, 0];
    for seed in 0..400 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            let (at, of) = (world.below(SITES), world.below(SITES));
            match world.below(40) {
                0 => world.write(at),
                1..16 => world.hear(at, of),
                16..30 => world.learn(at, of),
                _ => world.beat(at),
            }
            world.check(at, seed);
        }
        for round in 0..12 {
            for at in 0..SITES {
                for of in (0..SITES).filter(|of| *of != at) {
                    let head = world.sites[of].history.len() - 1;
                    world.bring(of, at, head);
                    world.carry_out(at);
                }
            }
            for at in 0..SITES {
                (0..SITES).for_each(|of| world.learn(at, of));
                world.beat(at);
            }
            for key in (0..KEYS).map(cell).filter(|_| 0 < round) {
                let expected = world.expected(&key);
                for site in &world.sites {
                    let read =
                        site.cells.values().find(|(of, _)| **of == key).map(|(_, value)| value);
                    assert_eq!(
                        read, expected,
                        "{key:?} on {}, seed {seed}, round {round}",
                        site.me
                    );
                }
                resolved[usize::from(expected.is_some())] += 1;
            }
        }
        for site in &world.sites {
            let left = site.cells.cells.values().flat_map(|seen| seen.cell.writes());
            let unburdened = left.clone().all(|held| !held.write.is_burdened());
            assert!(
                unburdened,
                "{:?} is left on {}, seed {seed}",
                left.collect::<Vec<_>>(),
                site.me
            );
            assert!(site.cells.unsettled.is_empty(), "seed {seed}");
        }
    }
    assert!(
        resolved.iter().all(|times| 100 < *times),
        "values and deletes both came out: {resolved:?}"
    );
}

/// What stands in a journal, to the byte: other versions of this program read it.
#[test]
fn a_write_is_the_same_bytes_for_ever() {
    let hex = |bytes: &Blob| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let dot = Dot { stamp: Stamp::from_u64(5), writer: ReplicaKey(9) };
    let seen = vec![(ReplicaKey(7), Stamp::from_u64(4))];
    let put = Write { value: Some(Blob::from("red")), seen: vec![] };
    let delete = Write { value: None, seen };
    let key = "076c5b964d9473ac1a000000000000000500000000000000096b65792031";
    assert_eq!(hex(&encode(&cell(1), dot)), key);
    assert_eq!(hex(&put.encode()), "01010372656400");
    assert_eq!(hex(&delete.encode()), "0100010704");
}
