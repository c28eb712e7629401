//! Checks that every index of a node says what its entries say.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::board::{Board, Claimant};
use crate::crdt::{Cell, Write};
use crate::entry::{
    AssignedEntry, CellKey, ClaimEntry, Entry, GroupEntry, Key, LeasedEntry, NameEntry,
};
use crate::groups::Groups;
use crate::lease::Voter;
use crate::message::Seat;
use crate::node::Node;
use crate::node::changes::{leased, named, run};
use crate::supervisor::ChildKey;
use crate::{Blob, Domain, Replica, Scope};

impl Node {
    /// Checks everything that is kept up to date against what it follows from, for tests: journals,
    /// the board, children, processes, names, requests, calls and conflicts.
    ///
    /// Costs the whole state, and builds some of it anew.
    ///
    /// # Errors
    ///
    /// Says what disagrees.
    ///
    /// # Panics
    ///
    /// Panics if a journal is not in order within itself.
    pub fn audit(&self) -> Result<(), String> {
        for (_, journal) in self.journals() {
            journal.check_deeply();
        }
        self.audit_board()?;
        self.audit_groups()?;
        self.audit_cells()?;
        self.audit_children()?;
        self.audit_own()?;
        self.supervisor.audit()?;
        self.requests.audit()?;
        self.messaging.audit()?;
        self.voter.as_ref().map_or(Ok(()), Voter::audit)?;
        self.conflicts.audit()
    }

    /// Checks that the board is what the visible journals say.
    fn audit_board(&self) -> Result<(), String> {
        let mut board = Board::new(self.config.rule.clone(), self.modes.clone());
        for replica in &self.visible {
            for (key, _, value) in self.replication.entries(replica) {
                for (seat, claimant) in claims(replica, key, value) {
                    board.replace(&seat, None, Some(claimant));
                }
            }
        }
        let Some(seat) = board.difference(&self.board) else { return Ok(()) };
        let (said, known) = (board.claimants(seat), self.board.claimants(seat));
        Err(format!("of {seat:?} the board knows {known:?}, journals say {said:?}"))
    }

    /// Checks that the groups are what the visible journals say.
    fn audit_groups(&self) -> Result<(), String> {
        let mut groups = Groups::default();
        for replica in &self.visible {
            for (key, _, value) in self.replication.entries(replica) {
                if let Some(Key::Group(scope, group, number)) = Key::decode(key)
                    && GroupEntry::decode(value).is_some()
                {
                    groups.insert((scope, group), replica, number);
                }
            }
        }
        let agree = groups == self.groups;
        agree.then_some(()).ok_or_else(|| "the groups are not what journals say".into())
    }

    /// Checks that the cells are what the remembered journals say, and readers were told.
    fn audit_cells(&self) -> Result<(), String> {
        let mut cells: BTreeMap<CellKey, Cell> = BTreeMap::new();
        for replica in self.replication.replicas() {
            for (key, _, value) in self.replication.entries(replica) {
                if let Some(Key::Cell(key, dot)) = Key::decode(key)
                    && let Some(write) = Write::decode(value)
                {
                    cells.entry(key).or_default().set(replica, dot, Some(write));
                }
            }
        }
        self.cells.audit(&cells)
    }

