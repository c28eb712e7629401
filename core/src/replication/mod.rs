//! Keeps the journals of a cluster in step.
//!
//! ```text
//!  own writes ────▶┌───────────────┐────▶ Send      deltas, digests, needs and acks for peers
//!  peers' words ──▶│  Replication  │────▶ Changed   what readers see differently
//!  sessions ──────▶│               │────▶ Closed    how far a copy has come
//!                  └───────────────┘────▶ Appeared, Refused
//! ```
//!
//! * What this node wrote is *pushed* to every peer at the next flush, each getting what it was not
//!   sent yet. Nothing is pushed to a peer before it said how far its copy has come.
//! * Where there are too many members for that it is pushed to a logarithmic number of them, who
//!   pass it on once their copies close ([`relay`]).
//! * What a peer lacks of other journals it *pulls*: it learns of it from a digest, from a beat or
//!   from a delta that does not close, and asks whoever told it. So two holders never send it
//!   the same.
//! * Digests go to a random peer now and then, and over each new session once. They repair what was
//!   lost, and find copies that differ though they should not.
//!
//! Every event costs what it causes; only digests and collections of tombstones, once an interval,
//! take time in proportion to the members. Nothing is ever in proportion to the names.

mod allowance;
mod receive;
mod relay;
mod send;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::{Budget, Change, DeltaError, Journal, JournalCopy, Version};
use crate::limits::REPLICAS_MAX;
use crate::message::Message;
use crate::replication::allowance::Allowance;
use crate::replication::send::Stream;
use crate::{Blob, NodeId, Random, Replica, ReplicaKey, Time};

/// What [`Replication`] is told once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// How often journals are compared with those of a random peer. Low finds what was lost sooner,
    /// high costs less.
    pub digest_interval: Duration,
    /// How long a silent replica is remembered. An unknown one is taken in only while its silence
    /// is below half of it, so that what one node forgot another does not bring back.
    pub forget_after: Duration,
    /// The most that one delta carries.
    pub budget: Budget,
    /// Up to how many members each sends what it wrote to all others by itself.
    pub push_to_all_max: usize,
}

/// What replication asks of the node around it, in the order it must be done.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[must_use]
pub enum Output {
    /// Send `message` to `to`; it may be lost, repeated or late.
    Send {
        /// The peer.
        to: NodeId,
        /// What to say.
        message: Message,
    },
    /// A replica that was not known before has a journal, empty so far.
    Appeared {
        /// The replica.
        replica: Replica,
        /// How long nothing was heard of it, summed over relays.
        silence: Duration,
    },
    /// Readers of one journal, our own or a copy, see something else.
    Changed {
        /// The journal's only writer.
        replica: Replica,
        /// What changed, each key once, in the order of versions.
        changes: Vec<Change>,
    },
    /// A copy has come to a new head; what that changed was said before.
    Closed {
        /// The journal's only writer.
        replica: Replica,
        /// The closed head.
        head: Version,
    },
    /// A peer said what no honest peer says; nothing was changed by it.
    Refused {
        /// Who said it.
        from: Replica,
        /// What is wrong with it.
        reason: Refusal,
    },
}

/// Why a peer's word was refused. Each variant leaves everything as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It sent what no journal gives.
    #[error("a delta that no journal gives")]
    Delta(#[source] DeltaError),
    /// It sent a part of the journal that only we write.
    #[error("a delta of our own journal")]
    OurJournal,
    /// It claims to hold more of our journal than we wrote. It may have been deceived itself, and
    /// will fetch the journal anew once it sees how far we are.
    #[error("version {claimed} of our journal, whose head is {head}")]
    AheadOfUs {
        /// How far it says that it is.
        claimed: Version,
        /// How far we are.
        head: Version,
    },
    /// Its digest has more rows than there may be replicas.
    #[error("a digest of {rows} rows, over the limit of {REPLICAS_MAX}")]
    TooManyRows {
        /// How many.
        rows: usize,
    },
    /// A row of its digest has a floor above its head.
    #[error("a digest with a floor of {floor} above a head of {head}")]
    FloorAboveHead {
        /// The floor.
        floor: Version,
        /// The head.
        head: Version,
    },
}

