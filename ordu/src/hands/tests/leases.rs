//! Processes that run under leases, as their node sees them.

use ordu_core::{FencingToken, Lease};

use super::*;

/// How long a lease is here.
const LEASE: Duration = Duration::from_secs(5);

impl Stage {
    fn now(&self) -> Time {
        self.undriven.node.runtime().now()
    }

    /// Starts the process `number` under a lease that ends in five seconds, or without one.
    fn start_under(&mut self, number: u64, kind: &str, args: &How, token: Option<u64>) {
        let until = self.now() + LEASE;
        let lease = token.map(|token| Lease { token: FencingToken::from_u64(token), until });
        self.feed(Output::Start(Start {
            number,
            scope: Scope::named("payments"),
            child: ChildId::from_bytes([3; 16]),
            kind: kind.into(),
            args: encode(args).into(),
            reason: StartReason::Fresh,
            state: None,
            timeout: Duration::from_secs(60),
            lease,
        }));
    }

    /// Returns the next thing that happened to any process.
    async fn next_event(&mut self) -> (u64, ProcessEvent) {
        let mail = self.mail().await;
        let Mail::Process { number, event } = mail else { panic!("{} first", told(&mail)) };
        self.hands.note_process(number, &event);
        (number, event)
    }

    async fn started_under(&mut self, number: u64, token: Option<u64>) {
        self.start_under(number, "puppet", &How::Well, token);
        assert_eq!(self.next_event().await, (number, ProcessEvent::Started));
    }

    async fn pass(&self, duration: Duration) {
        let runtime = self.undriven.node.runtime();
        runtime.sleep_until(runtime.now() + duration).await;
    }

