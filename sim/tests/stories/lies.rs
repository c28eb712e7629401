//! Nodes that say what no honest node says (C-2, C-6, C-9, C-11, C-18, M-5, M-7 of the threats).

use std::time::Duration;

use ordu_core::Event;
use ordu_sim::{Host, Lie, N1, N2, N3, World, named, seeds};

use crate::{LONG, SETTLE};

/// Returns how often `host` told its listeners that something of `peer` was refused.
fn complaints(world: &World, host: Host, peer: Host) -> usize {
    let is_complaint = |event: &Event| {
        if let Event::Refused { peer: refused, .. }
        | Event::RuleRefused { peer: refused, .. }
        | Event::ClockRefused { peer: refused, .. } = event
        {
            *refused == peer.id()
        } else {
            false
        }
    };
    let heard = world.events().iter().filter(|(_, observer, _)| *observer == host);
    heard.filter(|(_, _, event)| is_complaint(event)).count()
}

/// A node tells another every lie there is, again and again. Nobody loses a name, a child or a
/// member over it, the one that is lied to complains, and the third never hears of it.
#[test]
fn who_lies_is_refused_and_harms_nobody() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let child = world.start_child(N3, named("counter", "cart")).expect("all is well").child;
        let process = world.spawn(N2);
        world.register(N2, "alias", &process).expect("the name is free");
        world.settle(SETTLE);
        let starts = world.runs().len();

        for _ in 0..3 {
            world.lie_in_every_way(N1, N2, Duration::from_millis(300));
        }
        world.run_for(LONG);
        world.settle(SETTLE);

        assert!(complaints(&world, N2, N1) >= 3, "n2 refuses what it is told; seed {seed}");
        assert_eq!(complaints(&world, N3, N1), 0, "nobody lied to n3; seed {seed}");
        assert_eq!(world.runs().len(), starts, "nothing started anew; seed {seed}");
        let holder = world.lookup(N3, "alias").map(|holder| holder.process.clone());
        assert_eq!(holder, Some(process), "seed {seed}");
        assert_eq!(world.running_child(child).len(), 1, "seed {seed}");
    }
}

/// One lie at a time: what each of them does where nothing else happens.
#[test]
fn every_lie_that_can_be_seen_through_is_complained_of() {
    for lie in Lie::ALL {
        let mut world = World::new(7, 3);
        world.settle(SETTLE);
        world.lie(N1, N2, lie);
        world.run_for(Duration::from_secs(1));
        let is_seen = match lie {
            Lie::Life
            | Lie::TheirJournal
            | Lie::Backward
            | Lie::AheadOfThem
            | Lie::FloorAboveHead
            | Lie::Rule => true,
            // What is known already is not looked at again, and what a relay may say of others is
            // believed no further than their own words bear it out.
            Lie::Rewritten | Lie::NeverWritten | Lie::Pulse | Lie::PulseAhead => false,
        };
        assert_eq!(complaints(&world, N2, N1) > 0, is_seen, "{lie:?}");
        world.run_for(LONG);
        world.settle(SETTLE);
    }
}

/// A node whose clock is far off is not let in when it is met anew, and is once it is right.
#[test]
fn who_is_an_hour_ahead_is_refused_until_its_clock_is_right() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        world.set_wall_offset_ms(N1, 3_600_000);
        world.run_for(Duration::from_secs(2));
        world.break_session(N1, N2);
        world.run_for(Duration::from_secs(2));
        assert!(complaints(&world, N2, N1) > 0, "seed {seed}");
        assert_eq!(complaints(&world, N3, N1), 0, "an open session is not ended; seed {seed}");

        world.set_wall_offset_ms(N1, 0);
        world.run_for(LONG);
        world.settle(SETTLE);
    }
}