/// The journals of a cluster, as one node holds them.
///
/// It is driven as the node is: typed `handle_*` methods take in what happens, [`poll_output`]
/// returns what to do about it, [`poll_timeout`] says when to call [`handle_timeout`] at the
/// latest.
///
/// Invariants: nobody else's word changes `own`; `keys` names exactly the replicas in `held`, and
/// ourselves; nothing that was forgotten is in `held`; only peers whose life is known have streams.
///
/// [`poll_output`]: Self::poll_output
/// [`poll_timeout`]: Self::poll_timeout
/// [`handle_timeout`]: Self::handle_timeout
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Replication {
    settings: Settings,
    random: Random,
    me: Option<Replica>,
    own: Journal,
    held: BTreeMap<Replica, Held>,
    keys: BTreeMap<ReplicaKey, Replica>,
    peers: BTreeMap<NodeId, Peer>,
    /// Who holds how much: by holder, then by journal.
    acks: BTreeMap<Replica, BTreeMap<Replica, Version>>,
    /// Whose journals the last digest of each replica named.
    named: BTreeMap<Replica, Named>,
    members: BTreeSet<Replica>,
    /// Who is up, ourselves included, in order.
    live: Vec<NodeId>,
    /// The journals of others that closed since the last flush, and are to be passed on.
    unrelayed: BTreeSet<Replica>,
    forgotten: Forgotten,
    /// Whether some peer may have room for what it was not sent of our journal.
    unsent: bool,
    /// The peers that are owed an ack.
    unacked: BTreeSet<NodeId>,
    next_digest: Option<Time>,
    outputs: VecDeque<Output>,
}

/// A copy, and what is known of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    copy: JournalCopy,
    silence: Duration,
    /// The last request for more, unless it was fulfilled.
    asked: Option<Asked>,
    /// When a delta last moved it, or it was created.
    moved: Time,
    /// The closed head at which the owner itself had the same fingerprint.
    confirmed: Option<Version>,
    /// Since when the owner has not shown that it wrote what the copy had then.
    beyond_owner: Option<(Time, Version)>,
}

/// A request that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Asked {
    of: NodeId,
    from: Version,
    at: Time,
}

/// The journals that a digest named.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Named {
    at: Time,
    journals: BTreeSet<ReplicaKey>,
}

/// A peer that a session is up with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Peer {
    replica: Option<Replica>,
    /// What it is being sent, by journal; ours from its first word on.
    streams: BTreeMap<Replica, Stream>,
    /// The copies that closed since it was last told.
    closed: BTreeSet<Replica>,
    /// The journals of others that it waits for until it has taken in more of what it was sent.
    waiting: BTreeSet<Replica>,
    /// How often it may be sent a digest because it asks.
    answers: Allowance,
    /// How often it may be sent again what it was sent before.
    repeats: Allowance,
}

impl Replication {
    /// Creates a replication that has no peers and, before [`begin`](Self::begin), no journal of
    /// its own.
    pub fn new(settings: Settings, random: Random) -> Self {
        assert!(!settings.digest_interval.is_zero(), "a zero interval never lets time pass");
        Self {
            settings,
            random,
            me: None,
            own: Journal::new(),
            held: BTreeMap::new(),
            keys: BTreeMap::new(),
            peers: BTreeMap::new(),
            acks: BTreeMap::new(),
            named: BTreeMap::new(),
            members: BTreeSet::new(),
            live: Vec::new(),
            unrelayed: BTreeSet::new(),
            forgotten: Forgotten::default(),
            unsent: false,
            unacked: BTreeSet::new(),
            next_digest: None,
            outputs: VecDeque::new(),
        }
    }

    /// Becomes `me`, a life that nobody has heard of yet.
    ///
    /// # Panics
    ///
    /// Panics if it is somebody already, or holds a copy of `me`'s journal: a life begins once.
    pub fn begin(&mut self, now: Time, me: Replica) {
        assert!(self.me.is_none(), "a life begins once");
        assert!(!self.held.contains_key(&me), "a new life has no journal yet");
        self.keys.insert(me.key(), me.clone());
        self.me = Some(me);
        self.schedule_digest(now);
        let known = self.peers.iter().filter(|(_, peer)| peer.replica.is_some());
        for peer in known.map(|(peer, _)| peer.clone()).collect::<Vec<_>>() {
            self.send_digest(&peer, true);
        }
        self.check();
    }

    /// Becomes `me` after an earlier life, whose journal is kept as a copy like any other's.
    ///
    /// # Panics
    ///
    /// Panics if no life came before it, or if it holds a copy of `me`'s journal.
    pub fn begin_again(&mut self, now: Time, me: Replica) {
        let before = self.me.take().expect("another life came before");
        let mut held = Held::new(now, Duration::ZERO);
        held.copy.join(&mem::take(&mut self.own));
        self.held.insert(before.clone(), held);
        self.acks.remove(&before);
        self.named.remove(&before);
        for peer in self.peers.values_mut() {
            peer.streams.remove(&before);
        }
        self.begin(now, me);
    }

    /// Gives `key` a value in our own journal, and returns the version of that.
    ///
    /// # Panics
    ///
    /// Panics before [`begin`](Self::begin).
    pub fn put(&mut self, key: Blob, value: Blob) -> Version {
        assert!(self.me.is_some(), "who has no life yet writes nothing");
        let change = self.own.put(key, value);
        self.wrote(change)
    }

