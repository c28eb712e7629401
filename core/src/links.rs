//! Who hears whom, as one node sees it.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::NodeId;
use crate::message::Link;

/// Of each ordered pair of members whether the one hears the other, as one node sees it.
///
/// Members are judged by what is heard of them by any path, so that a broken link between two of
/// them takes nobody down; this tells of the links themselves. Its [`Display`](fmt::Display) names
/// those that look broken, one a line: "b does not hear c".
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinksView {
    /// The pairs that something is known of, in the order of their observers, then of their
    /// subjects.
    ///
    /// Members that are down are in none. What others hear this node knows from their last beats,
    /// which come on its own sessions alone: of who never beat to it, it tells nothing.
    pub links: Vec<LinkView>,
}

/// Whether a member hears another one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkView {
    /// Who hears, or does not.
    pub observer: NodeId,
    /// Whom.
    pub subject: NodeId,
    /// How the observer's own session with the subject was.
    pub session: Link,
    /// For how long no frame of the subject had reached the observer on a session of their own; if
    /// none ever had, since the observer learned of it. What others told it of the subject does not
    /// count.
    pub silence: Duration,
    /// How long ago that was so: for the time since the observer's last beat that reached the node
    /// that was asked. Zero if that is the observer.
    pub age: Duration,
    /// Whether the link looks broken: nothing had come for half of the failure timeout, though the
    /// subject was heard of elsewhere.
    ///
    /// Who hears nothing ends the session, and then the other one hears nothing either. So of the
    /// two directions between two members that alone is named which fell silent by half of the
    /// failure timeout before the other; both, if they fell silent at once. A link that works may
    /// be named for a moment, where frames are lost by chance or the subject has just died.
    pub is_broken: bool,
}

impl LinksView {
    /// Iterates over the links that look broken, in the order of [`LinksView::links`].
    pub fn broken(&self) -> impl Iterator<Item = &LinkView> {
        self.links.iter().filter(|link| link.is_broken)
    }
}

impl fmt::Display for LinksView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, link) in self.broken().enumerate() {
            if 0 < number {
                writeln!(f)?;
            }
            write!(f, "{link}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LinkView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { observer, subject, session: _, silence, age, is_broken } = self;
        if *is_broken {
            write!(f, "{observer} does not hear {subject}: silent for {silence:.1?}")?;
        } else {
            write!(f, "{observer} hears {subject}: {silence:.1?} ago")?;
        }
        if age.is_zero() { Ok(()) } else { write!(f, ", as it said {age:.1?} ago") }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_broken_is_named_in_words() {
        let link = |observer: &str, subject: &str, is_broken| LinkView {
            observer: NodeId::new(observer).unwrap(),
            subject: NodeId::new(subject).unwrap(),
            session: Link::Open,
            silence: Duration::from_millis(1_840),
            age: if observer == "a" { Duration::ZERO } else { Duration::from_millis(200) },
            is_broken,
        };
        let links = vec![link("a", "b", false), link("a", "c", true), link("b", "c", true)];
        let view = LinksView { links };
        assert_eq!(
            format!("{view}"),
            "a does not hear c: silent for 1.8s\n\
             b does not hear c: silent for 1.8s, as it said 200.0ms ago",
        );
        assert_eq!(format!("{}", view.links[0]), "a hears b: 1.8s ago");
    }
}
