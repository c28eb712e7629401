//! Questions about many names at once.

use std::fmt;

use ordu_core::{Name, UnknownRegistry};

use crate::index::Part;
use crate::registry::Registry;
use crate::view::Found;

/// A question about the names of a registry; ends with what is wanted of those that fit.
///
/// All that it answers is of one moment of the node's view: no name that moves or changes in the
/// meantime is seen twice, missed, or seen with an older neighbour. It waits for no other node.
///
/// Takes O(log n) time for n names, and about 150 ns for each name in the part
/// that [`prefix`](Self::prefix) and [`after`](Self::after) cut out (each up to the
/// [`limit`](Self::limit), where there is no [`filter`](Self::filter)). For that time changes of
/// names wait, and with them the node: ask for a registry of a million names in pages.
///
/// # Example
///
/// ```no_run
/// # fn example(node: &ordu::Node) -> Result<(), ordu::UnknownRegistry> {
/// let carts = node.registry("default").select().prefix("cart/");
/// let heavy = carts.filter(|_, found| found.value.len() > 1_000).limit(10);
/// for (name, found) in heavy.entries()? {
///     println!("{name} is held by {}", found.process);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is asked before it ends in `entries`, `names` or `count`"]
pub struct Select<'a> {
    registry: Registry,
    part: Part,
    limit: usize,
    filters: Vec<Box<Filter<'a>>>,
}

/// Whether a name and its holder are wanted.
type Filter<'a> = dyn Fn(&Name, &Found) -> bool + Send + 'a;

impl<'a> Select<'a> {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, part: Part::default(), limit: usize::MAX, filters: Vec::new() }
    }

    /// Wants only names that begin with `prefix`.
    pub fn prefix(mut self, prefix: impl AsRef<[u8]>) -> Self {
        self.part.prefix = prefix.as_ref().to_vec();
        self
    }

    /// Wants only names behind `name` in the order of their bytes: the next page, where `name` was
    /// the last of the one before.
    pub fn after(mut self, name: impl AsRef<[u8]>) -> Self {
        self.part.after = Some(name.as_ref().to_vec());
        self
    }

    /// Wants only what `wanted` answers with true for; said more than once, all have to.
    ///
    /// It is asked once the moment has been taken down, and may take its time.
    pub fn filter(mut self, wanted: impl Fn(&Name, &Found) -> bool + Send + 'a) -> Self {
        self.filters.push(Box::new(wanted));
        self
    }

    /// Wants no more than the first `limit` names that fit.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Returns the names that fit and who holds them, in the order of the names' bytes.
    ///
    /// # Errors
    ///
    /// When this node was not told of the registry.
    pub fn entries(self) -> Result<Vec<(Name, Found)>, UnknownRegistry> {
        let scope = self.registry.scope()?;
        let view = self.registry.node().view();
        let taken = if self.filters.is_empty() { self.limit } else { usize::MAX };
        let names = view.names(scope, &self.part, taken).into_iter();
        let entries = names.map(|(name, holder)| (name, Found::from(holder)));
        let fits = |entry: &(Name, Found)| self.filters.iter().all(|f| f(&entry.0, &entry.1));
        Ok(entries.filter(fits).take(self.limit).collect())
    }

    /// Returns the names that fit, in the order of their bytes.
    ///
    /// # Errors
    ///
    /// When this node was not told of the registry.
    pub fn names(self) -> Result<Vec<Name>, UnknownRegistry> {
        Ok(self.entries()?.into_iter().map(|(name, _)| name).collect())
    }

    /// Returns how many names fit.
    ///
    /// # Errors
    ///
    /// When this node was not told of the registry.
    pub fn count(self) -> Result<usize, UnknownRegistry> {
        if !self.filters.is_empty() {
            return Ok(self.entries()?.len());
        }
        let scope = self.registry.scope()?;
        Ok(self.registry.node().view().count_names(scope, &self.part, self.limit))
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select").field("part", &self.part).finish_non_exhaustive()
    }
}
