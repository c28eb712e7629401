//! Schedules aimed at what one node believes of another.

use crate::plan::Fault;
use crate::plan::directed::Script;
use crate::topology::Topology;

/// One link is broken for a minute, while children start and are called.
pub(super) fn one_broken_link(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let link = Topology::BrokenLink { a: hosts[0], b: hosts[1] };
    a_minute_of(script, link);
}

/// The links of a majorities' ring alone are whole for a minute.
pub(super) fn majorities_ring(script: &mut Script<'_>) {
    a_minute_of(script, Topology::MajoritiesRing);
}

fn a_minute_of(script: &mut Script<'_>, shape: Topology) {
    let parts = script.random.below(3) == 0;
    let cut = if parts { Fault::Part(shape.clone()) } else { Fault::Cut(shape.clone()) };
    for number in 0..6 {
        let host = script.any();
        script.start(host, Some(&format!("name-{number}")));
    }
    script.wait_about((1, 2_000));
    script.fault(cut);
    for number in 3..9 {
        script.wait(10_000);
        let host = script.any();
        script.start(host, Some(&format!("name-{number}")));
    }
    script.fault(Fault::Mend(shape));
    script.wait_until_missed();
}

/// A link is up and down, each time for about as long as a silent node is waited for.
pub(super) fn flapping_link(script: &mut Script<'_>) {
    let hosts = script.shuffled();
    let mut link = Topology::BrokenLink { a: hosts[0], b: hosts[1] };
    if script.random.below(2) == 0 {
        link = Topology::Split { left: vec![hosts[0]], right: hosts[1..].to_vec() };
    }
    for number in 0..6 {
        script.start(hosts[number % hosts.len()], Some(&format!("name-{number}")));
    }
    let timeout = script.tuning.failure_timeout_ms;
    for _ in 0..8 {
        script.fault(Fault::Cut(link.clone()));
        script.wait_about((timeout / 4, 2 * timeout));
        script.fault(Fault::Mend(link.clone()));
        script.wait_about((timeout / 8, 2 * timeout));
    }
    script.wait_until_missed();
}

/// Sessions end at one side only, one after the other, while things are asked across them.
pub(super) fn half_open(script: &mut Script<'_>) {
    for number in 0..8 {
        let hosts = script.shuffled();
        script.fault(Fault::HalfOpen(hosts[0], hosts[1]));
        script.wait_about((1, 1_000));
        script.spawn(hosts[0], &format!("alias-{}", number % 3));
        script.start(hosts[1], Some(&format!("name-{number}")));
        script.wait_about((10, 6_000));
    }
    script.wait_until_missed();
}
