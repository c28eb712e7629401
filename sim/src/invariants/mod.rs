//! What must hold in every run: one file for each promise, which says where the promise is made.
//!
//! *Safety* is watched at every step: an `Invariant` sees each input and output of each node, and
//! looks at the whole world once in a while. *Liveness* is a matter of the end: when everything has
//! been mended, the checks of `rest` must come to hold, and stay so.

mod l12_rest_is_quiet;
mod l13_nobody_is_taken_for_dead;
mod l16_who_leaves_is_heard;
mod l17_what_is_asked_is_done;
mod s01_heads_only_grow;
mod s02_one_write_a_version;
mod s03_lives_are_used_once;
mod s04_nothing_comes_back;
mod s05_deltas_hold_what_the_sender_holds;
mod s06_indices_follow_from_entries;
mod s08_nodes_read_their_writes;
mod s09_views_add_up;
mod s10_a_node_claims_a_name_once;
mod s11_equal_journals_show_equal_names;
mod s12_losers_are_told_once;
mod s13_stamps_stay_near_the_wall;
mod s14_the_dead_change_nothing;
mod s15_nobody_takes_itself_for_dead;
mod s16_forwarded_once;
mod s25_messages_arrive_once;
mod s28_tables_are_bounded;
mod s32_nothing_blows_up;
mod s33_children_go_where_the_ring_says;
mod s34_the_replicated_is_on_two_nodes;
mod s35_what_is_done_stays_done;
mod s36_winners_get_what_losers_had;
mod s37_who_left_is_known_to_have;
mod s38_the_silent_are_remembered;
mod s39_failures_are_budgeted;
mod s40_nobody_is_overfilled;
mod shown;

pub(crate) mod rest;

use std::time::Duration;

use ordu_core::{Config, Input, Node, Output, Time};

use crate::World;
use crate::host::Host;
use crate::verdict::Class;
use crate::view::View;

use l12_rest_is_quiet::Quiet;

/// How often the whole world is looked at.
const AUDIT_EVERY: Duration = Duration::from_secs(10);

/// What is promised, and where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Promise {
    /// Its short name: `S` for what must never be otherwise, `L` for what must come to pass.
    pub id: &'static str,
    /// What is promised.
    pub says: &'static str,
    /// Where users read it, or who relies on it.
    pub made_in: &'static str,
    /// What it is called when it is broken.
    pub class: Class,
}

/// Whether a promise holds; if not, what was seen instead.
pub(crate) type Finding = Result<(), String>;

/// What an invariant sees of the node that something happens to.
pub(crate) struct Scene<'a> {
    /// The machine.
    pub(crate) host: Host,
    /// Which life of its node this is.
    pub(crate) life: u64,
    /// What time it is in the world, whatever the machine's clock says.
    pub(crate) now: Time,
    /// What the node was told at its start.
    pub(crate) config: &'a Config,
    /// The node itself.
    pub(crate) node: &'a Node,
    /// What its readers see; in [`Invariant::handle_output`], from before that output.
    pub(crate) view: &'a View,
}

/// Watches for one promise.
///
/// Whatever it remembers, it has seen itself: it never asks a node whether the node is right.
pub(crate) trait Invariant: Send {
    /// Returns what it watches for.
    fn promise(&self) -> Promise;

    /// Looks at what a node is about to be told.
    fn handle_input(&mut self, _: &Scene<'_>, _: &Input) -> Finding {
        Ok(())
    }

    /// Looks at what a node asks for, right after it was told something.
    fn handle_output(&mut self, _: &Scene<'_>, _: &Output) -> Finding {
        Ok(())
    }

    /// Looks at a node once everything that it asked for is carried out.
    fn handle_step(&mut self, _: &Scene<'_>, _: &Input) -> Finding {
        Ok(())
    }

    /// Looks at the whole world; once in a while, and at the end.
    fn audit(&mut self, _: &World) -> Finding {
        Ok(())
    }
}

/// All that a world is watched for.
pub(crate) struct Watch {
    invariants: Vec<Box<dyn Invariant>>,
    next_audit: Time,
    /// Counts what is sent while the cluster is at rest.
    quiet: Option<Quiet>,
}

impl Watch {
    /// Watches for everything.
    pub(crate) fn new() -> Self {
        Self { invariants: all(), next_audit: Time::ZERO + AUDIT_EVERY, quiet: None }
    }

