//! Schedules aimed at leases: whoever holds some is cut off, frozen or killed, while those that
//! granted them forget.

use crate::host::Host;
use crate::network::Network;
use crate::plan::Fault;
use crate::plan::directed::Script;
use crate::plan::tuning::Leases;
use crate::topology::Topology;

/// A name that is held under a lease where children run under some.
const LOCK: &str = "lock-0";

/// Lets all children run under leases; the clocks run as differently as they may.
fn furnish(script: &mut Script<'_>) {
    if script.tuning.leases.is_some() {
        return;
    }
    let voters = [3, 3, script.hosts][script.random.below(3) as usize];
    script.tuning.leases = Some(Leases { voters: voters.min(script.hosts), ..Leases::usual() });
    let gains = [10_000, -10_000, 10_000, -10_000, 0];
    script.gains_ppm = (0..script.hosts).map(|_| gains[script.random.below(5) as usize]).collect();
    script.wait(6_000);
    for number in 0..8 {
        let host = script.any();
        script.start(host, (number % 4 == 0).then_some(format!("name-{number}")).as_deref());
    }
    script.wait(2_000);
}

fn lease_ms(script: &Script<'_>) -> u64 {
    script.tuning.leases.map_or(0, |leases| leases.lease_ms)
}

/// Starts all of `hosts` anew, each within `within` milliseconds of the one before.
fn bounce(script: &mut Script<'_>, hosts: &[Host], within: u64) {
    for &host in hosts {
        script.fault(Fault::Restart(host));
        script.wait_about((1, within));
    }
}

/// A machine is cut off from all others, and those start anew meanwhile: what they have granted it
/// they do not know any more.
pub(super) fn isolate_holder(script: &mut Script<'_>) {
    furnish(script);
    let hosts = script.shuffled();
    let (holder, others) = (hosts[0], hosts[1..].to_vec());
    let shape = match script.random.below(3) {
        0 => Topology::OneWay { from: vec![holder], to: others.clone() },
        1 => Topology::OneWay { from: others.clone(), to: vec![holder] },
        _ => Topology::Split { left: vec![holder], right: others.clone() },
    };
    script.fault(Fault::Cut(shape.clone()));
    script.wait_about((1, 4_000));
    let bounced = 1 + script.random.below(u64::from(script.hosts) - 1) as usize;
    bounce(script, &others[..bounced.min(others.len())], 300);
    if script.random.below(2) == 0 {
        script.fault(Fault::Pause(holder));
        script.wait_about((100, 9_000));
        script.fault(Fault::Thaw(holder));
    }
    script.wait_about((500, 12_000));
    script.fault(Fault::Mend(shape));
    script.wait_until_missed();
}

/// A machine is frozen until about the end of its leases, and goes on with what was running there;
/// or it is frozen in the midst of asking.
pub(super) fn freeze_holder(script: &mut Script<'_>) {
    furnish(script);
    let hosts = script.shuffled();
    let lease = lease_ms(script);
    for &host in &hosts[..2] {
        script.fault(Fault::Pause(host));
        let length = lease - 700 + script.random.below(1_800);
        script.wait(length);
        script.fault(Fault::Thaw(host));
        script.wait_about((1, 3_000));
    }
    script.wait_until_missed();
}

/// Most voters start anew at once, while machines run what they were granted; at times one of these
/// dies, too.
pub(super) fn bounce_voters(script: &mut Script<'_>) {
    furnish(script);
    let hosts = script.shuffled();
    let spared = 1 + usize::from(script.random.below(2) == 0);
    bounce(script, &hosts[spared.min(hosts.len() - 1)..], 50);
    script.wait_about((10, 6_000));
    if script.random.below(2) == 0 {
        script.fault(Fault::Kill(hosts[0]));
        script.wait_about((10, 8_000));
        script.fault(Fault::Boot(hosts[0]));
    }
    script.wait_until_missed();
}

/// Links are cut so that several sides reach a majority of the voters, or none does.
pub(super) fn split_votes(script: &mut Script<'_>) {
    furnish(script);
    let hosts = script.shuffled();
    let shape = match script.random.below(5) {
        0 => Topology::BrokenLink { a: hosts[0], b: hosts[1] },
        1 => Topology::MajoritiesRing,
        2 => Topology::Bridge { bridge: hosts[0] },
        3 => Topology::Isolated,
        _ => Topology::Ring,
    };
    script.fault(Fault::Cut(shape.clone()));
    for number in 8..12 {
        script.wait_about((200, 5_000));
        let host = script.any();
        script.start(host, Some(&format!("name-{number}")));
    }
    if script.random.below(2) == 0 {
        script.fault(Fault::Restart(hosts[1]));
        script.wait_about((10, 6_000));
    }
    script.fault(Fault::Mend(shape));
    script.wait_until_missed();
}

/// Requests and answers are kept back and come again much later, when those that sent them live
/// again, or others hold what was asked for.
pub(super) fn hoarded_leases(script: &mut Script<'_>) {
    furnish(script);
    let hoarding = Network { hoard_per_mille: 200, ..Network::lossy() };
    script.fault(Fault::Weather(hoarding));
    let hosts = script.shuffled();
    for &host in &hosts[..2] {
        script.wait_about((500, 4_000));
        match script.random.below(3) {
            0 => script.fault(Fault::Restart(host)),
            1 => {
                script.fault(Fault::Pause(host));
                script.wait_about((1_000, 7_000));
                script.fault(Fault::Thaw(host));
            }
            _ => {
                script.fault(Fault::Kill(host));
                script.wait_about((10, 7_000));
                script.fault(Fault::Boot(host));
            }
        }
    }
    script.wait_about((1_000, 30_000));
    script.fault(Fault::Calm);
    script.wait_until_missed();
}

/// Whoever holds a name is cut off, heard by nobody or frozen, and the others ask for the name
/// meanwhile, more than once; at times some of these start anew, too.
pub(super) fn contended_names(script: &mut Script<'_>) {
    furnish(script);
    for _ in 0..2 {
        let hosts = script.shuffled();
        let (holder, others) = (hosts[0], hosts[1..].to_vec());
        script.spawn(holder, LOCK);
        script.wait_about((300, 1_500));
        let shape = match script.random.below(3) {
            0 => Some(Topology::OneWay { from: vec![holder], to: others.clone() }),
            1 => Some(Topology::Split { left: vec![holder], right: others.clone() }),
            _ => None,
        };
        script.fault(shape.clone().map_or(Fault::Pause(holder), Fault::Cut));
        script.wait_about((1_500, 4_000));
        if script.random.below(3) == 0 {
            bounce(script, &others[..1], 100);
        }
        for &host in others.iter().chain(&others) {
            script.spawn(host, LOCK);
            script.wait_about((10, 1_200));
        }
        script.fault(shape.map_or(Fault::Thaw(holder), Fault::Mend));
        script.wait_about((500, 6_000));
        let host = script.any();
        script.unregister(host, LOCK);
    }
    script.wait_until_missed();
}
