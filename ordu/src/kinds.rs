//! The kinds of processes that a node has code for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::context::Context;
use crate::process::{Finish, Process};
use crate::runner::{Begin, live, live_plain};

/// The kinds of processes that a node has code for, by name.
#[derive(Clone, Default)]
pub(crate) struct Kinds(BTreeMap<String, Arc<Begin>>);

impl Kinds {
    /// Adds processes of type `P`; returns whether their name was free.
    pub(crate) fn add<P: Process>(&mut self) -> bool {
        self.insert(
            P::KIND,
            Arc::new(|life| {
                let args = life.birth.args.clone();
                Box::pin(live::<P>(life, args))
            }),
        )
    }

    /// Adds what `run` does as `name`; returns whether the name was free.
    pub(crate) fn add_plain<F, Fut>(&mut self, name: &str, run: F) -> bool
    where
        F: Fn(Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Finish> + Send + 'static,
    {
        let run = Arc::new(run);
        self.insert(
            name,
            Arc::new(move |life| {
                let run = Arc::clone(&run);
                Box::pin(live_plain(life, move |context| run(context)))
            }),
        )
    }

    fn insert(&mut self, name: &str, begin: Arc<Begin>) -> bool {
        self.0.insert(name.to_owned(), begin).is_none()
    }

    /// Returns the code of a kind.
    pub(crate) fn find(&self, kind: &str) -> Option<Arc<Begin>> {
        self.0.get(kind).cloned()
    }

    /// Returns the names of all kinds, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}
