//! By which rule a node judges that it is in the minority, and what follows for children.
//!
//! To judge by what one sees is no proof of what others see. Where the network is cut cleanly in
//! two, and nobody joins, leaves or is forgotten meanwhile, at most one side has a quorum by any of
//! these rules (by [`Quorum::Static`] if its size is more than half of the members). But:
//!
//! * where frames are lost one way, a node may hear all the others while none hears it: it is not
//!   in the minority, nor are they, and each child of it runs twice, at least until they have given
//!   it up and it hears no more of them. What is heard goes round a broken link as long as there is
//!   a way round in both directions;
//! * each side finds out after a while of its own, so the one may start what the other has not
//!   stopped yet;
//! * who joins on one side only, and who is forgotten on one only, is counted there alone.
//!
//! So none of them promises that no child runs twice: [`Mode::Exclusive`](crate::Mode::Exclusive)
//! does.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{NodeId, Stamp, Voters};

/// What a node does about the children of a supervisor, or the names of a registry, while it sees
/// too few members.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum OnMinority {
    /// It goes on: each side of a split runs all children, and gives all names away.
    #[default]
    Run,
    /// It stops those that run on it, and starts none, until it has a quorum again. The names of a
    /// registry are given up by whoever holds them on it, who is told to stop
    /// ([`StopReason::NoQuorum`](crate::StopReason::NoQuorum)), and none is given away.
    ///
    /// That makes the time shorter for which a child runs twice, or two hold one name. It is not
    /// exclusivity: over broken links, or with loss one way, that may be for as long as they last,
    /// and after any split until the smaller side has found out and its processes have stopped.
    Stop(Quorum),
}

/// By which rule a node judges, for itself and by what it sees, that it is not in the minority.
///
/// A member is up here if it beats, is ready and does not leave; who is silent or joins counts
/// among those there are. Members that have left, were evicted or are forgotten
/// ([`Config::forget_after`](crate::Config::forget_after)) do not count, nor do
/// [clients](crate::Role::Client); where there is a list of members, all that are on it count, seen
/// or not, and nobody else does.
///
/// What each promises holds for a network that is cut cleanly in two between members that all know
/// each other. None promises that no child runs twice ([`OnMinority::Stop`]).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Quorum {
    /// It hears more than half of [`Config::voters`](crate::Config::voters), itself included if it
    /// is one.
    ///
    /// At most one side has a quorum, whoever comes and goes, since the voters stay the same. None
    /// has where the voters are cut in equal halves, and none once half of them are down.
    Voters,
    /// Of the members that do not leave, in the order of their names, and without the first if
    /// their number is even, more than half are up.
    ///
    /// Exactly one side has a quorum. Of two members only the one of the higher name has one
    /// without the other: where that one dies, nothing runs. It is the rule of Horde's
    /// `UniformQuorumDistribution`.
    Uniform,
    /// Of the members that do not leave more than half are up; or half of them, and the one of the
    /// lowest name is among those that are heard.
    ///
    /// Exactly one side has a quorum. It is the rule of Pekko's `keep-majority`.
    KeepMajority,
    /// At least that many members are up.
    ///
    /// At most one side has a quorum as long as there are fewer than twice as many members; with
    /// more, both may. It is the rule of Pekko's `static-quorum`.
    Static {
        /// How many; 1 at least, best more than half of all that there will be.
        size: usize,
    },
    /// The oldest of the members that do not leave is heard: the one whose life joined first, and
    /// of two that joined at once the one of the lower name.
    ///
    /// Exactly one side has a quorum, the oldest's, however small it is; with `down_if_alone` the
    /// other one, where the oldest is alone and they are two at least. A member that was started
    /// anew, or takes a new life as it was forgotten, is the youngest. The oldest counts until it
    /// leaves, is evicted or forgotten, or lives anew: where it dies nobody has a quorum until
    /// then; with `down_if_alone` the others go on as long as nobody else is down.
    ///
    /// How old a member is goes by [`MemberView::joined`](crate::MemberView::joined), as it says
    /// itself. Who joins is younger than all that welcomed it, as far as their clocks agree
    /// ([`Config::clock_bound`](crate::Config::clock_bound)); of those that began alone and met
    /// later the one is oldest whose clock says so. It is the rule of Pekko's `keep-oldest`.
    KeepOldest {
        /// Whether the oldest stops its children where it is alone and at least two others are not
        /// heard, and those go on.
        down_if_alone: bool,
    },
}

