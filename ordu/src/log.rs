//! What a node tells the log.

use ordu_core::{Conflict, Event};

/// Writes `event` to the log.
pub(crate) fn event(event: &Event) {
    match event {
        Event::Joined { replica } => tracing::info!(%replica, "joined the cluster"),
        Event::Ready { replica } => tracing::info!(%replica, "knows what the others know"),
        Event::MemberUp { replica } => tracing::info!(%replica, "a member is up"),
        Event::MemberSuspect { replica } => {
            tracing::info!(%replica, "a member has gone silent");
        }
        Event::MemberDown { replica, silent } => {
            tracing::warn!(%replica, ?silent, "a member is down");
        }
        Event::MemberRetired { replica } => {
            tracing::info!(%replica, "a life of a member is over for good");
        }
        Event::Conflict(Conflict { name, child, rule, winner, loser, .. }) => {
            let (winner, loser) = (&winner.process, &loser.process);
            tracing::warn!(%winner, %loser, ?name, ?child, rule, "two processes claim one thing");
        }
        Event::Merged { winner, loser } => {
            tracing::info!(%winner, loser, "a process handed its state to the winner");
        }
        Event::ChildFailed { child, reason, backoff } => {
            tracing::warn!(%child, reason, ?backoff, "a child failed and will be started again");
        }
        Event::ChildGivenUp { child, reason, given_up_by, is_in_quarantine } => {
            tracing::warn!(
                %child, reason, given_up_by, is_in_quarantine,
                "a child failed too often and is given up here"
            );
        }
        Event::ClockRefused { peer, ours, theirs } => {
            tracing::warn!(%peer, %ours, %theirs, "refused a peer whose clock is too far from ours");
        }
        Event::RingRefused { peer, version } => {
            tracing::warn!(%peer, version, "refused a peer with another version of the ring");
        }
        Event::RuleRefused { peer, rule } => {
            tracing::warn!(%peer, ?rule, "refused a peer that goes by another conflict rule");
        }
        Event::TermsRefused { peer, ours, theirs } => {
            tracing::warn!(%peer, ?ours, ?theirs, "refused a peer with other voters or modes");
        }
        Event::VotersChanged { electorate } => {
            tracing::info!(%electorate, "the voters are others from now on");
        }
        Event::LeaseLapsed { child } => {
            tracing::warn!(%child, "the lease of a child ended before it was renewed");
        }
        Event::NameLapsed { name, .. } => {
            tracing::warn!(%name, "the lease on a name ended before it was renewed");
        }
        Event::Majority { is_up, up, of } => {
            if *is_up {
                tracing::info!(up, of, "more than half of the voters are up");
            } else {
                tracing::warn!(up, of, "no more than half of the voters are up");
            }
        }
        Event::Quorum { domain, is_met, up, of } => {
            tracing::warn!(?domain, is_met, up, of, "a quorum came or went");
        }
        Event::Refused { peer, reason } => {
            tracing::warn!(%peer, ?reason, "refused what a peer said");
        }
        // An event that this version does not know; its own text says it best.
        other => tracing::info!(event = ?other, "something happened"),
    }
}
