//! Three real processes, of which one is frozen in the middle of whatever it does.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use crate::processes::examples;

/// How long the slowest machine may take to do what a fast one does at once.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a lease is.
const LEASE: Duration = Duration::from_millis(600);

/// For how long whoever thawed is watched.
const WATCH: Duration = Duration::from_secs(3);

/// One poll of the child.
#[derive(Clone, Copy, Debug)]
struct Poll {
    node: usize,
    token: u64,
    /// The wall clock of the machine, as the child read it.
    at_us: u128,
}

/// What the children wrote on all nodes, as far as it was read.
type Polls = Arc<Mutex<Vec<Poll>>>;

/// A node process; it is killed with this value, even if it is frozen.
struct Process(Child);

impl Process {
    /// Starts the node `name`, number `node`, and waits until it listens; returns where.
    fn start(node: usize, name: &str, seed: Option<&str>, polls: &Polls) -> (Self, String) {
        let mut command = Command::new(examples().join("exclusive"));
        command.arg(name).arg(LEASE.as_millis().to_string()).args(seed);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was built");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (listens, listening) = mpsc::channel();
        let polls = Arc::clone(polls);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (first, second) = line.split_once(' ').unwrap();
                if first == "listening" {
                    listens.send(second.to_owned()).unwrap();
                    continue;
                }
                let (token, at_us) = (first.parse().unwrap(), second.parse().unwrap());
                polls.lock().unwrap().push(Poll { node, token, at_us });
            }
        });
        let process = Self(child);
        let address = listening.recv_timeout(PATIENCE).expect("a node listens once it runs");
        (process, address)
    }

    fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(self.0.id().cast_signed()).unwrap();
        kill_process(process, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the wall clock of this machine.
fn now_us() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()
}

/// Waits until `found` returns something of what was read.
fn wait<T>(polls: &Polls, what: &str, found: impl Fn(&[Poll]) -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = found(&polls.lock().unwrap()) {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(10));
    }
}

/// A process that slept through the end of its lease finds that it has ended, before it does
/// anything else.
#[test]
fn a_child_whose_node_was_frozen_beyond_its_lease_is_not_polled_when_it_thaws() {
    let polls = Polls::default();
    let (a, address) = Process::start(0, "a", None, &polls);
    let (b, _) = Process::start(1, "b", Some(&address), &polls);
    let (c, _) = Process::start(2, "c", Some(&address), &polls);
    let nodes = [a, b, c];

    for _ in 0..3 {
        // Whoever has the child works for a while, and is frozen then.
        let seen = polls.lock().unwrap().len();
        let works = |polls: &[Poll]| {
            let last = *polls.last()?;
            (seen + 20 < polls.len()).then_some(last)
        };
        let before = wait(&polls, "the child works", works);
        nodes[before.node].signal(Signal::STOP);
        let elsewhere = |polls: &[Poll]| {
            let after = polls.last().copied().filter(|last| last.node != before.node);
            after.filter(|last| before.token < last.token)
        };
        let after = wait(&polls, "the child works elsewhere", elsewhere);
        sleep(2 * LEASE);

        // It thaws, and its child was ready to be polled all along.
        let thawed_us = now_us();
        nodes[before.node].signal(Signal::CONT);
        sleep(WATCH);
        let polls = polls.lock().unwrap().clone();
        let late = polls.iter().find(|poll| poll.token <= before.token && thawed_us <= poll.at_us);
        assert!(late.is_none(), "{late:?} came after the thaw, {before:?} before the freeze");
        let goes_on = polls.iter().any(|poll| {
            after.token <= poll.token && thawed_us + WATCH.as_micros() / 2 < poll.at_us
        });
        assert!(goes_on, "the child works on: {after:?}");
    }
    drop(nodes);
    assert_exclusive(&polls.lock().unwrap());
}

/// Checks that whoever has one token worked before anybody with a higher one did.
fn assert_exclusive(polls: &[Poll]) {
    let tokens: BTreeSet<u64> = polls.iter().map(|poll| poll.token).collect();
    let mut before: Option<Poll> = None;
    for token in tokens {
        let of_it = || polls.iter().filter(|poll| poll.token == token);
        let first = of_it().min_by_key(|poll| poll.at_us).unwrap();
        let last = of_it().max_by_key(|poll| poll.at_us).unwrap();
        assert_eq!(first.node, last.node, "two nodes have one token");
        if let Some(before) = before {
            assert!(before.at_us < first.at_us, "two at once: {before:?} and {first:?}");
        }
        before = Some(*last);
    }
}
