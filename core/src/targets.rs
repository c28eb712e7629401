//! Who could run what: the ring of live members, and the kinds that they have code for.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::NodeId;
use crate::placement::{Ring, Weight};

/// The members that children may be placed on.
///
/// Invariant: the ring holds exactly the members of `kinds`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Targets {
    ring: Ring,
    kinds: BTreeMap<NodeId, BTreeSet<String>>,
    outlook: Outlook,
}

/// What may be concluded from the members that are seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outlook {
    /// Whether enough is known of the members to place anything.
    pub(crate) is_informed: bool,
    /// Whether children of silent members may be started here yet.
    pub(crate) may_take_over: bool,
    /// Whether no member may go on unheard: what nobody is seen to run, nobody runs.
    pub(crate) is_whole: bool,
}

impl Targets {
    /// Returns whether `members`, in the order of their ids, are the ones to place on already, and
    /// the outlook is as [`Targets::update`] would set it. Allocates nothing.
    ///
    /// Of a member that names a kind twice it says that it changed.
    pub(crate) fn are<'a>(
        &self,
        members: impl Iterator<Item = (&'a NodeId, &'a [String])>,
        outlook: Outlook,
    ) -> bool {
        let is_same = |(node, kinds): (&NodeId, &BTreeSet<String>), said: (&NodeId, &[String])| {
            let (said_by, said) = said;
            node == said_by
                && kinds.len() == said.len()
                && said.iter().all(|kind| kinds.contains(kind))
        };
        let mut known = self.kinds.iter();
        let mut members = members;
        outlook == self.outlook
            && members.all(|said| known.next().is_some_and(|known| is_same(known, said)))
            && known.next().is_none()
    }

    /// Makes `members` the ones to place on; returns whether that changes anything.
    ///
    /// Costs the members that came, went or changed, and O(m) comparisons for m members.
    pub(crate) fn update(
        &mut self,
        members: BTreeMap<NodeId, BTreeSet<String>>,
        outlook: Outlook,
    ) -> bool {
        if self.kinds == members && outlook == self.outlook {
            return false;
        }
        for gone in self.kinds.keys().filter(|node| !members.contains_key(node)) {
            self.ring.remove(gone);
        }
        for node in members.keys().filter(|node| !self.kinds.contains_key(node)) {
            self.ring.insert(node.clone(), Weight::default());
        }
        self.kinds = members;
        self.outlook = outlook;
        true
    }

    /// Returns the first member from `key` on that has code for `kind`.
    pub(crate) fn owner(&self, key: &[u8], kind: &str) -> Option<&NodeId> {
        let is_able = |node: &&NodeId| self.kinds[*node].contains(kind);
        let first = self.ring.owner(key)?;
        if is_able(&first) {
            return Some(first);
        }
        self.ring.candidates(key).find(is_able)
    }

    /// Returns the member that comes `place`th from `key` on, counting from 0 and in a circle.
    pub(crate) fn candidate(&self, key: &[u8], place: usize) -> Option<&NodeId> {
        let count = self.kinds.len();
        (count > 0).then(|| self.ring.candidates(key).nth(place % count)).flatten()
    }

    /// Takes in that a member went silent, until the next update says more.
    pub(crate) fn handle_silence(&mut self) {
        self.outlook.is_whole = false;
    }

    /// Returns what may be concluded from the members that are seen.
    pub(crate) fn outlook(&self) -> Outlook {
        self.outlook
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const ALL: Outlook = Outlook { is_informed: true, may_take_over: true, is_whole: true };

    fn said(members: &[(&str, &[&str])]) -> Vec<(NodeId, Vec<String>)> {
        let kinds = |kinds: &[&str]| kinds.iter().map(|&kind| String::from(kind)).collect();
        members.iter().map(|&(node, said)| (NodeId::new(node).unwrap(), kinds(said))).collect()
    }

    fn are(targets: &Targets, members: &[(&str, &[&str])], outlook: Outlook) -> bool {
        let members = said(members);
        let members = members.iter().map(|(node, kinds)| (node, kinds.as_slice()));
        targets.are(members, outlook)
    }

    #[test]
    fn only_what_changes_nothing_is_taken_for_the_same() {
        let mut targets = Targets::default();
        assert!(are(&targets, &[], Outlook::default()));
        let members = said(&[("a", &["cart", "user"]), ("c", &[])]);
        let members = members.into_iter().map(|(node, kinds)| (node, kinds.into_iter().collect()));
        assert!(targets.update(members.collect(), ALL));

        assert!(are(&targets, &[("a", &["cart", "user"]), ("c", &[])], ALL));
        assert!(are(&targets, &[("a", &["user", "cart"]), ("c", &[])], ALL));
        let same: &[(&str, &[&str])] = &[("a", &["cart", "user"]), ("c", &[])];
        assert!(!are(&targets, same, Outlook { is_informed: false, ..ALL }));
        assert!(!are(&targets, same, Outlook { may_take_over: false, ..ALL }));
        assert!(!are(&targets, same, Outlook { is_whole: false, ..ALL }));
        let others: [&[(&str, &[&str])]; 7] = [
            &[],
            &[("a", &["cart", "user"])],
            &[("c", &[])],
            &[("a", &["cart", "user"]), ("b", &[])],
            &[("a", &["cart", "user"]), ("c", &[]), ("d", &[])],
            &[("a", &["cart"]), ("c", &[])],
            &[("a", &["cart", "till"]), ("c", &[])],
        ];
        for other in others {
            assert!(!are(&targets, other, ALL), "{other:?}");
        }
    }
}
