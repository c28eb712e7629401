//! The machines of a world.

use std::fmt;

use ordu_core::{Address, NodeId};
use serde::{Deserialize, Serialize};

/// A machine of the world, and with it the node of the same name: `n1`, `n2` and so on.
///
/// Stored as its name.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(u16);

/// The first machine.
pub const N1: Host = Host(1);
/// The second machine.
pub const N2: Host = Host(2);
/// The third machine.
pub const N3: Host = Host(3);
/// The fourth machine.
pub const N4: Host = Host(4);
/// The fifth machine.
pub const N5: Host = Host(5);

impl Host {
    /// Returns the machine called `n{number}`; the first is 1.
    ///
    /// # Panics
    ///
    /// Panics if `number` is 0.
    pub const fn new(number: u16) -> Self {
        assert!(number > 0, "the first machine is n1");
        Self(number)
    }

    /// Returns the machine's number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Returns the name of the machine's node.
    pub fn id(self) -> NodeId {
        NodeId::new(self.to_string()).expect("n1 is a valid id")
    }

    /// Returns where the machine's node listens.
    pub fn address(self) -> Address {
        Address::new(format!("{self}:1")).expect("n1:1 is a valid address")
    }

    /// Returns the machine whose node is called `id`, if it is one of a world's.
    pub fn of(id: &NodeId) -> Option<Self> {
        Self::parse(id.as_str())
    }

    /// Returns the machine whose node listens at `address`, if it is one of a world's.
    pub fn at(address: &Address) -> Option<Self> {
        Self::parse(address.as_str().strip_suffix(":1")?)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('n')?;
        let is_canonical = digits.bytes().next().is_some_and(|first| matches!(first, b'1'..=b'9'));
        is_canonical.then(|| digits.parse().ok().map(Self)).flatten()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no machine; the first is \"n1\""))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_by_its_id_and_its_address() {
        for number in [1, 2, 17, u16::MAX] {
            let host = Host::new(number);
            assert_eq!(Host::of(&host.id()), Some(host));
            assert_eq!(Host::at(&host.address()), Some(host));
            assert_eq!(Host::try_from(String::from(host)), Ok(host));
        }
        for stranger in ["n0", "n", "m1", "n01", "n65536", "1"] {
            assert_eq!(Host::of(&NodeId::new(stranger).unwrap()), None, "{stranger}");
            assert!(Host::try_from(stranger.to_owned()).is_err(), "{stranger}");
        }
    }
}
