//! Who hears whom directly: what members said of it last, and which links look broken.
//!
//! A count of beats goes round a broken link, so its age says nothing of the link. Each pulse says
//! beside it when a frame last came from its subject itself; of each member the last beat is kept,
//! 16 bytes for each of the lives that it speaks of: 160 kB for 100 members, 16 MB for 1,024.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Known, Life, Membership, State};
use crate::limits::REPLICAS_MAX;
use crate::links::{LinkView, LinksView};
use crate::message::{Beat, Link};
use crate::{NodeId, Replica, ReplicaKey, Time};

/// What a member said last of how it hears others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hearing {
    /// When it was said.
    at: Time,
    /// In the order of the lives.
    heard: Vec<Heard>,
}

/// How a member hears a life directly.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Heard {
    subject: ReplicaKey,
    /// For how long nothing had come, in milliseconds; the most that fits if it was longer.
    silent_ms: u32,
    link: Link,
}

impl Hearing {
    /// Returns what `beat` says, which came at `at`.
    pub(super) fn of(beat: &Beat, at: Time) -> Self {
        let heard = |pulse: &crate::message::Pulse| Heard {
            subject: pulse.replica,
            silent_ms: u32::try_from(pulse.silent_ms).unwrap_or(u32::MAX),
            link: pulse.link,
        };
        let mut heard: Vec<Heard> = beat.pulses.iter().take(REPLICAS_MAX).map(heard).collect();
        heard.sort_unstable_by_key(|heard| heard.subject);
        Self { at, heard }
    }

    fn heard(&self, subject: ReplicaKey) -> Option<Heard> {
        let place = self.heard.binary_search_by_key(&subject, |heard| heard.subject).ok()?;
        Some(self.heard[place])
    }
}

impl Membership {
    /// Returns how members that are not down hear each other. Takes O(n² log n) time for n of them.
    pub(crate) fn links(&self) -> LinksView {
        let present = self.nodes.values().filter_map(|known| known.current);
        let up = present.filter(|key| self.lives[key].state.is_up());
        let up: Vec<ReplicaKey> = up.collect();
        let mut links = Vec::new();
        for &observer in &up {
            let of_it = up.iter().filter(|&&subject| subject != observer);
            links.extend(of_it.filter_map(|&subject| self.link_between(observer, subject)));
        }
        self.find_broken(&mut links);
        LinksView { links }
    }

    /// Returns whether `member` spoke of `replica` in its last beat, or has not beaten since it
    /// came up; nobody speaks of a life that is over.
    pub(crate) fn may_speak_of(&self, member: &Replica, replica: &Replica) -> bool {
        let life = self.current_key(member).map(|key| &self.lives[&key]);
        let hearing = life.and_then(|life| life.hearing.as_ref());
        hearing.is_none_or(|hearing| hearing.heard(replica.key()).is_some())
    }

    /// Returns for how long no frame of a life's node has come on a session with it.
    pub(super) fn silent(&self, life: &Life) -> Duration {
        let known: &Known = &self.nodes[life.replica.node()];
        self.now.since(known.heard.unwrap_or(known.since))
    }

    /// Returns how `observer` hears `subject`, if it has said so here.
    fn link_between(&self, observer: ReplicaKey, subject: ReplicaKey) -> Option<LinkView> {
        let (by, of) = (&self.lives[&observer], &self.lives[&subject]);
        let (session, silence, age) = if self.own == Some(observer) {
            (self.link(subject), self.silent(of), Duration::ZERO)
        } else {
            let hearing = by.hearing.as_ref()?;
            let Heard { silent_ms, link, .. } = hearing.heard(subject)?;
            let silence = Duration::from_millis(u64::from(silent_ms));
            (link, silence, self.now.since(hearing.at))
        };
        // Of whom nobody hears anything it is not the links that are broken.
        let is_silent = self.own != Some(subject) && of.state == State::Suspect;
        Some(LinkView {
            observer: by.replica.node().clone(),
            subject: of.replica.node().clone(),
            session,
            silence,
            age,
            is_broken: self.suspect_after() <= silence && !is_silent,
        })
    }

    /// Of the two directions of a link that are both silent leaves the one that was first.
    fn find_broken(&self, links: &mut [LinkView]) {
        let apart = self.suspect_after();
        let silent = |link: &LinkView| link.is_broken.then_some(link.silence + link.age);
        let all: BTreeMap<(&NodeId, &NodeId), Duration> = links
            .iter()
            .filter_map(|link| Some(((&link.observer, &link.subject), silent(link)?)))
            .collect();
        let follows = |link: &LinkView| {
            let own = silent(link)?;
            let other = *all.get(&(&link.subject, &link.observer))?;
            Some(own + apart <= other)
        };
        let follow: Vec<bool> = links.iter().map(|link| follows(link) == Some(true)).collect();
        for (link, follows) in links.iter_mut().zip(follow) {
            link.is_broken &= !follows;
        }
    }
}
