//! One run of a simulation.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ordu_core::{Blob, ChildSpec, Command, Event, Input, Output, Random, Reply, Time};

use crate::host::Host;
use crate::kit::expectation::{Expectation, Look, When};
use crate::kit::{Moment, Simulation};
use crate::model::{Panicked, caught};
use crate::plan::Plan;
use crate::requests::{named, scope};
use crate::run::{Report, Run, drive};
use crate::trace::{Line, What};
use crate::verdict::Class;

/// How often it is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(100);
/// How many of the last happenings of interest are kept.
const LINES_MAX: usize = 40;
/// How long what has come about must stay so.
const STAY: Duration = Duration::from_secs(20);

/// Runs `plan` as `simulation` says.
pub(super) fn rehearse(simulation: &Simulation, plan: &Plan) -> Report {
    let mut run = Run::new(plan, None, |builder| simulation.furnish(builder));
    let kept = Arc::new(Mutex::new(VecDeque::new()));
    let keeps = Arc::clone(&kept);
    run.world.trace.listen(Box::new(move |line| {
        if is_of_interest(&line.what) {
            let mut lines = keeps.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push_back(line.clone());
            if LINES_MAX < lines.len() {
                lines.pop_front();
            }
        }
    }));
    let (report, _) = drive(run, |run| play(simulation, plan, run));
    let lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let tail = lines.iter().map(|line: &Line| format!("{line}\n")).collect();
    Report { tail, ..report }
}

/// Returns whether users who ask what became of their processes want to know.
fn is_of_interest(what: &What) -> bool {
    match what {
        What::Note(_) => true,
        What::Input(input) => matches!(input, Input::Process { .. }),
        What::Output(output) => match output {
            Output::Start(_) | Output::Stop { .. } | Output::Absorb { .. } | Output::Exit(_) => {
                true
            }
            Output::Event(event) => matches!(
                event,
                Event::MemberDown { .. } | Event::Conflict(_) | Event::Merged { .. }
            ),
            Output::Send { .. }
            | Output::Dial { .. }
            | Output::HangUp { .. }
            | Output::Renew { .. }
            | Output::Persist { .. }
            | Output::Hold { .. }
            | Output::Disconnect { .. }
            | Output::Deliver { .. }
            | Output::Reply { .. }
            | Output::View(_) => false,
        },
    }
}

fn play(simulation: &Simulation, plan: &Plan, run: &mut Run<'_>) {
    run.form();
    start_children(simulation, plan, run);
    run.world.set_network(plan.setup.network.clone());
    let began = run.world.now();
    let mut watch = Watch::new(&simulation.expectations, |when| when == When::Always);
    for step in &plan.steps {
        watch.pass(run, began + Duration::from_millis(step.at_ms));
        run.note_starts();
        run.apply(&step.action);
    }
    watch.pass(run, began + Duration::from_millis(plan.ends_ms));

    run.leave_alone();
    come_about(simulation, run, &mut watch);
    watch.add(&simulation.expectations, |when| when == When::OnceSettled);
    let end = run.world.now() + STAY;
    watch.pass(run, end);
    let mut last = Watch::new(&simulation.expectations, |when| matches!(when, When::Eventually(_)));
    last.look(&Moment { world: &run.world, sent: &run.sent });
}

/// Starts the children through machines of chance, before anything goes wrong.
fn start_children(simulation: &Simulation, plan: &Plan, run: &mut Run<'_>) {
    let mut random = Random::new(plan.seed ^ 0x000c_411d);
    for child in &simulation.children {
        let host = 1 + random.below(u64::from(plan.setup.hosts));
        let host = Host::new(u16::try_from(host).expect("it is one of them"));
        let args = Blob::from(&child.args[..]);
        let precedence = child.precedence.clone();
        let spec = ChildSpec { args, precedence, ..named(&child.kind, &child.name) };
        let ticket = run.world.request(host, Command::Start { scope: scope(), spec });
        let Reply::Start(Ok(_)) = run.world.answer(ticket) else {
            let reply = run.world.reply(ticket);
            let reason = format!("{host} does not start {:?}: {reply:?}", child.name);
            run.world.violate(Class::Liveness, "start", reason);
        };
    }
}

/// Lets time pass until all that is to come about has, each in its time.
fn come_about(simulation: &Simulation, run: &mut Run<'_>, watch: &mut Watch) {
    let mended = run.world.now();
    let mut waiting: Vec<(&Expectation, Duration, Look)> = Vec::new();
    for expectation in &simulation.expectations {
        if let When::Eventually(within) = expectation.when() {
            waiting.push((expectation, within, expectation.begin()));
        }
    }
    loop {
        // All at one moment: what held before another came about may not hold any more.
        let moment = Moment { world: &run.world, sent: &run.sent };
        let mut holds = true;
        for (expectation, within, look) in &mut waiting {
            let Err(reason) = carefully(look, &moment) else { continue };
            if mended + *within <= run.world.now() {
                let reason = format!("{reason}, {within:?} after everything was mended");
                run.world.violate(Class::Liveness, &expectation.to_string(), reason);
            }
            holds = false;
        }
        if holds {
            return;
        }
        let next = run.world.now() + LOOK;
        watch.pass(run, next);
    }
}

/// What is looked at, at every step.
struct Watch {
    looks: Vec<(String, Class, Look)>,
}

impl Watch {
    fn new(expectations: &[Expectation], wanted: impl Fn(When) -> bool) -> Self {
        let mut watch = Self { looks: Vec::new() };
        watch.add(expectations, wanted);
        watch
    }

    fn add(&mut self, expectations: &[Expectation], wanted: impl Fn(When) -> bool) {
        for expectation in expectations.iter().filter(|expected| wanted(expected.when())) {
            let class = match expectation.when() {
                When::Always | When::OnceSettled => Class::Safety,
                When::Eventually(_) => Class::Liveness,
            };
            self.looks.push((expectation.to_string(), class, expectation.begin()));
        }
    }

    /// Lets time pass until `until`, looking at every step.
    fn pass(&mut self, run: &mut Run<'_>, until: Time) {
        let Run { world, sent, .. } = run;
        let length = until.since(world.now());
        world.run_until(length, |world| {
            self.look(&Moment { world, sent });
            false
        });
    }

    fn look(&mut self, moment: &Moment<'_>) {
        for (label, class, look) in &mut self.looks {
            if let Err(reason) = carefully(look, moment) {
                moment.world.violate(*class, label, reason);
            }
        }
    }
}

/// Looks, and takes a panic for an answer: users' closures may assert.
fn carefully(look: &mut Look, moment: &Moment<'_>) -> Result<(), String> {
    match caught(|| look(moment)) {
        Ok(finding) => finding,
        Err(Panicked(text)) => Err(text),
    }
}
