//! Outputs are fed, mails are read: processes as their node sees them.

mod leases;

use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ordu_core::message::Message;
use ordu_core::transport::Lane;
use ordu_core::wire::{decode, decode_frame, encode};
use ordu_core::{CallId, ChildId, Command, Incarnation, NameConflict, Scope};

use super::*;
use crate::context::{Context, Incoming};
use crate::driver::Mail;
use crate::phase::Phase;
use crate::process::{Process, StartError};
use crate::testing::{Asked, TestTransport, Undriven, undriven};

/// Does what its messages say.
struct Puppet {
    total: u64,
}

#[derive(serde::Serialize, serde::Deserialize)]
enum Do {
    Add(u64),
    Panic,
    Hang,
    Stop,
    Fail,
    SpawnPanic,
}

#[derive(serde::Serialize, serde::Deserialize)]
enum How {
    Well,
    Badly,
    Never,
    Panicking,
}

impl Process for Puppet {
    const KIND: &'static str = "puppet";
    type Args = How;
    type Message = Do;
    type Reply = u64;

    async fn start(how: How, context: &mut Context<Self>) -> Result<Self, StartError> {
        match how {
            How::Well => (),
            How::Badly => return Err("seven".parse::<u8>().unwrap_err().into()),
            How::Never => pending().await,
            How::Panicking => panic!("no legs"),
        }
        let total = context.state().map_or(Ok(0), decode)?;
        Ok(Self { total })
    }

    async fn handle(&mut self, message: Do, context: &mut Context<Self>) -> u64 {
        match message {
            Do::Add(more) => self.total += more,
            Do::Panic => panic!("cut string"),
            Do::Hang => pending().await,
            Do::Stop => context.stop(),
            Do::Fail => context.fail("bored"),
            Do::SpawnPanic => context.spawn(async { panic!("task") }),
        }
        self.total
    }

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        assert!(self.total != 13, "unlucky");
        Some(encode(&self.total))
    }

    async fn absorb(&mut self, state: &[u8]) {
        self.total += decode::<u64>(state).unwrap();
    }
}

/// Hands, and the mailbox that they and their processes fill.
struct Stage {
    hands: Hands,
    undriven: Undriven,
    transport: Arc<TestTransport>,
}

impl Stage {
    fn new() -> Self {
        Self::with(Kinds::default(), 2)
    }

    fn with(mut kinds: Kinds, messages_max: usize) -> Self {
        kinds.add::<Puppet>();
        let (transport, _speak) = TestTransport::new();
        let undriven = undriven(messages_max);
        let hands = Hands::new(undriven.node.clone(), transport.clone(), kinds);
        let mut stage = Self { hands, undriven, transport };
        let replica = Replica::new(NodeId::new("a").unwrap(), Incarnation { counter: 1, nonce: 2 });
        stage.feed(Output::Event(Event::Joined { replica }));
        stage
    }

    fn feed(&mut self, output: Output) {
        let now = self.undriven.node.runtime().now();
        self.hands.carry_out(now, output);
    }

    /// Starts process 1 of `kind`.
    fn start_kind(&mut self, kind: &str, args: Vec<u8>, state: Option<Blob>) {
        self.feed(Output::Start(Start {
            number: 1,
            scope: Scope::named("default"),
            child: ChildId::from_bytes([3; 16]),
            kind: kind.into(),
            args: args.into(),
            reason: StartReason::Fresh,
            state,
            timeout: Duration::from_secs(10),
            lease: None,
        }));
    }

    async fn started(&mut self) {
        self.start_kind("puppet", encode(&How::Well), None);
        assert_eq!(self.process().await, ProcessEvent::Started);
    }

    fn call(&mut self, call: u64, message: Do) {
        let payload = encode(&message).into();
        self.feed(Output::Deliver { number: 1, payload, call: Some(CallId(call)) });
    }

    fn stop(&mut self) {
        let grace = Duration::from_secs(5);
        self.feed(Output::Stop { number: 1, reason: StopReason::Terminated, grace });
    }

    async fn mail(&mut self) -> Mail {
        self.undriven.mails.recv().await.expect("the node holds a sender")
    }

    /// Returns what happened to process 1, and nothing else happened before.
    async fn process(&mut self) -> ProcessEvent {
        let mail = self.mail().await;
        let Mail::Process { number: 1, event } = mail else { panic!("{} first", told(&mail)) };
        self.hands.note_process(1, &event);
        event
    }

