//! One run of a plan with the whole shell, from the forming of the cluster to the verdict.
//!
//! The shape is that of the step-driven runs: the cluster forms, the steps of the plan are carried
//! out, a core is left alone and must come to rest. What a runtime cannot do is skipped and
//! counted.

mod apply;
mod ending;
mod rest;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ordu::{ChildId, Time};

use crate::mad::actor::add_kinds;
use crate::mad::ledger::Ledger;
use crate::mad::simulation::live;
use crate::mad::{Cluster, Log, Medium};
use crate::plan::{Plan, zone_of};
use crate::run::{Tally, silence};
use crate::topology::Topology;
use crate::verdict::{Class, Verdict, Violation};
use crate::{Host, Network};

/// How long the nodes have to find each other.
const FORMING: Duration = Duration::from_secs(30);
/// Pause between two looks at whether something has come about.
const LOOK: Duration = Duration::from_millis(250);
/// How many of the last lines of its log a report holds.
const TAIL: usize = 200;

/// What became of a run with the whole shell.
#[derive(Clone, Debug)]
pub struct Report {
    /// How the nodes reached each other.
    pub medium: Medium,
    /// Whether every promise held.
    pub verdict: Verdict,
    /// A hash of everything that users could have observed, of all randomness and all time: equal
    /// whenever the same plan is run by the same code.
    pub trace_hash: u64,
    /// How much of everything there was.
    pub tally: Tally,
    /// How many steps of the plan could not be carried out here, whatever the state of the
    /// machines: faults that the runtime or the medium does not have, and messages of users' own.
    pub skipped: u64,
    /// The last happenings, to read.
    pub tail: Vec<String>,
}

/// What of a run outlives it.
#[derive(Default)]
struct Outcome {
    violation: Option<Violation>,
    tally: Tally,
    skipped: u64,
}

/// Runs `plan` with real nodes on `medium`.
pub fn run(plan: &Plan, medium: Medium) -> Report {
    run_logged(plan, medium).0
}

/// Runs `plan` twice; two runs that differ are themselves a failure, of the class
/// [`NonDeterminism`](Class::NonDeterminism), which says where they first differ.
pub fn run_twice(plan: &Plan, medium: Medium) -> Report {
    compare(run_logged(plan, medium), run_logged(plan, medium))
}

/// Returns the first of two runs of one plan, as a failure if the second one differs.
fn compare(
    (first, lines): (Report, Vec<String>),
    (second, others): (Report, Vec<String>),
) -> Report {
    if first.trace_hash == second.trace_hash {
        return first;
    }
    let same = lines.iter().zip(&others).take_while(|(a, b)| a == b).count();
    let next = |lines: &[String]| lines.get(same).cloned().unwrap_or_else(|| "the end".to_owned());
    let (a, b) = (next(&lines), next(&others));
    let reason = format!("one plan has two histories; after {same} lines: {a:?} and {b:?}");
    let class = Class::NonDeterminism;
    let violation = Violation { class, promise: "S31".to_owned(), reason, at_us: 0 };
    Report { verdict: Verdict::Failed(violation), ..first }
}

fn run_logged(plan: &Plan, medium: Medium) -> (Report, Vec<String>) {
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let log = Log::new(plan.seed);
    let (plan, ours, kept) = (plan.clone(), log.clone(), Arc::clone(&outcome));
    // A thread of its own: the standard library's hash maps differ in a second simulation of one.
    let simulation = std::thread::spawn(move || {
        let body = || live(plan.seed, ours, async |log| go(&plan, medium, &log, &kept).await);
        silence::keep(|| catch_unwind(AssertUnwindSafe(body)))
            .map_err(|panic| (panic_text(panic.as_ref()), silence::last_place()))
    });
    let ended = simulation.join().expect("what panics in a run is caught");
    let outcome = std::mem::take(&mut *outcome.lock().unwrap_or_else(PoisonError::into_inner));
    let (trace_hash, violation) = match ended {
        Ok(hash) => (hash, outcome.violation),
        Err((text, place)) => {
            let reason = format!("{text} {}", place.unwrap_or_default()).trim_end().to_owned();
            let broken =
                Violation { class: Class::Panic, promise: "S29".to_owned(), reason, at_us: 0 };
            (log.hash(), Some(broken))
        }
    };
    let lines = log.written();
    let tail = lines[lines.len().saturating_sub(TAIL)..].to_vec();
    let verdict = violation.map_or(Verdict::Passed, Verdict::Failed);
    let Outcome { tally, skipped, .. } = outcome;
    (Report { medium, verdict, trace_hash, tally, skipped, tail }, lines)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
}

