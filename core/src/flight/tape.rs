//! Inputs as bytes, one after the other.

use alloc::vec::Vec;

use crate::flight::payloads::Token;
use crate::flight::{DecodeDumpError, Payloads};
use crate::wire::{decode_first, encode_onto};
use crate::{Blob, Input, Time};

/// What one input is on a tape: whether a token stands for its payload, how many microseconds it
/// came after the one before, and the input.
type Entry<T> = (bool, u64, T);

/// Inputs with their times, encoded.
///
/// Invariant: no entry is spread over two chunks.
#[derive(Clone, Debug, Default)]
pub(super) struct Tape {
    chunks: Vec<Vec<u8>>,
    count: u64,
    bytes: usize,
}

impl Tape {
    /// Bytes after which a chunk is closed, so that a tape that grows is not copied.
    const CHUNK: usize = 32 << 10;

    /// Bytes beyond those that the last entry of a chunk may take without moving the chunk.
    const SPARE: usize = 1 << 10;

    /// Returns how many inputs are on it.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns how many bytes that takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the bytes, in order.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(Vec::as_slice)
    }

    /// Appends `input`, which came `after` microseconds after the one before. Returns how many
    /// bytes it takes.
    pub(super) fn push(&mut self, after: u64, input: &Input, payloads: Payloads) -> usize {
        if self.chunks.last().is_none_or(|chunk| Self::CHUNK <= chunk.len()) {
            self.chunks.push(Vec::with_capacity(Self::CHUNK + Self::SPARE));
        }
        let chunk = self.chunks.last_mut().expect("there is one by now");
        let before = chunk.len();
        match input.payload().filter(|_| payloads == Payloads::Hashed) {
            Some(payload) => {
                let token = Token::of(payload).encode();
                let mut input = input.clone();
                *input.payload_mut().expect("it was just seen") = token;
                let entry: Entry<&Input> = (true, after, &input);
                encode_onto(&entry, chunk);
            }
            None => {
                let entry: Entry<&Input> = (false, after, input);
                encode_onto(&entry, chunk);
            }
        }
        let bytes = chunk.len() - before;
        if Self::CHUNK + Self::SPARE < chunk.len() {
            chunk.shrink_to_fit();
        }
        self.count += 1;
        self.bytes += bytes;
        bytes
    }
}

/// Reads inputs off a tape that came from anywhere.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    now: Time,
}

impl<'a> Reader<'a> {
    /// Returns a reader of `bytes`, whose first time counts from `since`.
    pub(super) fn new(bytes: &'a [u8], since: Time) -> Self {
        Self { bytes, now: since }
    }

    /// Returns the next input with its time, as it is on the tape: with tokens, and whether so.
    fn next_entry(&mut self) -> Option<Result<(bool, Time, Input), DecodeDumpError>> {
        if self.bytes.is_empty() {
            return None;
        }
        Some(self.read())
    }

    fn read(&mut self) -> Result<(bool, Time, Input), DecodeDumpError> {
        let malformed = DecodeDumpError::Malformed;
        let (entry, used) = decode_first::<Entry<Input>>(self.bytes).map_err(|_| malformed)?;
        let (is_token, after, input) = entry;
        let now = self.now.as_micros().checked_add(after).ok_or(DecodeDumpError::Malformed)?;
        self.bytes = self.bytes.get(used..).unwrap_or_default();
        self.now = Time::from_micros(now);
        Ok((is_token, self.now, input))
    }

    /// Reads all that is left. Returns how many inputs that is.
    pub(super) fn check(mut self) -> Result<u64, DecodeDumpError> {
        let mut count = 0;
        while let Some(entry) = self.next_entry() {
            let (is_token, _, input) = entry?;
            let is_whole = !is_token || token_of(&input).is_some();
            if !is_whole {
                return Err(DecodeDumpError::Malformed);
            }
            count += 1;
        }
        Ok(count)
    }
}

impl Iterator for Reader<'_> {
    type Item = (Time, Input);

    /// Returns the next input of a tape that was checked, with stand-ins in place of tokens.
    fn next(&mut self) -> Option<Self::Item> {
        let (is_token, at, mut input) = self.next_entry()?.expect("the tape was checked");
        if is_token {
            let stand_in = token_of(&input).expect("the tape was checked").stand_in();
            *input.payload_mut().expect("the tape was checked") = stand_in;
        }
        Some((at, input))
    }
}

fn token_of(input: &Input) -> Option<Token> {
    input.payload().map(Blob::as_bytes).and_then(Token::decode)
}
