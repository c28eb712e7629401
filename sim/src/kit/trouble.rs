//! What can go wrong now and then.

use ordu_core::Random;

use crate::plan::{Episodes, Kind, Profile, Step, Tuning};

/// What goes wrong now and then, each time anew with its own place and length.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Trouble {
    /// Links are cut, in any [`Topology`](crate::Topology), for a tenth of a second to a minute.
    Splits,
    /// A link comes and goes.
    Flaps,
    /// A node dies or its machine goes dark, and returns with an empty memory.
    Deaths,
    /// A node starts anew again and again.
    CrashLoops,
    /// A node leaves in order, and mostly returns.
    Leaves,
    /// A machine freezes for a twentieth of a second to fifteen seconds.
    Freezes,
    /// All links lose, delay or repeat for a while.
    Storms,
    /// A session between two nodes ends, or one of the two forgets it.
    Breaks,
    /// A clock goes wrong, within what nodes put up with.
    Clocks,
    /// A machine is slow for a while.
    Slowness,
}

impl Trouble {
    /// Every trouble.
    pub const ALL: [Self; 10] = [
        Self::Splits,
        Self::Flaps,
        Self::Deaths,
        Self::CrashLoops,
        Self::Leaves,
        Self::Freezes,
        Self::Storms,
        Self::Breaks,
        Self::Clocks,
        Self::Slowness,
    ];

    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Splits => &[Kind::Cut],
            Self::Flaps => &[Kind::Flap],
            Self::Deaths => &[Kind::Death],
            Self::CrashLoops => &[Kind::CrashLoop],
            Self::Leaves => &[Kind::Leave],
            Self::Freezes => &[Kind::Pause],
            Self::Storms => &[Kind::Storm],
            Self::Breaks => &[Kind::Break],
            Self::Clocks => &[Kind::WallDrift, Kind::Gain],
            Self::Slowness => &[Kind::Slow],
        }
    }

    /// Draws when it comes, and how, among `hosts` machines until `end_ms`; about every `every_ms`.
    pub(super) fn draw(
        self,
        hosts: u16,
        every_ms: u64,
        end_ms: u64,
        random: &mut Random,
    ) -> Vec<Step> {
        assert!(2 <= hosts, "one machine alone is no cluster");
        let mut episodes = Episodes::new(hosts, Profile::Full, Tuning::usual());
        let mut at_ms = random.below(2 * every_ms);
        while at_ms < end_ms {
            let kinds = self.kinds();
            let count = u64::try_from(kinds.len()).expect("there are few");
            episodes.draw(kinds[random.below(count) as usize], at_ms, random);
            at_ms += 1 + random.below(2 * every_ms);
        }
        let mut steps = episodes.into_steps();
        steps.retain(|step| step.at_ms < end_ms);
        steps
    }
}
