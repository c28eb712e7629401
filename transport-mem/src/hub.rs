//! What joins the nodes of one process, and what keeps them apart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ordu_core::transport::{Address, Runtime, TransportEvent};
use ordu_core::wire::{self, Greeting};
use ordu_core::{Blob, NodeId, Random};
use tokio::sync::Notify;

use crate::mailbox::{Delivery, Mailbox};
use crate::pump;
use crate::session::{Link, Place, Session, Side};

/// The network between the [`Mem`](crate::Mem) transports that are bound to it, faults included.
///
/// A clone is the same network. Faults are between *nodes*, hold for sessions to come as well, and
/// last until [`Hub::heal`]. There is nothing outside of it: two hubs never meet.
#[derive(Clone)]
pub struct Hub(Arc<Mutex<State>>);

pub(crate) struct State {
    random: Random,
    ends: BTreeMap<Address, End>,
    /// Who was last seen at an address, so that a cut hides a dead node as well as a live one.
    names: BTreeMap<Address, NodeId>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    /// Counts transports, sessions and dials.
    counter: u64,
}

/// One transport, as the hub knows it.
pub(crate) struct End {
    pub(crate) life: u64,
    pub(crate) node: NodeId,
    /// Its greeting, encoded.
    pub(crate) greeting: Vec<u8>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Woken when a session ends.
    pub(crate) idle: Arc<Notify>,
    pub(crate) sessions: BTreeMap<NodeId, (Arc<Session>, Side)>,
    /// The addresses being dialled, and which dial it is.
    pub(crate) dials: BTreeMap<Address, u64>,
    pub(crate) closing: bool,
}

/// What became of a frame.
pub(crate) enum Passage {
    Delivered,
    Lost,
}

/// How an attempt to dial ended.
pub(crate) enum Attempt {
    /// There is a session, or nobody wants one any more.
    Over,
    /// Another attempt may do better.
    Again,
}

