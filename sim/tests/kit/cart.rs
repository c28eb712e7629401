//! A shopping cart: the logic that a service would have, without a word of Ordu in it.

use std::collections::BTreeSet;

/// The orders that somebody put into a cart, by their numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Items(pub(crate) BTreeSet<u64>);

impl Items {
    /// Puts an order in, and returns how many there are.
    pub(crate) fn add(&mut self, order: u64) -> usize {
        self.0.insert(order);
        self.0.len()
    }

    /// Takes in the items of another cart, and keeps all of both.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|order| order.to_le_bytes()).collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (orders, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(format!("{} bytes are no orders", bytes.len()));
        }
        Ok(Self(orders.iter().map(|&order| u64::from_le_bytes(order)).collect()))
    }

    /// Checks that it holds everything that customers were told is in it.
    pub(crate) fn check_holds(&self, told: impl IntoIterator<Item = u64>) -> Result<(), String> {
        match told.into_iter().find(|order| !self.0.contains(order)) {
            Some(order) => Err(format!("order {order} is lost; there are {}", self.0.len())),
            None => Ok(()),
        }
    }
}