    /// Watches for nothing.
    pub(crate) fn nothing() -> Self {
        Self { invariants: Vec::new(), next_audit: Time::from_micros(u64::MAX), quiet: None }
    }

    pub(crate) fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Result<(), Broken> {
        self.each(|invariant| invariant.handle_input(scene, input))
    }

    pub(crate) fn handle_output(
        &mut self,
        scene: &Scene<'_>,
        output: &Output,
    ) -> Result<(), Broken> {
        if let Some(quiet) = &mut self.quiet {
            quiet.handle_output(scene.host, output);
        }
        self.each(|invariant| invariant.handle_output(scene, output))
    }

    pub(crate) fn handle_step(&mut self, scene: &Scene<'_>, input: &Input) -> Result<(), Broken> {
        self.each(|invariant| invariant.handle_step(scene, input))
    }

    pub(crate) fn audit(&mut self, world: &World) -> Result<(), Broken> {
        self.each(|invariant| invariant.audit(world))
    }

    /// Begins to count what is sent: the cluster is at rest.
    pub(crate) fn begin_quiet(&mut self, now: Time) {
        self.quiet = Some(Quiet::new(now));
    }

    /// Ends the count; says whether it was quiet.
    pub(crate) fn end_quiet(&mut self, now: Time) -> Result<(), Broken> {
        self.quiet.take().map_or(Ok(()), |quiet| quiet.check(now))
    }

    /// Returns whether the whole world is to be looked at now, and when to do so next.
    pub(crate) fn is_audit_due(&mut self, now: Time) -> bool {
        let is_due = self.next_audit <= now;
        if is_due {
            self.next_audit = now + AUDIT_EVERY;
        }
        is_due
    }

    fn each(&mut self, mut look: impl FnMut(&mut dyn Invariant) -> Finding) -> Result<(), Broken> {
        for invariant in &mut self.invariants {
            if let Err(reason) = look(invariant.as_mut()) {
                return Err(Broken { promise: invariant.promise(), reason });
            }
        }
        Ok(())
    }
}

/// A promise that does not hold, and what was seen instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Broken {
    pub(crate) promise: Promise,
    pub(crate) reason: String,
}

/// Returns every promise that runs are held to, in the order of their ids.
pub fn promises() -> Vec<Promise> {
    let watched = all().into_iter().map(|invariant| invariant.promise());
    let mut promises: Vec<Promise> = watched
        .chain([l12_rest_is_quiet::PROMISE])
        .chain(rest::promises())
        .chain(ELSEWHERE)
        .collect();
    promises.sort_by_key(|promise| (promise.id.as_bytes()[0], promise.id.len(), promise.id));
    promises
}

