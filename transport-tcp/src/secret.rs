//! What the nodes of a cluster share and nobody else knows.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

/// The secret of a cluster, of at least 32 bytes. Never printed; wiped from memory with its last
/// clone.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Fewest bytes of a secret.
    pub const BYTES_MIN: usize = 32;

    /// Fewest different bytes in a secret; 32 random ones have about 30.
    const DISTINCT_MIN: usize = 8;

    /// Returns `bytes` as a secret.
    ///
    /// # Errors
    ///
    /// Refuses fewer than 32 bytes, and bytes that repeat so much that nobody drew them at random.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, SecretError> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < Self::BYTES_MIN {
            return Err(SecretError::TooShort { bytes: bytes.len() });
        }
        let mut seen = [false; 256];
        for &byte in bytes.iter() {
            seen[usize::from(byte)] = true;
        }
        if seen.iter().filter(|&&seen| seen).count() < Self::DISTINCT_MIN {
            return Err(SecretError::Repetitive);
        }
        Ok(Self(Arc::new(bytes)))
    }

    /// Returns the secret in the environment variable `variable`, read as text is ([`FromStr`]).
    ///
    /// # Errors
    ///
    /// As [`Secret::from_bytes`], and when the variable is not set or no text.
    pub fn from_env(variable: &str) -> Result<Self, SecretError> {
        let mut text = std::env::var(variable).map_err(|error| match error {
            std::env::VarError::NotPresent => {
                SecretError::NotSet { variable: String::from(variable) }
            }
            std::env::VarError::NotUnicode(_) => {
                SecretError::NotText { variable: String::from(variable) }
            }
        })?;
        let secret = text.parse();
        text.zeroize();
        secret
    }

    /// Returns the bytes of the secret.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    /// Reads a secret from text, without the white space around it.
    ///
    /// Text of hexadecimal digits alone (`openssl rand -hex 32`) is decoded, and what comes out
    /// must be long enough; any other text is taken as it stands.
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let digit = |byte: u8| (byte as char).to_digit(16).expect("all are digits") as u8;
            let pairs = text.as_bytes().chunks_exact(2);
            return Self::from_bytes(
                pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect::<Vec<u8>>(),
            );
        }
        Self::from_bytes(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why something is no secret. None of the variants shows a part of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The environment variable is not set; set it to the cluster's secret.
    #[error("environment variable {variable} is not set; it is to hold the cluster's secret")]
    NotSet {
        /// Its name.
        variable: String,
    },
    /// The environment variable holds no text; write binary secrets in hexadecimal digits.
    #[error("environment variable {variable} holds no text; write the secret in hexadecimal")]
    NotText {
        /// Its name.
        variable: String,
    },
    /// There are too few bytes; draw at least 32 at random.
    #[error(
        "a secret of {bytes} bytes is too short; draw at least {} at random, for example by \
         `openssl rand -hex 32`",
        Secret::BYTES_MIN
    )]
    TooShort {
        /// How many there are.
        bytes: usize,
    },
    /// The bytes repeat so much that they are easily guessed; draw at least 32 at random.
    #[error(
        "the secret repeats a few bytes; draw it at random, for example by `openssl rand -hex 32`"
    )]
    Repetitive,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn the_shortest_secret_has_32_bytes() {
        let bytes: Vec<u8> = (0..32).collect();
        assert!(Secret::from_bytes(bytes.clone()).is_ok());
        let error = Secret::from_bytes(&bytes[..31]).unwrap_err();
        assert_eq!(error, SecretError::TooShort { bytes: 31 });
        assert_eq!(Secret::from_bytes([]).unwrap_err(), SecretError::TooShort { bytes: 0 });
    }

    #[test]
    fn hexadecimal_text_is_decoded_before_it_is_measured() {
        let secret: Secret = format!(" {HEX}\n").parse().unwrap();
        assert_eq!(secret.expose(), (0..32).collect::<Vec<u8>>());
        let error = HEX[..62].parse::<Secret>().unwrap_err();
        assert_eq!(error, SecretError::TooShort { bytes: 31 });

        let text = "correct horse battery staple, twice over";
        assert_eq!(text.parse::<Secret>().unwrap().expose(), text.as_bytes());
    }

    #[test]
    fn a_secret_that_nobody_drew_is_refused() {
        assert_eq!(Secret::from_bytes([7; 64]).unwrap_err(), SecretError::Repetitive);
        assert_eq!("secret".repeat(9).parse::<Secret>().unwrap_err(), SecretError::Repetitive);
    }

    #[test]
    fn a_secret_is_never_printed() {
        let text = "a secret that must not be seen anywhere";
        let secret: Secret = text.parse().unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:?}", Some(&secret)), "Some(Secret(..))");
        let error = "too short, and not to be seen".parse::<Secret>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("seen"), "{error:?}");
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = Secret::from_env("ORDU_TEST_NO_SUCH_VARIABLE").unwrap_err();
        assert!(error.to_string().contains("ORDU_TEST_NO_SUCH_VARIABLE"), "{error}");
    }
}
