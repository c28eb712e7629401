//! What the processes of a kind do.

use std::collections::BTreeMap;
use std::time::Duration;

/// What the processes of a kind do: how they start, live, stop and reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Behaviour {
    /// How they start.
    pub start: Starting,
    /// When they end by themselves, if they do, and with which failure.
    pub life: Option<(Duration, Option<String>)>,
    /// How long they take to stop; forced to at the end of their grace.
    pub stop: Duration,
    /// For how long nothing makes them stop once they are told to, whatever their grace: they are
    /// in the middle of something that is not interrupted.
    pub blocks: Duration,
    /// What they do with messages.
    pub replies: Replies,
}

/// How the processes of a kind start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Starting {
    /// Each takes this long, give or take a quarter.
    Takes(Duration),
    /// Of the starts of every child, the first being 1, these fail; the others succeed at once.
    FailsOn(Vec<u64>),
    /// No start succeeds.
    Never,
    /// No start ends before its timeout.
    Hangs,
    /// Every start says that there is nothing to run.
    Ignores,
}

/// What the processes of a kind do with messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replies {
    /// They do not understand any.
    None,
    /// They reply what they were sent.
    Echo,
    /// They add the number they were sent, in decimal, and reply the sum so far. They begin with
    /// the number in their arguments, leave the sum behind when they stop, and take in another's
    /// sum.
    Count,
}

impl Behaviour {
    /// Returns a process that starts within two milliseconds, runs for ever, stops at once, and
    /// understands no message.
    pub fn ok() -> Self {
        Self {
            start: Starting::Takes(Duration::from_millis(1)),
            life: None,
            stop: Duration::from_millis(1),
            blocks: Duration::ZERO,
            replies: Replies::None,
        }
    }

    /// Returns a process that replies what it was sent.
    pub fn echo() -> Self {
        Self { replies: Replies::Echo, ..Self::ok() }
    }

    /// Returns a process that adds up what it was sent, and has the sum as its state.
    pub fn counter() -> Self {
        Self { replies: Replies::Count, ..Self::ok() }
    }

    /// Returns a process that ends as it should after `life`.
    pub fn ends_after(life: Duration) -> Self {
        Self { life: Some((life, None)), ..Self::ok() }
    }

    /// Returns a process that fails after `life`.
    pub fn crashes_after(life: Duration) -> Self {
        Self { life: Some((life, Some("it crashed".into()))), ..Self::ok() }
    }

    /// Returns a process whose first `starts` starts fail, for every child anew.
    pub fn fails_first(starts: u64) -> Self {
        Self { start: Starting::FailsOn((1..=starts).collect()), ..Self::ok() }
    }

    /// Returns a process of whose starts these fail, for every child anew; the first start is 1.
    pub fn fails_on(starts: &[u64]) -> Self {
        Self { start: Starting::FailsOn(starts.to_vec()), ..Self::ok() }
    }

    /// Returns a process that never starts.
    pub fn never_starts() -> Self {
        Self { start: Starting::Never, ..Self::ok() }
    }

    /// Returns a process whose start runs out of time.
    pub fn hangs() -> Self {
        Self { start: Starting::Hangs, ..Self::ok() }
    }

    /// Returns a process whose start says that there is nothing to run.
    pub fn ignores() -> Self {
        Self { start: Starting::Ignores, ..Self::ok() }
    }

    /// Makes it take about `start` to start.
    #[must_use]
    pub fn starting_in(self, start: Duration) -> Self {
        Self { start: Starting::Takes(start), ..self }
    }

    /// Makes it take `stop` to stop.
    #[must_use]
    pub fn stopping_in(self, stop: Duration) -> Self {
        Self { stop, ..self }
    }

    /// Makes it stop no sooner than `blocks` after it was told to.
    #[must_use]
    pub fn blocking_for(self, blocks: Duration) -> Self {
        Self { blocks, ..self }
    }

    /// Returns whether it starts when told and then runs until it is stopped.
    pub(crate) fn is_steady(&self) -> bool {
        let starts = match self.start {
            Starting::Takes(_) | Starting::FailsOn(_) => true,
            Starting::Never | Starting::Hangs | Starting::Ignores => false,
        };
        starts && self.life.is_none()
    }
}

/// Returns the kinds that every world has.
pub(crate) fn common() -> BTreeMap<String, Behaviour> {
    let kinds = [
        ("ok", Behaviour::ok()),
        ("echo", Behaviour::echo()),
        ("counter", Behaviour::counter()),
        ("ends-after-50ms", Behaviour::ends_after(Duration::from_millis(50))),
        ("crash-after-50ms", Behaviour::crashes_after(Duration::from_millis(50))),
        ("fails-first-3", Behaviour::fails_first(3)),
        ("never-starts", Behaviour::never_starts()),
        ("hangs", Behaviour::hangs()),
        ("ignores", Behaviour::ignores()),
        ("slow-start", Behaviour::ok().starting_in(Duration::from_secs(2))),
        ("slow-stop", Behaviour::counter().stopping_in(Duration::from_secs(3))),
    ];
    kinds.into_iter().map(|(kind, behaviour)| (kind.to_owned(), behaviour)).collect()
}
