//! The one hash that all nodes must agree on.
//!
//! XXH3 by its published specification, over bytes in an order we choose. Not `core::hash::Hash`:
//! that may feed other bytes on another machine or compiler, and all nodes must place alike. Golden
//! vectors in `core/tests` hold it still.

use xxhash_rust::xxh3;

/// Returns the 64-bit hash of `bytes`.
pub fn hash64(bytes: &[u8]) -> u64 {
    xxh3::xxh3_64(bytes)
}

/// Returns the 64-bit hash of `bytes` under `seed`; different seeds give unrelated hashes.
pub fn hash64_seeded(bytes: &[u8], seed: u64) -> u64 {
    xxh3::xxh3_64_with_seed(bytes, seed)
}

/// Returns the 128-bit hash of `bytes`.
pub fn hash128(bytes: &[u8]) -> u128 {
    xxh3::xxh3_128(bytes)
}
