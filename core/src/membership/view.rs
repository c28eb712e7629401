//! What is believed of whom.

use core::time::Duration;

use super::{Known, Life, MemberEntry, Membership, Phase, Presence, State};
use crate::minority::Seen;
use crate::placement::Weight;
use crate::targets::Said;
use crate::{
    Incarnation, Labels, MemberStatus, MemberView, NodeId, Replica, ReplicaKey, Role, Time,
};

impl Membership {
    /// Returns the life of this node; `None` before it joined.
    pub(crate) fn own(&self) -> Option<&Replica> {
        self.own.map(|own| &self.lives[&own].replica)
    }

    /// Returns what goes into every envelope beside [`Membership::beat`].
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.own().map_or(Incarnation::NONE, Replica::incarnation)
    }

    /// Returns how often this node has beaten.
    pub(crate) fn beat(&self) -> u64 {
        self.beat
    }

    /// Returns whether this node has joined and is not over.
    pub(crate) fn is_joined(&self) -> bool {
        matches!(self.phase, Phase::Joined)
    }

    /// Iterates over the members that are not gone, this node included, in the order of their ids.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&NodeId, MemberView)> {
        self.nodes.keys().filter_map(|node| Some((node, self.member(node)?)))
    }

    /// Returns what is known of `node`, or `None` if it has not joined, has left or is forgotten.
    pub(crate) fn member(&self, node: &NodeId) -> Option<MemberView> {
        let (key, life) = self.present(node)?;
        let status = self.status_of(key, life)?;
        let entry = life.entry.as_ref();
        Some(MemberView {
            incarnation: life.replica.incarnation(),
            address: entry.map(|entry| entry.address.clone()),
            status,
            role: self.role_of(key, life),
            kinds: entry.map(|entry| entry.kinds.clone()).unwrap_or_default(),
            labels: entry.map(|entry| entry.labels.clone()).unwrap_or_default(),
            is_full: entry.is_some_and(|entry| entry.is_full),
            weight: entry.map_or(Weight::USUAL, |entry| entry.weight),
            joined: entry.map(|entry| entry.joined),
        })
    }

    /// Returns whether [`Membership::member`] returns `view` for `node`; allocates nothing.
    pub(crate) fn is_seen_as(&self, node: &NodeId, view: Option<&MemberView>) -> bool {
        let present = self.present(node);
        let present = present.and_then(|(key, life)| Some((key, life, self.status_of(key, life)?)));
        let (Some((key, life, now)), Some(view)) = (present, view) else {
            return present.is_none() && view.is_none();
        };
        let MemberView { incarnation, address, status, role, kinds, labels, .. } = view;
        let MemberView { is_full, weight, joined, .. } = view;
        let says_so = match &life.entry {
            Some(entry) => {
                address.as_ref() == Some(&entry.address)
                    && *kinds == entry.kinds
                    && *labels == entry.labels
                    && *is_full == entry.is_full
                    && *weight == entry.weight
                    && *joined == Some(entry.joined)
            }
            None => {
                address.is_none()
                    && kinds.is_empty()
                    && labels.is_empty()
                    && !is_full
                    && *weight == Weight::USUAL
                    && joined.is_none()
            }
        };
        says_so
            && *incarnation == life.replica.incarnation()
            && *status == now
            && *role == self.role_of(key, life)
    }

    /// Iterates over the members that are not gone as quorums go by them, this node included, in
    /// the order of their names.
    pub(crate) fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        let present = self.nodes.keys().filter_map(|node| Some((node, self.present(node)?)));
        present.filter_map(|(node, (key, life))| {
            let status = self.status_of(key, life)?;
            Some(Seen {
                node,
                is_heard: status != MemberStatus::Down,
                is_suspect: life.state == State::Suspect,
                is_ready: !life.is_arriving(),
                is_leaving: self.leaving && self.own == Some(key) || life.is_leaving(),
                counts: self.role_of(key, life).counts(),
                joined: life.entry.as_ref().map(|entry| entry.joined),
            })
        })
    }

    /// Iterates over the nodes that are known, members or not, in the order of their ids.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.keys()
    }

    /// Returns whether anything is known of `node`.
    pub(crate) fn knows(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node)
    }

    /// Returns what `node` says that it can; nothing if it is no member.
    pub(crate) fn said(&self, node: &NodeId) -> Said<'_> {
        static NO_LABELS: Labels = Labels::new();
        let entry = self.present(node).and_then(|(_, life)| life.entry.as_ref());
        let (labels, weight, is_full, can_lease) = (&NO_LABELS, Weight::USUAL, false, false);
        let nothing = Said { kinds: &[], strategies: &[], labels, weight, is_full, can_lease };
        entry.map_or(nothing, MemberEntry::said)
    }

    /// Returns how a present life is shown, unless it is over.
    fn status_of(&self, key: ReplicaKey, life: &Life) -> Option<MemberStatus> {
        let leaves = self.leaving && self.own == Some(key) || life.is_leaving();
        match life.state {
            State::Retired => None,
            State::Down | State::Returning { .. } => Some(MemberStatus::Down),
            State::Alive | State::Suspect if leaves => Some(MemberStatus::Leaving),
            State::Alive | State::Suspect if life.is_arriving() => Some(MemberStatus::Joining),
            State::Suspect => Some(MemberStatus::Suspect),
            State::Alive => Some(MemberStatus::Alive),
        }
    }

    /// Returns the present life of `node`, whatever its state.
    pub(crate) fn current(&self, node: &NodeId) -> Option<&Replica> {
        self.present(node).map(|(_, life)| &life.replica)
    }

    /// Returns whether the journal of `replica` counts: it is alive, suspect or leaving.
    pub(crate) fn is_visible(&self, replica: &Replica) -> bool {
        self.current_key(replica).is_some_and(|key| self.lives[&key].state.is_up())
    }

    /// Iterates over the members that may take something on, in the order of their ids: those that
    /// are up, count, have said what they can run, are ready and do not leave, and this node
    /// likewise.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Replica> {
        let present = self.nodes.keys().filter_map(|node| self.present(node));
        let fit = |(key, life): &(ReplicaKey, &Life)| {
            if !self.role_of(*key, life).counts() {
                return false;
            }
            if self.own == Some(*key) {
                return self.is_joined() && !self.leaving && !life.is_arriving();
            }
            life.state.is_up() && life.entry.is_some() && !life.is_leaving() && !life.is_arriving()
        };
        present.filter(fit).map(|(_, life)| &life.replica)
    }

    /// Iterates over the other members that are up, count and do not leave, be they ready or not.
    pub(crate) fn staying(&self) -> impl Iterator<Item = &Replica> {
        let stays = |(key, life): &(&ReplicaKey, &Life)| {
            let is_other = self.own != Some(**key) && life.state.is_up();
            is_other && self.role_of(**key, life).counts() && !life.is_leaving()
        };
        self.lives.iter().filter(stays).map(|(_, life)| &life.replica)
    }

    /// Iterates over the lives that may still acknowledge something, this node's included.
    pub(crate) fn not_forgotten(&self) -> impl Iterator<Item = &Replica> {
        let lasts = |life: &&Life| life.state != State::Retired;
        self.lives.values().filter(lasts).map(|life| &life.replica)
    }

    /// Iterates over the lives that may still acknowledge something and count when members are
    /// counted, this node's included. Who has not said what it does counts.
    pub(crate) fn counting(&self) -> impl Iterator<Item = &Replica> {
        let lasts = |(key, life): &(&ReplicaKey, &Life)| {
            life.state != State::Retired && self.role_of(**key, life).counts()
        };
        self.lives.iter().filter(lasts).map(|(_, life)| &life.replica)
    }

    /// Returns whether `replica` counts when members are counted.
    pub(crate) fn counts(&self, replica: &Replica) -> bool {
        let key = self.current_key(replica);
        key.is_none_or(|key| self.role_of(key, &self.lives[&key]).counts())
    }

    /// Returns what a life does for the cluster, as far as it has said so.
    pub(super) fn role_of(&self, key: ReplicaKey, life: &Life) -> Role {
        let said = life.entry.as_ref().map(|entry| entry.role);
        if self.own == Some(key) { self.settings.role } else { said.unwrap_or_default() }
    }

    /// Returns for how long nothing was heard of `replica` at `now`, by any path; `None` if it is
    /// not known. Time for which this node was stopped counts.
    pub(crate) fn silence(&self, replica: &Replica, now: Time) -> Option<Duration> {
        let key = self.current_key(replica).unwrap_or_else(|| replica.key());
        let life = self.lives.get(&key).filter(|life| life.replica == *replica)?;
        Some(if self.own == Some(key) { Duration::ZERO } else { now.since(life.heard) })
    }

    /// Returns whether what this node knows is whole enough to place children by at `now`.
    ///
    /// Not so while a member that is up has said nothing of itself, for then our copy of its
    /// journal has never been complete; nor, for up to the failure timeout, while a member that we
    /// were told of has not shown, or one that was down returns. Whoever placed a child earlier
    /// might start what runs already. Whoever speaks in words that are not known here is not
    /// waited for: it is no place for children as we see it.
    pub(crate) fn is_informed(&self, now: Time) -> bool {
        let patience = self.settings.failure_timeout;
        self.is_joined()
            && self.nodes.iter().all(|(node, known)| match self.present(node) {
                Some((key, _)) if self.own == Some(key) => true,
                Some((_, life)) => match life.state {
                    State::Alive | State::Suspect => life.has_spoken,
                    State::Returning { .. } => {
                        life.returned.is_none_or(|since| patience <= now.since(since))
                    }
                    State::Down | State::Retired => true,
                },
                None => known.address.is_none() || patience <= now.since(known.since),
            })
    }

    /// Returns whether no member may go on where it is not heard: all that were not forgotten are
    /// up, or over, be it that their addresses refuse us.
    pub(crate) fn is_whole(&self) -> bool {
        let may_go_on = |life: &Life| match life.state {
            State::Alive | State::Suspect | State::Retired => false,
            State::Down => !life.is_refused,
            State::Returning { .. } => true,
        };
        !self.lives.values().any(may_go_on)
    }

    /// Returns whether children of members that are down may be started here at `now`.
    ///
    /// Not so for a while after over half of the members went silent at once, or after this node
    /// itself was stopped; [`Membership::poll_timeout`] says when to ask again.
    pub(crate) fn may_take_over(&self, now: Time) -> bool {
        self.is_joined() && self.takeover_after <= now
    }

    fn present(&self, node: &NodeId) -> Option<(ReplicaKey, &Life)> {
        let key = self.nodes.get(node).and_then(|known: &Known| known.current)?;
        Some((key, &self.lives[&key]))
    }
}

impl Life {
    fn is_leaving(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| match entry.presence {
            Presence::Arriving | Presence::Here => false,
            Presence::Leaving | Presence::Left => true,
        })
    }

    fn is_arriving(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| match entry.presence {
            Presence::Arriving => true,
            Presence::Here | Presence::Leaving | Presence::Left => false,
        })
    }
}
