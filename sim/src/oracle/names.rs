//! Which names must be seen: those whose registration was answered for, of processes that run.
//!
//! Each is accounted for as Jepsen's `set-full` accounts for elements: how long it took until the
//! readers of every node saw it, whether any ever did, and whether it was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ordu_core::{Command, Name, ProcessId, Reply, Scope, Time, ViewChange};

use crate::host::Host;
use crate::requests::Answered;

/// A name and the process that was given it.
pub(crate) type Given = (Scope, Name, ProcessId);

/// What became of the names that were given.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Readings {
    /// How many registrations were answered for.
    pub registered: u64,
    /// How many of them the readers of every node saw.
    pub stable: u64,
    /// How many must be seen, and are not seen by every node that is up.
    pub lost: u64,
    /// How many were taken back, or must be seen still, and were never seen by any reader.
    pub never_read: u64,
    /// How long it took from the answer until every node showed it: the median.
    pub median: Duration,
    /// The longest that it took.
    pub max: Duration,
}

/// The names that were given, and what has taken them away.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The registrations that stand: nothing that the world saw has ended them.
    given: BTreeMap<Given, Seen>,
    /// Who was seen under which name, where.
    shown: BTreeMap<(Host, Scope, Name), ProcessId>,
    /// Whoever was ever seen under a name.
    read: BTreeSet<Given>,
    /// What anybody ever wanted to take away: such a request may come late, and take away what was
    /// given since, so nothing is promised of it any more.
    unwanted: BTreeSet<Given>,
    registered: u64,
    never_read: u64,
    latencies: Vec<Duration>,
}

/// How far a registration is.
#[derive(Debug)]
struct Seen {
    answered: Time,
    is_stable: bool,
}

impl Names {
    /// Takes in what a user asks for: what is to be taken away is promised no longer, whatever
    /// comes of the request.
    pub(crate) fn handle_request(&mut self, command: &Command) {
        if let Command::Unregister { scope, name, process } = command {
            let unwanted = (*scope, name.clone(), process.clone());
            self.end(|given| *given == unwanted);
            self.unwanted.insert(unwanted);
        }
    }

    /// Takes in the answer to a request, and which processes run.
    pub(crate) fn handle_answer(&mut self, now: Time, answered: &Answered, runs: bool) {
        let (Command::Register { scope, name, process, .. }, Reply::Register(Ok(_))) =
            (&answered.command, &answered.reply)
        else {
            return;
        };
        // A process may end, or lose the name again, before its registration is answered for.
        let given = (*scope, name.clone(), process.clone());
        if runs && !self.unwanted.contains(&given) {
            self.registered += 1;
            self.given.insert(given, Seen { answered: now, is_stable: false });
        }
    }

    /// Takes in that the process `number` of `host` is told to stop, or gone.
    pub(crate) fn handle_gone(&mut self, host: Host, number: u64) {
        self.end(|given| given.2.number == number && is_on(host, given));
    }

    /// Takes in that the node of `host` is over: its processes are gone, and its readers.
    pub(crate) fn handle_death(&mut self, host: Host) {
        self.end(|given| is_on(host, given));
        self.shown.retain(|(at, ..), _| *at != host);
    }

    /// Takes in what the readers of `host` are told, when the nodes of `up` are up.
    pub(crate) fn handle_view(
        &mut self,
        now: Time,
        host: Host,
        change: &ViewChange,
        up: impl Iterator<Item = Host>,
    ) {
        let ViewChange::Name { scope, name, holder, .. } = change else { return };
        let at = (host, *scope, name.clone());
        let Some(holder) = holder else {
            self.shown.remove(&at);
            return;
        };
        let given = (*scope, name.clone(), holder.process.clone());
        self.shown.insert(at, holder.process.clone());
        if self.given.get(&given).is_some_and(|seen| !seen.is_stable) {
            self.look(now, &given, up);
        }
        self.read.insert(given);
    }

    /// Looks whether every node shows what was given.
    pub(crate) fn look(&mut self, now: Time, given: &Given, mut up: impl Iterator<Item = Host>) {
        let shows = |host: Host| self.is_shown(host, given);
        if !up.all(shows) {
            return;
        }
        let Some(seen) = self.given.get_mut(given) else { return };
        if !seen.is_stable {
            seen.is_stable = true;
            self.latencies.push(now.since(seen.answered));
        }
    }

