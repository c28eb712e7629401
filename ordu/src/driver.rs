//! The one task that owns a node's state machine: everything that happens goes through its mailbox.

use std::sync::Arc;
use std::time::Duration;

use ordu_core::message::CallFailure;
use ordu_core::transport::Runtime;
use ordu_core::{
    Blob, CallId, Command, Event, ExitReason, Input, Output, Precedence, ProcessEvent, ProcessId,
    Reply, Time, Wall,
};
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};

use crate::export::{ExportError, Exported};
use crate::flight::{DumpFlightError, Dumped, Flight};
use crate::hands::Hands;
use crate::phase::{Announcer, Phase};
use crate::runner::BeginOnce;

/// Everything that a driver's mailbox takes.
pub(crate) enum Mail {
    /// The transport says something.
    Input(Input),
    /// A user asks for something.
    Request { command: Command, deadline: Time, answer: oneshot::Sender<Reply> },
    /// A user wants a process of this node that no supervisor looks after.
    Spawn {
        begin: Box<BeginOnce>,
        precedence: Precedence,
        deadline: Time,
        answer: oneshot::Sender<ProcessId>,
    },
    /// Something happened to a process.
    Process { number: u64, event: ProcessEvent },
    /// A process answered a call, or could not.
    Answer { call: CallId, result: Result<Blob, CallFailure> },
    /// A user wants the last inputs in a file.
    DumpFlight { answer: Dumped },
    /// A user wants what outlives the nodes of the cluster.
    Export { answer: Exported },
    /// The time has come that the timer was set to.
    Alarm,
    /// The node is to end at once, as in a crash.
    Halt,
}

/// Owns the state machine of a node, and carries out what it asks for.
pub(crate) struct Driver {
    machine: ordu_core::Node,
    /// What follows the machine, if it is to be followed.
    flight: Option<Flight>,
    hands: Hands,
    mailbox: mpsc::Receiver<Mail>,
    runtime: Arc<dyn Runtime>,
    timer: watch::Sender<Option<Time>>,
    phase: Announcer,
    now: Time,
    wall: Option<Wall>,
}

/// Why a driver came to its end.
enum Ending {
    /// The machine said that the node is over.
    Exit(ExitReason),
    /// A user wants it to end at once.
    Halt,
}

impl Driver {
    /// Mails that the mailbox holds before whoever sends more has to wait.
    pub(crate) const MAILBOX: usize = 4_096;

    /// Mails that are taken in before what they cause is carried out.
    const BATCH_MAX: usize = 256;

    /// How far the wall clock moves before the machine is told.
    const WALL_STEP_MS: u64 = 50;

    /// How long processes may take to stop once their node is over.
    const EXIT_GRACE: Duration = Duration::from_secs(1);

    /// Creates the driver of `machine`, which `flight` follows, and starts its timer.
    pub(crate) fn new(
        (machine, flight): (ordu_core::Node, Option<Flight>),
        hands: Hands,
        (post, mailbox): (mpsc::Sender<Mail>, mpsc::Receiver<Mail>),
        runtime: Arc<dyn Runtime>,
        phase: Announcer,
    ) -> Self {
        let (timer, set) = watch::channel(None);
        runtime.spawn(Box::pin(keep_time(set, post, Arc::clone(&runtime))));
        let now = runtime.now();
        Self { machine, flight, hands, mailbox, runtime, timer, phase, now, wall: None }
    }

