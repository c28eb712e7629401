//! The flight recorder of a running node: what it was told last, in memory, and in files when it
//! matters.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ordu_core::flight::{Dump, DumpError, Payloads, Reason, Recorder, Settings};
use ordu_core::transport::Runtime;
use ordu_core::{Config, Input, NodeId, Time, hash64};
use tokio::sync::oneshot;

/// A flight recorder: the last inputs of the node's state machine, kept in memory, and dumped into
/// files that can be replayed; given to [`NodeBuilder::flight_recorder`].
///
/// A file is written when two processes claim one thing and one of them runs here, at most once a
/// minute; when the state machine panics; and when [`Node::dump_flight`] asks for one. It is called
/// by the node, a number that rises, and the reason, and replaces no other. A dump is made by the
/// node's own task, which costs as much as to encode the node's state four times; it is written
/// elsewhere. What cannot be written is logged, and the node goes on.
///
/// See [`ordu_core::flight`] for what a dump holds and how to replay it, and for what a recorder
/// costs.
///
/// [`NodeBuilder::flight_recorder`]: crate::NodeBuilder::flight_recorder
/// [`Node::dump_flight`]: crate::Node::dump_flight
#[derive(Clone, Debug)]
#[must_use = "a node has to be given it"]
pub struct FlightRecorder {
    directory: PathBuf,
    settings: Settings,
    files_max: usize,
}

impl FlightRecorder {
    /// Files that a directory holds of one node before conflicts add no more.
    const FILES_MAX: usize = 16;

    /// Returns a recorder that writes its dumps into `directory`, which is created when the first
    /// one is written.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let (directory, settings) = (directory.into(), Settings::default());
        Self { directory, settings, files_max: Self::FILES_MAX }
    }

    /// Sets how many bytes of memory inputs and states take together; 8 MiB by default, 96 MiB at
    /// most, see [`Settings::bytes_max`]. A file takes about as much.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.settings.bytes_max = bytes;
        self
    }

    /// Sets what becomes of what processes say; by default only its length and its hash are kept,
    /// see [`Payloads`].
    pub fn payloads(mut self, payloads: Payloads) -> Self {
        self.settings.payloads = payloads;
        self
    }

    /// Sets how many files of this node the directory may hold before conflicts add no more; 16 by
    /// default. What a panic or a user asks for is always written. To take files away makes room.
    pub fn files_max(mut self, files: usize) -> Self {
        self.files_max = files;
        self
    }
}

/// The recorder of one running node.
pub(crate) struct Flight {
    recorder: Recorder,
    files: Arc<Files>,
    runtime: Arc<dyn Runtime>,
    /// When a conflict was dumped last.
    conflict_dumped: Option<Time>,
}

impl Flight {
    /// Least time between two dumps for conflicts.
    const CONFLICT_INTERVAL: Duration = Duration::from_secs(60);

    /// Creates the recorder of the machine that is made of the rest at `born`.
    pub(crate) fn new(
        described: FlightRecorder,
        config: &Config,
        seed: u64,
        born: Time,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let FlightRecorder { directory, settings, files_max } = described;
        let recorder = Recorder::new(config.clone(), seed, born, settings);
        let files = Arc::new(Files { directory, stem: stem_of(&config.id), files_max });
        Self { recorder, files, runtime, conflict_dumped: None }
    }

    /// Feeds `machine`, on the record. A panic goes on once it is on disk.
    pub(crate) fn feed(&mut self, machine: &mut ordu_core::Node, now: Time, input: Input) {
        self.recorder.record(now, &input, machine);
        let handled = catch_unwind(AssertUnwindSafe(|| machine.handle(now, input)));
        if let Err(panic) = handled {
            // The node is over, so that it may as well wait for its disk.
            match self.recorder.dump(Reason::Panic, None) {
                Ok(dump) => drop(self.files.write(&dump)),
                Err(error) => tracing::error!(%error, "the state machine panicked without a dump"),
            }
            resume_unwind(panic);
        }
    }