impl Hub {
    /// Returns a network without faults; `seed` decides which frames a lossy link loses.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed),
            ends: BTreeMap::new(),
            names: BTreeMap::new(),
            links: BTreeMap::new(),
            counter: 0,
        })))
    }

    /// Loses all that `a` and `b` send to each other, silently: sessions stay up, dials fail.
    pub fn cut(&self, a: &NodeId, b: &NodeId) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Loses all that `from` sends to `to`, silently. Neither can dial the other.
    pub fn cut_one_way(&self, from: &NodeId, to: &NodeId) {
        self.state().link(from, to).cut = true;
    }

    /// Cuts `a` and `b` apart so that both notice: their session ends at both ends.
    pub fn sever(&self, a: &NodeId, b: &NodeId) {
        let mut state = self.state();
        for (node, peer) in [(a, b), (b, a)] {
            state.end_where(node, Some(peer));
        }
        drop(state);
        self.cut(a, b);
    }

    /// Lets everything from `from` to `to` take `delay`; what was sent before is not touched.
    pub fn delay(&self, from: &NodeId, to: &NodeId, delay: Duration) {
        self.state().link(from, to).delay = delay;
    }

    /// Loses each frame from `from` to `to` with a probability of `permille` in a thousand.
    ///
    /// # Panics
    ///
    /// Panics if that is more than a thousand.
    pub fn lose(&self, from: &NodeId, to: &NodeId, permille: u16) {
        assert!(permille <= 1_000, "{permille} ‰ is more than everything");
        self.state().link(from, to).loss_permille = permille;
    }

    /// Takes every fault away. What was lost stays lost, and who was killed stays dead.
    pub fn heal(&self) {
        self.state().links.clear();
    }

    /// Takes every fault between `a` and `b` away.
    pub fn heal_between(&self, a: &NodeId, b: &NodeId) {
        let mut state = self.state();
        state.links.remove(&(a.clone(), b.clone()));
        state.links.remove(&(b.clone(), a.clone()));
    }

    /// Kills the transports of `node` as a crash of its process would: what waits is lost, its
    /// peers see their sessions end (but for those it is cut off from, who see nothing), dials to
    /// it are refused, and its own `next` returns `None`. It may be bound again.
    pub fn kill(&self, node: &NodeId) {
        let mut state = self.state();
        state.end_where(node, None);
        state.ends.retain(|_, end| {
            if end.node == *node {
                end.mailbox.kill();
                end.idle.notify_one();
            }
            end.node != *node
        });
    }

    /// Returns the state, locked; never held across a wait.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds the hub")
    }

    /// Hands `frame`, which left `side` of `session`, over to the other end.
    pub(crate) fn deliver(&self, session: &Arc<Session>, side: Side, frame: Blob) -> Passage {
        let mut state = self.state();
        let [from, to] = [&session.ends[side], &session.ends[1 - side]];
        let Link { cut, loss_permille, .. } = state.faults(&from.node, &to.node);
        if cut || (loss_permille > 0 && state.random.below(1_000) < u64::from(loss_permille)) {
            return Passage::Lost;
        }
        let end = state.ends.get_mut(&to.address);
        let end = end.filter(|end| end.holds(&from.node, session.id));
        let Some(end) = end else {
            // The other end has forgotten the session, and now we can hear that it has.
            state.drop_side(session, side);
            return Passage::Lost;
        };
        end.mailbox.push(Delivery::Frame(Arc::clone(session), 1 - side, frame));
        Passage::Delivered
    }

    /// Ends `session` from `side`.
    pub(crate) fn end(&self, session: &Arc<Session>, side: Side) {
        self.state().end_session(session, side);
    }

    /// Tries once to have a session between the transport at `from` and whoever is at `to`.
    pub(crate) fn attempt(&self, from: &Address, life: u64, to: &Address, dial: u64) -> Attempt {
        let mut state = self.state();
        let Some(us) = state.end_of(from, life).filter(|us| us.dials.get(to) == Some(&dial)) else {
            return Attempt::Over;
        };
        let node = us.node.clone();
        if let Some(peer) = state.names.get(to).cloned()
            && (state.is_cut(&node, &peer) || state.is_cut(&peer, &node))
        {
            return Attempt::Again;
        }
        if state.ends.get(to).is_none_or(|them| them.closing) {
            let event = TransportEvent::Refused { address: to.clone() };
            state.end_of(from, life).expect("it was there").tell(event);
            return Attempt::Again;
        }
        if from == to {
            let us = state.end_of(from, life).expect("it was there");
            us.dials.remove(to);
            us.tell(TransportEvent::Ourselves { address: to.clone() });
            return Attempt::Over;
        }
        if !state.greet(from, to) {
            return Attempt::Again;
        }
        let started = state.connect(from, to);
        state.end_of(from, life).expect("it was there").dials.remove(to);
        drop(state);
        if let Some((session, runtimes)) = started {
            for (side, runtime) in runtimes.into_iter().enumerate() {
                let pump =
                    pump::run(self.clone(), Arc::clone(&runtime), Arc::clone(&session), side);
                runtime.spawn(Box::pin(pump));
            }
        }
        Attempt::Over
    }
}

impl State {
    /// Returns the transport at `address`, if it is still the one that was called `life`.
    pub(crate) fn end_of(&mut self, address: &Address, life: u64) -> Option<&mut End> {
        self.ends.get_mut(address).filter(|end| end.life == life)
    }

    /// Returns whether somebody is at `address`.
    pub(crate) fn is_taken(&self, address: &Address) -> bool {
        self.ends.contains_key(address)
    }

    /// Lets `end` be found at `address`.
    pub(crate) fn insert(&mut self, address: Address, end: End) {
        self.names.insert(address.clone(), end.node.clone());
        let before = self.ends.insert(address, end);
        assert!(before.is_none(), "an address is bound once");
    }

    /// Removes the transport at `address`, and its sessions with it.
    pub(crate) fn remove(&mut self, address: &Address, life: u64) {
        if let Some(end) = self.end_of(address, life) {
            let sessions: Vec<_> = end.sessions.values().cloned().collect();
            for (session, side) in sessions {
                self.end_session(&session, side);
            }
            let end = self.ends.remove(address).expect("it was there");
            end.mailbox.close();
        }
    }

    /// Returns a number that was not given before.
    pub(crate) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Returns what is wrong between `from` and `to`.
    pub(crate) fn faults(&self, from: &NodeId, to: &NodeId) -> Link {
        self.links.get(&(from.clone(), to.clone())).copied().unwrap_or_default()
    }

