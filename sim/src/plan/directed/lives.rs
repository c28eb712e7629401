//! Schedules aimed at nodes that start anew.

use crate::plan::directed::Script;
use crate::plan::{Ask, Fault};

/// A node with names and children starts anew before it is missed, and takes its names again.
pub(super) fn quick_restart(script: &mut Script<'_>) {
    let host = script.any();
    script.spawn(host, "alias");
    script.start(host, Some("name"));
    script.wait_about((1, 2_000));
    script.fault(Fault::Kill(host));
    script.wait_about((1, 2_500));
    script.fault(Fault::Boot(host));
    script.wait_about((50, 3_000));
    script.spawn(host, "alias");
    script.start(host, Some("name"));
    script.wait_about((100, 10_000));
}

/// A node starts anew again and again, with something to say each time.
pub(super) fn crash_loop(script: &mut Script<'_>) {
    let host = script.any();
    for _ in 0..10 + script.random.below(20) {
        script.fault(Fault::Restart(host));
        script.wait_about((100, 2_000));
        script.spawn(host, "alias");
        script.wait_about((1, 300));
    }
    script.wait_until_missed();
}

/// All nodes start anew again and again, so that something is always being told; each life says as
/// much of itself as a node must, and few say more.
pub(super) fn restart_storm(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    script.start(hosts[0], Some("name"));
    script.wait_about((100, 2_000));
    for _ in 0..100 + script.random.below(200) {
        let host = script.any();
        script.fault(Fault::Restart(host));
        script.wait_about((100, 1_000));
        if script.random.below(20) == 0 {
            script.spawn(host, "alias");
        }
    }
    script.wait_until_missed();
}

/// A node is away for as long as it is remembered, give or take a moment, and returns; meanwhile
/// others have ended what it ran and taken what it held.
pub(super) fn late_return(script: &mut Script<'_>) {
    script.tuning.forget_after_ms = 4 * script.tuning.failure_timeout_ms + 8_000;
    let hosts = script.shuffled();
    let (away, other) = (hosts[0], hosts[1]);
    let child = script.start(away, Some("name"));
    script.spawn(away, "alias");
    script.spawn(other, "other-alias");
    script.wait_about((100, 2_000));
    let freezes = script.random.below(2) == 0;
    script.fault(if freezes { Fault::Pause(away) } else { Fault::GoDark(away) });
    script.wait_until_missed();
    script.ask(other, Ask::Terminate { child });
    script.spawn(other, "alias");
    script.unregister(other, "other-alias");
    let left_ms = script.tuning.forget_after_ms - 4 * script.tuning.failure_timeout_ms;
    let around = script.random.below(4_000);
    script.wait(left_ms - 2_000 + around);
    script.fault(if freezes { Fault::Thaw(away) } else { Fault::Boot(away) });
    script.wait_until_missed();
}

/// All nodes but a few die within a moment, and return within another.
pub(super) fn mass_restart(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    for (number, &host) in hosts.iter().enumerate() {
        script.start(host, Some(&format!("name-{number}")));
    }
    script.wait_about((100, 5_000));
    let most = hosts.len() / 2 + 1;
    for &host in &hosts[..most] {
        script.fault(Fault::Kill(host));
        a_moment(script);
    }
    script.wait_about((10, 10_000));
    for &host in &hosts[..most] {
        script.fault(Fault::Boot(host));
        a_moment(script);
    }
    script.wait_until_missed();
}

/// A machine that runs children dies, and is not seen again.
pub(super) fn lasting_death(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    for number in 0..6 {
        script.start(hosts[number % hosts.len()], (number < 3).then_some("name"));
        script.wait_about((1, 300));
    }
    if !script.lost.is_empty() {
        return script.wait_until_missed();
    }
    let lost = hosts[0];
    script.spawn(lost, "alias");
    script.wait_about((10, 2_000));
    let is_dark = script.random.below(2) == 0;
    script.fault(if is_dark { Fault::GoDark(lost) } else { Fault::Kill(lost) });
    script.lost.push(lost);
    script.wait_until_missed();
}

/// A node leaves, with children or without, and returns much later, or does not. While it waits for
/// the others to hear of it, it writes on, or a session ends.
pub(super) fn quiet_leave(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let host = hosts[0];
    for _ in 0..script.random.below(4) {
        let through = script.any();
        script.start(through, None);
    }
    let names = ["late-0", "late-1", "late-2", "late-3"];
    for name in names {
        script.spawn(host, name);
    }
    script.wait_about((1_000, 5_000));
    script.ask(host, Ask::Leave);
    let breaks = script.random.below(3) == 0;
    if breaks {
        script.wait_about((1, 200));
        script.fault(Fault::BreakSession(host, hosts[1]));
    } else {
        for name in names {
            script.wait_about((1, 60));
            script.unregister(host, name);
        }
    }
    script.wait_until_missed();
    if script.random.below(2) == 0 {
        script.fault(Fault::Boot(host));
        script.wait_until_missed();
    }
}

/// Lets no time at all pass, or a few milliseconds.
fn a_moment(script: &mut Script<'_>) {
    let ms = script.random.below(2) * script.random.below(20);
    script.wait(ms);
}
