//! The model network: how long frames take, which are lost, and which links are cut.

mod links;

use std::time::Duration;

use ordu_core::Random;
use serde::{Deserialize, Serialize};

pub(crate) use links::{Links, after};

/// The least time after which a hoarded frame is delivered again.
const HOARD_MIN: Duration = Duration::from_secs(5);
/// The longest time after which a hoarded frame is delivered again.
const HOARD_MAX: Duration = Duration::from_secs(120);

/// How many steps a heavy tail has: the quickest slow frame takes this part of the slowest.
const TAIL_STEPS: u64 = 1_000;

/// How a link treats the frames of one direction.
///
/// Within an open session a link may lose, repeat and overtake as it is told here, and one that
/// hoards even carries frames from one session to the next; a real transport is kinder.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The least time a frame takes.
    pub delay: Duration,
    /// Most time that chance adds to it, evenly spread.
    pub jitter: Duration,
    /// How many frames in a thousand take long.
    pub slow_per_mille: u64,
    /// Most time that chance adds to a slow frame.
    pub slow: Duration,
    /// Whether slow frames have a heavy tail, instead of being spread evenly: one slow frame in `k`
    /// is `slow / k` late or more, for every `k` up to 1,000.
    pub heavy_tail: bool,
    /// How many frames in a thousand are lost.
    pub loss_per_mille: u64,
    /// How many frames in a thousand arrive twice.
    pub repeat_per_mille: u64,
    /// How many frames in a thousand are also kept back, and delivered again 5 to 120 seconds
    /// later: within whatever session there is then, to whatever life of the receiver, as long as
    /// that knows of the sender's life at the time or of a later one. Calls, casts,
    /// requests to change another's names, and the answers to these are never kept back: nodes
    /// count on the transport to bring them once.
    pub hoard_per_mille: u64,
    /// How many frames in a thousand break their session, as one does that arrives altered or cut
    /// short: the receiver hangs up on it, and the sender learns of that a trip later.
    pub reset_per_mille: u64,
    /// Whether frames of one lane arrive in the order in which they were sent.
    pub in_order: bool,
}

