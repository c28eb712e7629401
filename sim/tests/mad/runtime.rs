//! The runtime of a simulated machine keeps the promises of the trait, and one seed is one history.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ordu_core::transport::Runtime;
use ordu_core::{Time, Wall};
use ordu_sim::mad::{Lab, Log, MadRuntime, simulate};
use ordu_sim::{N1, N2, seeds};

/// Three tasks that sleep for random times and say so.
async fn sleepers(log: Log) {
    let runtime = Arc::new(MadRuntime::current());
    let (done, mut all_done) = tokio::sync::mpsc::channel(3);
    for task in 0..3 {
        let (log, runtime, done) = (log.clone(), Arc::clone(&runtime), done.clone());
        runtime.clone().spawn(Box::pin(async move {
            for _ in 0..20 {
                let mut byte = [0];
                runtime.fill_random(&mut byte);
                let at = runtime.now() + Duration::from_millis(u64::from(byte[0]));
                runtime.sleep_until(at).await;
                log.note(format!("task {task} slept until {at}"));
            }
            done.send(()).await.expect("the test waits");
        }));
    }
    for _ in 0..3 {
        all_done.recv().await.expect("all three end");
    }
}

#[test]
fn the_same_seed_gives_the_same_hash_and_another_gives_another() {
    for seed in seeds(5) {
        let hash = simulate(seed, sleepers);
        assert_eq!(hash, simulate(seed, sleepers), "seed {seed}");
        assert_ne!(hash, simulate(seed + 1, sleepers), "seed {seed}");
    }
}

#[test]
fn a_sleep_ends_at_its_time_or_soon_after_and_at_once_if_that_has_passed() {
    simulate(1, async |_| {
        let runtime = MadRuntime::current();
        for us in [1, 500, 1_000, 3_600_000_000] {
            let at = runtime.now() + Duration::from_micros(us);
            runtime.sleep_until(at).await;
            let late = runtime.now().since(at);
            assert!(at <= runtime.now(), "woken early, at {}", runtime.now());
            assert!(late <= Duration::from_millis(2), "{late:?} late");
        }
        let before = runtime.now();
        runtime.sleep_until(Time::ZERO).await;
        assert_eq!(runtime.now(), before);
    });
}

/// A sleeper that is polled for other reasons, as the loop of a node is, sets no timer each time.
#[test]
fn a_sleep_that_is_polled_often_still_ends_once() {
    simulate(1, async |_| {
        let runtime = Arc::new(MadRuntime::current());
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let ticker = Arc::clone(&runtime);
        runtime.spawn(Box::pin(async move {
            while sender.send(()).await.is_ok() {
                let at = ticker.now() + Duration::from_millis(1);
                ticker.sleep_until(at).await;
            }
        }));
        let at = runtime.now() + Duration::from_secs(1);
        let mut sleep = runtime.sleep_until(at);
        let mut polls = 0;
        loop {
            tokio::select! {
                biased;
                () = &mut sleep => break,
                Some(()) = receiver.recv() => polls += 1,
            }
        }
        assert!(polls > 400, "{polls}");
        assert!(runtime.now().since(at) <= Duration::from_millis(2));
    });
}

#[test]
fn time_and_wall_time_go_on_together() {
    simulate(1, async |_| {
        let runtime = MadRuntime::current();
        let (now, wall) = (runtime.now(), runtime.wall());
        assert!(wall > Wall::from_millis(1_500_000_000_000), "some year after 2017: {wall}");
        runtime.sleep_until(now + Duration::from_secs(10)).await;
        let passed = runtime.wall().as_millis() - wall.as_millis();
        assert!((9_999..10_010).contains(&passed), "{passed}");
    });
}

#[test]
fn what_a_machine_spawned_dies_with_its_life() {
    simulate(1, async |_| {
        let beats = Arc::new(AtomicU32::new(0));
        let lives = Arc::new(AtomicU32::new(0));
        let mut lab = Lab::new();
        let (beat, life) = (Arc::clone(&beats), Arc::clone(&lives));
        lab.boot(N1, move || {
            let beat = Arc::clone(&beat);
            life.fetch_add(1, Ordering::Relaxed);
            async move {
                let runtime = Arc::new(MadRuntime::current());
                let spawned = Arc::clone(&runtime);
                runtime.spawn(Box::pin(async move {
                    loop {
                        spawned.sleep_until(spawned.now() + Duration::from_millis(100)).await;
                        beat.fetch_add(1, Ordering::Relaxed);
                    }
                }));
                std::future::pending().await
            }
        });
        let runtime = MadRuntime::current();
        let count = async |lab_time: Duration| {
            let before = beats.load(Ordering::Relaxed);
            runtime.sleep_until(runtime.now() + lab_time).await;
            beats.load(Ordering::Relaxed) - before
        };
        let second = Duration::from_secs(1);
        assert!((9..=10).contains(&count(second).await));
        lab.pause(N1);
        assert_eq!(count(second).await, 0, "frozen");
        lab.thaw(N1);
        assert!(count(second).await >= 9);
        lab.kill(N1);
        assert_eq!(count(second).await, 0, "dead");
        lab.restart(N1);
        assert!((8..=10).contains(&count(second).await), "one life beats, not two");
        assert_eq!(lives.load(Ordering::Relaxed), 2);
        assert_ne!(Lab::address(N1), Lab::address(N2));
    });
}

#[test]
#[should_panic(expected = "planned")]
fn a_panic_in_a_task_ends_the_simulation() {
    simulate(1, async |_| {
        let runtime = MadRuntime::current();
        runtime.spawn(Box::pin(async { panic!("planned") }));
        runtime.sleep_until(runtime.now() + Duration::from_secs(1)).await;
    });
}
