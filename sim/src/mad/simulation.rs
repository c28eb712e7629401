//! One simulation: a seed, a thread of its own, and a log whose hash must come out the same again.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use madsim::rand::RngCore;
use madsim::runtime::Runtime;
use madsim::time::TimeHandle;
use madsim::{Config, rand};
use ordu_core::{hash64_seeded, wire};

use crate::seeds::replay_command;

/// How long a simulation may last, on its own clock, before it is taken for one that hangs.
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a simulation says of itself, with its own times. A clone writes the same log.
#[derive(Clone, Debug)]
pub struct Log(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    hash: u64,
    lines: Vec<String>,
}

impl Log {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Lines { hash: seed, lines: Vec::new() })))
    }

    /// Writes that something happened, now.
    ///
    /// # Panics
    ///
    /// Panics outside a simulation, which has no now.
    pub fn note(&self, what: impl fmt::Display) {
        let line = format!("{:>12.6} {what}", TimeHandle::current().elapsed().as_secs_f64());
        let mut lines = self.lines();
        lines.hash = hash64_seeded(line.as_bytes(), lines.hash);
        lines.lines.push(line);
    }

    /// Returns what was written so far, a line each.
    pub fn written(&self) -> Vec<String> {
        self.lines().lines.clone()
    }

    /// Returns the hash of what was written so far.
    pub(crate) fn hash(&self) -> u64 {
        self.lines().hash
    }

    pub(crate) fn end(&self) -> u64 {
        // The next draw and the time at the end depend on every draw and every sleep before.
        let draw = rand::thread_rng().next_u64();
        let us = TimeHandle::current().elapsed().as_micros();
        let us = u64::try_from(us).expect("a simulation ends");
        hash64_seeded(&wire::encode(&(draw, us)), self.lines().hash)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Runs `body` as a simulation on `seed`, and returns a hash of its log, of its randomness and of
/// its time: equal for equal seeds.
///
/// It runs in a thread of its own, as the standard library's hash maps would differ in a second
/// simulation of one thread.
///
/// # Panics
///
/// Panics if `body` or anything it spawns does, after printing the seed, how to run it again, and
/// the log; and if it lasts over a day of its own time.
pub fn simulate<B, F>(seed: u64, body: B) -> u64
where
    B: FnOnce(Log) -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let log = Log::new(seed);
    let ours = log.clone();
    let run = move || live(seed, ours, body);
    match std::thread::spawn(run).join() {
        Ok(hash) => hash,
        Err(panic) => {
            let again = replay_command(seed);
            eprintln!("seed {seed}; again: {again}\n{}", log.written().join("\n"));
            std::panic::resume_unwind(panic)
        }
    }
}

/// Runs `body` in this thread, which has had no simulation before, and returns the hash.
pub(crate) fn live<B, F>(seed: u64, log: Log, body: B) -> u64
where
    B: FnOnce(Log) -> F,
    F: Future<Output = ()>,
{
    let mut runtime = Runtime::with_seed_and_config(seed, Config::default());
    runtime.set_time_limit(LIFE_MAX);
    runtime.block_on(async {
        body(log.clone()).await;
        log.end()
    })
}

/// Runs `body` twice on `seed`, and returns the hash of both runs.
///
/// # Panics
///
/// Panics as [`simulate`] does, and if the two runs differ: then something in `body` is not decided
/// by the seed, and the message says where it first showed.
pub fn replay<B, F>(seed: u64, body: B) -> u64
where
    B: Fn(Log) -> F + Clone + Send + 'static,
    F: Future<Output = ()>,
{
    let run = |body: B| {
        let (keep, kept) = std::sync::mpsc::channel();
        let hash = simulate(seed, move |log| {
            keep.send(log.clone()).expect("the caller waits");
            body(log)
        });
        (hash, kept.recv().expect("a simulation has a log").written())
    };
    let ((first, lines), (second, others)) = (run(body.clone()), run(body));
    if first != second {
        let same = lines.iter().zip(&others).take_while(|(a, b)| a == b).count();
        let next = |lines: &[String]| lines.get(same).map_or("the end", String::as_str).to_owned();
        panic!(
            "seed {seed} has two histories, {first:016x} and {second:016x}; after {same} lines:\n\
             {}\n{}",
            next(&lines),
            next(&others)
        );
    }
    first
}