    /// Deletes `key` from our own journal, and returns the version of that; `None` if it is not
    /// there. `why` is for those who take the deletion in.
    pub fn delete(&mut self, key: &[u8], why: u8) -> Option<Version> {
        let change = self.own.delete(key, why)?;
        Some(self.wrote(change))
    }

    /// Says who counts: the other replicas that are not forgotten, whatever their health.
    ///
    /// A tombstone of ours is dropped once all of them have acknowledged it.
    pub fn set_members(&mut self, members: &[Replica]) {
        let me = self.me.as_ref();
        let mut others = members.iter().filter(|&member| Some(member) != me);
        let is_same = others.clone().count() == self.members.len()
            && others.all(|member| self.members.contains(member));
        if !is_same {
            let others = members.iter().filter(|&member| Some(member) != me);
            self.members = others.cloned().collect();
        }
    }

    /// Says how long nothing was heard of `replica`, summed over relays.
    pub fn set_silence(&mut self, replica: &Replica, silence: Duration) {
        if let Some(held) = self.held.get_mut(replica) {
            held.silence = silence;
        }
    }

    /// Drops what is staged of `replica`'s journal: it is down, and nobody offers the rest.
    pub fn drop_staged(&mut self, replica: &Replica) {
        if let Some(held) = self.held.get_mut(replica) {
            held.copy.drop_staged();
            held.asked = None;
        }
    }

    /// Drops the copy of `replica`'s journal; a peer that offers it later brings it back.
    ///
    /// Takes O(n) time for n names that vanish.
    pub fn remove(&mut self, replica: &Replica) {
        let Some(held) = self.held.remove(replica) else { return };
        self.keys.remove(&replica.key());
        self.acks.remove(replica);
        self.named.remove(replica);
        self.unrelayed.remove(replica);
        for held_by in self.acks.values_mut() {
            held_by.remove(replica);
        }
        self.members.remove(replica);
        for peer in self.peers.values_mut() {
            peer.streams.remove(replica);
            peer.closed.remove(replica);
            peer.waiting.remove(replica);
        }
        let journal = held.copy.into_journal();
        let version = journal.head();
        let gone = |(key, _, value): (&Blob, _, &Blob)| Change {
            version,
            key: key.clone(),
            before: Some(value.clone()),
            after: None,
            why: 0,
        };
        let changes: Vec<Change> = journal.iter().map(gone).collect();
        self.changed(replica.clone(), changes);
        self.check();
    }

    /// Drops the copy of `replica`'s journal for good: no peer's offer brings it back.
    ///
    /// The last 16,384 replicas forgotten are remembered as such.
    pub fn forget(&mut self, replica: &Replica) {
        assert!(self.me.as_ref() != Some(replica), "nobody forgets themselves");
        self.remove(replica);
        self.acks.remove(replica);
        self.named.remove(replica);
        self.forgotten.insert(replica.key());
    }

    /// Returns whether the copy of `replica`'s journal was dropped for good.
    pub fn is_forgotten(&self, replica: &Replica) -> bool {
        self.forgotten.contains(replica.key())
    }

    /// Returns when a part of `replica`'s journal last came, or its copy was created.
    pub fn moved(&self, replica: &Replica) -> Option<Time> {
        self.held.get(replica).map(|held| held.moved)
    }

    /// Returns the head of our own journal.
    pub fn head(&self) -> Version {
        self.own.head()
    }

    /// Iterates over the replicas whose journals are held, ourselves included.
    pub fn replicas(&self) -> impl Iterator<Item = &Replica> {
        self.me.iter().chain(self.held.keys())
    }

    /// Returns the journal of `replica`, as far as it is closed.
    pub fn journal(&self, replica: &Replica) -> Option<&Journal> {
        if self.me.as_ref() == Some(replica) {
            return Some(&self.own);
        }
        self.held.get(replica).map(|held| held.copy.journal())
    }

    /// Returns the value of `key` in the journal of `replica`.
    pub fn value(&self, replica: &Replica, key: &[u8]) -> Option<&Blob> {
        self.journal(replica)?.get(key)
    }

    /// Iterates over the entries of `replica`'s journal, in the order of their versions.
    pub fn entries(&self, replica: &Replica) -> impl Iterator<Item = (&Blob, Version, &Blob)> {
        self.journal(replica).into_iter().flat_map(Journal::iter)
    }

    /// Returns how far `replica`'s journal is closed here; 0 if nothing is known of it.
    pub fn closed_head(&self, replica: &Replica) -> Version {
        self.journal(replica).map_or(0, Journal::head)
    }

    /// Returns the fingerprint of `replica`'s journal at its closed head.
    pub fn fingerprint(&self, replica: &Replica) -> u64 {
        self.journal(replica).map_or(0, Journal::fingerprint)
    }