    async fn answer(&mut self) -> (u64, Result<u64, CallFailure>) {
        let mail = self.mail().await;
        let Mail::Answer { call, result } = mail else { panic!("{} first", told(&mail)) };
        (call.0, result.map(|reply| decode(&reply).unwrap()))
    }

    /// Checks that nothing comes for a long time.
    async fn assert_silent(&mut self) {
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(self.undriven.mails.try_recv().is_err(), "an event too many");
        assert!(self.hands.take_inputs().is_empty(), "an input too many");
    }
}

fn told(mail: &Mail) -> String {
    match mail {
        Mail::Process { number, event } => format!("{event:?} of process {number} came"),
        Mail::Answer { call, result } => format!("{call:?} was answered with {result:?}"),
        Mail::Input(input) => format!("{input:?} came"),
        Mail::Request { command, .. } => format!("{command:?} was asked for"),
        Mail::Spawn { .. } | Mail::DumpFlight { .. } | Mail::Export { .. } => "a wish".to_owned(),
        Mail::Alarm | Mail::Halt => "something else came".to_owned(),
    }
}

fn state(total: u64) -> Option<Blob> {
    Some(encode(&total).into())
}

fn exited(failure: &str) -> ProcessEvent {
    ProcessEvent::Exited { failure: Some(failure.into()) }
}

fn start_failed(reason: &str) -> ProcessEvent {
    ProcessEvent::StartFailed { reason: reason.into() }
}

