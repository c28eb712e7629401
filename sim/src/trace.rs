//! What happened: one hash of everything, and the last of it to read.

use std::collections::VecDeque;
use std::fmt;

use ordu_core::{Input, Output, Time, hash64, hash64_seeded, wire};
use serde::{Deserialize, Serialize};

use crate::Host;

/// How many of the last happenings are kept for reading.
const TAIL_MAX: usize = 200;

/// The record of one run of a world.
///
/// Two runs of one seed must agree on the hash; it covers every input and output of every node with
/// its time, and every fault.
pub(crate) struct Trace {
    hash: u64,
    count: u64,
    /// How often something was done to the world, since it was set up.
    deeds: u64,
    /// The last happenings, encoded: cheap to keep, and hardly ever read.
    tail: VecDeque<Vec<u8>>,
    listener: Option<Listener>,
}

/// Whoever hears of every happening.
pub(crate) type Listener = Box<dyn FnMut(&Line) + Send>;

/// One happening.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// When, on true time.
    pub(crate) at: Time,
    /// Where, if it happened to one machine.
    pub(crate) host: Option<Host>,
    /// What.
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Debug, Deserialize)]
pub(crate) enum What {
    /// A node was told something.
    Input(Input),
    /// A node asked for something.
    Output(Output),
    /// The world did something.
    Note(String),
}

/// What happened, as it is recorded; the variants are those of [`What`].
#[derive(Clone, Copy, Serialize)]
enum Happening<'a> {
    Input(&'a Input),
    Output(&'a Output),
    Note(&'a str),
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        let tail = VecDeque::with_capacity(TAIL_MAX);
        Self { hash: seed, count: 0, deeds: 0, tail, listener: None }
    }

    /// Lets `listener` hear of every happening from now on.
    pub(crate) fn listen(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    /// Records what a node was told.
    pub(crate) fn input(&mut self, at: Time, host: Host, input: &Input) {
        self.record(at, Some(host), Happening::Input(input));
    }

    /// Records what a node asked for; returns [`hash_of`] that.
    pub(crate) fn output(&mut self, at: Time, host: Host, output: &Output) -> u64 {
        self.record(at, Some(host), Happening::Output(output))
    }

    /// Records something that was done to the world: a fault, or the end of one.
    pub(crate) fn note(&mut self, at: Time, host: Option<Host>, note: String) {
        self.deeds += 1;
        self.remark(at, host, &note);
    }

    /// Returns how often something was done to the world since it was set up.
    pub(crate) fn deeds(&self) -> u64 {
        self.deeds
    }

    /// Takes in that the world is set up: what comes now is done to it.
    pub(crate) fn set_up(&mut self) {
        self.deeds = 0;
    }

    /// Records something that befell a frame or a process.
    pub(crate) fn remark(&mut self, at: Time, host: Option<Host>, note: &str) {
        self.record(at, host, Happening::Note(note));
    }

    /// Returns the hash of everything recorded.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Records `happening`; returns the hash of it alone, without when and where.
    fn record(&mut self, at: Time, host: Option<Host>, happening: Happening<'_>) -> u64 {
        let full = self.tail.len() == TAIL_MAX;
        let mut bytes = if full { self.tail.pop_front() } else { None }.unwrap_or_default();
        bytes.clear();
        wire::encode_onto(&(at, host.map(Host::number)), &mut bytes);
        let when_and_where = bytes.len();
        wire::encode_onto(&happening, &mut bytes);
        self.hash = hash64_seeded(&bytes, self.hash);
        self.count += 1;
        if let Some(listener) = &mut self.listener
            && let Some(line) = Line::decode(&bytes)
        {
            listener(&line);
        }
        let hash = hash64(&bytes[when_and_where..]);
        self.tail.push_back(bytes);
        hash
    }
}

/// Returns a hash of `output`, whenever and wherever it was asked for.
pub(crate) fn hash_of(output: &Output) -> u64 {
    hash64(&wire::encode(&Happening::Output(output)))
}

impl Line {
    /// Returns the line that was recorded as `bytes`, unless it is longer than any frame.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (at, host, what): (Time, Option<u16>, What) = wire::decode(bytes).ok()?;
        Some(Self { at, host: host.map(Host::new), what })
    }
}

/// Shows the tail, one line for each happening.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.tail.len() as u64;
        writeln!(f, "the last {shown} of {} happenings:", self.count)?;
        for bytes in &self.tail {
            match Line::decode(bytes) {
                Some(line) => writeln!(f, "{line}")?,
                None => writeln!(f, "a happening of {} bytes", bytes.len())?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.map(|host| host.to_string()).unwrap_or_default();
        write!(f, "{:>12} {host:>3} ", self.at.to_string())?;
        match &self.what {
            What::Input(input) => write!(f, "<- {input:?}"),
            What::Output(output) => write!(f, "-> {output:?}"),
            What::Note(note) => write!(f, "** {note}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{N1, N2};

    #[test]
    fn the_hash_tells_apart_times_hosts_and_orders() {
        let hash = |inputs: &[(u64, Host, Input)]| {
            let mut trace = Trace::new(0);
            for (ms, host, input) in inputs {
                trace.input(Time::from_millis(*ms), *host, input);
            }
            trace.hash()
        };
        let one = hash(&[(1, N1, Input::Flush), (1, N2, Input::Tick)]);
        assert_eq!(one, hash(&[(1, N1, Input::Flush), (1, N2, Input::Tick)]));
        assert_ne!(one, hash(&[(1, N2, Input::Tick), (1, N1, Input::Flush)]));
        assert_ne!(one, hash(&[(2, N1, Input::Flush), (2, N2, Input::Tick)]));
        assert_ne!(one, hash(&[(1, N2, Input::Flush), (1, N1, Input::Tick)]));
    }

    #[test]
    fn the_tail_is_bounded_and_ends_with_the_last() {
        let mut trace = Trace::new(0);
        for ms in 0..1_000 {
            trace.input(Time::from_millis(ms), N1, &Input::Tick);
        }
        let shown = trace.to_string();
        assert_eq!(shown.lines().count(), TAIL_MAX + 1);
        assert!(shown.lines().last().unwrap().contains("0.999000s  n1 <- Tick"), "{shown}");
    }
}
