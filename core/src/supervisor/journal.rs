//! What the journals say of children, as it becomes visible.

use crate::effect::Effect;
use crate::entry::{ClaimEntry, EndedEntry, Entry, Key, Reason, SpecEntry};
use crate::supervisor::children::{Child, ChildKey, Claim, Past};
use crate::supervisor::instance::Then;
use crate::supervisor::{Around, Supervisor};
use crate::{Name, Outcome, Output, Replica, Scope, StopReason, ViewChange};

impl Supervisor {
    /// Takes in that the specification of `key` stands in the journal of `replica`, or does not
    /// any more.
    pub(crate) fn handle_spec(
        &mut self,
        around: &mut Around<'_>,
        replica: &Replica,
        key: ChildKey,
        entry: Option<SpecEntry>,
    ) {
        self.children.change(key, |child| match entry {
            Some(entry) => {
                if !child.spec_in.contains(replica) {
                    child.spec_in.push(replica.clone());
                }
                let is_other = |known: &SpecEntry| known.spec != entry.spec;
                if child.spec.as_ref().is_none_or(|known| is_before(&entry, known)) {
                    if child.spec.as_ref().is_some_and(is_other) {
                        // Readers were told of what it is not.
                        child.shown = None;
                    }
                    child.spec = Some(entry);
                }
            }
            None => {
                child.spec_in.retain(|holder| holder != replica);
                if child.spec_in.is_empty() && child.end.is_none() {
                    child.spec = None;
                }
            }
        });
        self.stop_what_it_is_not(key);
        self.reconcile(around, key);
    }

    /// Stops the process of `key` here if it runs another specification than the child goes by: two
    /// members accepted one each under one key, before they heard of each other.
    fn stop_what_it_is_not(&mut self, key: ChildKey) {
        let Some(&number) = self.by_child.get(&key) else { return };
        let spec = self.children.child(&key).and_then(|child| child.spec.as_ref());
        let runs = &self.instances[&number].spec;
        if spec.is_some_and(|entry| entry.spec != *runs) {
            self.stop(number, StopReason::Restarting, Then::Gone);
        }
    }

    /// Takes in that the end of `key` stands in the journal of `replica`, or does not any more.
    pub(crate) fn handle_ended(
        &mut self,
        around: &mut Around<'_>,
        replica: &Replica,
        key: ChildKey,
        entry: Option<EndedEntry>,
    ) {
        self.children.change(key, |child| match entry {
            Some(entry) => {
                if !child.ended_in.contains(replica) {
                    child.ended_in.push(replica.clone());
                }
                // Of two ends the first counts, so that all nodes tell the same one.
                let earlier = child.end.as_ref().is_none_or(|known| {
                    (entry.stamp, &entry.outcome) < (known.stamp, &known.outcome)
                });
                if earlier {
                    child.end = Some(entry);
                }
            }
            None => {
                // An end is absorbing: it is forgotten with the child, never taken back.
                child.ended_in.retain(|holder| holder != replica);
            }
        });
        self.reconcile(around, key);
    }

    /// Takes in a claim of `replica` on `key`, or that it has gone: for a reason, or with its
    /// node's life.
    pub(crate) fn handle_claim(
        &mut self,
        around: &mut Around<'_>,
        replica: &Replica,
        is_visible: bool,
        key: ChildKey,
        entry: Option<ClaimEntry>,
        why: Option<Reason>,
    ) {
        self.children.change(key, |child| {
            let place = child.claims.iter().position(|claim| claim.replica == *replica);
            match (place, entry) {
                (Some(place), Some(entry)) => {
                    child.claims[place].entry = entry;
                    child.claims[place].visible = is_visible;
                }
                (None, Some(entry)) => {
                    let replica = replica.clone();
                    child.note_passage(&replica, &entry);
                    // Mostly there is one, and room for more would be most of what a child costs.
                    child.claims.reserve_exact(1);
                    child.claims.push(Claim { replica, entry, visible: is_visible });
                }
                (Some(place), None) => {
                    let gone = child.claims.swap_remove(place);
                    remember(child, &gone, why);
                }
                (None, None) => (),
            }
        });
        self.reconcile(around, key);
    }

