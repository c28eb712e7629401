//! Schedules aimed at nodes that start anew.

use crate::plan::Fault;
use crate::plan::directed::Script;

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

/// A node is away for as long as it is remembered, give or take a moment, and returns; meanwhile
/// others have ended what it ran and taken what it held.
pub(super) fn late_return(script: &mut Script<'_>) {
    script.tuning.forget_after_ms = 4 * script.tuning.failure_timeout_ms + 8_000;
    let hosts = script.shuffled();
    let (away, other) = (hosts[0], hosts[1]);
    let child = script.start(away, Some("name"));
    script.spawn(away, "alias");
    script.wait_about((100, 2_000));
    let freezes = script.random.below(2) == 0;
    script.fault(if freezes { Fault::Pause(away) } else { Fault::GoDark(away) });
    script.wait_until_missed();
    script.ask(other, crate::plan::Ask::Terminate { child });
    script.spawn(other, "alias");
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

/// Lets no time at all pass, or a few milliseconds.
fn a_moment(script: &mut Script<'_>) {
    let ms = script.random.below(2) * script.random.below(20);
    script.wait(ms);
}
