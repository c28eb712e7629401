//! Who could run what: the ring of live members, and what each of them can.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::placement::{Exclusion, Placement, Ring, Weight};
use crate::{ChildSpec, Labels, NodeId};

/// The members that children may be placed on.
///
/// Invariant: the ring holds exactly the members of `members`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Targets {
    ring: Ring,
    members: BTreeMap<NodeId, Abilities>,
    outlook: Outlook,
}

/// What a member can, as it says of itself.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Abilities {
    /// The kinds of processes that it runs as children.
    kinds: BTreeSet<String>,
    /// The strategies of users that it has code for.
    strategies: BTreeSet<String>,
    /// What its operator says of it.
    labels: Labels,
    /// How much it takes, beside others.
    weight: Weight,
    /// Whether it runs as many children as it may.
    is_full: bool,
    /// Whether it reaches so many voters that they could grant it a lease.
    can_lease: bool,
}

/// [`Abilities`], as they stand in what a member says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    /// The kinds of processes that it runs as children.
    pub(crate) kinds: &'a [String],
    /// The strategies of users that it has code for.
    pub(crate) strategies: &'a [String],
    /// What its operator says of it.
    pub(crate) labels: &'a Labels,
    /// How much it takes, beside others.
    pub(crate) weight: Weight,
    /// Whether it runs as many children as it may.
    pub(crate) is_full: bool,
    /// Whether it reaches so many voters that they could grant it a lease.
    pub(crate) can_lease: bool,
}

impl Abilities {
    /// Returns what a member says of itself, to be kept.
    pub(crate) fn of(said: Said<'_>) -> Self {
        let Said { kinds, strategies, labels, weight, is_full, can_lease } = said;
        let (kinds, strategies) = (kinds.iter().cloned(), strategies.iter().cloned());
        let (kinds, strategies) = (kinds.collect(), strategies.collect());
        Self { kinds, strategies, labels: labels.clone(), weight, is_full, can_lease }
    }

    /// Returns whether they are what a member says. Of one that names a kind twice it says no.
    fn are(&self, said: Said<'_>) -> bool {
        let are = |own: &BTreeSet<String>, said: &[String]| {
            own.len() == said.len() && said.iter().all(|name| own.contains(name))
        };
        are(&self.kinds, said.kinds)
            && are(&self.strategies, said.strategies)
            && self.labels == *said.labels
            && self.weight == said.weight
            && self.is_full == said.is_full
            && self.can_lease == said.can_lease
    }
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
    /// Whether more than half of the voters are up.
    pub(crate) has_majority: bool,
    /// Whether more than half of the voters can be asked from here.
    pub(crate) reaches_majority: bool,
}