    /// Takes in that the journal of `replica`, which claims `key`, was masked or unmasked.
    pub(crate) fn handle_visibility(
        &mut self,
        around: &mut Around<'_>,
        replica: &Replica,
        key: ChildKey,
        is_visible: bool,
    ) {
        self.children.change(key, |child| {
            for claim in &mut child.claims {
                if claim.replica == *replica {
                    claim.visible = is_visible;
                }
            }
        });
        self.reconcile(around, key);
    }

    /// Looks again at the children that wait for `name` to be free.
    ///
    /// If it was a claim on a child that changed, that one is looked at for that: mostly there is
    /// no other.
    pub(crate) fn handle_name(&mut self, scope: Scope, name: &Name, claimed: Option<ChildKey>) {
        let unclaimed = self.children.unclaimed();
        let name = (scope, name.clone());
        let waits_alone = |key| self.children.is_known_to_reserve_alone(&key, &name);
        if unclaimed.is_empty() || claimed.is_some_and(waits_alone) {
            return;
        }
        let waiting = self.children.reservers(&name).filter(|key| unclaimed.contains(*key));
        self.due.extend(waiting.copied());
    }

    /// Does what the present knowledge of `key` asks for, and tells readers what changed.
    pub(super) fn reconcile(&mut self, around: &mut Around<'_>, key: ChildKey) {
        let Some(child) = self.children.child(&key) else {
            self.beaten.remove(&key);
            self.contention.end(&key);
            return;
        };
        let standing = child.standing(self.children.rule());
        let end = child.end.clone();
        let is_specified_here = child.spec_in.contains(around.me);
        let is_ended_here = child.ended_in.contains(around.me);
        let has_stale_choice = child.has_stale_choice(around.me);

        if has_stale_choice {
            let (key, reason) = (Key::Assigned(key.0, key.1).encode(), Reason::Ended);
            self.effects.push_back(Effect::Delete { key, reason });
        }
        if standing != child.shown {
            let view = standing.clone().and_then(|process| child.view(process));
            self.children.change(key, |child| child.shown = standing);
            let change = ViewChange::Child { scope: key.0, child: key.1, view };
            self.effects.push_back(Effect::Emit(Output::View(change)));
        }
        if let Some(end) = end {
            self.due.remove(&key);
            self.beaten.remove(&key);
            self.contention.end(&key);
            if is_specified_here {
                // Where the specification goes stands why: whoever ended the child may be lost
                // before all have heard, and a process that nothing specifies would run on.
                if !is_ended_here {
                    let (key, value) = (Key::Ended(key.0, key.1).encode(), end.encode());
                    self.effects.push_back(Effect::Put { key, value });
                }
                let (key, reason) = (Key::Spec(key.0, key.1).encode(), Reason::Ended);
                self.effects.push_back(Effect::Delete { key, reason });
            }
            if let Some(&number) = self.by_child.get(&key) {
                self.stop(number, StopReason::Terminated, Then::Gone);
            }
            self.reconcile_nested(around, key);
        } else if let Some(parent) = self.ended_parent(&key)
            && (is_specified_here || self.by_child.contains_key(&key))
        {
            self.end(around, key, Outcome::WithParent { parent });
        } else if self.children.unclaimed().contains(&key) {
            self.due.insert(key);
        } else {
            self.beaten.remove(&key);
            self.contend(around, key);
        }
    }
}

/// Returns whether of two specifications of one child all go by `a`.
fn is_before(a: &SpecEntry, b: &SpecEntry) -> bool {
    let by_bytes = || a.encode().cmp(&b.encode());
    a.stamp.cmp(&b.stamp).then_with(by_bytes).is_lt()
}

/// Remembers the last claim that went, so that the next process knows how it stands to it.
fn remember(child: &mut Child, gone: &Claim, released: Option<Reason>) {
    let standing = &gone.entry.standing;
    if released == Some(Reason::Ungranted) {
        if let Some(past) = &mut child.past {
            past.moves = past.moves.max(standing.moves);
        }
        return;
    }
    let epoch = gone.entry.epoch;
    if child.past.as_ref().is_none_or(|past| past.epoch <= epoch) {
        let (lineage, moves) = (standing.lineage, standing.moves);
        let node = gone.replica.node().clone();
        child.past = Some(Past { node, epoch, lineage, moves, released });
    }
}