    /// Returns how much of `journal` the life `by` is known to hold, closed.
    pub fn acked(&self, journal: &Replica, by: &Replica) -> Version {
        if self.me.as_ref() == Some(by) {
            return self.closed_head(journal);
        }
        self.acks.get(by).and_then(|heads| heads.get(journal)).copied().unwrap_or(0)
    }

    /// Returns whether `replica`'s journal is held here, closed, as far as anybody is known to hold
    /// it still.
    pub fn is_whole(&self, replica: &Replica) -> bool {
        let Some(Held { copy, .. }) = self.held.get(replica) else { return false };
        let names_it = |named: &Named| named.journals.contains(&replica.key());
        let mut known = self.acks.iter().filter_map(|(holder, heads)| {
            self.named.get(holder).is_none_or(names_it).then(|| heads.get(replica)).flatten()
        });
        let is_closed = copy.staged_until().is_none() && copy.refetching().is_none();
        is_closed && known.all(|&head| head <= copy.head())
    }

    /// Returns when `replica` last sent a digest, if that named no journal that is not held here.
    pub fn holds_no_other(&self, replica: &Replica) -> Option<Time> {
        let Named { at, journals } = self.named.get(replica)?;
        journals.iter().all(|key| self.keys.contains_key(key)).then_some(*at)
    }

    /// Returns the replica that `key` is short for, if it is known.
    pub fn replica_of(&self, key: ReplicaKey) -> Option<&Replica> {
        self.keys.get(&key)
    }

    /// Returns the next thing to do, in order, or `None` when nothing is left.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.next_digest
    }

    /// Returns how many copies wait for their rest, and how many requests for more are under way.
    pub fn pending(&self) -> (usize, usize) {
        let staged = self.held.values().filter(|held| held.copy.staged_until().is_some());
        let asked = self.held.values().filter(|held| held.asked.is_some());
        (staged.count(), asked.count())
    }

    /// Returns how many outputs wait to be carried out.
    pub fn queued(&self) -> usize {
        self.outputs.len()
    }

    fn wrote(&mut self, change: Change) -> Version {
        let version = change.version;
        self.unsent = true;
        let me = self.me.clone().expect("only a life writes");
        self.changed(me, Vec::from([change]));
        assert_eq!(self.own.head(), version, "a write is the last");
        version
    }

    fn changed(&mut self, replica: Replica, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.outputs.push_back(Output::Changed { replica, changes });
        }
    }

    fn refuse(&mut self, from: &Replica, reason: Refusal) {
        self.outputs.push_back(Output::Refused { from: from.clone(), reason });
    }

    /// Returns how long nothing was heard of `replica`, in milliseconds.
    fn silence_ms(&self, replica: &Replica) -> u64 {
        let silence = self.held.get(replica).map_or(Duration::ZERO, |held| held.silence);
        u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)
    }

    /// Drops the tombstones of our own journal that everyone who counts has acknowledged.
    fn collect_tombstones(&mut self) {
        let Some(me) = &self.me else { return };
        if self.members.is_empty() && !(self.held.is_empty() && self.peers.is_empty()) {
            return;
        }
        let acked = self.members.iter().map(|member| self.acked(me, member));
        let floor = acked.min().unwrap_or(self.own.head());
        self.own.collect_tombstones(floor);
    }

    fn check(&self) {
        let lives = self.held.len() + usize::from(self.me.is_some());
        assert_eq!(self.keys.len(), lives, "every replica has its short form");
        assert!(self.held.len() <= REPLICAS_MAX, "replicas are bounded");
        debug_assert!(self.me.as_ref().is_none_or(|me| !self.held.contains_key(me)));
        debug_assert!(self.held.keys().all(|replica| !self.forgotten.contains(replica.key())));
    }
}

impl Held {
    fn new(now: Time, silence: Duration) -> Self {
        let (copy, asked) = (JournalCopy::new(), None);
        Self { copy, silence, asked, moved: now, confirmed: None, beyond_owner: None }
    }
}

/// The replicas forgotten last.
///
/// Invariant: `order` holds each of `keys` once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Forgotten {
    keys: BTreeSet<ReplicaKey>,
    order: VecDeque<ReplicaKey>,
}

impl Forgotten {
    const LEN_MAX: usize = 16 << 10;

    fn insert(&mut self, key: ReplicaKey) {
        if !self.keys.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > Self::LEN_MAX {
            let oldest = self.order.pop_front().expect("it is over its limit");
            self.keys.remove(&oldest);
        }
        assert_eq!(self.keys.len(), self.order.len(), "each key is in order once");
        assert!(self.keys.len() <= Self::LEN_MAX, "the oldest are let go");
    }

    fn contains(&self, key: ReplicaKey) -> bool {
        self.keys.contains(&key)
    }
}
