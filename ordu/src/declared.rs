//! The registries and the sets of groups that a node was told of, so that a slip of the pen in a
//! name is found where it happens.

use std::collections::BTreeSet;

use ordu_core::{Scope, UnknownRegistry};

/// The instances that every node has.
const DEFAULT: &str = "default";

/// The names of the registries, or of the sets of groups, that a node was told of.
#[derive(Clone, Debug)]
pub(crate) struct Declared(BTreeSet<String>);

impl Default for Declared {
    fn default() -> Self {
        Self(BTreeSet::from([DEFAULT.to_owned()]))
    }
}

impl Declared {
    /// Adds `name`; to say it twice changes nothing.
    pub(crate) fn declare(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// Returns the names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Returns the scope of the instance called `name`.
    pub(crate) fn scope(&self, name: &str) -> Result<Scope, UnknownRegistry> {
        if self.0.contains(name) {
            return Ok(Scope::named(name));
        }
        let declared = self.0.iter().cloned().collect();
        Err(UnknownRegistry { name: name.to_owned(), declared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_told_with_what_was_meant() {
        let mut declared = Declared::default();
        declared.declare("carts");
        declared.declare("carts");
        assert_eq!(declared.scope("carts"), Ok(Scope::named("carts")));
        assert_eq!(declared.scope("default"), Ok(Scope::named("default")));
        let error = declared.scope("crats").unwrap_err();
        let text = "\"crats\" was not declared on this node; it has carts, default";
        assert_eq!(error.to_string(), text);
    }
}
