//! Schedules aimed at names.

use std::time::Duration;

use crate::network::Network;
use crate::plan::Fault;
use crate::plan::directed::Script;
use crate::topology::Topology;

/// How late a frame is at most that comes again.
const LATE: Duration = Duration::from_secs(10);

/// Both sides of a split take a name, as children or as plain processes; around the heal one of the
/// owners dies, freezes or restarts, at every stage of the resolution in the long run.
pub(super) fn conflict_then_death(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let (left, right) = hosts.split_at(1 + script.random.below(2) as usize);
    let (a, b) = (left[0], right[0]);
    let split = Topology::Split { left: left.to_vec(), right: right.to_vec() };
    script.fault(Fault::Cut(split.clone()));
    script.wait_until_missed();
    if script.random.below(2) == 0 {
        script.start(a, Some("name"));
        script.wait_about((1, 1_000));
        script.start(b, Some("name"));
    } else {
        script.spawn(a, "alias");
        script.wait_about((1, 1_000));
        script.spawn(b, "alias");
    }
    script.wait(500);
    script.fault(Fault::Mend(split));
    script.wait_about((1, 4_000));
    let victim = if script.random.below(2) == 0 { a } else { b };
    match script.random.below(4) {
        0 => script.fault(Fault::Restart(victim)),
        1 => {
            script.fault(Fault::Pause(victim));
            script.wait_about((100, 8_000));
            script.fault(Fault::Thaw(victim));
        }
        2 => script.fault(Fault::GoDark(victim)),
        _ => script.fault(Fault::Kill(victim)),
    }
    script.wait_until_missed();
    script.fault(Fault::Boot(victim));
    script.wait_until_missed();
}

/// Three sides take one name; as they meet one gives it up, and takes it again.
pub(super) fn three_way_conflict(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    script.fault(Fault::Cut(Topology::Isolated));
    script.wait_until_missed();
    for &host in &hosts[..3] {
        script.spawn(host, "alias");
        script.wait_about((1, 300));
        script.start(host, Some("name"));
    }
    script.wait(500);
    // Two sides meet before the third joins them.
    if script.random.below(2) == 0 {
        let first = Topology::Split { left: vec![hosts[0]], right: hosts[1..].to_vec() };
        script.fault(Fault::Cut(first.clone()));
        script.fault(Fault::Mend(Topology::Isolated));
        script.wait_about((10, 6_000));
        script.fault(Fault::Mend(first));
    } else {
        script.fault(Fault::Mend(Topology::Isolated));
    }
    script.wait_about((1, 3_000));
    let host = hosts[script.random.below(3) as usize];
    script.unregister(host, "alias");
    script.wait_about((1, 500));
    script.spawn(host, "alias");
    script.wait_until_missed();
}

/// On either side of a split one process holds two names; healed, each of both must keep both or
/// neither, and somebody must hold each.
pub(super) fn crossing_names(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let (a, b) = (hosts[0], hosts[1]);
    let split = Topology::Split { left: vec![a], right: hosts[1..].to_vec() };
    script.fault(Fault::Cut(split.clone()));
    script.wait_until_missed();
    let first = script.spawn(a, "left");
    let second = script.spawn(b, "right");
    script.wait_about((1, 2_000));
    script.register(a, first, "right");
    script.wait_about((1, 2_000));
    script.register(b, second, "left");
    script.wait(500);
    script.fault(Fault::Mend(split));
    script.wait_until_missed();
}

/// A name goes from hand to hand on links that keep frames back and deliver them again, while nodes
/// restart in between.
pub(super) fn hoarded_names(script: &mut Script<'_>) {
    script.fault(Fault::Weather(Network::hoarding()));
    for _ in 0..6 {
        let host = script.any();
        script.spawn(host, "alias");
        script.wait_about((50, 2_000));
        script.unregister(host, "alias");
        script.wait_about((50, 2_000));
        if script.random.below(3) == 0 {
            let host = script.any();
            script.fault(Fault::Restart(host));
            script.wait_about((50, 5_000));
        }
    }
    script.wait_about((5_000, 60_000));
    script.fault(Fault::Calm);
}

/// Names are given to processes and taken from them through other nodes, by turns, on links that
/// bring half of the frames twice, the second time seconds later at times.
pub(super) fn hoarded_forwards(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let (owner, other) = (hosts[0], hosts[1]);
    let process = script.spawn(owner, "alias");
    script.wait(1_000);
    let late = Network { slow_per_mille: 300, slow: LATE, ..Network::duplicating() };
    script.fault(Fault::Weather(late));
    for _ in 0..6 {
        script.unregister(other, "alias");
        script.wait_about((500, 4_000));
        script.register(other, process, "alias");
        script.wait_about((500, 4_000));
    }
    script.unregister(other, "alias");
    script.wait_about((10_000, 30_000));
    script.fault(Fault::Calm);
}