    fn renew(&mut self, but: &[u64]) {
        let until = self.now() + LEASE;
        self.feed(Output::Renew { until, but: but.to_vec() });
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_for_all_that_have_a_lease_but_those_that_it_names() {
    let mut stage = Stage::new();
    for number in 1..=3 {
        stage.started_under(number, Some(number)).await;
    }
    stage.started_under(4, None).await;

    // The second is over when it was told first, the others a renewal later.
    let begin = stage.now();
    stage.pass(Duration::from_secs(3)).await;
    stage.renew(&[2]);
    let over = exited("its lease ended");
    assert_eq!(stage.next_event().await, (2, over.clone()));
    let took = stage.now().since(begin);
    assert!((4_900..5_100).contains(&took.as_millis()), "after {took:?}");
    let others = [stage.next_event().await, stage.next_event().await];
    assert!(others.contains(&(1, over.clone())) && others.contains(&(3, over)), "{others:?}");
    let took = stage.now().since(begin);
    assert!((7_900..8_100).contains(&took.as_millis()), "after {took:?}");

    // Who needs no lease goes on, and no renewal brings anybody back.
    stage.renew(&[]);
    assert!(stage.hands.leased.is_empty());
    stage.assert_silent().await;
    assert!(stage.hands.processes.contains_key(&4));
}

/// The machine says so and is told so in either order; nobody asks the process for anything.
#[tokio::test(start_paused = true)]
async fn a_process_whose_lease_has_ended_is_dropped_at_once_and_not_told_to_stop() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let mut kinds = Kinds::default();
    kinds.add_plain("eager", async |mut context: Context| {
        context.hand_over(encode(&1_u64));
        while let Incoming::Stop(_) = context.next().await {
            TOLD.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut stage = Stage::with(kinds, 2);
    stage.start_under(1, "eager", &How::Well, Some(1));
    assert_eq!(stage.next_event().await, (1, ProcessEvent::Started));
    let begin = stage.now();
    stage.feed(Output::Stop { number: 1, reason: StopReason::Lapsed, grace: Duration::ZERO });
    stage.renew(&[]);
    assert_eq!(stage.next_event().await, (1, exited("its lease ended")));
    assert!(stage.now().since(begin) < Duration::from_millis(10));

    // It had been told to stop, and its lease ends before its grace does.
    stage.start_under(2, "eager", &How::Well, Some(2));
    assert_eq!(stage.next_event().await, (2, ProcessEvent::Started));
    let (reason, grace) = (StopReason::Leaving, Duration::from_secs(60));
    stage.feed(Output::Stop { number: 2, reason, grace });
    assert_eq!(stage.next_event().await, (2, exited("its lease ended")));
    assert!(stage.now().since(begin) < LEASE + Duration::from_millis(100));
    assert_eq!(TOLD.load(Ordering::SeqCst), 1, "the second alone was told, and to leave");
    stage.assert_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_for_longer_than_its_lease_did_not_fail_to_start() {
    let mut stage = Stage::new();
    stage.start_under(1, "puppet", &How::Never, Some(1));
    stage.call(1, Do::Add(1));
    assert_eq!(stage.answer().await, (1, Err(CallFailure::NoProcess)));
    assert_eq!(stage.next_event().await, (1, exited("its lease ended")));

    // One that comes when it has ended already does not begin to.
    let late = stage.now();
    stage.pass(2 * LEASE).await;
    let lease = Some(Lease { token: FencingToken::from_u64(2), until: late + LEASE });
    stage.feed(Output::Start(Start {
        number: 2,
        scope: Scope::named("payments"),
        child: ChildId::from_bytes([3; 16]),
        kind: "puppet".into(),
        args: encode(&How::Panicking).into(),
        reason: StartReason::Fresh,
        state: None,
        timeout: Duration::from_secs(60),
        lease,
    }));
    assert_eq!(stage.next_event().await, (2, exited("its lease ended")));
    stage.assert_silent().await;
}

/// A process that never has to wait is not interrupted, but takes nothing more out.
#[tokio::test(start_paused = true)]
async fn no_message_is_taken_out_in_the_poll_in_which_a_lease_ends() {
    static GATE: Mutex<Option<Arc<Gate>>> = Mutex::new(None);
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    let mut kinds = Kinds::default();
    kinds.add_plain("busy", async |mut context: Context| {
        while let Incoming::Message(letter) = context.next().await {
            HANDLED.fetch_add(1, Ordering::SeqCst);
            letter.reply(&0_u64).await;
            GATE.lock().unwrap().as_ref().unwrap().end_lease();
        }
    });
    let mut stage = Stage::with(kinds, 2);
    stage.start_under(1, "busy", &How::Well, Some(1));
    assert_eq!(stage.next_event().await, (1, ProcessEvent::Started));
    *GATE.lock().unwrap() = stage.hands.leased.get(&1).cloned();
    stage.call(1, Do::Hang);
    stage.call(2, Do::Hang);
    assert_eq!(stage.answer().await, (1, Ok(0)));
    assert_eq!(stage.answer().await, (2, Err(CallFailure::Ended)));
    assert_eq!(stage.next_event().await, (1, exited("its lease ended")));
    assert_eq!(HANDLED.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_knows_its_token_if_it_has_one() {
    static TOKENS: Mutex<Vec<Option<FencingToken>>> = Mutex::new(Vec::new());
    let mut kinds = Kinds::default();
    kinds.add_plain("fenced", async |context: Context| {
        TOKENS.lock().unwrap().push(context.token());
    });
    let mut stage = Stage::with(kinds, 1);
    for (number, token) in [(1, Some(77)), (2, None)] {
        stage.start_under(number, "fenced", &How::Well, token);
        assert_eq!(stage.next_event().await, (number, ProcessEvent::Started));
        assert_eq!(stage.next_event().await, (number, ProcessEvent::Exited { failure: None }));
    }
    assert_eq!(*TOKENS.lock().unwrap(), [Some(FencingToken::from_u64(77)), None]);
}

/// As after a thaw: the node renewed in time what had ended here when that was carried out.
#[tokio::test(start_paused = true)]
async fn a_process_whose_names_are_renewed_too_late_is_told_to_stop() {
    let mut stage = Stage::new();
    stage.hands.conflict_grace = Duration::from_secs(1);
    stage.started().await;
    let (scope, name) = (Scope::named("locks"), Name::new("ledger").unwrap());
    let lease = Some(Lease { token: FencingToken::from_u64(7), until: stage.now() + LEASE });
    stage.feed(Output::Hold { number: 1, scope, name, lease });
    stage.pass(LEASE / 2).await;
    stage.renew(&[]);
    stage.pass(LEASE / 2).await;
    stage.renew(&[]);
    assert!(stage.undriven.mails.try_recv().is_err(), "these are in time");

    stage.pass(2 * LEASE).await;
    stage.renew(&[]);
    stage.pass(LEASE).await;
    let mail = stage.undriven.mails.try_recv();
    let Ok(Mail::Process { number: 1, event }) = mail else { panic!("it was not told") };
    assert_eq!(event, ProcessEvent::Stopped { state: state(0) });
    stage.assert_silent().await;
}
