//! What a node hears of its discoveries, on virtual time.

use std::collections::VecDeque;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::testing::TestRuntime;

/// Answers what it was given, in order, and then nothing, for ever.
struct Script(StdMutex<VecDeque<Result<Vec<Address>, DiscoverError>>>);

impl Script {
    fn boxed<const N: usize>(
        answers: [Result<Vec<Address>, DiscoverError>; N],
    ) -> Box<dyn Discovery> {
        Box::new(Self(StdMutex::new(answers.into())))
    }
}

#[async_trait]
impl Discovery for Script {
    async fn discover(&self) -> Result<Vec<Address>, DiscoverError> {
        let next = self.0.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(4)
    }
}

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn addresses(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| address(text)).collect()
}

fn failure() -> DiscoverError {
    DiscoverError::Other { source: "nobody knows".into() }
}

/// Starts `discoveries` of a node with the seed `given:1`, and returns its mailbox.
fn start(discoveries: Vec<Box<dyn Discovery>>) -> mpsc::Receiver<Mail> {
    let (post, mails) = mpsc::channel(8);
    Search::all(addresses(&["given:1"]), discoveries, &post, &TestRuntime::shared());
    mails
}

/// Returns the seeds that the node is told next, and after how many seconds; `None` if it is told
/// nothing for an hour.
async fn told(mails: &mut mpsc::Receiver<Mail>) -> Option<(Vec<Address>, u64)> {
    let before = tokio::time::Instant::now();
    let mail = tokio::time::timeout(Duration::from_secs(3_600), mails.recv()).await.ok()?;
    match mail {
        Some(Mail::Input(Input::Seeds(seeds))) => Some((seeds, before.elapsed().as_secs())),
        _ => panic!("seeds are all that a discovery brings"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_found_counts_beside_the_given_and_news_are_told_at_once() {
    let (a, b) = (|| Ok(addresses(&["a:1"])), || Ok(addresses(&["b:1"])));
    let mut mails = start(vec![Script::boxed([a(), a(), b()])]);
    assert_eq!(told(&mut mails).await, Some((addresses(&["given:1", "a:1"]), 0)));

    // The second look brings no news, and the third does, after two pauses of 3 to 5 seconds.
    let (seeds, seconds) = told(&mut mails).await.unwrap();
    assert_eq!(seeds, addresses(&["given:1", "b:1"]));
    assert!((6..=10).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn after_an_error_what_was_found_last_counts_and_is_tried_again_now_and_then() {
    let mut answers: Vec<_> = (0..20).map(|_| Err(failure())).collect();
    answers.insert(0, Ok(addresses(&["a:1"])));
    let mut mails = start(vec![Box::new(Script(StdMutex::new(answers.into())))]);
    let all = addresses(&["given:1", "a:1"]);
    assert_eq!(told(&mut mails).await, Some((all.clone(), 0)));
    for _ in 0..2 {
        let (seeds, seconds) = told(&mut mails).await.unwrap();
        assert_eq!(seeds, all, "the last good list is kept");
        assert!((30..=35).contains(&seconds), "told again after {seconds} s");
    }
}

/// Panics at the first look, and finds `a:1` at each after it.
struct Panicky(AtomicBool);

#[async_trait]
impl Discovery for Panicky {
    async fn discover(&self) -> Result<Vec<Address>, DiscoverError> {
        assert!(self.0.swap(true, Relaxed), "a slip of the user's");
        Ok(addresses(&["a:1"]))
    }
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_panics_is_asked_again() {
    let mut mails = start(vec![Box::new(Panicky(AtomicBool::new(false)))]);
    assert_eq!(told(&mut mails).await, Some((addresses(&["given:1"]), 0)));
    let (seeds, seconds) = told(&mut mails).await.expect("it is asked again");
    assert_eq!(seeds, addresses(&["given:1", "a:1"]));
    assert!((22..=38).contains(&seconds), "after the usual interval, not {seconds} s");
}

#[tokio::test(start_paused = true)]
async fn one_discovery_that_hangs_keeps_no_other_waiting_and_is_given_up_and_asked_again() {
    let hanging = Script::boxed([]);
    let quick = Script::boxed([Ok(addresses(&["a:1"])), Ok(addresses(&[]))]);
    let mut mails = start(vec![hanging, quick]);
    assert_eq!(told(&mut mails).await, Some((addresses(&["given:1", "a:1"]), 0)));
    // Nothing may be found: that is an answer.
    let (seeds, seconds) = told(&mut mails).await.unwrap();
    assert_eq!(seeds, addresses(&["given:1"]));
    assert!((3..=5).contains(&seconds), "{seconds}");
    // At 30 s the first is given up, and so on.
    for _ in 0..3 {
        assert_eq!(told(&mut mails).await.unwrap().0, addresses(&["given:1"]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_ends_with_its_node_and_not_at_its_next_look() {
    let (post, mails) = mpsc::channel(8);
    let runtime = TestRuntime::shared();
    Search::all(Vec::new(), vec![Script::boxed([])], &post, &runtime);
    assert_eq!(post.strong_count(), 2, "the search holds the mailbox");
    drop(mails);
    while post.strong_count() > 1 {
        tokio::task::yield_now().await;
    }
    assert!(runtime.now() < Time::ZERO + Duration::from_secs(3_601), "no time has passed");
}