/// Runs `plan`, and leaves what became of it in `outcome`.
async fn go(plan: &Plan, medium: Medium, log: &Log, outcome: &Mutex<Outcome>) {
    let mut run = Run::new(plan, medium, log);
    let broken = run.go().await.err();
    if let Some(violation) = &broken {
        log.note(violation);
    }
    let mut tally = run.ledger.pages().tally;
    tally.runs = 1;
    tally.virtual_ms = run.cluster.now().as_micros() / 1_000;
    tally.lives = run.lives;
    tally.rest_ms_max = run.rest_ms;
    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
    *outcome = Outcome { violation: broken, tally, skipped: run.skipped };
}

/// How a machine is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Condition {
    /// Its node runs.
    Up,
    /// It is frozen.
    Frozen,
    /// It is frozen for good; to all others it is dead, and does not even refuse.
    Dark,
    /// It was killed.
    Dead,
    /// Its node has ended by itself.
    Over,
}

/// A run under way.
struct Run<'p> {
    plan: &'p Plan,
    cluster: Cluster,
    ledger: Ledger,
    conditions: BTreeMap<Host, Condition>,
    /// What is cut, so that only that is mended.
    cuts: Vec<Topology>,
    /// How many lives nodes have had.
    lives: u64,
    skipped: u64,
    rest_ms: u64,
}

impl<'p> Run<'p> {
    fn new(plan: &'p Plan, medium: Medium, log: &Log) -> Self {
        let ledger = Ledger::open(log);
        let (tuning, hearing) = (plan.setup.tuning, ledger.clone());
        let ms = Duration::from_millis;
        let describe = move |host, builder| {
            let (key, zone) = zone_of(host);
            let builder = add_kinds(builder).label(key, zone);
            let builder = match tuning.max_children {
                Some(children) => builder.max_children(children),
                None => builder,
            };
            builder
                .failure_timeout(ms(tuning.failure_timeout_ms))
                .beat_interval(ms(tuning.beat_interval_ms))
                .digest_interval(ms(tuning.digest_interval_ms))
                .forget_after(ms(tuning.forget_after_ms))
                .conflict_grace(ms(tuning.conflict_grace_ms))
                .backoff(ms(100), ms(tuning.backoff_max_ms))
                .starts_at_once(tuning.starts_at_once)
                .delta_limits(tuning.delta_entries_max, tuning.delta_bytes_max)
                .push_to_all_max(tuning.push_to_all_max)
                .redistribution(tuning.redistribution())
        };
        let hosts = plan.setup.hosts;
        let hear = move |host, told: &_| hearing.hear(host, told);
        let mut cluster = Cluster::boot_heard(log, medium, hosts, describe, hear);
        cluster.set_weather(&Network::lan());
        let conditions = (1..=hosts).map(|number| (Host::new(number), Condition::Up)).collect();
        let lives = u64::from(hosts);
        let (cuts, skipped, rest_ms) = (Vec::new(), 0, 0);
        Self { plan, cluster, ledger, conditions, cuts, lives, skipped, rest_ms }
    }

