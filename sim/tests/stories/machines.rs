//! The simulator's machines: that slow ones are slow, that sleeping ones sleep, and that clocks go
//! as they are told.

use std::time::Duration;

use ordu_core::{Input, Time, Wall};
use ordu_sim::{N1, N2, N3, Pace, World, seeds};

use crate::simulator::{beats, told, toy_world};
use crate::toy::{Diary, Fault};

const SECOND: Duration = Duration::from_secs(1);

/// Returns how often n2 ticks while `seconds` pass.
fn ticks(world: &mut World, diary: &Diary, seconds: u32) -> usize {
    told(diary, N2);
    world.run_for(SECOND * seconds);
    told(diary, N2).iter().filter(|input| **input == Input::Tick).count()
}

/// A machine at three fifths of what it can bear handles everything, in order, one after the other.
#[test]
fn a_slow_machine_does_one_thing_at_a_time_and_forgets_none() {
    for seed in seeds(5) {
        let (mut world, diary) = toy_world(seed, 2, Fault::None);
        let cost = Duration::from_millis(20);
        world.set_pace(N2, Pace::per_input(cost));
        told(&diary, N2);
        world.run_for(SECOND * 10);
        let entries = diary.lock().unwrap().remove(&N2).unwrap();
        let work: Vec<Time> = entries
            .iter()
            .filter(|entry| !matches!(entry.input, Input::Flush | Input::Wall(_)))
            .map(|entry| entry.at)
            .collect();
        assert!(work.windows(2).all(|pair| pair[0] + cost <= pair[1]), "{work:?}; seed {seed}");
        let inputs: Vec<Input> = entries.into_iter().map(|entry| entry.input).collect();
        let heard = beats(&inputs, N1);
        assert!(heard.len() >= 98, "{}; seed {seed}", heard.len());
        assert!(heard.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{heard:?}; seed {seed}");
        let ticks = inputs.iter().filter(|input| **input == Input::Tick).count();
        assert!((70..=95).contains(&ticks), "what it says is late; {ticks}, seed {seed}");
    }
}

/// n2 can bear a sixth of what the other two send. What waits is bounded, and what is over is
/// lost; back at its full pace it has done all at once.
#[test]
fn what_waits_at_an_overloaded_machine_is_bounded() {
    let (mut world, diary) = toy_world(1, 3, Fault::None);
    world.set_pace(N2, Pace::slowed(1_000));
    told(&diary, N2);
    world.run_for(SECOND * 300);
    let messages = |inputs: &[Input]| {
        inputs.iter().filter(|input| matches!(input, Input::Message { .. })).count()
    };
    let handled = messages(&told(&diary, N2));
    assert!((1_500..=3_000).contains(&handled), "{handled} of 12,000 in time");

    world.set_pace(N2, Pace::full());
    world.run_for(Duration::from_millis(1));
    let waited = messages(&told(&diary, N2));
    assert!((3_900..=4_100).contains(&waited), "{waited} have waited");
    assert_eq!(ticks(&mut world, &diary, 10), 100);
}

/// What users ask of a slow node is taken in at once, and what the node then has to do is not.
#[test]
fn a_request_keeps_a_slow_machine_busy() {
    let (mut world, diary) = toy_world(1, 1, Fault::None);
    world.set_pace(N1, Pace::per_input(SECOND / 20));
    told(&diary, N1);
    let before = world.now();
    for _ in 0..20 {
        world.spawn(N1);
    }
    assert_eq!(world.now(), before, "they are answered at once");
    world.run_for(SECOND);
    let ticks = |inputs: Vec<Input>| inputs.iter().filter(|i| **i == Input::Tick).count();
    assert_eq!(ticks(told(&diary, N1)), 0, "a second of work comes first");
    world.run_for(SECOND);
    assert!(ticks(told(&diary, N1)) >= 6);
}

#[test]
fn a_slow_machine_dies_freezes_and_starts_as_any_other() {
    for seed in seeds(5) {
        let (mut world, diary) = toy_world(seed, 3, Fault::None);
        world.set_pace(N2, Pace::slowed(100));
        world.run_for(SECOND);
        world.pause(N2);
        told(&diary, N2);
        world.run_for(SECOND);
        assert!(told(&diary, N2).is_empty(), "seed {seed}");
        world.thaw(N2);
        world.run_for(SECOND * 3);
        assert!(beats(&told(&diary, N2), N1).len() >= 35, "seed {seed}");

        world.restart(N2);
        world.run_for(SECOND * 3);
        assert!(world.all_know_each_other(), "seed {seed}");
        assert!(beats(&told(&diary, N3), N2).len() >= 20, "seed {seed}");
    }
}

#[test]
fn a_clock_changes_its_rate_at_once_and_goes_on_from_where_it_is() {
    let (mut world, diary) = toy_world(1, 2, Fault::None);
    assert_eq!(ticks(&mut world, &diary, 10), 100);
    for (gain_ppm, expected) in [(1_000_000, 200), (-500_000, 50), (-990_000, 1), (0, 100)] {
        world.set_clock_gain_ppm(N2, gain_ppm);
        let ticks = ticks(&mut world, &diary, 10);
        assert!(ticks.abs_diff(expected) <= 1, "{ticks} at {gain_ppm}");
    }
}

/// Nothing but its own clock wakes a node that is alone. Where that stands nearly still, the next
/// tick is two minutes away, and comes as soon as the clock goes right again.
#[test]
fn a_timer_is_planned_anew_when_the_clock_changes_its_rate() {
    let (mut world, diary) = toy_world(1, 1, Fault::None);
    let ticks = |world: &mut World| {
        told(&diary, N1);
        world.run_for(SECOND);
        told(&diary, N1).iter().filter(|input| **input == Input::Tick).count()
    };
    world.set_clock_gain_ppm(N1, -999_200);
    assert_eq!(ticks(&mut world), 0);
    world.set_clock_gain_ppm(N1, 0);
    assert!((9..=10).contains(&ticks(&mut world)));
}

/// A request to a node whose clock slows down is answered by that clock, and that is in time.
#[test]
#[should_panic(expected = "n2 did not answer in time: Settled; at 31.1")]
fn a_deadline_goes_by_the_clock_of_the_machine() {
    let (mut world, _) = toy_world(1, 2, Fault::Mute);
    world.request(N2, ordu_core::Command::Settled);
    world.set_clock_gain_ppm(N2, -666_667);
    world.run_for(SECOND * 40);
}

/// Asleep, a machine does nothing and its clock stands still; that of the wall goes on.
#[test]
fn a_machine_that_sleeps_does_not_feel_the_time() {
    for seed in seeds(5) {
        let (mut world, diary) = toy_world(seed, 2, Fault::None);
        let last = diary.lock().unwrap()[&N2].last().unwrap().at;
        world.suspend(N2, SECOND * 30);
        assert_eq!(ticks(&mut world, &diary, 29), 0, "seed {seed}");
        assert_eq!(world.up(), [N1], "seed {seed}");
        world.run_for(Duration::from_millis(1_001));
        let entries = diary.lock().unwrap().remove(&N2).unwrap();
        let slept = entries[0].at.since(last);
        assert!(slept <= Duration::from_millis(100), "{slept:?} by its own clock; seed {seed}");
        let walls = entries.iter().filter_map(|entry| {
            let Input::Wall(wall) = entry.input else { return None };
            Some(wall.as_millis() % 1_000_000)
        });
        assert!(walls.max().unwrap() >= 31_000, "seed {seed}");
        let inputs: Vec<Input> = entries.into_iter().map(|entry| entry.input).collect();
        assert!(beats(&inputs, N1).len() >= 299, "seed {seed}");
        let woken = inputs.iter().filter(|input| **input == Input::Tick).count();
        assert!(woken <= 1, "its timer did not run; {woken}, seed {seed}");
        assert_eq!(ticks(&mut world, &diary, 10), 100, "seed {seed}");
    }
}

/// Whoever wakes early goes on early, and does not wake twice; whoever dies asleep starts awake.
#[test]
fn a_sleep_ends_with_the_first_thing_that_ends_it() {
    let (mut world, diary) = toy_world(1, 2, Fault::None);
    world.suspend(N2, SECOND * 10);
    world.run_for(SECOND * 4);
    world.thaw(N2);
    assert_eq!(ticks(&mut world, &diary, 2), 20);
    world.pause(N2);
    assert_eq!(ticks(&mut world, &diary, 8), 0, "a sleep that is over ends no freeze");
    world.thaw(N2);

    world.suspend(N2, SECOND * 10);
    world.suspend(N2, SECOND * 20);
    assert_eq!(ticks(&mut world, &diary, 19), 0, "the last word counts");
    assert!(ticks(&mut world, &diary, 2) >= 10);

    world.suspend(N2, SECOND * 10);
    world.kill(N2);
    world.start(N2);
    assert_eq!(ticks(&mut world, &diary, 20), 200);
}

#[test]
fn a_wall_clock_steps_by_hours_and_years_and_to_1970() {
    let (mut world, diary) = toy_world(1, 2, Fault::None);
    const YEAR_MS: i64 = 365 * 86_400_000;
    let read = |world: &mut World, diary: &Diary| {
        told(diary, N2);
        world.run_for(SECOND);
        let inputs = told(diary, N2);
        let wall = |input: &Input| {
            let Input::Wall(wall) = input else { return None };
            Some(*wall)
        };
        inputs.iter().rev().find_map(wall).unwrap()
    };
    let right = read(&mut world, &diary);
    for offset_ms in [3_600_000, -3_600_000, YEAR_MS, -YEAR_MS] {
        world.set_wall_offset_ms(N2, offset_ms);
        let wrong = i128::from(read(&mut world, &diary).as_millis()) - i128::from(offset_ms);
        let drift = wrong - i128::from(right.as_millis());
        assert!((0..10_000).contains(&drift), "{drift} after {offset_ms}");
    }
    world.set_wall_offset_ms(N2, i64::MIN);
    assert_eq!(read(&mut world, &diary), Wall::from_millis(0));
    world.set_wall_offset_ms(N2, i64::MAX);
    assert_eq!(read(&mut world, &diary), Wall::MAX);
}
