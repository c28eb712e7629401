//! Cluster-wide names: what may be one, and why something is none.

use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::convert::Infallible;
use core::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Blob;
use crate::limits::NAME_BYTES_MAX;

/// A cluster-wide name, 1 to 512 bytes; text by custom, any bytes by right.
///
/// What is given as text (`&str`, `String`) must hold no control characters, which would garble
/// logs and are nearly always a mistake. What is given as bytes (`&[u8]`, `Vec<u8>`, `[u8; N]`,
/// [`Blob`]) is taken as it is. Names order and compare as their bytes do, so the text `"a"` and
/// the bytes `b"a"` are one name.
///
/// # Example
///
/// ```
/// use ordu_core::{Name, NameError};
///
/// assert_eq!(Name::new("cart/7")?, Name::new(b"cart/7")?);
/// assert_eq!(Name::new(""), Err(NameError::Empty));
/// assert_eq!(Name::new("a\nb"), Err(NameError::ControlCharacter { character: '\n', at: 1 }));
/// assert!(Name::new(b"a\nb").is_ok());
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(Blob);

impl Name {
    /// Returns `name` as a cluster-wide name.
    ///
    /// # Errors
    ///
    /// Refuses an empty name, one of more than 512 bytes, and text with control characters.
    pub fn new(name: impl TryInto<Self, Error: Into<NameError>>) -> Result<Self, NameError> {
        name.try_into().map_err(Into::into)
    }

    /// Returns the bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns `name` as a name, whatever its bytes are.
    fn of_bytes(name: Blob) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong { bytes: name.len(), max: NAME_BYTES_MAX });
        }
        Ok(Self(name))
    }
}

/// Why text or bytes are no name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given; give at least one byte.
    #[error("a name has at least one byte")]
    Empty,
    /// Too much was given; shorten it, or take its hash.
    #[error("a name of {bytes} bytes is over the limit of {max}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The text holds a control character, which would garble logs; leave it out, or give the name
    /// as bytes if it is meant.
    #[error("a name given as text holds the control character {character:?} at byte {at}")]
    ControlCharacter {
        /// The first one.
        character: char,
        /// The byte at which it begins, counted from 0.
        at: usize,
    },
}

impl From<Infallible> for NameError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        // The length first: who gave a novel is told so, whatever is in it.
        let name = Self::of_bytes(Blob::from(text))?;
        match text.char_indices().find(|(_, character)| character.is_control()) {
            Some((at, character)) => Err(NameError::ControlCharacter { character, at }),
            None => Ok(name),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::try_from(text.as_str())
    }
}

impl TryFrom<&String> for Name {
    type Error = NameError;

    fn try_from(text: &String) -> Result<Self, NameError> {
        Self::try_from(text.as_str())
    }
}

impl TryFrom<&[u8]> for Name {
    type Error = NameError;

    fn try_from(bytes: &[u8]) -> Result<Self, NameError> {
        Self::of_bytes(Blob::from(bytes))
    }
}

impl TryFrom<Vec<u8>> for Name {
    type Error = NameError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, NameError> {
        Self::of_bytes(Blob::from(bytes))
    }
}

impl<const N: usize> TryFrom<[u8; N]> for Name {
    type Error = NameError;

    fn try_from(bytes: [u8; N]) -> Result<Self, NameError> {
        Self::of_bytes(Blob::from(bytes.as_slice()))
    }
}

impl<const N: usize> TryFrom<&[u8; N]> for Name {
    type Error = NameError;

    fn try_from(bytes: &[u8; N]) -> Result<Self, NameError> {
        Self::of_bytes(Blob::from(bytes.as_slice()))
    }
}

impl TryFrom<Blob> for Name {
    type Error = NameError;

    fn try_from(bytes: Blob) -> Result<Self, NameError> {
        Self::of_bytes(bytes)
    }
}

impl From<&Self> for Name {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Name> for Blob {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of_bytes(Blob::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    #[test]
    fn text_and_bytes_of_all_sorts_are_names() {
        let name = Name::new("cart/7").unwrap();
        let text = String::from("cart/7");
        assert_eq!(Name::new(&text), Ok(name.clone()));
        assert_eq!(Name::new(text), Ok(name.clone()));
        assert_eq!(Name::new(b"cart/7"), Ok(name.clone()));
        assert_eq!(Name::new(*b"cart/7"), Ok(name.clone()));
        assert_eq!(Name::new(b"cart/7".as_slice()), Ok(name.clone()));
        assert_eq!(Name::new(b"cart/7".to_vec()), Ok(name.clone()));
        assert_eq!(Name::new(Blob::from("cart/7")), Ok(name.clone()));
        assert_eq!(Name::new(&name), Ok(name.clone()));
        assert_eq!(Name::new(name.clone()), Ok(name));
    }

    #[test]
    fn a_name_has_one_byte_to_512() {
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new([]), Err(NameError::Empty));
        assert!(Name::new(vec![0; NAME_BYTES_MAX]).is_ok());
        assert!(Name::new("ä".repeat(NAME_BYTES_MAX / 2)).is_ok());
        let over = NameError::TooLong { bytes: 513, max: 512 };
        assert_eq!(Name::new(vec![0; NAME_BYTES_MAX + 1]), Err(over.clone()));
        assert_eq!(Name::new("\n".repeat(513)), Err(over.clone()));
        assert_eq!(over.to_string(), "a name of 513 bytes is over the limit of 512");
    }

    #[test]
    fn text_with_control_characters_is_refused_and_bytes_are_not() {
        for (text, character, at) in
            [("\0", '\0', 0), ("ä\u{85}", '\u{85}', 2), ("cart\n7\t", '\n', 4)]
        {
            let refusal = NameError::ControlCharacter { character, at };
            assert_eq!(Name::new(text), Err(refusal));
            assert!(Name::new(text.as_bytes()).is_ok());
        }
        let refusal = Name::new("cart\n7").unwrap_err();
        assert!(refusal.to_string().ends_with("control character '\\n' at byte 4"), "{refusal}");
    }
}