/// A name, and the link that goes by it.
pub type Preset = (&'static str, fn() -> Network);

const PRESETS: [Preset; 10] = [
    ("lan", Network::lan),
    ("wan", Network::wan),
    ("lossy", Network::lossy),
    ("wild", Network::wild),
    ("congested", Network::congested),
    ("stalling", Network::stalling),
    ("hoarding", Network::hoarding),
    ("resets", Network::resets),
    ("duplicating", Network::duplicating),
    ("reordering", Network::reordering),
];

impl Network {
    /// Returns a link within one building: 0.2 to 1 ms, in order, nothing lost.
    pub const fn lan() -> Self {
        Self {
            delay: Duration::from_micros(200),
            jitter: Duration::from_micros(800),
            slow_per_mille: 0,
            slow: Duration::ZERO,
            heavy_tail: false,
            loss_per_mille: 0,
            repeat_per_mille: 0,
            hoard_per_mille: 0,
            reset_per_mille: 0,
            in_order: true,
        }
    }

    /// Returns a link across an ocean: 60 to 80 ms, in order, nothing lost; one frame in a hundred
    /// waits up to 300 ms for its repetition, and all of its lane behind it.
    pub const fn wan() -> Self {
        Self {
            delay: Duration::from_millis(60),
            jitter: Duration::from_millis(20),
            slow_per_mille: 10,
            slow: Duration::from_millis(300),
            ..Self::lan()
        }
    }

    /// Returns a bad link: one frame in ten lost, one in fifty twice, some late and overtaken.
    pub const fn lossy() -> Self {
        Self {
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(20),
            slow_per_mille: 10,
            slow: Duration::from_millis(300),
            loss_per_mille: 100,
            repeat_per_mille: 20,
            in_order: false,
            ..Self::lan()
        }
    }

    /// Returns a link that does everything wrong at once: three frames in ten lost, one in five
    /// twice, one in twenty up to two seconds late.
    pub const fn wild() -> Self {
        Self {
            delay: Duration::from_millis(1),
            jitter: Duration::from_millis(100),
            slow_per_mille: 50,
            slow: Duration::from_secs(2),
            loss_per_mille: 300,
            repeat_per_mille: 200,
            in_order: false,
            ..Self::lan()
        }
    }

    /// Returns a link with full queues on its way: half of the frames are late with a heavy tail,
    /// most by a few tens of milliseconds, one in 300 by more than two seconds, the worst by 15.
    /// Others overtake them.
    pub const fn congested() -> Self {
        Self {
            delay: Duration::from_millis(2),
            jitter: Duration::from_millis(10),
            slow_per_mille: 500,
            slow: Duration::from_secs(15),
            heavy_tail: true,
            in_order: false,
            ..Self::lan()
        }
    }

    /// Returns a link whose frames wait for the late ones before them, as on one stream: one frame
    /// in fifty is late with a heavy tail, the worst by 15 seconds.
    pub const fn stalling() -> Self {
        Self { slow_per_mille: 20, in_order: true, ..Self::congested() }
    }

    /// Returns a LAN that delivers one frame in twenty again, 5 to 120 seconds later.
    pub const fn hoarding() -> Self {
        Self { hoard_per_mille: 50, ..Self::lan() }
    }

    /// Returns a LAN on which one frame in 200 breaks its session.
    pub const fn resets() -> Self {
        Self { reset_per_mille: 5, ..Self::lan() }
    }

    /// Returns a link on which half of the frames arrive twice, up to 100 ms apart.
    pub const fn duplicating() -> Self {
        Self {
            jitter: Duration::from_millis(100),
            repeat_per_mille: 500,
            in_order: false,
            ..Self::lan()
        }
    }

    /// Returns a link that loses nothing and keeps no order: most frames take up to 200 ms, one in
    /// ten up to two seconds.
    pub const fn reordering() -> Self {
        Self {
            jitter: Duration::from_millis(200),
            slow_per_mille: 100,
            slow: Duration::from_secs(2),
            in_order: false,
            ..Self::lan()
        }
    }

    /// Returns every link that has a name, with its name:
    ///
    /// * `lan`: quick, in order, nothing lost: [`Network::lan`];
    /// * `wan`: slow and steady: [`Network::wan`];
    /// * `lossy`: some frames lost, twice, late: [`Network::lossy`];
    /// * `wild`: many frames lost, twice, very late: [`Network::wild`];
    /// * `congested`: late with a heavy tail, others overtake: [`Network::congested`];
    /// * `stalling`: late with a heavy tail, others wait: [`Network::stalling`];
    /// * `hoarding`: frames come back minutes later: [`Network::hoarding`];
    /// * `resets`: frames break their sessions: [`Network::resets`];
    /// * `duplicating`: every other frame twice: [`Network::duplicating`];
    /// * `reordering`: no order, nothing lost: [`Network::reordering`].
    pub fn presets() -> &'static [Preset] {
        &PRESETS
    }

    /// Returns the link called `name`, one of [`Network::presets`].
    pub fn named(name: &str) -> Option<Self> {
        let (_, preset) = Self::presets().iter().find(|(known, _)| *known == name)?;
        Some(preset())
    }

    /// Returns how long one trip takes, drawn from `random`.
    pub(crate) fn trip(&self, random: &mut Random) -> Duration {
        let mut trip = self.delay + up_to(self.jitter, random);
        if happens(self.slow_per_mille, random) {
            trip += if self.heavy_tail {
                let step = u32::try_from(1 + random.below(TAIL_STEPS)).expect("steps are few");
                self.slow / step
            } else {
                up_to(self.slow, random)
            };
        }
        trip
    }

    /// Returns the trips that the copies of one frame make: none if it is lost.
    pub(crate) fn trips(&self, random: &mut Random) -> Vec<Duration> {
        if happens(self.loss_per_mille, random) {
            return Vec::new();
        }
        let mut trips = vec![self.trip(random)];
        if happens(self.repeat_per_mille, random) {
            trips.push(self.trip(random));
        }
        trips
    }

    /// Returns after how long a frame is delivered again, if it is hoarded.
    pub(crate) fn hoard(&self, random: &mut Random) -> Option<Duration> {
        let hoards = happens(self.hoard_per_mille, random);
        hoards.then(|| HOARD_MIN + up_to(HOARD_MAX - HOARD_MIN, random))
    }
}