#[tokio::test(start_paused = true)]
async fn a_process_starts_answers_and_stops_with_its_state() {
    let mut stage = Stage::new();
    stage.started().await;
    stage.call(1, Do::Add(40));
    stage.call(2, Do::Add(2));
    assert_eq!(stage.answer().await, (1, Ok(40)));
    assert_eq!(stage.answer().await, (2, Ok(42)));

    stage.stop();
    assert_eq!(stage.process().await, ProcessEvent::Stopped { state: state(42) });
    stage.assert_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_panics_or_cannot_read_its_arguments_is_reported_once() {
    let (bad, panicking) = (encode(&How::Badly), encode(&How::Panicking));
    let wrong = vec![200, 200, 200];
    for (args, reason) in [
        (bad, "invalid digit found in string"),
        (panicking, "it panicked: no legs"),
        (wrong, "its arguments are of another type than expected"),
    ] {
        let mut stage = Stage::new();
        stage.start_kind("puppet", args, None);
        assert_eq!(stage.process().await, start_failed(reason));
        stage.assert_silent().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_never_ends_is_given_up_at_its_deadline() {
    let mut stage = Stage::new();
    let begin = stage.undriven.node.runtime().now();
    stage.start_kind("puppet", encode(&How::Never), None);
    stage.call(1, Do::Add(1));

    // Whoever called meanwhile learns that nothing was delivered, and before the node does.
    assert_eq!(stage.answer().await, (1, Err(CallFailure::NoProcess)));
    assert_eq!(stage.process().await, start_failed("it did not start within 10s"));
    let took = stage.undriven.node.runtime().now().since(begin);
    assert!((10_000..10_100).contains(&took.as_millis()), "after {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_known_fails_at_once() {
    let mut stage = Stage::new();
    stage.start_kind("dragon", Vec::new(), None);
    let event = start_failed("this node has no code for kind \"dragon\"");
    assert_eq!(stage.hands.take_inputs(), [Input::Process { number: 1, event }]);
    stage.assert_silent().await;
}

/// What a process is to start from must survive that it never starts.
#[tokio::test(start_paused = true)]
async fn a_process_stopped_before_it_started_leaves_the_state_that_it_was_given() {
    let mut stage = Stage::new();
    stage.start_kind("puppet", encode(&How::Never), state(7));
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.stop();
    assert_eq!(stage.process().await, ProcessEvent::Stopped { state: state(7) });

    // The same, where it was told in the same breath.
    stage.start_kind("puppet", encode(&How::Well), state(8));
    stage.stop();
    assert_eq!(stage.process().await, ProcessEvent::Stopped { state: state(8) });
    stage.assert_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_never_stops_is_stopped_by_force_after_its_grace() {
    let mut stage = Stage::new();
    stage.started().await;
    stage.call(1, Do::Hang);
    stage.call(2, Do::Add(1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let begin = stage.undriven.node.runtime().now();
    stage.stop();

    assert_eq!(stage.answer().await, (1, Err(CallFailure::Ended)));
    assert_eq!(stage.answer().await, (2, Err(CallFailure::NoProcess)));
    assert_eq!(stage.process().await, ProcessEvent::Stopped { state: None });
    let took = stage.undriven.node.runtime().now().since(begin);
    assert!((5_000..5_100).contains(&took.as_millis()), "after {took:?}");
    stage.assert_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_shorter_grace_counts_and_a_longer_one_does_not() {
    let mut stage = Stage::new();
    stage.started().await;
    stage.call(1, Do::Hang);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.stop();
    let begin = stage.undriven.node.runtime().now();
    for secs in [1, 100] {
        let (reason, grace) = (StopReason::NodeDown, Duration::from_secs(secs));
        stage.feed(Output::Stop { number: 1, reason, grace });
    }
    assert_eq!(stage.answer().await, (1, Err(CallFailure::Ended)));
    assert_eq!(stage.process().await, ProcessEvent::Stopped { state: None });
    assert!(stage.undriven.node.runtime().now().since(begin) < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_process_and_no_other() {
    let mut stage = Stage::new();
    stage.started().await;
    stage.call(1, Do::Panic);
    stage.call(2, Do::Add(1));
    assert_eq!(stage.answer().await, (1, Err(CallFailure::Ended)));
    assert_eq!(stage.answer().await, (2, Err(CallFailure::NoProcess)));
    assert_eq!(stage.process().await, exited("it panicked: cut string"));

    // A message that was on its way to it is answered, and the number can run again.
    stage.call(3, Do::Add(1));
    let result = Err(CallFailure::NoProcess);
    assert_eq!(stage.hands.take_inputs(), [Input::Answer { call: CallId(3), result }]);
    stage.started().await;
    stage.call(4, Do::Add(1));
    assert_eq!(stage.answer().await, (4, Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_stopping_is_a_stop_without_a_state() {
    let mut stage = Stage::new();
    stage.started().await;
    stage.call(1, Do::Add(13));
    assert_eq!(stage.answer().await, (1, Ok(13)));
    stage.stop();
    assert_eq!(stage.process().await, ProcessEvent::Stopped { state: None });
}

#[tokio::test(start_paused = true)]
async fn a_process_may_end_by_itself_well_or_badly() {
    for (message, event) in [
        (Do::Stop, ProcessEvent::Exited { failure: None }),
        (Do::Fail, exited("bored")),
        (Do::SpawnPanic, exited("a task of it panicked: task")),
    ] {
        let mut stage = Stage::new();
        stage.started().await;
        stage.call(1, message);

        // The message at hand is still answered.
        assert_eq!(stage.answer().await, (1, Ok(0)));
        assert_eq!(stage.process().await, event);
        stage.stop();
        stage.assert_silent().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_answers_that_it_is_overloaded() {
    let mut stage = Stage::new();
    stage.started().await;
    stage.call(1, Do::Hang);
    tokio::time::sleep(Duration::from_secs(1)).await;

    // One is in hand, and two may wait.
    for call in 2..=5 {
        stage.call(call, Do::Add(1));
    }
    let overloaded =
        |call| Input::Answer { call: CallId(call), result: Err(CallFailure::Overloaded) };
    assert_eq!(stage.hands.take_inputs(), [overloaded(4), overloaded(5)]);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_type_is_answered_as_malformed() {
    let mut stage = Stage::new();
    stage.started().await;
    let payload = Blob::from([99_u8].as_slice());
    stage.feed(Output::Deliver { number: 1, payload, call: Some(CallId(1)) });
    assert_eq!(stage.answer().await, (1, Err(CallFailure::Malformed)));

    // And does it no harm.
    stage.call(2, Do::Add(5));
    assert_eq!(stage.answer().await, (2, Ok(5)));
}

/// What ran on both sides of a split ends with both sides' counts.
#[tokio::test(start_paused = true)]
async fn a_winner_absorbs_before_it_stops_and_resumes_under_its_number() {
    let mut stage = Stage::new();
    stage.started().await;
    stage.call(1, Do::Add(40));
    stage.feed(Output::Absorb { number: 1, state: encode(&2_u64).into() });
    let winner = stage.hands.process(9);
    let conflict = NameConflict { scope: Scope::named("default"), name: None, winner };
    let (reason, grace) = (StopReason::Conflict(conflict), Duration::from_secs(1));
    assert_eq!(stage.answer().await, (1, Ok(42)));
    stage.feed(Output::Absorb { number: 1, state: encode(&8_u64).into() });
    stage.feed(Output::Stop { number: 1, reason, grace });
    let ProcessEvent::Stopped { state } = stage.process().await else { panic!("it was told to") };

    // The winner it yielded to went away: it goes on where it was, as the process it was.
    stage.start_kind("puppet", encode(&How::Well), state);
    assert_eq!(stage.process().await, ProcessEvent::Started);
    stage.call(2, Do::Add(0));
    assert_eq!(stage.answer().await, (2, Ok(50)));
}

#[tokio::test(start_paused = true)]
async fn a_plain_function_is_a_process_as_well() {
    let mut kinds = Kinds::default();
    kinds.add_plain("counter", async |mut context: Context| {
        let mut total: u64 = context.args().map_err(|error| error.to_string())?;
        loop {
            match context.next().await {
                Incoming::Message(letter) if total == 99 => drop(letter),
                Incoming::Message(letter) => {
                    total += letter.message::<u64>().map_err(|error| error.to_string())?;
                    letter.reply(&total).await;
                }
                Incoming::Absorb(_) => return Err("enough".to_owned()),
                Incoming::Stop(reason) => {
                    assert_eq!(reason, StopReason::Terminated);
                    context.hand_over(encode(&total));
                    return Ok(());
                }
            }
        }
    });
    let mut stage = Stage::with(kinds, 10);
    let add = |stage: &mut Stage, call: u64, more: u64| {
        let payload = encode(&more).into();
        stage.feed(Output::Deliver { number: 1, payload, call: Some(CallId(call)) });
    };
    stage.start_kind("counter", encode(&90_u64), None);
    assert_eq!(stage.process().await, ProcessEvent::Started);
    add(&mut stage, 1, 5);
    add(&mut stage, 2, 4);
    assert_eq!(stage.answer().await, (1, Ok(95)));
    assert_eq!(stage.answer().await, (2, Ok(99)));

    // A letter that is put away unanswered is answered all the same.
    add(&mut stage, 3, 1);
    assert_eq!(stage.answer().await, (3, Err(CallFailure::Malformed)));

    stage.stop();
    assert_eq!(stage.process().await, ProcessEvent::Stopped { state: state(99) });

    // What it returns by itself is how it ended.
    stage.start_kind("counter", encode(&1_u64), None);
    assert_eq!(stage.process().await, ProcessEvent::Started);
    stage.feed(Output::Absorb { number: 1, state: Blob::default() });
    assert_eq!(stage.process().await, exited("enough"));
    stage.assert_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_with_a_letter_in_hand_has_answered_it_once() {
    let mut kinds = Kinds::default();
    kinds.add_plain("thief", async |mut context: Context| {
        let _letter = context.next().await;
        context.fail("caught");
        pending::<()>().await;
    });
    let mut stage = Stage::with(kinds, 1);
    stage.start_kind("thief", Vec::new(), None);
    assert_eq!(stage.process().await, ProcessEvent::Started);
    stage.call(1, Do::Add(1));

    assert_eq!(stage.answer().await, (1, Err(CallFailure::Ended)));
    assert_eq!(stage.process().await, exited("caught"));
    stage.assert_silent().await;
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_a_process_end_with_it() {
    static BEATS: AtomicUsize = AtomicUsize::new(0);
    let mut kinds = Kinds::default();
    kinds.add_plain("heart", async |context: Context| {
        let clock = context.clock();
        context.spawn(async move {
            loop {
                clock.sleep(Duration::from_secs(1)).await;
                BEATS.fetch_add(1, Ordering::SeqCst);
            }
        });
        context.stopped().await;
    });
    let mut stage = Stage::with(kinds, 1);
    stage.start_kind("heart", Vec::new(), None);
    assert_eq!(stage.process().await, ProcessEvent::Started);
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(BEATS.load(Ordering::SeqCst), 3);

    stage.stop();
    assert_eq!(stage.process().await, ProcessEvent::Stopped { state: None });
    stage.assert_silent().await;
    assert_eq!(BEATS.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_process_without_a_supervisor_runs_from_its_number_to_its_end() {
    let mut stage = Stage::new();
    stage.undriven.phase.announce(Phase::Ready(stage.hands.process(1).replica));
    let node = stage.undriven.node.clone();
    let ran = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&ran);
    let spawned = tokio::spawn(
        node.spawn(async move |context: Context| {
            *seen.lock().unwrap() = Some(context.process_id().clone());
            Err::<(), _>("out of steam")
        })
        .into_future(),
    );
    let Mail::Spawn { begin, answer, .. } = stage.mail().await else { panic!("it asks first") };
    let ticket = stage.hands.expect_spawn(begin, answer);
    let process = stage.hands.process(1);
    stage.feed(Output::Reply { ticket, reply: Reply::Spawn(process.clone()) });

    // There is no `Started`: it runs as soon as it has its number.
    assert_eq!(stage.process().await, exited("out of steam"));
    assert_eq!(spawned.await.unwrap(), Ok(process.clone()));
    assert_eq!(*ran.lock().unwrap(), Some(process));
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_to_who_asked_and_a_request_that_nobody_waits_for_harms_nobody() {
    let mut stage = Stage::new();
    let leave = tokio::spawn(stage.undriven.node.settled().into_future());
    let Mail::Request { command: Command::Settled, answer, .. } = stage.mail().await else {
        panic!("a request is all there is")
    };
    let ticket = stage.hands.expect_reply(answer);
    let (nobody, _) = oneshot::channel();
    let forgotten = stage.hands.expect_reply(nobody);
    assert_ne!(ticket, forgotten);

    stage.feed(Output::Reply { ticket: forgotten, reply: Reply::Settled(Ok(())) });
    stage.feed(Output::Reply { ticket, reply: Reply::Settled(Ok(())) });
    assert_eq!(leave.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_what_was_said_on_the_lane_that_it_belongs_to() {
    let mut stage = Stage::new();
    let envelope = Envelope {
        incarnation: Incarnation { counter: 3, nonce: 4 },
        beat: 5,
        message: Message::Join,
    };
    let peers = ["b", "c"].map(|id| NodeId::new(id).unwrap());
    for to in peers.clone() {
        stage.feed(Output::Send { to, envelope: envelope.clone() });
    }
    let later = Envelope { beat: 6, ..envelope.clone() };
    stage.feed(Output::Send { to: peers[0].clone(), envelope: later.clone() });

    let sent: Vec<_> = stage
        .transport
        .asked()
        .into_iter()
        .map(|asked| {
            let Asked::Send(to, lane, frame) = asked else { panic!("not asked for: {asked:?}") };
            (to, lane, decode_frame(&frame).unwrap().unwrap())
        })
        .collect();
    let [b, c] = peers;
    let expected = [(b.clone(), envelope.clone()), (c, envelope), (b, later)];
    assert_eq!(sent, expected.map(|(to, envelope)| (to, Lane::Control, envelope)));
}

#[tokio::test(start_paused = true)]
async fn no_process_outlives_its_node() {
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let gone = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&gone);
    let mut kinds = Kinds::default();
    kinds.add_plain("stone", move |_context| {
        let gone = Gone(Arc::clone(&counter));
        async move {
            let _gone = gone;
            pending::<()>().await;
        }
    });
    let mut stage = Stage::with(kinds, 1);
    stage.start_kind("stone", Vec::new(), None);
    assert_eq!(stage.process().await, ProcessEvent::Started);

    // The driver panicked, and its hands are dropped.
    drop(stage.hands);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(gone.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_a_node_its_processes_have_a_grace() {
    let mut stage = Stage::new();
    stage.started().await;
    stage.call(1, Do::Hang);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.undriven.mails.close();

    let runtime = Arc::clone(stage.undriven.node.runtime());
    let begin = runtime.now();
    stage.hands.stop_all(begin + Duration::from_secs(1), &*runtime).await;
    let took = runtime.now().since(begin);
    assert!((1_000..1_100).contains(&took.as_millis()), "after {took:?}");

    stage.hands.finish().await;
    assert_eq!(stage.transport.asked(), [Asked::Close]);
}
