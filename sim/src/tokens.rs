//! Tokens that only grow: what a later holder is given is higher than what earlier ones were.

use std::collections::BTreeMap;

use ordu_core::{FencingToken, Time};

/// The last token given for each of some things, and when.
#[derive(Debug)]
pub(crate) struct Tokens<K> {
    last: BTreeMap<K, (FencingToken, Time)>,
}

impl<K> Default for Tokens<K> {
    fn default() -> Self {
        Self { last: BTreeMap::new() }
    }
}

impl<K: Ord> Tokens<K> {
    /// Takes in that `token` is given for `key` at `now`.
    ///
    /// # Errors
    ///
    /// Returns the last one if this is no higher, and `may_forget` does not say that voters may
    /// have forgotten that one, given since then.
    pub(crate) fn give(
        &mut self,
        key: K,
        token: FencingToken,
        now: Time,
        may_forget: impl Fn(Time) -> bool,
    ) -> Result<(), FencingToken> {
        match self.last.insert(key, (token, now)) {
            Some((before, at)) if token <= before && !may_forget(at) => Err(before),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes in that what follows for `key` is another thing of the same name.
    pub(crate) fn forget(&mut self, key: &K) {
        self.last.remove(key);
    }
}