impl Targets {
    /// Returns whether `members`, in the order of their ids, are the ones to place on already, and
    /// the outlook is as [`Targets::update`] would set it. Allocates nothing.
    pub(crate) fn are<'a>(
        &self,
        members: impl Iterator<Item = (&'a NodeId, Said<'a>)>,
        outlook: Outlook,
    ) -> bool {
        let mut known = self.members.iter();
        let mut members = members;
        let is_same = |(node, said), (known, abilities): (&NodeId, &Abilities)| {
            node == known && abilities.are(said)
        };
        outlook == self.outlook
            && members.all(|said| known.next().is_some_and(|known| is_same(said, known)))
            && known.next().is_none()
    }

    /// Makes `members` the ones to place on; returns whether that changes anything.
    ///
    /// Costs the members that came, went or changed, and O(m) comparisons for m members.
    pub(crate) fn update(
        &mut self,
        members: BTreeMap<NodeId, Abilities>,
        outlook: Outlook,
    ) -> bool {
        if self.members == members && outlook == self.outlook {
            return false;
        }
        let weight = |of: &BTreeMap<NodeId, Abilities>, node: &NodeId| {
            of.get(node).map(|abilities| abilities.weight)
        };
        for (node, was) in &self.members {
            if weight(&members, node) != Some(was.weight) {
                self.ring.remove(node);
            }
        }
        for (node, is) in &members {
            if weight(&self.members, node) != Some(is.weight) {
                self.ring.insert(node.clone(), is.weight);
            }
        }
        self.members = members;
        self.outlook = outlook;
        true
    }

    /// Returns the member that is to run a child of `spec`, the first from `key` on that can and
    /// did not give it up. Takes O(1) time where the first can.
    pub(crate) fn owner(
        &self,
        key: &[u8],
        spec: &ChildSpec,
        gave_up: impl Fn(&NodeId) -> bool,
    ) -> Option<&NodeId> {
        let is_able = |node: &&NodeId| self.exclusion(node, spec, &gave_up).is_none();
        let first = self.ring.owner(key)?;
        if is_able(&first) {
            return Some(first);
        }
        self.ring.candidates(key).find(is_able)
    }

    /// Iterates over the members in the order in which a child of `spec` would belong to them, each
    /// with why it does not run it, if it does not.
    pub(crate) fn judged<'a>(
        &'a self,
        key: &[u8],
        spec: &'a ChildSpec,
        gave_up: impl Fn(&NodeId) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a NodeId, Option<Exclusion>)> {
        let candidates = self.ring.candidates(key);
        candidates.map(move |node| (node, self.exclusion(node, spec, &gave_up)))
    }

    /// Returns whether `node` is up and can run a child of `spec`, and did not give it up.
    pub(crate) fn is_able(
        &self,
        node: &NodeId,
        spec: &ChildSpec,
        gave_up: impl Fn(&NodeId) -> bool,
    ) -> bool {
        self.members.contains_key(node) && self.exclusion(node, spec, &gave_up).is_none()
    }

    /// Returns whether `node` is up and reaches so many voters that they could grant it a lease.
    pub(crate) fn can_lease(&self, node: &NodeId) -> bool {
        self.members.get(node).is_some_and(|able| able.can_lease)
    }

    /// Returns what `node`, which is on the ring, says of itself: labels, and how much it takes.
    pub(crate) fn described(&self, node: &NodeId) -> (&Labels, Weight) {
        let abilities = &self.members[node];
        (&abilities.labels, abilities.weight)
    }

    fn exclusion(
        &self,
        node: &NodeId,
        spec: &ChildSpec,
        gave_up: &impl Fn(&NodeId) -> bool,
    ) -> Option<Exclusion> {
        let able = &self.members[node];
        if !able.kinds.contains(&spec.kind) {
            return Some(Exclusion::Kind);
        }
        if let Placement::User(name) = &spec.placement
            && !able.strategies.contains(name)
        {
            return Some(Exclusion::Strategy);
        }
        let unmet = spec.needs.iter().find(|need| !need.is_met_by(node, &able.labels));
        if let Some(need) = unmet {
            return Some(Exclusion::Need(need.clone()));
        }
        if gave_up(node) {
            return Some(Exclusion::GaveUp);
        }
        able.is_full.then_some(Exclusion::Full)
    }

    /// Returns the member that comes `place`th from `key` on, counting from 0 and in a circle.
    pub(crate) fn candidate(&self, key: &[u8], place: usize) -> Option<&NodeId> {
        let count = self.members.len();
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
    use alloc::borrow::ToOwned as _;
    use alloc::vec::Vec;

    use super::*;
    use crate::placement::Need;

    const ALL: Outlook = Outlook {
        is_informed: true,
        may_take_over: true,
        is_whole: true,
        has_majority: true,
        reaches_majority: true,
    };

    /// What members say: their kinds, their zone, and whether they are full.
    type Rows<'a> = &'a [(&'a str, &'a [&'a str], &'a str, bool)];

    struct Members(Vec<(NodeId, Vec<String>, Labels, bool)>);

    impl Members {
        fn new(rows: Rows<'_>) -> Self {
            let row = |&(node, kinds, zone, is_full): &(&str, &[&str], &str, bool)| {
                let kinds = kinds.iter().map(|&kind| String::from(kind)).collect();
                let mut labels = Labels::new();
                labels.insert("zone", zone).unwrap();
                (NodeId::new(node).unwrap(), kinds, labels, is_full)
            };
            Self(rows.iter().map(row).collect())
        }

        fn said(&self) -> impl Iterator<Item = (&NodeId, Said<'_>)> {
            self.0.iter().map(|(node, kinds, labels, is_full)| {
                let weight = Weight::USUAL;
                let (is_full, can_lease) = (*is_full, true);
                (node, Said { kinds, strategies: &[], labels, weight, is_full, can_lease })
            })
        }
    }

    fn are(targets: &Targets, rows: Rows<'_>, outlook: Outlook) -> bool {
        targets.are(Members::new(rows).said(), outlook)
    }

    fn targets(rows: Rows<'_>) -> Targets {
        let mut targets = Targets::default();
        let members = Members::new(rows);
        let abilities = members.said().map(|(node, said)| (node.clone(), Abilities::of(said)));
        assert!(targets.update(abilities.collect(), ALL));
        targets
    }

    #[test]
    fn only_what_changes_nothing_is_taken_for_the_same() {
        assert!(are(&Targets::default(), &[], Outlook::default()));
        let targets = targets(&[("a", &["cart", "user"], "x", false), ("c", &[], "x", false)]);

        assert!(are(
            &targets,
            &[("a", &["user", "cart"], "x", false), ("c", &[], "x", false)],
            ALL
        ));
        let same: Rows<'_> = &[("a", &["cart", "user"], "x", false), ("c", &[], "x", false)];
        assert!(are(&targets, same, ALL));
        assert!(!are(&targets, same, Outlook { is_informed: false, ..ALL }));
        assert!(!are(&targets, same, Outlook { may_take_over: false, ..ALL }));
        assert!(!are(&targets, same, Outlook { is_whole: false, ..ALL }));
        assert!(!are(&targets, same, Outlook { has_majority: false, ..ALL }));
        assert!(!are(&targets, same, Outlook { reaches_majority: false, ..ALL }));
        let (carts, c) = (&["cart", "user"][..], ("c", &[][..], "x", false));
        let others: [Rows<'_>; 9] = [
            &[],
            &[("a", carts, "x", false)],
            &[c],
            &[("a", carts, "x", false), ("b", &[], "x", false)],
            &[("a", carts, "x", false), c, ("d", &[], "x", false)],
            &[("a", &["cart"], "x", false), c],
            &[("a", &["cart", "till"], "x", false), c],
            &[("a", carts, "y", false), c],
            &[("a", carts, "x", true), c],
        ];
        for other in others {
            assert!(!are(&targets, other, ALL), "{other:?}");
        }
    }

    #[test]
    fn a_child_belongs_to_the_first_that_can_run_it() {
        let rows: Rows<'_> = &[
            ("a", &["cart"], "x", false),
            ("b", &["cart"], "y", false),
            ("c", &["cart"], "y", true),
            ("d", &["user"], "y", false),
        ];
        let (targets, zone) =
            (targets(rows), Need::Label { key: "zone".into(), value: "y".into() });
        let spec = ChildSpec { needs: [zone.clone()].into(), ..ChildSpec::new("cart", "") };
        for key in 0..100_u8 {
            let judged: BTreeMap<&NodeId, Option<Exclusion>> =
                targets.judged(&[key], &spec, |_| false).collect();
            let expected = [
                Some(Exclusion::Need(zone.clone())),
                None,
                Some(Exclusion::Full),
                Some(Exclusion::Kind),
            ];
            assert_eq!(judged.into_values().collect::<Vec<_>>(), expected);
            let owner = targets.owner(&[key], &spec, |_| false);
            assert_eq!(owner.map(NodeId::as_str), Some("b"), "of the three only b can");
            assert_eq!(targets.owner(&[key], &spec, |node| node.as_str() == "b"), None);
        }
    }

    #[test]
    fn a_child_that_needs_a_node_or_none_of_a_kind_is_placed_so() {
        let rows: Rows<'_> = &[("a", &["cart"], "x", false), ("b", &["cart"], "y", false)];
        let targets = targets(rows);
        let owner = |need: Need| {
            let spec = ChildSpec { needs: [need].into(), ..ChildSpec::new("cart", "") };
            targets.owner(b"key", &spec, |_| false).map(|node| node.as_str().to_owned())
        };
        assert_eq!(owner(Need::Node(NodeId::new("b").unwrap())).as_deref(), Some("b"));
        assert_eq!(owner(Need::Node(NodeId::new("z").unwrap())), None);
        let not_y = Need::NoLabel { key: "zone".into(), value: "y".into() };
        assert_eq!(owner(not_y).as_deref(), Some("a"));
    }
}
