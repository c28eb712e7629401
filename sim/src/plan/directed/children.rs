//! Schedules aimed at children.

use crate::plan::directed::Script;
use crate::plan::{Ask, Fault};
use crate::topology::Topology;

/// Children are accepted by a node that dies a moment later, before or after it has told others.
pub(super) fn accept_then_death(script: &mut Script<'_>) {
    let host = script.any();
    for number in 0..3 {
        let name = format!("name-{number}");
        let name = (number > 0).then_some(name.as_str());
        script.start(host, name);
    }
    script.wait_about((1, 200));
    let dark = script.random.below(2) == 0;
    script.fault(if dark { Fault::GoDark(host) } else { Fault::Kill(host) });
    script.wait_about((10, 8_000));
    script.fault(Fault::Boot(host));
    script.wait_until_missed();
}

/// Children are ended through a node that dies a moment later, while those that ran them are silent
/// at times.
pub(super) fn end_then_death(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let children: Vec<u32> = hosts.iter().map(|&host| script.start(host, None)).collect();
    script.wait(1_000);
    let (ender, silent) = (hosts[0], hosts[1]);
    let freezes = script.random.below(2) == 0;
    if freezes {
        script.fault(Fault::Pause(silent));
        script.wait_about((1, 5_000));
    }
    for child in children {
        script.ask(ender, Ask::Terminate { child });
    }
    script.wait_about((1, 500));
    script.fault(Fault::Kill(ender));
    script.wait_about((10, 6_000));
    script.fault(Fault::Thaw(silent));
    script.fault(Fault::Boot(ender));
    script.wait_until_missed();
}

/// A machine is frozen as long as it takes to be missed, give or take a moment, and thaws while its
/// children start elsewhere.
pub(super) fn thaw_onto_takeover(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    for (number, &host) in hosts.iter().enumerate() {
        script.start(host, Some(&format!("name-{number}")));
        script.start(host, None);
    }
    script.wait(1_000);
    let frozen = hosts[0];
    script.fault(Fault::Pause(frozen));
    let timeout = script.tuning.failure_timeout_ms;
    let more = script.random.below(timeout);
    script.wait(timeout - 500 + more);
    script.fault(Fault::Thaw(frozen));
    script.wait_about((1, 2_000));
    if script.random.below(3) == 0 {
        script.fault(Fault::Restart(hosts[1]));
    }
    script.wait_until_missed();
}

/// A node that runs children leaves; in the midst of it it dies, freezes, or is cut off.
pub(super) fn leave_interrupted(script: &mut Script<'_>) {
    let host = script.any();
    for number in 0..6 {
        let name = format!("name-{number}");
        let through = script.any();
        script.start(through, (number % 2 == 0).then_some(name.as_str()));
    }
    script.wait(1_500);
    script.ask(host, Ask::Leave);
    script.wait_about((1, 1_500));
    let others = script.shuffled().into_iter().filter(|&other| other != host).collect();
    let split = Topology::Split { left: vec![host], right: others };
    match script.random.below(3) {
        0 => script.fault(Fault::Kill(host)),
        1 => {
            script.fault(Fault::Cut(split.clone()));
            script.wait_about((100, 15_000));
            script.fault(Fault::Mend(split));
        }
        _ => {
            script.fault(Fault::Pause(host));
            script.wait_about((100, 8_000));
            script.fault(Fault::Thaw(host));
        }
    }
    script.wait_until_missed();
    script.fault(Fault::Boot(host));
    script.wait_until_missed();
}