    /// Drives the node to its end.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(Self::BATCH_MAX);
        let ending = loop {
            if let Some(ending) = self.turn(&mut batch) {
                break ending;
            }
            batch.clear();
            if self.mailbox.recv_many(&mut batch, Self::BATCH_MAX).await == 0 {
                // The timer alone keeps the mailbox open, so this is the end of the runtime.
                break Ending::Halt;
            }
        };
        self.finish(ending).await;
    }

    /// Takes in what is ready and carries out what comes of it.
    fn turn(&mut self, batch: &mut Vec<Mail>) -> Option<Ending> {
        let now = self.runtime.now();
        assert!(self.now <= now, "time ran backwards from {} to {now}", self.now);
        self.now = now;
        self.read_wall();
        for mail in batch.drain(..) {
            match mail {
                Mail::Halt => return Some(Ending::Halt),
                Mail::DumpFlight { answer } => self.dump_flight(answer),
                Mail::Export { answer } => self.export(answer),
                Mail::Input(_)
                | Mail::Request { .. }
                | Mail::Spawn { .. }
                | Mail::Process { .. }
                | Mail::Answer { .. }
                | Mail::Alarm => {
                    let input = self.input_of(mail);
                    self.feed(input);
                }
            }
        }
        loop {
            self.feed(Input::Flush);
            self.carry_out();
            if let Some(reason) = self.hands.take_exit() {
                return Some(Ending::Exit(reason));
            }
            let inputs = self.hands.take_inputs();
            if inputs.is_empty() {
                break;
            }
            for input in inputs {
                self.feed(input);
            }
        }
        self.tell_phase();
        self.set_timer();
        None
    }

    /// Feeds the machine, on the record if there is one.
    fn feed(&mut self, input: Input) {
        match &mut self.flight {
            Some(flight) => flight.feed(&mut self.machine, self.now, input),
            None => self.machine.handle(self.now, input),
        }
    }

    /// Carries out what the machine asks for.
    fn carry_out(&mut self) {
        let mut is_conflict = false;
        while let Some(output) = self.machine.poll_output() {
            is_conflict |= matches!(output, Output::Event(Event::Conflict(_)));
            self.hands.carry_out(self.now, output);
        }
        if let Some(flight) = self.flight.as_mut().filter(|_| is_conflict) {
            flight.handle_conflict(&self.machine, self.now);
        }
    }

    fn dump_flight(&self, answer: Dumped) {
        match &self.flight {
            Some(flight) => flight.dump(&self.machine, answer),
            // Whoever asked may be gone; then nobody wants the answer.
            None => drop(answer.send(Err(DumpFlightError::NoRecorder))),
        }
    }

    fn export(&self, answer: Exported) {
        let is_ready = self.machine.is_ready();
        let export = is_ready.then(|| self.machine.export()).ok_or(ExportError::NotReady);
        // Whoever asked may be gone.
        drop(answer.send(export));
    }

    /// Tells the machine the wall time, if it moved or was never read.
    fn read_wall(&mut self) {
        let wall = self.runtime.wall();
        let moved = |before: Wall| before.as_millis().abs_diff(wall.as_millis());
        if self.wall.is_none_or(|before| Self::WALL_STEP_MS <= moved(before)) {
            self.wall = Some(wall);
            self.feed(Input::Wall(wall));
        }
    }

    /// Returns what a mail is to the machine.
    fn input_of(&mut self, mail: Mail) -> Input {
        match mail {
            Mail::Input(input) => input,
            Mail::Request { command, deadline, answer } => {
                let timeout = deadline.since(self.now);
                Input::Request { ticket: self.hands.expect_reply(answer), timeout, command }
            }
            Mail::Spawn { begin, precedence, deadline, answer } => {
                let timeout = deadline.since(self.now);
                let ticket = self.hands.expect_spawn(begin, answer);
                Input::Request { ticket, timeout, command: Command::Spawn { precedence } }
            }
            Mail::Process { number, event } => {
                self.hands.note_process(number, &event);
                Input::Process { number, event }
            }
            Mail::Answer { call, result } => Input::Answer { call, result },
            Mail::Alarm => {
                // The timer is not set to anything any more.
                self.timer.send_replace(None);
                Input::Tick
            }
            Mail::DumpFlight { .. } | Mail::Export { .. } | Mail::Halt => {
                unreachable!("the machine hears of none of these")
            }
        }
    }

    fn tell_phase(&self) {
        let replica = self.machine.replica().filter(|_| self.machine.is_ready());
        // A node that takes a new life is not ready before that has taken in what there is.
        self.phase.announce(replica.map_or(Phase::Joining, |of| Phase::Ready(of.clone())));
    }

    /// Sets the timer if it would ring too late; one that rings too early is left alone, since a
    /// tick costs less than to wake the timer.
    fn set_timer(&self) {
        let wanted = self.machine.poll_timeout().map(|(at, _kind)| at);
        let set = *self.timer.borrow();
        if let Some(at) = wanted
            && set.is_none_or(|set| at < set)
        {
            self.timer.send_replace(Some(at));
        }
    }

    /// Ends what is left: processes, sessions, and the waiting of all who asked for something.
    async fn finish(mut self, ending: Ending) {
        self.mailbox.close();
        while self.mailbox.try_recv().is_ok() {}
        let phase = match ending {
            Ending::Exit(reason) => {
                let (grace, runtime) = (Self::EXIT_GRACE, &self.runtime);
                self.hands.stop_all(runtime.now() + grace, &**runtime).await;
                Phase::Over(Some(reason))
            }
            Ending::Halt => Phase::Over(None),
        };
        self.hands.finish().await;
        self.phase.announce(phase);
    }
}

/// Puts [`Mail::Alarm`] into the mailbox at the time that `set` says.
///
/// A task of its own, so that a mailbox that is never empty does not poll a timer all the time.
async fn keep_time(
    mut set: watch::Receiver<Option<Time>>,
    post: mpsc::Sender<Mail>,
    runtime: Arc<dyn Runtime>,
) {
    loop {
        let at = *set.borrow_and_update();
        let rings = match at {
            None => false,
            Some(at) => select! {
                biased;
                changed = set.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
                () = runtime.sleep_until(at) => true,
            },
        };
        if rings && post.send(Mail::Alarm).await.is_err() {
            return;
        }
        // After the alarm, until the driver sets the time anew.
        if set.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestRuntime;

    /// Returns the next alarm, or `None` if there is none within `patience`.
    async fn alarm(mails: &mut mpsc::Receiver<Mail>, patience: Duration) -> Option<()> {
        match tokio::time::timeout(patience, mails.recv()).await {
            Ok(Some(Mail::Alarm)) => Some(()),
            Ok(_) => panic!("an alarm is all that a timer brings"),
            Err(_) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_timer_rings_once_for_each_time_that_it_is_set() {
        let runtime = TestRuntime::shared();
        let (timer, set) = watch::channel(None);
        let (post, mut mails) = mpsc::channel(4);
        tokio::spawn(keep_time(set, post, Arc::clone(&runtime)));
        let long = Duration::from_secs(600);
        assert_eq!(alarm(&mut mails, long).await, None);

        // Set far ahead, then nearer: it rings at the nearer time, and not at the other.
        let start = runtime.now();
        timer.send_replace(Some(start + Duration::from_secs(60)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        timer.send_replace(Some(start + Duration::from_secs(5)));
        assert_eq!(alarm(&mut mails, long).await, Some(()));
        assert!(runtime.now().since(start) < Duration::from_secs(6));
        timer.send_replace(None);
        assert_eq!(alarm(&mut mails, long).await, None);

        // Set to a time that has passed, it rings at once.
        timer.send_replace(Some(start));
        assert_eq!(alarm(&mut mails, Duration::from_secs(1)).await, Some(()));

        // It ends with its driver.
        drop(timer);
        assert!(mails.recv().await.is_none());
    }
}