    /// Takes in that a process of the node met another one that claims the same.
    pub(crate) fn handle_conflict(&mut self, machine: &ordu_core::Node, now: Time) {
        let is_due = |last: Time| last + Self::CONFLICT_INTERVAL <= now;
        if !self.conflict_dumped.is_none_or(is_due) {
            return;
        }
        self.conflict_dumped = Some(now);
        match self.recorder.dump(Reason::Conflict, Some(machine)) {
            Ok(dump) => self.write(dump, |_| ()),
            Err(error) => tracing::warn!(%error, "a conflict was not dumped"),
        }
    }

    /// Dumps because somebody asked for it, who is told where to.
    pub(crate) fn dump(&self, machine: &ordu_core::Node, answer: Dumped) {
        // Whoever asked may be gone; then nobody wants the answer.
        match self.recorder.dump(Reason::Demand, Some(machine)) {
            Ok(dump) => self.write(dump, |written| drop(answer.send(written))),
            Err(source) => drop(answer.send(Err(DumpFlightError::NothingKept { source }))),
        }
    }

    /// Writes `dump` where the wait for a disk holds nobody up.
    fn write(
        &self,
        dump: Dump,
        then: impl FnOnce(Result<PathBuf, DumpFlightError>) + Send + 'static,
    ) {
        let files = Arc::clone(&self.files);
        let write = move || then(files.write(&dump));
        match tokio::runtime::Handle::try_current() {
            Ok(tokio) => drop(tokio.spawn_blocking(write)),
            // Another runtime knows no threads for this: a task of it has to do.
            Err(_) => self.runtime.spawn(Box::pin(async move { write() })),
        }
    }
}

/// Where the answer to a request for a dump goes.
pub(crate) type Dumped = oneshot::Sender<Result<PathBuf, DumpFlightError>>;

/// The files of one node.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
    /// What their names begin with.
    stem: String,
    files_max: usize,
}

impl Files {
    const EXTENSION: &str = "flight";

    /// Writes `dump` into a file of its own, and logs how that went.
    fn write(&self, dump: &Dump) -> Result<PathBuf, DumpFlightError> {
        let reason = dump.reason();
        let written = self.write_new(dump);
        match &written {
            Ok(path) => tracing::info!(path = %path.display(), %reason, "dumped the last inputs"),
            Err(error) => {
                let source = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(%error, source, %reason, "the last inputs were not dumped");
            }
        }
        written
    }

    fn write_new(&self, dump: &Dump) -> Result<PathBuf, DumpFlightError> {
        let failed = |path: &Path, source| {
            let path = path.to_owned();
            Err(DumpFlightError::Write { path, source })
        };
        if let Err(source) = fs::create_dir_all(&self.directory) {
            return failed(&self.directory, source);
        }
        let numbers = match self.numbers() {
            Ok(numbers) => numbers,
            Err(source) => return failed(&self.directory, source),
        };
        if dump.reason() == Reason::Conflict && self.files_max <= numbers.len() {
            return Err(DumpFlightError::TooManyFiles { files_max: self.files_max });
        }
        let mut number = numbers.into_iter().max().unwrap_or(0);
        loop {
            number += 1;
            let name = format!("{}.{number:06}.{}.{}", self.stem, dump.reason(), Self::EXTENSION);
            let path = self.directory.join(name);
            match write_file(&path, &dump.encode()) {
                Ok(()) => return Ok(path),
                // Somebody else writes for a node of this name; the number is theirs.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                Err(source) => return failed(&path, source),
            }
        }
    }

    /// Returns the numbers of the files that there are.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(&self.stem));
            let rest = rest.and_then(|rest| rest.strip_prefix('.'));
            let Some((number, rest)) = rest.and_then(|rest| rest.split_once('.')) else { continue };
            if rest.ends_with(Self::EXTENSION) {
                numbers.extend(number.parse::<u64>());
            }
        }
        Ok(numbers)
    }
}