    /// Checks that what is known of children is what the remembered journals say.
    ///
    /// A node that has no life yet has read nothing of it.
    fn audit_children(&self) -> Result<(), String> {
        if self.me.is_none() {
            let known = self.supervisor.children().next();
            return known.map_or(Ok(()), |(key, _)| Err(format!("child {} is known early", key.1)));
        }
        let mut children: BTreeMap<ChildKey, Mentions<'_>> = BTreeMap::new();
        for replica in self.replication.replicas() {
            let counts = !self.retired.contains(replica);
            for (key, _, value) in self.replication.entries(replica) {
                match Key::decode(key) {
                    Some(Key::Spec(scope, child)) => {
                        children.entry((scope, child)).or_default().specified.insert(replica);
                    }
                    Some(Key::Ended(scope, child)) => {
                        children.entry((scope, child)).or_default().ended.insert(replica);
                    }
                    Some(Key::Claim(scope, child)) if counts => {
                        if let Some(entry) = ClaimEntry::decode(value) {
                            let mentions = children.entry((scope, child)).or_default();
                            mentions.claims.insert(replica, entry);
                        }
                    }
                    Some(Key::Assigned(scope, child)) if counts => {
                        if let Some(entry) = AssignedEntry::decode(value) {
                            let mentions = children.entry((scope, child)).or_default();
                            mentions.assigned.insert(replica, entry);
                        }
                    }
                    Some(
                        Key::Claim(..)
                        | Key::Assigned(..)
                        | Key::Member
                        | Key::Name(..)
                        | Key::Leased(..)
                        | Key::Absorbed(..)
                        | Key::Group(..)
                        | Key::Cell(..),
                    )
                    | None => (),
                }
            }
        }
        for (key, child) in self.supervisor.children() {
            let said = children.remove(key).unwrap_or_default();
            let known = Mentions {
                specified: child.spec_in.iter().collect(),
                ended: child.ended_in.iter().collect(),
                claims: child.claims.iter().map(|c| (&c.replica, c.entry.clone())).collect(),
                assigned: child.assigned.iter().map(|a| (&a.replica, a.entry.clone())).collect(),
            };
            if known != said {
                return Err(format!("of child {} is known {known:?}, said {said:?}", key.1));
            }
            let masked = |replica: &Replica| !self.visible.contains(replica);
            if child.claims.iter().any(|claim| claim.visible == masked(&claim.replica)) {
                return Err(format!("a claim on child {} shows, and its journal does not", key.1));
            }
            if child.assigned.iter().any(|by| by.visible == masked(&by.replica)) {
                return Err(format!("a choice for child {} shows, its journal does not", key.1));
            }
            let is_known = child.spec.is_some() || child.spec_in.is_empty();
            if !is_known || (child.end.is_none() && !child.ended_in.is_empty()) {
                return Err(format!("what is said of child {} was not read", key.1));
            }
        }
        let unknown = children.into_iter().next();
        unknown.map_or(Ok(()), |(key, said)| Err(format!("of child {} is said {said:?}", key.1)))
    }

    /// Checks that our own journal says what processes there are here, and which names they have.
    fn audit_own(&self) -> Result<(), String> {
        let Some(me) = &self.me else { return Ok(()) };
        let (mut claimed, mut named) = (BTreeSet::new(), BTreeSet::new());
        let mut grouped = BTreeSet::new();
        for (key, _, value) in self.replication.entries(me) {
            match Key::decode(key) {
                Some(Key::Claim(scope, child)) => {
                    let number = ClaimEntry::decode(value).map(|entry| entry.standing.number);
                    claimed.insert(((scope, child), number));
                }
                Some(Key::Name(scope, name)) => {
                    let number = NameEntry::decode(value).map(|entry| entry.standing.number);
                    named.insert((scope, name, number));
                }
                Some(Key::Leased(scope, name)) => {
                    let number = LeasedEntry::decode(value).map(|entry| entry.standing.number);
                    named.insert((scope, name, number));
                }
                Some(Key::Group(scope, group, number)) => {
                    grouped.insert(((scope, group), number));
                }
                Some(
                    Key::Member
                    | Key::Spec(..)
                    | Key::Ended(..)
                    | Key::Absorbed(..)
                    | Key::Assigned(..)
                    | Key::Cell(..),
                )
                | None => (),
            }
        }
        let instances = self.supervisor.instances().map(|(number, key)| (key, Some(number)));
        if !claimed.iter().copied().eq(instances.collect::<BTreeSet<_>>()) {
            return Err(format!("our journal claims {claimed:?}, which is not what runs here"));
        }
        let names = self.registry.names().map(|(scope, name, number)| (scope, name, Some(number)));
        if named != names.collect::<BTreeSet<_>>() {
            return Err(format!("our journal names {named:?}, which is not what has names here"));
        }
        if let Some((scope, name, _)) = self.registry.names().find(|name| self.lacks_quorum(name.0))
        {
            return Err(format!("name {name} of {scope:?} is held here, where is no quorum"));
        }
        if grouped != self.registry.groups().collect::<BTreeSet<_>>() {
            return Err(format!(
                "our journal groups {grouped:?}, which is not who is grouped here"
            ));
        }
        Ok(())
    }

    /// Returns whether names of the registry `scope` are to be given up here now.
    fn lacks_quorum(&self, scope: Scope) -> bool {
        let judged = self.quorums.judged(Domain::Registry(scope));
        judged.is_some_and(|judged| !judged.mode.is_exclusive() && !judged.tally.is_met)
    }
}

/// Who says what of a child.
#[derive(Debug, Default, Eq, PartialEq)]
struct Mentions<'a> {
    specified: BTreeSet<&'a Replica>,
    ended: BTreeSet<&'a Replica>,
    claims: BTreeMap<&'a Replica, ClaimEntry>,
    assigned: BTreeMap<&'a Replica, AssignedEntry>,
}