/// A member as this node sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seen<'a> {
    /// Its name.
    pub(crate) node: &'a NodeId,
    /// Whether it is not down.
    pub(crate) is_heard: bool,
    /// Whether it has been silent for so long that it may be down soon.
    pub(crate) is_suspect: bool,
    /// Whether it knows what the others know.
    pub(crate) is_ready: bool,
    /// Whether it leaves.
    pub(crate) is_leaving: bool,
    /// Whether it counts when members are counted.
    pub(crate) counts: bool,
    /// When its life joined, if it has said so.
    pub(crate) joined: Option<Stamp>,
}

impl Seen<'_> {
    fn is_up(&self) -> bool {
        self.is_heard && self.is_ready && !self.is_leaving
    }
}

/// How a node judged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Whether it has a quorum.
    pub(crate) is_met: bool,
    /// Whether it has one without those that are suspect: if most go silent at once, the first of
    /// them to be down is no reason to start what it ran.
    pub(crate) is_sure: bool,
    /// How many are up that count.
    pub(crate) up: usize,
    /// Of how many; by [`Quorum::Static`] how many are needed.
    pub(crate) of: usize,
}

impl Tally {
    /// Returns how many of `voters` are heard, of which it takes a majority.
    pub(crate) fn of_voters(seen: &[Seen<'_>], voters: Option<&Voters>) -> Self {
        let Some(voters) = voters else { return Self::default() };
        let counts = |member: &&Seen<'_>| member.is_heard && voters.nodes.contains(member.node);
        let heard = || seen.iter().filter(counts);
        let (up, sure) = (heard().count(), heard().filter(|member| !member.is_suspect).count());
        let (is_met, is_sure) = (voters.majority() <= up, voters.majority() <= sure);
        Self { is_met, is_sure, up, of: voters.nodes.len() }
    }
}

impl Quorum {
    /// Judges by the members that are `seen`, in the order of their names.
    pub(crate) fn tally(self, seen: &[Seen<'_>], voters: Option<&Voters>) -> Tally {
        debug_assert!(seen.is_sorted_by_key(|member| member.node), "the rules go by their order");
        let stay = seen.iter().filter(|member| member.counts && !member.is_leaving);
        let stay: Vec<&Seen<'_>> = stay.collect();
        let tally = |members: &[&Seen<'_>], is_met: &dyn Fn(usize, usize) -> bool| {
            let up = || members.iter().filter(|member| member.is_up());
            let (sure, up) = (up().filter(|member| !member.is_suspect).count(), up().count());
            let of = members.len();
            Tally { is_met: is_met(up, of), is_sure: is_met(sure, of), up, of }
        };
        match self {
            Self::Voters => Tally::of_voters(seen, voters),
            Self::Uniform => {
                let rest = &stay[usize::from(!stay.is_empty() && stay.len().is_multiple_of(2))..];
                tally(rest, &|up, of| of < 2 * up)
            }
            Self::KeepMajority => {
                let lowest = stay.first();
                let has_lowest = lowest.is_some_and(|lowest| lowest.is_heard);
                let keeps_lowest = has_lowest && lowest.is_some_and(|lowest| !lowest.is_suspect);
                let most = tally(&stay, &|up, of| of < 2 * up);
                let half = tally(&stay, &|up, of| of == 2 * up);
                Tally {
                    is_met: most.is_met || half.is_met && has_lowest,
                    is_sure: most.is_sure || half.is_sure && keeps_lowest,
                    ..most
                }
            }
            Self::Static { size } => Tally { of: size, ..tally(&stay, &|up, _| size <= up) },
            Self::KeepOldest { down_if_alone } => {
                let aged = stay.iter().filter_map(|member| Some((member.joined?, member)));
                let oldest = aged.min_by_key(|(joined, member)| (*joined, member.node));
                // Who has not said how old it is is younger than who has; where nobody has, no side
                // has the oldest.
                let keeps = |is_here: &dyn Fn(&Seen<'_>) -> bool| {
                    let Some((_, oldest)) = oldest else { return false };
                    let here = stay.iter().filter(|member| is_here(member)).count();
                    let there = stay.len() - here;
                    if is_here(oldest) {
                        !(down_if_alone && here == 1 && 2 <= there)
                    } else {
                        down_if_alone && there == 1 && 2 <= here
                    }
                };
                Tally {
                    is_met: keeps(&|member| member.is_heard),
                    is_sure: keeps(&|member| member.is_heard && !member.is_suspect),
                    ..tally(&stay, &|_, _| false)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    /// What a member is to one side.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Is {
        Up,
        Suspect,
        Down,
        Joining,
        Leaving,
    }
    use Is::{Down, Joining, Leaving, Suspect, Up};

    fn names(count: usize) -> Vec<NodeId> {
        (0..count).map(|number| NodeId::new(format!("n{number:02}")).unwrap()).collect()
    }

    fn seen<'a>(names: &'a [NodeId], are: &[Is]) -> Vec<Seen<'a>> {
        let member = |(number, (node, is)): (u64, (&'a NodeId, &Is))| Seen {
            node,
            is_heard: *is != Down,
            is_suspect: *is == Suspect,
            is_ready: *is != Joining,
            is_leaving: *is == Leaving,
            counts: true,
            // The higher the name, the older.
            joined: Some(Stamp::from_u64(100 - number)),
        };
        (0..).zip(names.iter().zip(are)).map(member).collect()
    }

    fn tally(quorum: Quorum, are: &[Is]) -> Tally {
        let names = names(are.len());
        let voters = Voters::new(names.iter().take(5).cloned());
        quorum.tally(&seen(&names, are), Some(&voters))
    }

    fn counts(quorum: Quorum, are: &[Is]) -> (bool, usize, usize) {
        let Tally { is_met, up, of, .. } = tally(quorum, are);
        (is_met, up, of)
    }

    fn is_met(quorum: Quorum, are: &[Is]) -> bool {
        tally(quorum, are).is_met
    }

    #[test]
    fn of_an_even_number_the_first_is_dropped_by_the_uniform_rule() {
        let uniform = Quorum::Uniform;
        assert!(!is_met(uniform, &[Up, Down]), "only the higher of two");
        assert!(is_met(uniform, &[Down, Up]));
        assert!(is_met(uniform, &[Up]));
        assert!(!is_met(uniform, &[Down, Down]));
        assert!(!is_met(uniform, &[]));
        assert_eq!(counts(uniform, &[Up, Up, Down]), (true, 2, 3));
        assert_eq!(counts(uniform, &[Up, Up, Down, Down]), (false, 1, 3));
        assert_eq!(counts(uniform, &[Down, Down, Up, Up]), (true, 2, 3));
        assert!(!is_met(uniform, &[Up, Joining, Joining]), "who joins counts among all");
        assert!(is_met(uniform, &[Up, Leaving, Leaving]), "and who leaves does not");
    }

    #[test]
    fn of_two_halves_the_one_with_the_lowest_name_is_kept() {
        let keep = Quorum::KeepMajority;
        assert!(is_met(keep, &[Up, Down]));
        assert!(!is_met(keep, &[Down, Up]));
        assert!(is_met(keep, &[Down, Down, Up, Up, Up]));
        assert!(!is_met(keep, &[Up, Up, Down, Down, Down]));
        assert!(!is_met(keep, &[]));
        assert!(is_met(keep, &[Joining, Up, Up, Down]), "who joins there is on that side, too");
        assert!(is_met(keep, &[Leaving, Up, Down]), "of those that stay");
    }

    #[test]
    fn a_fixed_number_is_counted_to() {
        let of_two = Quorum::Static { size: 2 };
        assert!(is_met(of_two, &[Up, Down, Up, Down]));
        assert!(is_met(of_two, &[Down, Up, Down, Up]), "there are too many members for the rule");
        assert!(!is_met(of_two, &[Up, Joining, Leaving]));
        assert_eq!(counts(of_two, &[Up]), (false, 1, 2));
    }

    #[test]
    fn the_oldest_is_kept_and_with_it_its_side() {
        let keep = Quorum::KeepOldest { down_if_alone: false };
        assert_eq!(counts(keep, &[Down, Down, Down, Up]), (true, 1, 4));
        assert_eq!(counts(keep, &[Up, Up, Up, Down]), (false, 3, 4));
        assert!(is_met(keep, &[Down, Down, Joining]), "who is heard, be it not ready");
        assert!(is_met(keep, &[Down, Up, Leaving]), "of those that stay");
        assert!(!is_met(keep, &[Up, Down, Leaving]));
        assert!(!is_met(keep, &[]));
        assert!(!is_met(keep, &[Leaving]));

        let names = names(3);
        let oldest_is = |ages: [Option<u64>; 3], is: [Is; 3]| {
            let mut members = seen(&names, &is);
            for (member, age) in members.iter_mut().zip(ages) {
                member.joined = age.map(Stamp::from_u64);
            }
            keep.tally(&members, None).is_met
        };
        assert!(oldest_is([Some(7), Some(7), Some(9)], [Up, Down, Down]), "the lower of two names");
        assert!(!oldest_is([Some(7), Some(7), Some(9)], [Down, Up, Up]));
        assert!(
            oldest_is([None, Some(7), None], [Down, Up, Down]),
            "who has said nothing is young"
        );
        assert!(!oldest_is([None, None, None], [Up, Up, Up]), "and where nobody has, none is old");
        let mut members = seen(&names, &[Up, Up, Down]);
        members[2].counts = false;
        assert!(keep.tally(&members, None).is_met, "who does not count is not the oldest");
    }

    #[test]
    fn the_oldest_that_is_alone_gives_way_to_two_others() {
        let keep = Quorum::KeepOldest { down_if_alone: true };
        assert!(!is_met(keep, &[Down, Down, Up]));
        assert!(is_met(keep, &[Up, Up, Down]), "the others go on when it has died");
        assert!(!is_met(keep, &[Up, Down, Up, Up, Down]), "but not once another one is down, too");
        assert!(is_met(keep, &[Down, Up]), "of two it is kept");
        assert!(!is_met(keep, &[Up, Down]));
        assert!(is_met(keep, &[Up]));
        assert!(is_met(keep, &[Down, Down, Down, Up, Up]), "it is not alone with one other");
        assert!(!is_met(keep, &[Down, Down, Leaving, Up]), "nor is it with who leaves");
    }

    #[test]
    fn while_the_oldest_may_be_down_nobody_is_sure_but_of_going_on_without_it() {
        let sure = |down_if_alone, are: &[Is]| {
            let Tally { is_met, is_sure, .. } = tally(Quorum::KeepOldest { down_if_alone }, are);
            (is_met, is_sure)
        };
        for down_if_alone in [true, false] {
            assert_eq!(sure(down_if_alone, &[Up, Suspect, Up]), (true, true));
            assert_eq!(sure(down_if_alone, &[Up, Suspect, Suspect]), (true, false));
            assert_eq!(sure(down_if_alone, &[Up, Suspect, Down]), (down_if_alone, false));
        }
        assert_eq!(sure(false, &[Up, Up, Suspect]), (true, false));
        assert_eq!(sure(true, &[Up, Up, Suspect]), (true, true), "the others go on in any case");
        assert_eq!(sure(true, &[Suspect, Suspect, Up]), (true, false), "it may be alone");
        assert_eq!(sure(false, &[Suspect, Suspect, Up]), (true, true));
    }

    #[test]
    fn who_is_suspect_is_up_and_nothing_to_be_sure_of() {
        let three = Quorum::Static { size: 3 };
        for quorum in [Quorum::Voters, Quorum::Uniform, Quorum::KeepMajority, three] {
            let said = |are: &[Is]| {
                let Tally { is_met, is_sure, .. } = tally(quorum, are);
                (is_met, is_sure)
            };
            assert_eq!(said(&[Up, Up, Up, Suspect, Down]), (true, true), "{quorum:?}");
            assert_eq!(said(&[Up, Up, Suspect, Suspect, Down]), (true, false), "{quorum:?}");
            assert_eq!(said(&[Up, Suspect, Down, Down, Down]), (false, false), "{quorum:?}");
        }
        let tie = tally(Quorum::KeepMajority, &[Suspect, Up, Down, Down]);
        assert!(tie.is_met && !tie.is_sure, "{tie:?}");
        let tie = tally(Quorum::KeepMajority, &[Suspect, Up, Up, Down]);
        assert!(tie.is_met && !tie.is_sure, "two of four without the lowest, {tie:?}");
    }

    #[test]
    fn voters_are_heard_whether_they_count_or_leave() {
        let by_voters = Quorum::Voters;
        assert!(is_met(by_voters, &[Up, Leaving, Joining, Down, Down]));
        assert!(!is_met(by_voters, &[Up, Up, Down, Down, Down, Up, Up, Up]));
        let names = names(3);
        let mut members = seen(&names, &[Up, Up, Down]);
        members[0].counts = false;
        let voters = Voters::new(names.iter().cloned());
        assert!(by_voters.tally(&members, Some(&voters)).is_met);
        assert!(!Quorum::Uniform.tally(&members, Some(&voters)).is_met, "who does not count");
        assert_eq!(by_voters.tally(&members, None), Tally::default());
    }

    proptest! {
        /// B35. Of two sides of a clean split one has a quorum and may place, and not both; by
        /// voters perhaps neither; and neither if all members leave.
        #[test]
        fn of_two_sides_of_a_split_one_may_place(
            members in prop::collection::vec((any::<bool>(), prop::bool::weighted(0.2)), 2..12),
            ages in prop::collection::vec(0..4_u64, 12),
        ) {
            let side = |is_left: bool| -> Vec<Is> {
                let is = |&(left, leaves): &(bool, bool)| match (left == is_left, leaves) {
                    (true, true) => Leaving,
                    (true, false) => Up,
                    (false, _) => Down,
                };
                members.iter().map(is).collect()
            };
            let names = names(members.len());
            let voters = Voters::new(names.iter().take(5).cloned());
            let sees = |is_left: bool| {
                let mut members_seen = seen(&names, &side(is_left));
                // Both sides know who was about to leave.
                for (seen, (_, leaves)) in members_seen.iter_mut().zip(&members) {
                    seen.is_leaving = *leaves;
                }
                for (seen, age) in members_seen.iter_mut().zip(&ages) {
                    seen.joined = Some(Stamp::from_u64(*age));
                }
                members_seen
            };
            let sides = |quorum: Quorum| {
                let may = |is_left| quorum.tally(&sees(is_left), Some(&voters)).is_met;
                usize::from(may(true)) + usize::from(may(false))
            };
            let all_leave = members.iter().all(|(_, leaves)| *leaves);
            let expected = usize::from(!all_leave);
            prop_assert_eq!(sides(Quorum::Uniform), expected);
            prop_assert_eq!(sides(Quorum::KeepMajority), expected);
            for down_if_alone in [true, false] {
                prop_assert_eq!(sides(Quorum::KeepOldest { down_if_alone }), expected);
            }
            prop_assert!(sides(Quorum::Voters) <= 1);
            let most = Quorum::Static { size: members.len() / 2 + 1 };
            prop_assert!(sides(most) <= 1);
        }

        /// Who is sure has a quorum whoever of those that are suspect goes down.
        #[test]
        fn who_is_sure_has_a_quorum_whoever_falls(
            members in prop::collection::vec((0..4_u8, any::<bool>(), 0..4_u64), 1..9),
        ) {
            let names = names(members.len());
            let voters = Voters::new(names.iter().take(5).cloned());
            let tally = |quorum: Quorum, fall: bool| {
                let are: Vec<Is> = members
                    .iter()
                    .map(|(is, falls, _)| match is {
                        0 if fall && *falls => Down,
                        0 => Suspect,
                        1 => Down,
                        _ => Up,
                    })
                    .collect();
                let mut members_seen = seen(&names, &are);
                for (seen, (_, _, age)) in members_seen.iter_mut().zip(&members) {
                    seen.joined = Some(Stamp::from_u64(*age));
                }
                quorum.tally(&members_seen, Some(&voters))
            };
            let oldest = [true, false].map(|down_if_alone| Quorum::KeepOldest { down_if_alone });
            let others = [Quorum::Voters, Quorum::Uniform, Quorum::KeepMajority];
            for quorum in oldest.into_iter().chain(others) {
                if tally(quorum, false).is_sure {
                    prop_assert!(tally(quorum, true).is_met, "{:?}", quorum);
                }
            }
        }
    }
}
