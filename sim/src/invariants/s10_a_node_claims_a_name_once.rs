//! S10. On one node a name has one registrant at most.

use crate::World;
use crate::invariants::{Finding, Invariant, Promise};
use crate::verdict::Class;

/// Looks at who claims names on each node.
pub(crate) struct ANodeClaimsANameOnce;

impl Invariant for ANodeClaimsANameOnce {
    fn promise(&self) -> Promise {
        Promise {
            id: "S10",
            says: "no two processes of one node claim one name",
            made_in: "ordu_core::Command::Register",
            class: Class::Safety,
        }
    }

    fn audit(&mut self, world: &World) -> Finding {
        for (host, _, node) in world.nodes() {
            twice(node.own_names()).map_err(|twice| format!("{host}: {twice}"))?;
        }
        Ok(())
    }
}

/// Looks for a name that follows itself; all claims of a name come in a row.
fn twice<S: PartialEq, N: PartialEq + std::fmt::Display, P: std::fmt::Display>(
    names: impl Iterator<Item = (S, N, P)>,
) -> Finding {
    let mut before: Option<(S, N, P)> = None;
    for (scope, name, process) in names {
        if let Some((same, other, twin)) = &before
            && (same, other) == (&scope, &name)
        {
            return Err(format!("{twin} and {process} both claim {name}"));
        }
        before = Some((scope, name, process));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_on_one_name_are_found() {
        assert_eq!(twice([(1, "a", "p"), (1, "b", "p"), (2, "b", "q")].into_iter()), Ok(()));
        assert!(twice([(1, "a", "p"), (1, "a", "q")].into_iter()).is_err());
    }
}