/// Returns the seats that an entry of `replica` claims, and the claimant.
fn claims(replica: &Replica, key: &Blob, value: &Blob) -> Vec<(Seat, Claimant)> {
    match Key::decode(key) {
        Some(Key::Name(scope, name)) => {
            let claimant = NameEntry::decode(value).map(|entry| named(replica, &entry));
            claimant.map(|claimant| (Seat::Name(scope, name), claimant)).into_iter().collect()
        }
        Some(Key::Leased(scope, name)) => {
            let claimant = LeasedEntry::decode(value).map(|entry| leased(replica, &entry));
            claimant.map(|claimant| (Seat::Name(scope, name), claimant)).into_iter().collect()
        }
        Some(Key::Claim(scope, child)) => {
            let Some(entry) = ClaimEntry::decode(value) else { return Vec::new() };
            let claimant = |value| run(replica, (scope, child), &entry, value);
            let on_child = (Seat::Child(scope, child), claimant(Blob::default()));
            let name = entry.name.clone().map(|(scope, name)| Seat::Name(scope, name));
            let on_name = name.map(|seat| (seat, claimant(entry.value.clone())));
            core::iter::once(on_child).chain(on_name).collect()
        }
        Some(
            Key::Member
            | Key::Spec(..)
            | Key::Ended(..)
            | Key::Absorbed(..)
            | Key::Group(..)
            | Key::Assigned(..)
            | Key::Cell(..),
        )
        | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, Command, Config, Input, Name, NodeId, Output, Reply, Scope, Time};

    /// Returns a node alone, with a process that has a name.
    fn node() -> Node {
        let address = Address::new("127.0.0.1:4000").unwrap();
        let mut node = Node::new(Config::new(NodeId::new("a").unwrap(), address), 7, Time::ZERO);
        node.handle(Time::ZERO, Input::Flush);
        let mut ask = |ticket, command| {
            let timeout = core::time::Duration::from_secs(1);
            node.handle(Time::ZERO, Input::Request { ticket, timeout, command });
            let mut replies = core::iter::from_fn(|| node.poll_output());
            replies.find_map(|output| {
                if let Output::Reply { reply, .. } = output { Some(reply) } else { None }
            })
        };
        let Some(Reply::Spawn(process)) =
            ask(1, Command::Spawn { precedence: crate::Precedence::default() })
        else {
            panic!("it runs")
        };
        let (scope, name) = (Scope::named("default"), Name::new("cart").unwrap());
        let (value, replicas) = (Blob::default(), crate::Replicas::One);
        let command = Command::Register { scope, name, process, value, replicas };
        assert!(matches!(ask(2, command), Some(Reply::Register(Ok(_)))));
        node
    }

    #[test]
    fn a_node_that_nobody_tampered_with_is_in_order() {
        assert_eq!(node().audit(), Ok(()));
    }

    #[test]
    fn a_claimant_that_no_journal_tells_of_is_found() {
        let mut node = node();
        let seat = node.board.seats().next().unwrap().clone();
        let mut claimant = node.board.best(&seat).unwrap().clone();
        claimant.rank.process.number += 1;
        let _ = node.board.replace(&seat, None, Some(claimant));
        assert!(node.audit().unwrap_err().contains("the board"));
    }

    #[test]
    fn a_journal_that_shows_without_a_look_at_it_is_found() {
        let mut node = node();
        let me = node.me.clone().unwrap();
        node.visible.remove(&me);
        assert!(node.audit().unwrap_err().contains("the board"));
    }

    #[test]
    fn a_member_that_no_journal_tells_of_is_found() {
        let mut node = node();
        let (me, group) = (node.me.clone().unwrap(), Name::new("lobby").unwrap());
        let key = (Scope::named("default"), group);
        node.groups.insert(key.clone(), &me, 1);
        assert!(node.audit().unwrap_err().contains("the groups"));
        node.groups.remove(&key, &me, 1);
        assert_eq!(node.audit(), Ok(()));

        assert!(node.registry.join_group(key, 1, Blob::default()), "it runs here");
        let found = node.audit().unwrap_err();
        assert!(found.contains("who is grouped here"), "{found}");
    }

    #[test]
    fn a_name_that_no_process_has_is_found() {
        let mut node = node();
        node.registry = crate::registry::Registry::new(node.modes.clone());
        assert!(node.audit().unwrap_err().contains("has names here"));
    }

    #[test]
    fn a_child_that_no_journal_tells_of_is_found() {
        let mut node = node();
        let me = node.me.clone().unwrap();
        let key = (Scope::named("default"), crate::ChildId::from_bytes([1; 16]));
        let spec = crate::ChildSpec::new("ok", Blob::default());
        let entry = crate::entry::SpecEntry { stamp: node.clock.stamp(), spec };
        node.with_supervisor(|supervisor, around| {
            supervisor.handle_spec(around, &me, key, Some(entry));
        });
        assert!(node.audit().unwrap_err().contains("of child"));
    }
}
