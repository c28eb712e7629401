//! What readers see: names, children and members, read by many threads without waiting.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::FixedState;
use ordu_core::{
    Blob, ChildId, ChildView, FencingToken, Holder, Loss, MemberView, Name, NodeId, ProcessId,
    Scope, ViewChange,
};
use papaya::{Equivalent, HashMap};
use tokio::sync::broadcast;

use crate::feed::Feed;
use crate::group_view::GroupView;
use crate::index::{Index, Part};
use crate::meta::MetaView;
use crate::policy::ListView;

/// What readers see. One writer, the driver; any number of readers, who never wait for it, but for
/// questions about many names, groups or metadata: those and the writer wait for each other.
///
/// Every change is in the maps before it is in the feed, and `version` is raised in between: a
/// reader that starts to listen, notes the version and then reads the maps misses nothing.
pub(crate) struct View {
    names: HashMap<NameKey, Holder, FixedState>,
    /// The last link of each process's chain of names, and how many names it holds.
    of_process: HashMap<ProcessId, (Arc<Link>, usize), FixedState>,
    children: HashMap<(Scope, ChildId), SeenChild, FixedState>,
    members: HashMap<NodeId, MemberView, FixedState>,
    counts: HashMap<Scope, Arc<Counts>, FixedState>,
    /// Every name once more, in order; locked while a name changes, and for each query, so that a
    /// query is of one moment. Lookups of single names pass it by.
    index: RwLock<Index>,
    groups: GroupView,
    metadata: MetaView,
    member_list: ListView,
    version: AtomicU64,
    feed: Feed<NameChange>,
}

/// A child, and the last process that ran it.
#[derive(Clone, Debug)]
pub(crate) struct SeenChild {
    pub(crate) view: ChildView,
    pub(crate) last: Option<ProcessId>,
}

/// One change of a name, as listeners hear it.
#[derive(Clone, Debug)]
pub(crate) struct NameChange {
    pub(crate) version: u64,
    pub(crate) scope: Scope,
    pub(crate) name: Name,
    pub(crate) before: Option<Holder>,
    pub(crate) after: Option<Holder>,
    /// How the one before lost it, if it has.
    pub(crate) loss: Option<Loss>,
}

#[derive(Debug, Default)]
struct Counts {
    names: AtomicUsize,
    children: AtomicUsize,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct NameKey {
    scope: Scope,
    name: Name,
}

/// A [`NameKey`] that owns nothing, to look one up by.
struct NameRef<'a> {
    scope: Scope,
    name: &'a [u8],
}

impl Hash for NameKey {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        NameRef { scope: self.scope, name: self.name.as_bytes() }.hash(hasher);
    }
}

impl Hash for NameRef<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.scope.hash(hasher);
        hasher.write(self.name);
    }
}

impl Equivalent<NameKey> for NameRef<'_> {
    fn equivalent(&self, key: &NameKey) -> bool {
        self.name == key.name.as_bytes() && self.scope == key.scope
    }
}

/// A name that a process took, and the names that it took before.
///
/// The chain is never changed, so that readers can walk along it; names that were given up stay in
/// it until as many are stale as are not. What a walk finds is checked against the names
/// themselves.
struct Link {
    key: NameKey,
    length: usize,
    before: Option<Arc<Self>>,
}

impl Drop for Link {
    /// Drops the chain link by link: it may be longer than the stack is deep.
    fn drop(&mut self) {
        let mut before = self.before.take();
        while let Some(mut link) = before.and_then(Arc::into_inner) {
            before = link.before.take();
        }
    }
}

impl View {
    /// Links that a chain may hold beside twice the names of its process.
    const STALE_MAX: usize = 8;

