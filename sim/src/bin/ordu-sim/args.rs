//! What the command line asks for.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use ordu_sim::explain::Subject;
use ordu_sim::plan::{Choice, Protocol};

/// How the command is used.
pub(crate) const USAGE: &str = "\
ordu-sim soak [--seeds N] [--base-seed SEED] [--minutes M] [--jobs N] [--profile NAME]
              [--failures-max N] [--summary FILE] [--failures DIR] [--junit FILE]
              [--all-marks] [--no-shrink] [--json]
ordu-sim enumerate [--seed SEED] [--protocol NAME] [--pairs] [--jobs N] [--failures DIR]
                   [--no-shrink] [--json]
ordu-sim run [--seed SEED] [--profile NAME] [--failures DIR] [--trace FILE] [--no-shrink] [--json]
ordu-sim replay FILE [--trace FILE] [--keep DIR] [--json]
ordu-sim explain [FILE | --seed SEED] (--name NAME | --child ID)
ordu-sim shrink FILE [--minutes M] [--json]
ordu-sim list [--json]

soak     runs many seeds; the first is taken from the commit unless --base-seed gives it. With
         --summary it goes on where the file says that it stopped, and saves there. --minutes ends
         it early, and so do --failures-max failures, 20 unless told otherwise; --all-marks makes it
         fail if a state worth reaching was never reached.
enumerate
         lets each kind of fault befall each message of some short protocols, and with --pairs two
         of them; what chance would leave out is met, too. --protocol picks one of them.
run      runs one seed, and prints its verdict and the hash of its trace.
replay   runs a failure file, or the dump of a node, twice; --keep copies it to where tests look.
explain  tells what happened to one name or child, machine by machine.
shrink   makes a failure file smaller, in place.
list     names the profiles (beside `any`, which is usual, and `directed`, which is all of the
         directed ones in turn), the presets of networks, the promises and the marks.

Ends with 0 if all promises held; else with 127 after a panic, 128 if something did not come to
pass, 129 if something was that must never be, 130 if a run was not the same twice, 131 if there was
too much of something. 2 is for a command that makes no sense.";

/// After how many failures a soak stops, unless told otherwise: it has enough to look into.
const FAILURES_MAX: usize = 20;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) task: Task,
    pub(crate) seed: Option<u64>,
    pub(crate) seeds: u64,
    pub(crate) choice: Choice,
    pub(crate) jobs: usize,
    pub(crate) within: Option<Duration>,
    pub(crate) failures_max: usize,
    pub(crate) summary: Option<PathBuf>,
    pub(crate) failures: PathBuf,
    pub(crate) junit: Option<PathBuf>,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) keep: Option<PathBuf>,
    pub(crate) subject: Option<Subject>,
    pub(crate) all_marks: bool,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) pairs: bool,
    pub(crate) shrinks: bool,
    pub(crate) json: bool,
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    Help,
    List,
    Soak,
    Enumerate,
    Run,
    Replay(PathBuf),
    Explain(Option<PathBuf>),
    Shrink(PathBuf),
}

impl Args {
    /// Reads the command line.
    pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut args = Self {
            task: Task::Help,
            seed: None,
            seeds: 100,
            choice: Choice::Any,
            jobs: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            within: None,
            failures_max: FAILURES_MAX,
            summary: None,
            failures: PathBuf::from("target/ordu-sim"),
            junit: None,
            trace: None,
            keep: None,
            subject: None,
            all_marks: false,
            protocol: None,
            pairs: false,
            shrinks: true,
            json: false,
        };
        let mut words = Vec::new();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(word) => words.push(PathBuf::from(word)),
                Short('h') | Long("help") => return Ok(Self { task: Task::Help, ..args }),
                Long("seed" | "base-seed") => args.seed = Some(parser.value()?.parse()?),
                Long("seeds") => args.seeds = parser.value()?.parse()?,
                Long("profile") => args.choice = parser.value()?.parse()?,
                Long("jobs") => args.jobs = parser.value()?.parse::<NonZeroUsize>()?.get(),
                Long("minutes") => {
                    let minutes = parser.value()?.parse_with(minutes)?;
                    args.within = Some(minutes);
                }
                Long("failures-max") => {
                    args.failures_max = parser.value()?.parse::<NonZeroUsize>()?.get();
                }
                Long("summary") => args.summary = Some(parser.value()?.into()),
                Long("failures") => args.failures = parser.value()?.into(),
                Long("junit") => args.junit = Some(parser.value()?.into()),
                Long("trace") => args.trace = Some(parser.value()?.into()),
                Long("keep") => args.keep = Some(parser.value()?.into()),
                Long("name") => args.subject = Some(Subject::Name(parser.value()?.string()?)),
                Long("child") => args.subject = Some(Subject::Child(parser.value()?.string()?)),
                Long("all-marks") => args.all_marks = true,
                Long("protocol") => args.protocol = Some(parser.value()?.parse()?),
                Long("pairs") => args.pairs = true,
                Long("no-shrink") => args.shrinks = false,
                Long("json") => args.json = true,
                Short(_) | Long(_) => return Err(argument.unexpected()),
            }
        }
        args.task = task(words)?;
        Ok(args)
    }
}

fn task(words: Vec<PathBuf>) -> Result<Task, lexopt::Error> {
    let mut words = words.into_iter();
    let Some(command) = words.next() else { return Err("nothing is asked for".into()) };
    let file = words.next();
    if let Some(more) = words.next() {
        return Err(format!("{more:?} is too much").into());
    }
    let command = command.to_string_lossy().into_owned();
    match (command.as_str(), file) {
        ("list", None) => Ok(Task::List),
        ("soak", None) => Ok(Task::Soak),
        ("enumerate", None) => Ok(Task::Enumerate),
        ("run", None) => Ok(Task::Run),
        ("replay", Some(file)) => Ok(Task::Replay(file)),
        ("explain", file) => Ok(Task::Explain(file)),
        ("shrink", Some(file)) => Ok(Task::Shrink(file)),
        ("replay" | "shrink", None) => Err(format!("{command} needs a file").into()),
        ("list" | "soak" | "enumerate" | "run", Some(file)) => {
            Err(format!("{command} takes no file, so what is {file:?}?").into())
        }
        (command, _) => Err(format!("there is no command {command:?}").into()),
    }
}

/// Reads a number of minutes, which need not be whole.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    Duration::try_from_secs_f64(minutes * 60.0).map_err(|error| error.to_string())
}