/// Returns whether something happens that happens `per_mille` times in a thousand.
pub(crate) fn happens(per_mille: u64, random: &mut Random) -> bool {
    per_mille > 0 && random.below(1_000) < per_mille
}

/// Returns a duration of at most `most`, evenly spread.
pub(crate) fn up_to(most: Duration, random: &mut Random) -> Duration {
    let us = u64::try_from(most.as_micros()).expect("the model does not wait for ever");
    Duration::from_micros(random.below(us + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_loses_and_repeats_about_as_often_as_it_is_told() {
        let mut random = Random::new(1);
        let (mut lost, mut twice) = (0, 0);
        for _ in 0..10_000 {
            match Network::wild().trips(&mut random).len() {
                0 => lost += 1,
                1 => {}
                _ => twice += 1,
            }
        }
        assert!((2_800..3_200).contains(&lost), "{lost}");
        assert!((1_200..1_600).contains(&twice), "{twice}");
    }

    #[test]
    fn a_lan_loses_nothing_and_takes_a_millisecond_at_most() {
        let mut random = Random::new(2);
        for _ in 0..1_000 {
            let trips = Network::lan().trips(&mut random);
            assert_eq!(trips.len(), 1);
            assert!(trips[0] <= Duration::from_millis(1));
        }
    }

    /// Of 100,000 frames half are slow; of these one in `k` is 15 s / `k` late or more.
    #[test]
    fn a_heavy_tail_is_thin_and_long() {
        let mut random = Random::new(3);
        let network = Network::congested();
        let trips: Vec<Duration> = (0..100_000).map(|_| network.trip(&mut random)).collect();
        let over = |ms| trips.iter().filter(|trip| Duration::from_millis(ms) < **trip).count();
        let usual = over(30);
        assert!((23_000..40_000).contains(&usual), "{usual} take over 30 ms");
        let late = over(2_000);
        assert!((280..480).contains(&late), "{late} take over two seconds");
        let latest = over(7_600);
        assert!((25..85).contains(&latest), "{latest} take over 7.6 seconds");
        let worst = network.delay + network.jitter + network.slow;
        assert!(trips.iter().all(|trip| *trip <= worst));
    }

    #[test]
    fn a_hoard_opens_after_five_to_120_seconds() {
        let mut random = Random::new(4);
        let network = Network::hoarding();
        let hoarded: Vec<Duration> =
            (0..20_000).filter_map(|_| network.hoard(&mut random)).collect();
        assert!((900..1_100).contains(&hoarded.len()), "{}", hoarded.len());
        assert!(hoarded.iter().all(|after| (HOARD_MIN..=HOARD_MAX).contains(after)));
        assert!(hoarded.iter().any(|after| *after < HOARD_MIN * 2));
        assert!(hoarded.iter().any(|after| HOARD_MAX - HOARD_MIN < *after));
        assert_eq!(Network::wild().hoard(&mut random), None);
    }

    #[test]
    fn every_preset_is_found_by_its_name_and_documented() {
        let (source, _) = include_str!("mod.rs").split_once("#[cfg(test)]").unwrap();
        for (name, preset) in Network::presets() {
            assert_eq!(Network::named(name), Some(preset()), "{name}");
            let entry = format!("    /// * `{name}`: ");
            assert_eq!(source.matches(&entry).count(), 1, "{name} is listed once");
            let same = |(other, _): &&Preset| other == name;
            assert_eq!(Network::presets().iter().filter(same).count(), 1, "{name}");
            let alike = |(_, other): &&Preset| other() == preset();
            assert_eq!(Network::presets().iter().filter(alike).count(), 1, "{name}");
        }
        assert_eq!(source.matches("    /// * `").count(), Network::presets().len());
        assert_eq!(Network::named("marble"), None);
    }

    #[test]
    fn a_link_survives_being_written_down() {
        for (name, preset) in Network::presets() {
            let text = serde_json::to_string(&preset()).unwrap();
            assert_eq!(serde_json::from_str::<Network>(&text).unwrap(), preset(), "{name}");
        }
    }
}
