//! What somebody has seen of the cluster, to be demanded elsewhere.

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Replica;
use crate::crdt::Version;
use crate::laws::Lattice;

/// How much of the cluster's state somebody has seen.
///
/// A registration and a start answer with one, and [`Command::CatchUp`](crate::Command::CatchUp)
/// demands it of any other node: once that is answered, whoever reads there sees at least what the
/// token speaks of, or what has become of it since. So a client that goes from one node to another
/// still reads its own writes. Tokens are joined where several things must have been seen.
///
/// Holds one version for each journal that it speaks of: some 40 bytes a journal where it is
/// stored.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct CausalToken(BTreeMap<Replica, Version>);

impl CausalToken {
    /// Returns the token of the journal of `replica` up to `version`.
    pub(crate) fn of(replica: Replica, version: Version) -> Self {
        Self(BTreeMap::from([(replica, version)]))
    }

    /// Demands what `other` demands, as well.
    pub fn join(&mut self, other: &Self) {
        for (replica, &version) in &other.0 {
            let own = self.0.entry(replica.clone()).or_default();
            *own = version.max(*own);
        }
    }

    /// Returns whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the journals that it speaks of, with a version of each.
    pub fn iter(&self) -> impl Iterator<Item = (&Replica, Version)> {
        self.0.iter().map(|(replica, version)| (replica, *version))
    }
}

impl Lattice for CausalToken {
    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId, laws};

    #[test]
    fn tokens_are_joined_by_the_laws() {
        let of = |node: &str, version| {
            let life = Incarnation { counter: 1, nonce: 1 };
            CausalToken::of(Replica::new(NodeId::new(node).unwrap(), life), version)
        };
        let tokens = [
            CausalToken::default(),
            of("a", 1),
            of("a", 7),
            of("b", 3),
            of("b", 9).joined(&of("a", 2)),
        ];
        for a in &tokens {
            laws::idempotent(a);
            for b in &tokens {
                laws::commutative(a, b);
                laws::inflationary(a, b);
                for c in &tokens {
                    laws::associative(a, b, c);
                }
            }
        }
        assert_eq!(of("a", 1).joined(&of("a", 7)), of("a", 7));
    }
}
