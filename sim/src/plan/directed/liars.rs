//! Schedules aimed at nodes that say what no honest node says.

use crate::host::Host;
use crate::lies::Lie;
use crate::plan::Fault;
use crate::plan::directed::Script;

/// A machine lies to others, in all ways, while names are taken and children start; now and then
/// its clock is far off when it is met anew, or somebody starts anew among the lies.
pub(super) fn liar(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let liar = hosts[0];
    for number in 0..4 {
        script.start(hosts[number % hosts.len()], Some(&format!("name-{number}")));
    }
    script.wait_about((1_000, 3_000));
    for number in 0..20 + script.random.below(20) {
        let others = u64::from(script.hosts) - 1;
        let to = hosts[1 + script.random.below(others) as usize];
        let lie = Lie::draw(script.random);
        match script.random.below(20) {
            0 => far_off(script, liar, to),
            1 => script.fault(Fault::Restart(to)),
            2 => script.fault(Fault::Restart(liar)),
            _ => script.fault(Fault::Lie(liar, to, lie)),
        }
        script.wait_about((1, 2_000));
        match script.random.below(6) {
            0 => drop(script.spawn(to, &format!("alias-{}", number % 4))),
            1 => drop(script.start(to, None)),
            2 => script.unregister(to, &format!("alias-{}", number % 4)),
            _ => {}
        }
    }
    script.wait_until_missed();
}

/// The liar's clock is an hour off while it meets a node anew.
fn far_off(script: &mut Script<'_>, liar: Host, to: Host) {
    script.fault(Fault::WallOffset(liar, 3_600_000));
    script.wait_about((1_100, 2_000));
    script.fault(Fault::BreakSession(liar, to));
    script.wait_about((100, 3_000));
    script.fault(Fault::WallOffset(liar, 0));
}
