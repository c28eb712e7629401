//! Schedules aimed at clocks, and at machines that are late.

use crate::pace::Pace;
use crate::plan::Fault;
use crate::plan::directed::Script;

/// One machine is slow for half a minute, while the others are asked for much.
pub(super) fn slow_node(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let times = 20 + u32::try_from(script.random.below(80)).expect("it is small");
    script.fault(Fault::Work(hosts[0], Pace::slowed(times)));
    for number in 0..15 {
        let host = script.any();
        script.start(host, Some(&format!("name-{number}")));
        script.spawn(host, &format!("alias-{}", number % 4));
        script.wait(2_000);
    }
    script.fault(Fault::Work(hosts[0], Pace::full()));
    script.wait_until_missed();
}

/// Wall clocks jump ahead and back, near what is allowed and far beyond it, while a name changes
/// hands.
pub(super) fn wall_strobe(script: &mut Script<'_>) {
    for _ in 0..12 {
        let host = script.any();
        let far = i64::try_from(script.random.below(3)).expect("it is small") * 250;
        let offset_ms = match script.random.below(4) {
            0 => 0,
            1 => far,
            2 => -far,
            _ => 3_600_000,
        };
        script.fault(Fault::WallOffset(host, offset_ms));
        script.wait_about((10, 1_500));
        script.spawn(host, "alias");
        script.wait_about((10, 1_500));
        script.unregister(host, "alias");
    }
    for host in script.shuffled() {
        script.fault(Fault::WallOffset(host, 0));
    }
    script.wait_until_missed();
}