    /// Creates a view of nothing; `seed` keeps strangers from choosing names that collide.
    pub(crate) fn new(seed: u64) -> Self {
        let state = || FixedState::with_seed(seed);
        Self {
            names: HashMap::with_hasher(state()),
            of_process: HashMap::with_hasher(state()),
            children: HashMap::with_hasher(state()),
            members: HashMap::with_hasher(state()),
            counts: HashMap::with_hasher(state()),
            index: RwLock::default(),
            groups: GroupView::default(),
            metadata: MetaView::default(),
            member_list: ListView::default(),
            version: AtomicU64::new(0),
            feed: Feed::new(),
        }
    }

    /// Takes a change in. Called by one task only.
    pub(crate) fn apply(&self, change: ViewChange) {
        match change {
            ViewChange::Member { node, view } => match view {
                Some(view) => drop(self.members.pin().insert(node, view)),
                None => drop(self.members.pin().remove(&node)),
            },
            ViewChange::Name { scope, name, holder, loss } => {
                self.apply_name((scope, name), holder, loss);
            }
            ViewChange::Child { scope, child, view } => self.apply_child(scope, child, view),
            ViewChange::Group { scope, group, process, metadata } => {
                self.groups.apply((scope, group), process, metadata);
            }
            ViewChange::Meta { scope, key, value } => self.metadata.apply(scope, key, value),
            ViewChange::MemberList { listed } => self.member_list.set(listed),
        }
    }

    fn apply_name(&self, (scope, name): (Scope, Name), after: Option<Holder>, loss: Option<Loss>) {
        let key = NameKey { scope, name: name.clone() };
        let before = self.set_name(&key, after.clone());
        let (from, to) = (before.as_ref().map(|h| &h.process), after.as_ref().map(|h| &h.process));
        if from != to {
            // The new holder first: a name that moves is always somebody's.
            if let Some(process) = to {
                self.link(process, key);
            }
            if let Some(process) = from {
                self.unlink(process);
            }
        }
        let version = self.version.load(Ordering::Relaxed) + 1;
        self.version.store(version, Ordering::Release);
        self.feed.send(|| NameChange { version, scope, name, before, after, loss });
    }