    /// Iterates over the registrations that stand.
    pub(crate) fn due(&self) -> impl Iterator<Item = &Given> {
        self.given.keys()
    }

    /// Returns whether the readers of `host` see what was given.
    pub(crate) fn is_shown(&self, host: Host, (scope, name, process): &Given) -> bool {
        self.shown.get(&(host, *scope, name.clone())) == Some(process)
    }

    /// Returns what became of all registrations, if the nodes of `up` are up now.
    pub(crate) fn readings(&self, up: &[Host]) -> Readings {
        let is_lost = |given: &&Given| !up.iter().all(|&host| self.is_shown(host, given));
        let unread = self.given.keys().filter(|given| !self.read.contains(*given)).count();
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        Readings {
            registered: self.registered,
            stable: latencies.len() as u64,
            lost: self.due().filter(is_lost).count() as u64,
            never_read: self.never_read + unread as u64,
            median: latencies.get(latencies.len() / 2).copied().unwrap_or_default(),
            max: latencies.last().copied().unwrap_or_default(),
        }
    }

    fn end(&mut self, ends: impl Fn(&Given) -> bool) {
        let (read, never_read) = (&self.read, &mut self.never_read);
        self.given.retain(|given, _| {
            let stays = !ends(given);
            *never_read += u64::from(!stays && !read.contains(given));
            stays
        });
    }
}

fn is_on(host: Host, given: &Given) -> bool {
    *given.2.replica.node() == host.id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::{name, register, scope};
    use crate::{N1, N2};
    use ordu_core::{Blob, Holder, Incarnation, Replica, Replicas};

    fn process() -> ProcessId {
        let replica = Replica::new(N1.id(), Incarnation { counter: 1, nonce: 1 });
        ProcessId { replica, number: 1 }
    }

    fn shows(names: &mut Names, ms: u64, host: Host, is_there: bool) {
        let (child, value, token) = (None, Blob::default(), None);
        let holder = Holder { process: process(), child, value, token };
        let holder = is_there.then_some(holder);
        let change = ViewChange::Name { scope: scope(), name: name("cart"), holder, loss: None };
        names.handle_view(Time::from_millis(ms), host, &change, [N1, N2].into_iter());
    }

    fn given() -> Names {
        let mut names = Names::default();
        let command = register("cart", &process(), Replicas::One);
        let answered =
            Answered { command, reply: Reply::Register(Ok(ordu_core::CausalToken::default())) };
        names.handle_answer(Time::from_millis(1), &answered, true);
        names
    }

    #[test]
    fn a_name_is_stable_once_all_show_it_and_lost_once_one_does_not() {
        let mut names = given();
        shows(&mut names, 2, N1, true);
        assert_eq!((names.readings(&[N1, N2]).stable, names.readings(&[N1, N2]).lost), (0, 1));
        shows(&mut names, 4, N2, true);
        let readings = names.readings(&[N1, N2]);
        assert_eq!((readings.stable, readings.lost, readings.never_read), (1, 0, 0));
        assert_eq!((readings.median, readings.max), (Duration::from_millis(3), readings.median));

        shows(&mut names, 5, N2, false);
        assert_eq!(names.readings(&[N1, N2]).lost, 1);
    }

    #[test]
    fn what_ends_a_promise_ends_it_and_what_nobody_read_is_counted() {
        let unregister =
            Command::Unregister { scope: scope(), name: name("cart"), process: process() };
        let ends: [fn(&mut Names, &Command); 3] = [
            |names, _| names.handle_gone(N1, 1),
            |names, _| names.handle_death(N1),
            |names, unregister| names.handle_request(unregister),
        ];
        for end in ends {
            let mut names = given();
            end(&mut names, &unregister);
            let readings = names.readings(&[N1, N2]);
            assert_eq!((readings.registered, readings.lost, readings.never_read), (1, 0, 1));
        }
        let mut names = given();
        names.handle_gone(N1, 2);
        names.handle_death(N2);
        assert_eq!(names.readings(&[N1]).lost, 1);
    }
}
