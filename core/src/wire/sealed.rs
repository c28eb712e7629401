//! Bytes that are kept in files: what they are, in which format, whole and unaltered.

use alloc::vec::Vec;

use crate::hash::hash64;
use crate::wire::LONG_BYTES_MAX;

/// What bytes in files begin with: what they are, and in which format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal {
    /// Tells them from all other files.
    pub(crate) magic: [u8; 8],
    /// The version of their encoding.
    pub(crate) format: u16,
}

/// Why bytes are not what was sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Broken {
    /// They begin otherwise.
    Other,
    /// They are in this format.
    Format(u16),
    /// Something is missing at their end.
    Truncated,
    /// There are said to be so many, more than there may be.
    TooLong(u64),
    /// They are not those that were sealed.
    Damaged,
}

impl Seal {
    /// Bytes before what is sealed: what it is, its format, its length and its hash.
    const HEADER: usize = 8 + 2 + 8 + 8;

    /// Returns `body` under this seal.
    pub(crate) fn put_on(self, mut body: Vec<u8>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::HEADER + body.len());
        bytes.extend_from_slice(&self.magic);
        bytes.extend_from_slice(&self.format.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&hash64(&body).to_le_bytes());
        bytes.append(&mut body);
        bytes
    }

    /// Returns what `bytes` hold under this seal.
    pub(crate) fn take_off(self, bytes: &[u8]) -> Result<&[u8], Broken> {
        let (magic, after) = bytes.split_first_chunk().ok_or(Broken::Truncated)?;
        if *magic != self.magic {
            return Err(Broken::Other);
        }
        let (format, after) = after.split_first_chunk().ok_or(Broken::Truncated)?;
        let format = u16::from_le_bytes(*format);
        if format != self.format {
            return Err(Broken::Format(format));
        }
        let (length, after) = after.split_first_chunk().ok_or(Broken::Truncated)?;
        let (hash, body) = after.split_first_chunk().ok_or(Broken::Truncated)?;
        let length = u64::from_le_bytes(*length);
        if (LONG_BYTES_MAX as u64) < length {
            return Err(Broken::TooLong(length));
        }
        if (body.len() as u64) < length {
            return Err(Broken::Truncated);
        }
        if body.len() as u64 != length || hash64(body) != u64::from_le_bytes(*hash) {
            return Err(Broken::Damaged);
        }
        Ok(body)
    }
}