    async fn go(&mut self) -> Result<(), Violation> {
        let begun = self.cluster.now();
        while !self.cluster.know_each_other() {
            if begun + FORMING <= self.cluster.now() {
                return Err(self.liveness("L9", "the nodes have not found each other".to_owned()));
            }
            self.pass(LOOK).await?;
        }
        let plan = self.plan;
        let formed = self.cluster.now();
        self.cluster.set_weather(&plan.setup.network);
        for step in &plan.steps {
            self.pass_until(formed + Duration::from_millis(step.at_ms)).await?;
            self.apply(&step.action);
        }
        self.pass_until(formed + Duration::from_millis(plan.ends_ms)).await?;
        self.end().await
    }

    async fn pass_until(&mut self, at: Time) -> Result<(), Violation> {
        self.pass(at.since(self.cluster.now())).await
    }

    /// Lets `duration` pass, and looks at whether a promise was broken meanwhile.
    async fn pass(&mut self, duration: Duration) -> Result<(), Violation> {
        if !duration.is_zero() {
            self.cluster.pass(duration).await;
        }
        self.note_ends();
        match &self.ledger.pages().violation {
            None => Ok(()),
            Some(violation) => Err(violation.clone()),
        }
    }

    /// Notes which nodes have ended by themselves.
    fn note_ends(&mut self) {
        let over = std::mem::take(&mut self.ledger.pages().over);
        for host in over {
            if matches!(self.condition(host), Condition::Up | Condition::Frozen) {
                self.die(host, Condition::Over);
            }
        }
    }

    /// Notes that the node of `host` is no more.
    fn die(&mut self, host: Host, condition: Condition) {
        self.conditions.insert(host, condition);
        let known = self.known_to(self.running());
        self.ledger.pages().handle_death(host, &known);
    }

    /// Returns the children that any of the nodes of `hosts` knows.
    fn known_to(&self, hosts: impl IntoIterator<Item = Host>) -> BTreeSet<ChildId> {
        let nodes = hosts.into_iter().filter_map(|host| self.cluster.started(host));
        let children = nodes.flat_map(|node| node.supervisor("default").children());
        children.map(|child| child.id).collect()
    }

    fn condition(&self, host: Host) -> Condition {
        *self.conditions.get(&host).expect("plans name machines that there are")
    }

    /// Returns the machines whose nodes run or are frozen.
    fn running(&self) -> BTreeSet<Host> {
        let runs = |condition| matches!(condition, Condition::Up | Condition::Frozen);
        let running = self.conditions.iter().filter(|&(_, &condition)| runs(condition));
        running.map(|(&host, _)| host).collect()
    }

    fn is_up(&self, host: Host) -> bool {
        self.condition(host) == Condition::Up
    }

    fn is_dead(&self, host: Host) -> bool {
        !self.running().contains(&host)
    }

    fn liveness(&self, promise: &str, reason: String) -> Violation {
        let (promise, at_us) = (promise.to_owned(), self.cluster.now().as_micros());
        Violation { class: Class::Liveness, promise, reason, at_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(trace_hash: u64, lines: &[&str]) -> (Report, Vec<String>) {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        let tail = lines.clone();
        let (tally, verdict) = (Tally::default(), Verdict::Passed);
        let report = Report { medium: Medium::Mem, verdict, trace_hash, tally, skipped: 0, tail };
        (report, lines)
    }

    #[test]
    fn two_runs_of_one_plan_that_differ_are_a_failure_that_says_where() {
        let same = compare(logged(1, &["begin", "a"]), logged(1, &["begin", "a"]));
        assert_eq!(same.verdict, Verdict::Passed);
        let differ = compare(logged(1, &["begin", "a"]), logged(2, &["begin"]));
        let violation = differ.verdict.violation().expect("they differ");
        assert_eq!((violation.class, violation.promise.as_str()), (Class::NonDeterminism, "S31"));
        let reason = "one plan has two histories; after 1 lines: \"a\" and \"the end\"";
        assert_eq!(violation.reason, reason);
    }
}
