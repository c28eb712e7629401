//! What a fuzzer drives: plain functions from bytes to a panic, or to none.
//!
//! They are there for tests and fuzzers only: a handshake and its records are nobody else's to see.

pub use crate::handshake::fuzz::{HandshakeRun, handshake};
pub use crate::records::fuzz::{FrameRun, frame};

/// Bytes that are read from the front; past the end everything is zero.
pub(crate) struct Bytes<'b>(pub(crate) &'b [u8]);

impl<'b> Bytes<'b> {
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    pub(crate) fn take(&mut self, length: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests;
