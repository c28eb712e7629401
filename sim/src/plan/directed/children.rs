//! Schedules aimed at children.

use ordu_core::Restart;

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

/// Children of every sort are done, one after the other; some run on nodes that die a moment later.
pub(super) fn done_children(script: &mut Script<'_>) {
    let restarts = [Restart::Permanent, Restart::Transient, Restart::Temporary];
    let hosts = script.shuffled();
    let mut children = Vec::new();
    for number in 0..6 {
        let (host, restart) = (hosts[number % hosts.len()], restarts[number % restarts.len()]);
        children.push(script.start_kind(host, "counter", restart, None));
    }
    script.wait(1_000);
    for child in children {
        script.fault(Fault::FinishChild(child));
        script.wait_about((1, 500));
    }
    if script.random.below(2) == 0 {
        script.fault(Fault::Restart(hosts[0]));
    }
    script.wait_until_missed();
}

/// One machine alone has code for one kind, all but one for another; it and others die for a while.
pub(super) fn mixed_kinds(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    if script.lacking.is_empty() {
        script.lacking.push((hosts[0], "counter".to_owned()));
        for &host in &hosts[1..] {
            script.lacking.push((host, "ok".to_owned()));
        }
    }
    for number in 0..8 {
        let kind = if number % 2 == 0 { "counter" } else { "ok" };
        let host = script.any();
        script.start_kind(host, kind, Restart::Permanent, None);
    }
    script.wait_about((100, 3_000));
    let host = script.any();
    script.fault(Fault::Kill(host));
    script.wait_about((10, 10_000));
    script.fault(Fault::Boot(host));
    script.wait_until_missed();
}

/// Children are ended by a node that all links to are cut, which then dies; whatever it has
/// answered holds.
pub(super) fn unheard_end(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let children: Vec<u32> = (0..8)
        .map(|number| {
            let host = hosts[number % hosts.len()];
            script.start(host, None)
        })
        .collect();
    script.wait(1_500);
    let split = Topology::Split { left: vec![hosts[0]], right: hosts[1..].to_vec() };
    script.fault(Fault::Cut(split.clone()));
    script.wait_about((1, 100));
    for child in children {
        script.ask(hosts[0], Ask::Terminate { child });
    }
    script.wait_about((10, 1_000));
    script.fault(Fault::Kill(hosts[0]));
    script.fault(Fault::Mend(split));
    script.wait_about((10, 6_000));
    script.fault(Fault::Boot(hosts[0]));
    script.wait_until_missed();
}