    /// Returns what is wrong between `from` and `to`, to be changed.
    fn link(&mut self, from: &NodeId, to: &NodeId) -> &mut Link {
        self.links.entry((from.clone(), to.clone())).or_default()
    }

    /// Ends `session` at `side`, and at the other end unless that is cut off and cannot notice.
    pub(crate) fn end_session(&mut self, session: &Arc<Session>, side: Side) {
        self.drop_side(session, side);
        let [from, to] = [&session.ends[side].node, &session.ends[1 - side].node];
        if !self.is_cut(from, to) {
            self.drop_side(session, 1 - side);
        }
    }

    fn is_cut(&self, from: &NodeId, to: &NodeId) -> bool {
        self.faults(from, to).cut
    }

    /// Ends the sessions of `node`, with `peer` or with everybody.
    fn end_where(&mut self, node: &NodeId, peer: Option<&NodeId>) {
        let ends = self.ends.values().filter(|end| end.node == *node);
        let sessions: Vec<(Arc<Session>, Side)> = ends
            .flat_map(|end| end.sessions.iter())
            .filter(|&(with, _)| peer.is_none_or(|peer| with == peer))
            .map(|(_, session)| session.clone())
            .collect();
        for (session, side) in sessions {
            self.end_session(&session, side);
        }
    }

    /// Ends `session` at `side`, if it is held there.
    fn drop_side(&mut self, session: &Arc<Session>, side: Side) {
        session.ways[side].end();
        if let Some(end) = self.ends.get_mut(&session.ends[side].address)
            && end.holds(session.peer(side), session.id)
        {
            end.sessions.remove(session.peer(side));
            end.mailbox.push(Delivery::Disconnected(Arc::clone(session), side));
            end.idle.notify_one();
        }
    }

    /// Lets both greet each other; whether they agree. Who does not is told why.
    fn greet(&mut self, from: &Address, to: &Address) -> bool {
        let [ours, theirs] = [from, to].map(|address| {
            wire::decode::<Greeting>(&self.ends[address].greeting).expect("we encoded it")
        });
        let Err(error) = ours.agree(&theirs) else {
            return true;
        };
        let address = Some(to.clone());
        let rejected = TransportEvent::Rejected { address, reason: error.to_string() };
        self.ends[from].tell(rejected);
        if let Err(error) = theirs.agree(&ours) {
            let rejected = TransportEvent::Rejected { address: None, reason: error.to_string() };
            self.ends[to].tell(rejected);
        }
        false
    }

    /// Makes a session between two transports, unless there is one that both hold.
    #[expect(clippy::type_complexity, reason = "a pair, said once")]
    fn connect(
        &mut self,
        from: &Address,
        to: &Address,
    ) -> Option<(Arc<Session>, [Arc<dyn Runtime>; 2])> {
        let places = [from, to].map(|address| {
            let node = self.ends[address].node.clone();
            Place { node, address: address.clone() }
        });
        let held = |side: Side| {
            let end = &self.ends[&places[side].address];
            end.sessions.get(&places[1 - side].node).cloned()
        };
        let [ours, theirs] = [held(0), held(1)];
        if let (Some((ours, _)), Some((theirs, _))) = (&ours, &theirs)
            && ours.id == theirs.id
        {
            return None;
        }
        // Whatever one of them holds alone is dead: the other has lost it.
        for (session, side) in [ours, theirs].into_iter().flatten() {
            self.end_session(&session, side);
        }
        let session = Arc::new(Session::new(self.count(), places.clone()));
        let runtimes = [0, 1].map(|side| {
            let end = self.ends.get_mut(&places[side].address).expect("both are there");
            let peer = places[1 - side].node.clone();
            let before = end.sessions.insert(peer, (Arc::clone(&session), side));
            assert!(before.is_none(), "one session for each peer");
            end.mailbox.push(Delivery::Connected(Arc::clone(&session), side));
            Arc::clone(&end.runtime)
        });
        Some((session, runtimes))
    }
}

impl End {
    /// Returns whether the session called `id` is the one with `peer`.
    pub(crate) fn holds(&self, peer: &NodeId, id: u64) -> bool {
        self.sessions.get(peer).is_some_and(|(session, _)| session.id == id)
    }

    fn tell(&self, event: TransportEvent) {
        self.mailbox.push(Delivery::Other(event));
    }
}
