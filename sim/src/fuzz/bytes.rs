//! How targets draw numbers from the bytes they are given.

use std::time::Duration;

/// Bytes that are read from the front; past the end everything is zero.
pub(super) struct Bytes<'b>(pub(super) &'b [u8]);

impl<'b> Bytes<'b> {
    pub(super) fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    /// Returns a number below `end`, which is not zero.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % end
    }

    pub(super) fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Returns a number that is small, near the top, a power of two or anything.
    pub(super) fn odd_number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=127 => u64::from(small),
            high @ 128..=159 => u64::MAX - u64::from(high - 128),
            power @ 160..=223 => 1 << (power - 160),
            224..=255 => self.number(),
        }
    }

    /// Returns a duration that is short, usual, absurd or anything.
    pub(super) fn duration(&mut self, usual: Duration) -> Duration {
        match self.byte() {
            0..=63 => usual,
            64..=127 => usual.saturating_mul(u32::from(self.byte())) / 16,
            128..=159 => Duration::from_micros(u64::from(self.byte())),
            160..=191 => Duration::from_millis(u64::from(self.byte())),
            192..=207 => Duration::MAX / (u32::from(self.byte()) + 1),
            208..=223 => Duration::new(self.odd_number(), 0),
            224..=255 => Duration::from_micros(self.odd_number()),
        }
    }

    pub(super) fn take(&mut self, length: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