    /// Sets who holds a name, in the map, the index and the counts, and returns who did before.
    fn set_name(&self, key: &NameKey, after: Option<Holder>) -> Option<Holder> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let names = self.names.pin();
        let (before, is_held) = match after {
            Some(holder) => (names.insert(key.clone(), holder).cloned(), true),
            None => (names.remove(key).cloned(), false),
        };
        match (&before, is_held) {
            (None, true) => {
                index.insert(key.scope, key.name.clone());
                self.counts(key.scope).names.fetch_add(1, Ordering::Relaxed);
            }
            (Some(_), false) => {
                index.remove(key.scope, &key.name);
                self.counts(key.scope).names.fetch_sub(1, Ordering::Relaxed);
            }
            (None, false) | (Some(_), true) => (),
        }
        before
    }

    /// Notes that `process` took a name.
    fn link(&self, process: &ProcessId, key: NameKey) {
        let of_process = self.of_process.pin();
        let (before, held) = match of_process.get(process) {
            Some((link, held)) => (Some(Arc::clone(link)), *held),
            None => (None, 0),
        };
        let length = before.as_ref().map_or(0, |link| link.length) + 1;
        let link = Arc::new(Link { key, length, before });
        of_process.insert(process.clone(), (link, held + 1));
    }

    /// Notes that `process` lost a name, which the map of names does not show as its own any more.
    fn unlink(&self, process: &ProcessId) {
        let of_process = self.of_process.pin();
        let (link, held) = of_process.get(process).expect("who loses a name held one");
        assert!(0 < *held, "who loses a name held one");
        let held = held - 1;
        if held == 0 {
            of_process.remove(process);
        } else if link.length <= 2 * held + Self::STALE_MAX {
            of_process.insert(process.clone(), (Arc::clone(link), held));
        } else {
            let mut fresh = None;
            let mut length = 0;
            for key in self.keys_of(process, link) {
                length += 1;
                fresh = Some(Arc::new(Link { key, length, before: fresh }));
            }
            assert!(length == held, "the chain of a process holds every name that it has");
            let fresh = fresh.expect("it holds one at least");
            of_process.insert(process.clone(), (fresh, held));
        }
    }

    /// Returns what `process` holds of the names on a chain, each once, in order.
    fn keys_of(&self, process: &ProcessId, chain: &Arc<Link>) -> BTreeSet<NameKey> {
        let names = self.names.pin();
        let links = std::iter::successors(Some(chain), |link| link.before.as_ref());
        let held = |key: &&NameKey| names.get(*key).is_some_and(|h| h.process == *process);
        links.map(|link| &link.key).filter(held).cloned().collect()
    }

    fn apply_child(&self, scope: Scope, child: ChildId, view: Option<ChildView>) {
        let children = self.children.pin();
        let key = (scope, child);
        let Some(view) = view else {
            if children.remove(&key).is_some() {
                self.counts(scope).children.fetch_sub(1, Ordering::Relaxed);
            }
            return;
        };
        let before = children.get(&key);
        let last = view.process.clone().or_else(|| before.and_then(|seen| seen.last.clone()));
        if before.is_none() {
            self.counts(scope).children.fetch_add(1, Ordering::Relaxed);
        }
        children.insert(key, SeenChild { view, last });
    }

    fn counts(&self, scope: Scope) -> Arc<Counts> {
        Arc::clone(self.counts.pin().get_or_insert_with(scope, Arc::default))
    }

    /// Returns who holds `name`.
    pub(crate) fn holder(&self, scope: Scope, name: &[u8]) -> Option<Holder> {
        self.names.pin().get(&NameRef { scope, name }).cloned()
    }

    /// Returns the names that `process` holds, in order.
    pub(crate) fn names_of(&self, scope: Scope, process: &ProcessId) -> Vec<Name> {
        let of_process = self.of_process.pin();
        let Some((chain, _held)) = of_process.get(process) else { return Vec::new() };
        let keys = self.keys_of(process, chain).into_iter();
        keys.filter(|key| key.scope == scope).map(|key| key.name).collect()
    }

    /// Returns the first `limit` names of a part of a registry and their holders, in order, as they
    /// were at one moment.
    pub(crate) fn names(&self, scope: Scope, part: &Part, limit: usize) -> Vec<(Name, Holder)> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let names = self.names.pin();
        let entry = |name: &Name| {
            let holder = names.get(&NameRef { scope, name: name.as_bytes() });
            (name.clone(), holder.expect("what is in the index is held").clone())
        };
        index.part(scope, part).take(limit).map(entry).collect()
    }

    /// Returns how many names a part of a registry has, up to `limit`.
    pub(crate) fn count_names(&self, scope: Scope, part: &Part, limit: usize) -> usize {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.part(scope, part).take(limit).count()
    }

    /// Returns what readers see of metadata.
    pub(crate) fn metadata(&self) -> &MetaView {
        &self.metadata
    }

    /// Returns what readers see of the list of members.
    pub(crate) fn member_list(&self) -> &ListView {
        &self.member_list
    }

    /// Returns what readers see of groups.
    pub(crate) fn groups(&self) -> &GroupView {
        &self.groups
    }

    /// Returns how many names are held.
    pub(crate) fn name_count(&self, scope: Scope) -> usize {
        self.counts.pin().get(&scope).map_or(0, |counts| counts.names.load(Ordering::Relaxed))
    }

    /// Returns what is known of `child`.
    pub(crate) fn child(&self, scope: Scope, child: ChildId) -> Option<SeenChild> {
        self.children.pin().get(&(scope, child)).cloned()
    }

    /// Returns all children, in the order of their ids.
    pub(crate) fn children(&self, scope: Scope) -> Vec<(ChildId, SeenChild)> {
        let children = self.children.pin();
        let of_scope = children.iter().filter(|((of, _), _)| *of == scope);
        let mut children: Vec<_> =
            of_scope.map(|((_, child), seen)| (*child, seen.clone())).collect();
        children.sort_unstable_by_key(|(child, _)| *child);
        children
    }

    /// Returns how many children there are.
    pub(crate) fn child_count(&self, scope: Scope) -> usize {
        self.counts.pin().get(&scope).map_or(0, |counts| counts.children.load(Ordering::Relaxed))
    }

    /// Returns all members, in the order of their ids.
    pub(crate) fn members(&self) -> Vec<(NodeId, MemberView)> {
        let members = self.members.pin();
        let mut members: Vec<_> = members.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        members
    }

    /// Returns a listener for changes, and the version that is certainly in the maps by now; `None`
    /// once the view is closed.
    pub(crate) fn listen(&self) -> Option<(broadcast::Receiver<NameChange>, u64)> {
        let listener = self.feed.listen()?;
        Some((listener, self.version()))
    }

    /// Returns a version that is certainly in the maps.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Forgets everything: a node that is over knows nothing of the cluster any more.
    pub(crate) fn close(&self) {
        self.feed.close();
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        *index = Index::default();
        self.names.pin().clear();
        drop(index);
        self.groups.clear();
        self.metadata.clear();
        self.member_list.set(None);
        self.of_process.pin().clear();
        self.children.pin().clear();
        self.members.pin().clear();
        self.counts.pin().clear();
    }
}