/// Writes `bytes` into a file that was not there before, or leaves none.
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a dump is of no use; the first error is the one to tell.
        let _ = fs::remove_file(path);
    }
    written
}

/// Returns `node` as the beginning of a file's name: letters, digits, `-` and `_` stay, everything
/// else becomes `%` and its number, and a long name becomes its beginning and its hash.
fn stem_of(node: &NodeId) -> String {
    const STEM_MAX: usize = 96;
    let mut stem = String::new();
    for byte in node.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            stem.push(char::from(byte));
        } else {
            stem.push_str(&format!("%{byte:02x}"));
        }
    }
    if STEM_MAX < stem.len() {
        stem.truncate(STEM_MAX);
        stem.push_str(&format!("-{:016x}", hash64(node.as_str().as_bytes())));
    }
    stem
}

/// Why there is no dump.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpFlightError {
    /// The node was started without a flight recorder; give it one.
    #[error("the node has no flight recorder")]
    NoRecorder,
    /// The node is over, and with it what it kept.
    #[error("the node is over")]
    Over,
    /// The recorder keeps nothing at present.
    #[error("the flight recorder keeps nothing")]
    NothingKept {
        /// Why.
        source: DumpError,
    },
    /// There are as many files of this node as there may be; take some away.
    #[error("there are {files_max} dumps of this node already")]
    TooManyFiles {
        /// How many there may be.
        files_max: usize,
    },
    /// The file could not be written, and none is left; the recorder goes on.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file, or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ordu_core::{Address, ChildSpec, Command, Node, Scope};

    use super::*;
    use crate::testing::TestRuntime;

    /// Returns a directory that no other test uses.
    fn directory(test: &str) -> PathBuf {
        let name = format!("ordu-flight-{}-{test}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        directory
    }

    fn dumps_in(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).map(|entries| entries.collect::<Vec<_>>());
        let entries = entries.unwrap_or_default().into_iter();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn flight(node: &str, described: FlightRecorder) -> (Flight, Node) {
        let config = Config::new(NodeId::new(node).unwrap(), Address::new("a:1").unwrap());
        let flight = Flight::new(described, &config, 7, Time::ZERO, TestRuntime::shared());
        (flight, Node::new(config, 7, Time::ZERO))
    }

    fn waiting(ticket: u64) -> Input {
        let spec = ChildSpec::new("of nobody", "arguments");
        let command = Command::Start { scope: Scope::named("default"), spec };
        Input::Request { ticket, timeout: Duration::from_secs(5), command }
    }

    #[tokio::test]
    async fn a_machine_that_panics_leaves_a_dump_and_panics_all_the_same() {
        let directory = directory("panic");
        let (mut flight, mut machine) = flight("a/b", FlightRecorder::new(&directory));
        flight.feed(&mut machine, Time::ZERO, Input::Flush);
        flight.feed(&mut machine, Time::ZERO, waiting(1));
        // No ticket is used twice: the machine says so, and so it goes on.
        let panicked =
            catch_unwind(AssertUnwindSafe(|| flight.feed(&mut machine, Time::ZERO, waiting(1))));
        let text = *panicked.unwrap_err().downcast::<&str>().unwrap();
        assert!(text.contains("no ticket is used twice"), "{text}");

        assert_eq!(dumps_in(&directory), ["a%2fb.000001.panic.flight"]);
        let bytes = fs::read(directory.join("a%2fb.000001.panic.flight")).unwrap();
        let dump = Dump::decode(&bytes).unwrap();
        assert_eq!((dump.len(), dump.state_hash(), dump.reason()), (3, None, Reason::Panic));
        let again = catch_unwind(AssertUnwindSafe(|| dump.replay().map(|_| ())));
        let text = *again.unwrap_err().downcast::<&str>().unwrap();
        assert!(text.contains("no ticket is used twice"), "{text}");
        fs::remove_dir_all(&directory).unwrap();
    }

    /// Waits until there are `count` dumps in `directory`.
    async fn wait_for(directory: &Path, count: usize) {
        for _ in 0..2_000 {
            if dumps_in(directory).len() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?} instead of {count}", dumps_in(directory));
    }

    async fn dumped(flight: &Flight, machine: &Node) -> Result<PathBuf, DumpFlightError> {
        let (answer, answered) = oneshot::channel();
        flight.dump(machine, answer);
        answered.await.unwrap()
    }

    #[tokio::test]
    async fn conflicts_are_dumped_once_a_minute_and_not_without_end() {
        let directory = directory("conflicts");
        let (mut flight, machine) = flight("a", FlightRecorder::new(&directory).files_max(2));
        let minute = Flight::CONFLICT_INTERVAL;
        flight.handle_conflict(&machine, Time::ZERO);
        wait_for(&directory, 1).await;
        for early in [Duration::ZERO, minute - Duration::from_micros(1)] {
            flight.handle_conflict(&machine, Time::ZERO + early);
        }
        flight.handle_conflict(&machine, Time::ZERO + minute);
        wait_for(&directory, 2).await;
        let two = ["a.000001.conflict.flight", "a.000002.conflict.flight"];
        assert_eq!(dumps_in(&directory), two);

        // The directory is full, but not for a user. Afterwards every write was tried.
        flight.handle_conflict(&machine, Time::ZERO + minute * 2);
        let path = dumped(&flight, &machine).await.unwrap();
        assert!(path.ends_with("a.000003.demand.flight"), "{}", path.display());
        let full = flight.files.write(&flight.recorder.dump(Reason::Conflict, None).unwrap());
        assert!(matches!(full, Err(DumpFlightError::TooManyFiles { files_max: 2 })), "{full:?}");
        assert_eq!(dumps_in(&directory), [two[0], two[1], "a.000003.demand.flight"]);
        fs::remove_dir_all(&directory).unwrap();
    }

    /// Nothing that is there is written over, whoever wrote it, and numbers go on after a restart.
    #[tokio::test]
    async fn no_file_is_replaced_and_no_other_node_is_in_the_way() {
        let directory = directory("names");
        fs::create_dir_all(&directory).unwrap();
        for other in ["a.000007.panic.flight", "ab.000009.panic.flight", "a.x.panic.flight", "b"] {
            fs::write(directory.join(other), other).unwrap();
        }
        let (flight, machine) = flight("a", FlightRecorder::new(&directory));
        let path = dumped(&flight, &machine).await.unwrap();
        assert!(path.ends_with("a.000008.demand.flight"), "{}", path.display());
        assert_eq!(fs::read(directory.join("a.000007.panic.flight")).unwrap().len(), 21);
        fs::remove_dir_all(&directory).unwrap();
    }

    /// A disk that fails is somebody's problem, but not the node's.
    #[tokio::test]
    async fn a_directory_that_cannot_be_made_is_an_error_and_no_panic() {
        let file = directory("file");
        fs::write(&file, "in the way").unwrap();
        let (mut flight, machine) = flight("a", FlightRecorder::new(file.join("dumps")));
        flight.handle_conflict(&machine, Time::ZERO);
        let error = dumped(&flight, &machine).await.unwrap_err();
        assert!(matches!(error, DumpFlightError::Write { .. }), "{error:?}");
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn a_name_of_any_length_makes_a_file() {
        let longest = NodeId::new("é".repeat(127)).unwrap();
        let other = NodeId::new(format!("{}e", "é".repeat(126))).unwrap();
        assert!(stem_of(&longest).len() < 128);
        assert_ne!(stem_of(&longest), stem_of(&other));
        assert_eq!(stem_of(&NodeId::new("shop-1_x.y").unwrap()), "shop-1_x%2ey");
    }
}
