//! What is expected of a simulation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ordu_core::Time;

use crate::host::Host;
use crate::kit::Moment;

/// How long what is to come about has, where nothing else is said.
const WITHIN: Duration = Duration::from_secs(60);

/// What was seen instead of what was expected, if so.
type Finding = Result<(), String>;

/// Looks at one run; it may remember what it saw.
pub(super) type Look = Box<dyn FnMut(&Moment<'_>) -> Finding>;

/// Something that is expected of every run of a simulation.
#[derive(Clone)]
pub struct Expectation {
    label: String,
    when: When,
    begin: Arc<dyn Fn() -> Look>,
}

/// When something is expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum When {
    /// At every step, as soon as all children were started.
    Always,
    /// At every step, once everything was mended and all that was to come about has.
    OnceSettled,
    /// So much time after the last fault was mended, and from then on.
    Eventually(Duration),
}

impl Expectation {
    fn new(label: String, when: When, begin: impl Fn() -> Look + 'static) -> Self {
        Self { label, when, begin: Arc::new(begin) }
    }

    /// Expects something only once everything was mended and all that is to come about eventually
    /// has; what is expected eventually stays as it is.
    #[must_use]
    pub fn once_settled(self) -> Self {
        let when = match self.when {
            When::Always | When::OnceSettled => When::OnceSettled,
            When::Eventually(within) => When::Eventually(within),
        };
        Self { when, ..self }
    }

    /// Gives what is expected eventually so much time after the last fault, in place of a minute.
    ///
    /// # Panics
    ///
    /// Panics where something is expected at every step.
    #[must_use]
    pub fn within(self, within: Duration) -> Self {
        match self.when {
            When::Eventually(_) => Self { when: When::Eventually(within), ..self },
            When::Always | When::OnceSettled => {
                panic!("{self} is expected at every step, and has no time to come about")
            }
        }
    }

    pub(super) fn when(&self) -> When {
        self.when
    }

    pub(super) fn begin(&self) -> Look {
        (self.begin)()
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl fmt::Debug for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.label, self.when)
    }
}

/// Expects that at no step two processes run under `name`, anywhere.
///
/// In the eventual mode no cluster keeps that through a split or a long freeze: expect it where
/// neither happens, or [once settled](Expectation::once_settled).
pub fn at_most_one(name: &str) -> Expectation {
    let (label, name) = (format!("at_most_one({name:?})"), name.to_owned());
    Expectation::new(label, When::Always, move || {
        let name = name.clone();
        Box::new(move |moment| match &moment.running(&name)[..] {
            [] | [_] => Ok(()),
            hosts => Err(format!("{hosts:?} run {name:?} at once")),
        })
    })
}

/// Expects that no two machines that reach each other both run `name` for longer than `grace`.
///
/// To reach each other means here: neither is frozen, and no link between the two is cut, in
/// neither direction, all that time. A conflict is resolved some seconds after a heal, on links
/// that hold: give it at least the failure timeout and the stop grace, about ten seconds. Where
/// links lose frames for long, or clocks jump, machines whose links are whole may be apart
/// nevertheless.
pub fn at_most_one_per_side(name: &str, grace: Duration) -> Expectation {
    let (label, name) = (format!("at_most_one_per_side({name:?})"), name.to_owned());
    Expectation::new(label, When::Always, move || {
        let (name, mut since) = (name.clone(), BTreeMap::new());
        Box::new(move |moment| {
            since = twins_since(moment, &name, &since);
            let late = since.iter().find(|&(_, &since)| since + grace < moment.now());
            late.map_or(Ok(()), |((a, b), since)| {
                Err(format!("{a} and {b} reach each other, and both run {name:?} since {since}"))
            })
        })
    })
}

/// Returns the pairs of machines that reach each other and both run `name`, each with since when.
fn twins_since(
    moment: &Moment<'_>,
    name: &str,
    before: &BTreeMap<(Host, Host), Time>,
) -> BTreeMap<(Host, Host), Time> {
    let world = moment.world();
    let mut hosts = moment.running(name);
    hosts.retain(|&host| world.is_up(host));
    hosts.sort_unstable();
    let mut since = BTreeMap::new();
    for (place, &a) in hosts.iter().enumerate() {
        for &b in &hosts[place + 1..] {
            if world.reaches(a, b) && world.reaches(b, a) {
                let began = before.get(&(a, b)).copied().unwrap_or(moment.now());
                since.insert((a, b), began);
            }
        }
    }
    since
}

/// Expects that some time after the last fault a process runs under `name`, and goes on to.
///
/// Where [every machine that knew of it](Moment::is_gone) was dead at once there is nothing left to
/// run, and nothing is expected.
pub fn eventually_running(name: &str) -> Expectation {
    let (label, name) = (format!("eventually_running({name:?})"), name.to_owned());
    eventually(&label, move |moment| match moment.running(&name)[..] {
        [] if !moment.is_gone(&name) => Err(format!("nothing runs as {name:?}")),
        [..] => Ok(()),
    })
}

/// Expects that some time after the last fault exactly one process runs under `name`, that every
/// node finds it by that name, and that this stays so; or none, where
/// [every machine that knew of it](Moment::is_gone) was dead at once.
pub fn eventually_one(name: &str) -> Expectation {
    let (label, name) = (format!("eventually_one({name:?})"), name.to_owned());
    eventually(&label, move |moment| {
        let hosts = moment.running(&name);
        if hosts.is_empty() && moment.is_gone(&name) {
            return Ok(());
        }
        let [runs_on] = hosts[..] else { return Err(format!("{hosts:?} run {name:?}")) };
        let world = moment.world();
        for host in world.up() {
            let holder = world.lookup(host, &name).map(|holder| &holder.process);
            let found = holder.and_then(|process| Host::of(process.replica.node()));
            if found != Some(runs_on) {
                return Err(format!("{host} finds {name:?} on {found:?}; it runs on {runs_on}"));
            }
        }
        Ok(())
    })
}

/// Expects `holds` at every step, as soon as all children were started; `label` names it in
/// failures. A panic in `holds` says that it does not hold, as an error does.
pub fn always(
    label: &str,
    holds: impl Fn(&Moment<'_>) -> Result<(), String> + 'static,
) -> Expectation {
    Expectation::new(label.to_owned(), When::Always, shared(holds))
}

/// Expects that `holds` comes to hold once everything was mended, and stays so; `label` names it in
/// failures. A panic in `holds` says that it does not hold yet, as an error does.
pub fn eventually(
    label: &str,
    holds: impl Fn(&Moment<'_>) -> Result<(), String> + 'static,
) -> Expectation {
    Expectation::new(label.to_owned(), When::Eventually(WITHIN), shared(holds))
}

fn shared(holds: impl Fn(&Moment<'_>) -> Finding + 'static) -> impl Fn() -> Look {
    let holds = Arc::new(holds);
    move || {
        let holds = Arc::clone(&holds);
        Box::new(move |moment| holds(moment))
    }
}
