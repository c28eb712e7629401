//! What outlives the nodes of a cluster, as a value and as bytes, so that it outlives the cluster.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::entry::{Entry as _, Key, SpecEntry};
use crate::limits::{MEMBERS_MAX, VALUE_BYTES_MAX};
use crate::wire::{Broken, LONG_BYTES_MAX, Seal, decode_first, encode};
use crate::{Blob, Name, NodeId, Scope};

/// What a cluster holds that belongs to none of its nodes: the children that have not ended, the
/// metadata of registries, and the list of members if there is one.
///
/// [`Node::export`](crate::Node::export) makes it; [`Config::import`](crate::Config::import) lets a
/// cluster that starts anew begin with it. A child keeps its id, its name and its age; it begins
/// anew, with its first epoch, since what its processes had in memory is not here.
///
/// # Example
///
/// ```
/// use ordu_core::{Address, Config, Export, Node, NodeId, Time};
///
/// let config = Config::new(NodeId::new("a")?, Address::new("127.0.0.1:4000")?);
/// let before = Node::new(config.clone(), 7, Time::ZERO);
/// let kept: Vec<u8> = before.export().encode();
///
/// let import = Export::decode(&kept)?;
/// assert_eq!(import.children(), 0);
/// let after = Node::new(Config { import, ..config }, 8, Time::ZERO);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Export {
    /// The specifications of children: keys and entries, as they stand in journals.
    pub(crate) children: Vec<(Blob, Blob)>,
    pub(crate) metadata: Vec<(Scope, Name, Blob)>,
    pub(crate) members: Option<BTreeSet<NodeId>>,
}

impl Export {
    /// How every encoded export begins.
    const SEAL: Seal = Seal { magic: *b"ordu\0exp", format: 1 };

    /// Returns how many children there are.
    pub fn children(&self) -> usize {
        self.children.len()
    }

    /// Iterates over the registries that children have their names in.
    pub(crate) fn registries_of_children(&self) -> impl Iterator<Item = Scope> {
        let specs = self.children.iter().filter_map(|(_, entry)| SpecEntry::decode(entry));
        specs.filter_map(|entry| entry.spec.name.map(|(registry, _)| registry))
    }

    /// Returns how many pieces of metadata there are, of all registries.
    pub fn metadata(&self) -> usize {
        self.metadata.len()
    }

    /// Returns who may be a member, if there is a list.
    pub fn members(&self) -> Option<&BTreeSet<NodeId>> {
        self.members.as_ref()
    }

    /// Returns whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty() && self.metadata.is_empty() && self.members.is_none()
    }

    /// Returns the export as bytes: specifications and values as long as they are, and some 40
    /// bytes with each.
    pub fn encode(&self) -> Vec<u8> {
        Self::SEAL.put_on(encode(self))
    }

    /// Returns the export that `bytes` encode.
    ///
    /// Never panics, and allocates at most a multiple of the length of `bytes`, whatever they are.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeExportError> {
        let body = Self::SEAL.take_off(bytes).map_err(|broken| match broken {
            Broken::Other => DecodeExportError::NoExport,
            Broken::Format(format) => {
                DecodeExportError::OtherFormat { format, ours: Self::SEAL.format }
            }
            Broken::Truncated => DecodeExportError::Truncated { bytes: bytes.len() },
            Broken::TooLong(bytes) => {
                DecodeExportError::TooLong { bytes, max: LONG_BYTES_MAX as u64 }
            }
            Broken::Damaged => DecodeExportError::Damaged,
        })?;
        let malformed = |_| DecodeExportError::Malformed;
        let (export, used) = decode_first::<Self>(body).map_err(malformed)?;
        if used == body.len() && export.makes_sense() {
            Ok(export)
        } else {
            Err(DecodeExportError::Malformed)
        }
    }

    fn makes_sense(&self) -> bool {
        let is_spec = |(key, entry): &(Blob, Blob)| {
            matches!(Key::decode(key), Some(Key::Spec(..))) && SpecEntry::decode(entry).is_some()
        };
        let members = self.members.as_ref().is_none_or(|m| (1..=MEMBERS_MAX).contains(&m.len()));
        members
            && self.children.iter().all(is_spec)
            && self.metadata.iter().all(|(_, _, value)| value.len() <= VALUE_BYTES_MAX)
    }
}

/// Why bytes are no export that can be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeExportError {
    /// They are something else.
    #[error("the bytes are no export of a cluster")]
    NoExport,
    /// They are of a later or an earlier version of the encoding; read them with the program that
    /// wrote them.
    #[error("the export is of format {format}; this program reads format {ours}")]
    OtherFormat {
        /// Theirs.
        format: u16,
        /// Ours.
        ours: u16,
    },
    /// Something is missing at their end; look for a whole copy.
    #[error("the export is cut off after {bytes} bytes")]
    Truncated {
        /// How many there are.
        bytes: usize,
    },
    /// There are more than any export has.
    #[error("an export of {bytes} bytes is over the limit of {max}")]
    TooLong {
        /// How many there are said to be.
        bytes: u64,
        /// How many there may be.
        max: u64,
    },
    /// They are not those that were written; look for another copy.
    #[error("the export is damaged: its hash does not match")]
    Damaged,
    /// They were written as they are, but not by this crate.
    #[error("the bytes of the export do not mean anything")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export() -> Export {
        let scope = Scope::named("default");
        let entry = |text: &str| (scope, Name::new(text).unwrap(), Blob::from("value"));
        let members = BTreeSet::from([NodeId::new("a").unwrap()]);
        let metadata = ["one", "two"].map(entry).to_vec();
        Export { children: Vec::new(), metadata, members: Some(members) }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let export = export();
        assert_eq!(Export::decode(&export.encode()), Ok(export));
        assert!(Export::default().is_empty());
        assert_eq!(Export::decode(&Export::default().encode()), Ok(Export::default()));
    }

    #[test]
    fn whatever_is_done_to_the_bytes_is_noticed() {
        let bytes = export().encode();
        for length in 0..bytes.len() {
            assert!(Export::decode(&bytes[..length]).is_err(), "cut off after {length}");
        }
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            assert!(Export::decode(&altered).is_err(), "byte {place} is another one");
        }
        let altered = |place: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[place] = byte;
            Export::decode(&bytes).unwrap_err()
        };
        assert_eq!(altered(0, b'x'), DecodeExportError::NoExport);
        assert_eq!(altered(8, 2), DecodeExportError::OtherFormat { format: 2, ours: 1 });
        assert!(matches!(altered(17, 1), DecodeExportError::TooLong { .. }));
        assert_eq!(altered(bytes.len() - 1, 0xff), DecodeExportError::Damaged);
    }

    #[test]
    fn what_no_cluster_exports_is_refused() {
        let odd = [
            Export { children: [(Blob::from("key"), Blob::from("entry"))].into(), ..export() },
            Export { members: Some(BTreeSet::new()), ..export() },
            Export {
                metadata: [(
                    Scope::named("default"),
                    Name::new("long").unwrap(),
                    Blob::from(alloc::vec![0; VALUE_BYTES_MAX + 1]),
                )]
                .into(),
                ..export()
            },
        ];
        for export in odd {
            let decoded = Export::decode(&export.encode());
            assert_eq!(decoded, Err(DecodeExportError::Malformed));
        }
    }
}