/// What the world itself watches for, as it carries out what nodes ask for.
const ELSEWHERE: [Promise; 18] = [
    Promise {
        id: "S7",
        says: "what a node sends, its peers can read",
        made_in: "ordu_core::wire",
        class: Class::Safety,
    },
    Promise {
        id: "S17",
        says: "no node runs two processes of one child, and no process starts twice",
        made_in: "ordu_core::Output::Start",
        class: Class::Safety,
    },
    Promise {
        id: "S18",
        says: "under leases no process starts without one that lasts",
        made_in: "ordu_core::Lease",
        class: Class::Safety,
    },
    Promise {
        id: "S19",
        says: "no two processes of a child under leases may run at one moment of true time",
        made_in: "ordu_core::Mode::Exclusive",
        class: Class::Safety,
    },
    Promise {
        id: "S20",
        says: "of two processes of such a child the later has the higher fencing token",
        made_in: "ordu_core::FencingToken",
        class: Class::Safety,
    },
    Promise {
        id: "S21",
        says: "a lease that has ended is not renewed",
        made_in: "ordu_core::Output::Renew",
        class: Class::Safety,
    },
    Promise {
        id: "S22",
        says: "a node that is awake stops what its leases have ended for, before all else",
        made_in: "ordu_core::StopReason::Lapsed",
        class: Class::Safety,
    },
    Promise {
        id: "S23",
        says: "a node releases a child under a lease only once its process is gone",
        made_in: "ordu_core::Mode::Exclusive",
        class: Class::Safety,
    },
    Promise {
        id: "S41",
        says: "no two processes hold one name under leases at one moment of true time",
        made_in: "ordu_core::Config::registry_modes",
        class: Class::Safety,
    },
    Promise {
        id: "S42",
        says: "a node that is awake tells processes that they lost names, before all else",
        made_in: "ordu_core::StopReason::NameLapsed",
        class: Class::Safety,
    },
    Promise {
        id: "S43",
        says: "of two holders of such a name the later has the higher fencing token",
        made_in: "ordu_core::Holder::token",
        class: Class::Safety,
    },
    Promise {
        id: "S26",
        says: "each request is answered once, by whom it was asked, and in kind",
        made_in: "ordu_core::Input::Request",
        class: Class::Safety,
    },
    Promise {
        id: "S28",
        says: "one input causes a bounded number of outputs, and no frame is over its limit",
        made_in: "ordu_core::limits",
        class: Class::Bounds,
    },
    Promise {
        id: "S29",
        says: "no input makes a node panic",
        made_in: "ordu_core::Node::handle",
        class: Class::Panic,
    },
    Promise {
        id: "S31",
        says: "a node's life, lived again from its inputs, is the same life",
        made_in: "ordu_core::Node::state_hash",
        class: Class::NonDeterminism,
    },
    Promise {
        id: "S32",
        says: "time goes on: nothing is woken or answered without end at one moment",
        made_in: "ordu_core::Node::poll_timeout",
        class: Class::Bounds,
    },
    Promise {
        id: "S44",
        says: "of each epoch there is one electorate",
        made_in: "ordu_core::Electorate",
        class: Class::Safety,
    },
    Promise {
        id: "L11",
        says: "each request is answered by its deadline",
        made_in: "ordu_core::Input::Request",
        class: Class::Liveness,
    },
];

fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(l13_nobody_is_taken_for_dead::NobodyIsTakenForDead::default()),
        Box::new(l16_who_leaves_is_heard::WhoLeavesIsHeard::default()),
        Box::new(l17_what_is_asked_is_done::WhatIsAskedIsDone::default()),
        Box::new(s01_heads_only_grow::HeadsOnlyGrow::default()),
        Box::new(s02_one_write_a_version::OneWriteAVersion::default()),
        Box::new(s03_lives_are_used_once::LivesAreUsedOnce::default()),
        Box::new(s04_nothing_comes_back::NothingComesBack::default()),
        Box::new(s05_deltas_hold_what_the_sender_holds::DeltasHoldWhatTheSenderHolds),
        Box::new(s06_indices_follow_from_entries::IndicesFollowFromEntries::default()),
        Box::new(s08_nodes_read_their_writes::NodesReadTheirWrites::default()),
        Box::new(s09_views_add_up::ViewsAddUp),
        Box::new(s10_a_node_claims_a_name_once::ANodeClaimsANameOnce),
        Box::new(s11_equal_journals_show_equal_names::EqualJournalsShowEqualNames),
        Box::new(s12_losers_are_told_once::LosersAreToldOnce::default()),
        Box::new(s13_stamps_stay_near_the_wall::StampsStayNearTheWall::default()),
        Box::new(s14_the_dead_change_nothing::TheDeadChangeNothing::default()),
        Box::new(s15_nobody_takes_itself_for_dead::NobodyTakesItselfForDead),
        Box::new(s16_forwarded_once::ForwardedOnce::default()),
        Box::new(s25_messages_arrive_once::MessagesArriveOnce::default()),
        Box::new(s28_tables_are_bounded::TablesAreBounded::default()),
        Box::new(s32_nothing_blows_up::NothingBlowsUp::default()),
        Box::new(s33_children_go_where_the_ring_says::ChildrenGoWhereTheRingSays::default()),
        Box::new(s34_the_replicated_is_on_two_nodes::TheReplicatedIsOnTwoNodes::default()),
        Box::new(s35_what_is_done_stays_done::WhatIsDoneStaysDone::default()),
        Box::new(s36_winners_get_what_losers_had::WinnersGetWhatLosersHad::default()),
        Box::new(s37_who_left_is_known_to_have::WhoLeftIsKnownToHave::default()),
        Box::new(s38_the_silent_are_remembered::TheSilentAreRemembered::default()),
        Box::new(s39_failures_are_budgeted::FailuresAreBudgeted::default()),
        Box::new(s40_nobody_is_overfilled::NobodyIsOverfilled::default()),
    ]
}
