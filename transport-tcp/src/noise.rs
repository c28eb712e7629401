//! Noise, as far as sessions need it: the key, the handshake's parts, the channel after it.

use std::fmt;

use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState, StatelessTransportState};
use zeroize::Zeroizing;

use crate::secret::Secret;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// Said before the cluster's name when its key is derived, so that the secret serves nothing else.
const KEY_LABEL: &[u8] = b"ordu session key 1\0";

/// Bytes that the channel adds to what it seals.
pub(crate) const TAG_BYTES: usize = 16;

/// The key of a cluster's sessions; wiped when dropped.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Returns the key that the nodes of `cluster` derive from `secret`.
///
/// HKDF as Noise defines it (HMAC-BLAKE2s, RFC 5869 with empty information), by snow's own tools:
/// the salt is the hash of a label and the cluster's name, so that two clusters with one secret
/// still do not understand each other.
pub(crate) fn derive_key(secret: &Secret, cluster: &str) -> Key {
    let mut hash = DefaultResolver.resolve_hash(&HashChoice::Blake2s).expect("BLAKE2s is built in");
    let mut salt = [0; 64];
    hash.reset();
    hash.input(KEY_LABEL);
    hash.input(cluster.as_bytes());
    hash.result(&mut salt);

    let mut out = Zeroizing::new([0; 64]);
    hash.hkdf(&salt[..hash.hash_len()], secret.expose(), 1, &mut out[..], &mut [], &mut []);
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&out[..32]);
    assert!(key.iter().any(|&byte| byte != 0), "a hash is not all zeros");
    key
}

/// Returns one side of a handshake, with `entropy` as its only randomness.
pub(crate) fn handshake(
    dialer: bool,
    key: &Key,
    prologue: &[u8],
    entropy: [u8; 32],
) -> HandshakeState {
    let params: NoiseParams = PATTERN.parse().expect("the pattern is a valid one");
    let builder = Builder::with_resolver(params, Box::new(Resolver { entropy }))
        .psk(0, key)
        .and_then(|builder| builder.prologue(prologue))
        .expect("each is given once");
    let side = if dialer { builder.build_initiator() } else { builder.build_responder() };
    side.expect("all that the pattern needs is built in")
}

/// Snow's own primitives, and one key's worth of randomness from outside.
struct Resolver {
    entropy: [u8; 32],
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Entropy(Some(self.entropy))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// 32 bytes that are given once: the ephemeral key is all that the pattern draws.
struct Entropy(Option<[u8; 32]>);

impl Random for Entropy {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let entropy = self.0.take().ok_or(Error::Rng)?;
        if bytes.len() != entropy.len() {
            return Err(Error::Rng);
        }
        bytes.copy_from_slice(&entropy);
        Ok(())
    }
}

/// What seals and opens once the handshake is over; in plain sessions it only copies.
///
/// Every sealed piece has a number, counted by each side for each direction from zero and never
/// sent: whatever is lost, repeated, moved or changed on the way does not open.
pub(crate) enum Channel {
    /// Loopback without a secret.
    Plain,
    /// Everything else.
    Noise(Box<StatelessTransportState>),
}

impl Channel {
    /// Returns how many bytes sealing adds.
    pub(crate) fn overhead(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Noise(_) => TAG_BYTES,
        }
    }

    /// Appends `plain`, sealed as the piece called `number`, to `out`.
    pub(crate) fn seal(&self, number: u64, plain: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Plain => out.extend_from_slice(plain),
            Self::Noise(state) => {
                let start = out.len();
                out.resize(start + plain.len() + TAG_BYTES, 0);
                let sealed = state
                    .write_message(number, plain, &mut out[start..])
                    .expect("the piece fits into a Noise message");
                assert!(sealed == plain.len() + TAG_BYTES, "sealing adds a tag and nothing else");
            }
        }
    }

    /// Puts what `sealed` holds into `plain`, or says that it is not the piece called `number`.
    pub(crate) fn open(
        &self,
        number: u64,
        sealed: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), NotSealed> {
        plain.clear();
        match self {
            Self::Plain => plain.extend_from_slice(sealed),
            Self::Noise(state) => {
                plain.resize(sealed.len(), 0);
                let opened = state.read_message(number, sealed, plain).map_err(|_| NotSealed)?;
                plain.truncate(opened);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Noise(_) => "Noise(..)",
        })
    }
}

/// The bytes are not what the peer sealed at this place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotSealed;