/// Returns the holder as readers get it.
impl From<Holder> for Found {
    fn from(Holder { process, child, value, token }: Holder) -> Self {
        Self { process, child, value, token }
    }
}

/// Who holds a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The process.
    pub process: ProcessId,
    /// The child that it runs, if it was started with the name.
    pub child: Option<ChildId>,
    /// Bytes stored beside the name.
    pub value: Blob,
    /// What a store may tell it from earlier holders by, if it holds the name under a lease.
    pub token: Option<FencingToken>,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use ordu_core::{Incarnation, Replica};

    use super::*;

    fn process(number: u64) -> ProcessId {
        let replica = Replica::new(NodeId::new("a").unwrap(), Incarnation { counter: 1, nonce: 2 });
        ProcessId { replica, number }
    }

    fn holder(number: u64) -> Holder {
        Holder { process: process(number), child: None, value: Blob::from("v"), token: None }
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn set(view: &View, scope: Scope, text: &str, held_by: Option<u64>) {
        let holder = held_by.map(holder);
        view.apply(ViewChange::Name { scope, name: name(text), holder, loss: None });
    }

    #[test]
    fn names_of_two_registries_do_not_meet() {
        let view = View::new(1);
        let (shop, bank) = (Scope::named("shop"), Scope::named("bank"));
        set(&view, shop, "x", Some(1));
        set(&view, bank, "x", Some(2));
        set(&view, shop, "y", Some(1));

        assert_eq!(view.holder(shop, b"x"), Some(holder(1)));
        assert_eq!(view.holder(bank, b"x"), Some(holder(2)));
        assert_eq!(view.holder(bank, b"y"), None);
        assert_eq!((view.name_count(shop), view.name_count(bank)), (2, 1));
        assert_eq!(view.names_of(shop, &process(1)), [name("x"), name("y")]);
        assert_eq!(view.names_of(bank, &process(1)), []);
    }

    #[test]
    fn a_name_that_moves_belongs_to_its_new_holder_alone() {
        let view = View::new(1);
        let scope = Scope::named("shop");
        set(&view, scope, "x", Some(1));
        set(&view, scope, "x", Some(2));
        assert_eq!(view.names_of(scope, &process(1)), []);
        assert_eq!(view.names_of(scope, &process(2)), [name("x")]);
        assert_eq!(view.name_count(scope), 1);

        // Back again, then away: no trace is left, and saying so twice changes nothing.
        set(&view, scope, "x", Some(1));
        set(&view, scope, "x", None);
        set(&view, scope, "x", None);
        assert_eq!(view.name_count(scope), 0);
        assert_eq!(view.names_of(scope, &process(1)), []);
        assert!(view.of_process.pin().is_empty());
    }

    #[test]
    fn a_process_that_takes_and_gives_up_names_all_day_keeps_a_short_chain() {
        let view = View::new(1);
        let scope = Scope::named("shop");
        set(&view, scope, "kept", Some(1));
        for round in 0..10_000 {
            let text = format!("passing/{}", round % 7);
            set(&view, scope, &text, Some(1));
            set(&view, scope, &text, None);
        }
        assert_eq!(view.names_of(scope, &process(1)), [name("kept")]);
        let of_process = view.of_process.pin();
        let (chain, held) = of_process.get(&process(1)).unwrap();
        assert_eq!(*held, 1);
        assert!(chain.length <= 2 + View::STALE_MAX + 1, "{} links", chain.length);
    }

    #[test]
    fn one_process_may_hold_very_many_names() {
        let view = View::new(1);
        let scope = Scope::named("shop");
        for number in 0..100_000 {
            set(&view, scope, &format!("n/{number:06}"), Some(1));
        }
        assert_eq!(view.names_of(scope, &process(1)).len(), 100_000);
        for number in 0..100_000 {
            set(&view, scope, &format!("n/{number:06}"), None);
        }
        assert_eq!((view.name_count(scope), view.names_of(scope, &process(1)).len()), (0, 0));

        // A chain that is dropped at once is deeper than any stack.
        for number in 0..300_000 {
            set(&view, scope, &format!("n/{number:06}"), Some(1));
        }
        view.close();
        assert_eq!(view.holder(scope, b"n/000007"), None);
    }

    #[test]
    fn a_child_between_two_runs_remembers_the_last() {
        let view = View::new(1);
        let (scope, child) = (Scope::named("shop"), ChildId::from_bytes([7; 16]));
        let at = |process| ChildView { kind: "cart".into(), name: None, process, parent: None };
        let set = |view: &View, seen| view.apply(ViewChange::Child { scope, child, view: seen });
        set(&view, Some(at(Some(process(1)))));
        set(&view, Some(at(None)));

        let seen = view.child(scope, child).unwrap();
        assert_eq!((seen.view.process, seen.last), (None, Some(process(1))));
        assert_eq!(view.child_count(scope), 1);
        assert_eq!(view.children(Scope::named("other")).len(), 0);

        set(&view, None);
        set(&view, None);
        assert_eq!(view.child_count(scope), 0);
        assert!(view.child(scope, child).is_none());
    }

    #[test]
    fn who_listens_first_and_reads_afterwards_misses_nothing() {
        let view = View::new(1);
        let scope = Scope::named("shop");
        set(&view, scope, "before", Some(1));
        let (mut listener, version) = view.listen().unwrap();
        set(&view, scope, "after", Some(2));

        assert_eq!(version, 1);
        let change = listener.try_recv().unwrap();
        assert_eq!((change.version, change.name), (2, name("after")));
        assert_eq!((change.before, change.after), (None, Some(holder(2))));
        assert!(listener.try_recv().is_err());

        view.close();
        assert!(view.listen().is_none());
    }

    #[test]
    fn readers_see_a_name_that_moves_at_one_of_its_holders_at_every_moment() {
        let view = Arc::new(View::new(1));
        let scope = Scope::named("shop");
        set(&view, scope, "x", Some(0));
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (view, stop) = (Arc::clone(&view), Arc::clone(&stop));
                std::thread::spawn(move || {
                    let mut reads = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        assert!(view.holder(scope, b"x").is_some());
                        assert_eq!(view.name_count(scope), 1);
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        for round in 0..20_000 {
            set(&view, scope, "x", Some(round % 3));
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(0 < reader.join().unwrap());
        }
    }
}
