//! Discovery: how a node finds members that it was not told of at its start.

#[cfg(feature = "dns")]
mod dns;
mod file;

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use ordu_core::transport::{Address, Runtime};
use ordu_core::{IdError, Input, Random, Time};
use tokio::select;
use tokio::sync::{Mutex, mpsc};

use crate::driver::Mail;
use crate::runner::panic_text;

#[cfg(feature = "dns")]
pub use crate::discovery::dns::DnsSeeds;
pub use crate::discovery::file::SeedFile;

/// A place to look members up; give it to [`NodeBuilder::discover`](crate::NodeBuilder::discover).
///
/// It may find the node itself, members that it knows, and some that are long gone: all of that is
/// normal. Who belongs to the cluster is settled when they meet.
///
/// # Example
///
/// ```
/// use ordu::{Address, DiscoverError, Discovery, Node};
///
/// /// Whoever is in the environment.
/// struct Environment;
///
/// #[async_trait::async_trait]
/// impl Discovery for Environment {
///     async fn discover(&self) -> Result<Vec<Address>, DiscoverError> {
///         let peers = std::env::var("PEERS");
///         let peers = peers.map_err(|error| DiscoverError::Other { source: error.into() })?;
///         let address = |peer| {
///             Address::new(peer).map_err(|error| DiscoverError::Other { source: error.into() })
///         };
///         peers.split(',').map(address).collect()
///     }
/// }
///
/// let node = Node::builder("shop", "a").discover(Environment);
/// # drop(node);
/// ```
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// Returns all addresses where members may be found now, in the words of the transport.
    ///
    /// It is called again and again, never twice at a time, and given up after 30 s.
    ///
    /// # Errors
    ///
    /// When it cannot tell. That is logged, what was found last is kept, and it is asked again.
    async fn discover(&self) -> Result<Vec<Address>, DiscoverError>;

    /// Returns how long to wait before looking again, give or take a quarter; 30 s by default.
    fn interval(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// Why a discovery found nothing. What it found last is kept, and it is asked again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// A file of addresses cannot be read; mend its path or its rights.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of a file is no address; write one address a line, and `#` before comments.
    #[error("line {line} of {} is no address", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, counted from one.
        line: usize,
        /// What is wrong with it.
        source: IdError,
    },
    /// A file is too long to be one of addresses.
    #[error("{} is longer than the {max} bytes that a file of addresses may have", path.display())]
    FileTooLong {
        /// The file.
        path: PathBuf,
        /// How many bytes it may have.
        max: u64,
    },
    /// A name could not be resolved, or has no addresses at present.
    #[error("cannot resolve {name:?}")]
    Resolve {
        /// The name.
        name: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Names are resolved on tokio, and the node runs on something else; discover otherwise.
    #[error("cannot resolve {name:?} without tokio")]
    NoTokio {
        /// The name.
        name: String,
    },
    /// The discovery did not answer.
    #[error("the discovery did not answer within {patience:?}")]
    TimedOut {
        /// How long it was waited for.
        patience: Duration,
    },
    /// The discovery panicked; the text is that of the panic.
    #[error("the discovery panicked: {text}")]
    Panicked {
        /// What the panic said.
        text: String,
    },
    /// What a discovery of the user's own says.
    #[error("the discovery failed")]
    Other {
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What all discoveries of a node found, and the seeds that it was given.
pub(crate) struct Found {
    /// First the given, then those of each discovery.
    lists: Mutex<Vec<Vec<Address>>>,
}

/// One discovery of a node.
pub(crate) struct Search {
    discovery: Box<dyn Discovery>,
    found: Arc<Found>,
    /// The place of its list.
    place: usize,
    mailbox: mpsc::Sender<Mail>,
    runtime: Arc<dyn Runtime>,
    random: Random,
    /// When the node was last told.
    told: Option<Time>,
    /// Whether the last answer was an error.
    failing: bool,
}

impl Search {
    /// How long a discovery may take.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// After which time a node is told again what it knows, so that it tries again.
    const REFRESH: Duration = Duration::from_secs(30);

    /// Runs `discoveries` beside the node, until it is over.
    pub(crate) fn all(
        given: Vec<Address>,
        discoveries: Vec<Box<dyn Discovery>>,
        mailbox: &mpsc::Sender<Mail>,
        runtime: &Arc<dyn Runtime>,
    ) {
        let mut lists = vec![Vec::new(); discoveries.len() + 1];
        lists[0] = given;
        let found = Arc::new(Found { lists: Mutex::new(lists) });
        for (index, discovery) in discoveries.into_iter().enumerate() {
            let mut seed = [0; 8];
            runtime.fill_random(&mut seed);
            let search = Self {
                discovery,
                found: Arc::clone(&found),
                place: index + 1,
                mailbox: mailbox.clone(),
                runtime: Arc::clone(runtime),
                random: Random::new(u64::from_le_bytes(seed)),
                told: None,
                failing: false,
            };
            runtime.spawn(Box::pin(search.run()));
        }
    }

    async fn run(mut self) {
        let mailbox = self.mailbox.clone();
        select! {
            biased;
            () = mailbox.closed() => (),
            () = self.search() => (),
        }
    }

    /// Looks again and again, until the node is over.
    async fn search(&mut self) {
        loop {
            let answer = self.look().await;
            if self.tell(answer).await.is_err() {
                return;
            }
            let pause = self.random.jittered(self.discovery.interval().max(Self::INTERVAL_MIN));
            self.runtime.sleep_until(self.runtime.now() + pause).await;
        }
    }

    /// Asks the discovery once, and waits for it no longer than [`Self::PATIENCE`].
    async fn look(&self) -> Result<Vec<Address>, DiscoverError> {
        let deadline = self.runtime.now() + Self::PATIENCE;
        // What breaks in one look may be whole in the next.
        let look = AssertUnwindSafe(async { self.discovery.discover().await });
        select! {
            biased;
            answer = look.catch_unwind() => answer.unwrap_or_else(|panic| {
                Err(DiscoverError::Panicked { text: panic_text(&*panic) })
            }),
            () = self.runtime.sleep_until(deadline) => {
                Err(DiscoverError::TimedOut { patience: Self::PATIENCE })
            }
        }
    }

    /// Least time between two looks, whatever a discovery wants.
    const INTERVAL_MIN: Duration = Duration::from_millis(10);

    /// Tells the node what is known, if that is news or a while ago.
    async fn tell(&mut self, answer: Result<Vec<Address>, DiscoverError>) -> Result<(), Closed> {
        let now = self.runtime.now();
        // What follows is sent under the lock: the last list to be made is the last to arrive.
        let mut lists = self.found.lists.lock().await;
        let mut is_news = self.told.is_none_or(|told| Self::REFRESH <= now.since(told));
        match answer {
            Ok(addresses) => {
                if self.failing || addresses != lists[self.place] {
                    tracing::info!(?addresses, "discovered addresses");
                }
                self.failing = false;
                is_news |= addresses != lists[self.place];
                lists[self.place] = addresses;
            }
            Err(error) => {
                let cause = error.source().map(ToString::to_string);
                // A name that stays unknown is told once, not every few seconds.
                if self.failing {
                    tracing::debug!(%error, cause, "a discovery fails still");
                } else {
                    tracing::warn!(%error, cause, "a discovery failed; what it found last counts");
                }
                self.failing = true;
            }
        }
        if is_news {
            self.told = Some(now);
            let all = lists.iter().flatten().cloned().collect();
            self.mailbox.send(Mail::Input(Input::Seeds(all))).await.map_err(|_| Closed)?;
        }
        Ok(())
    }
}

/// The node is over.
struct Closed;

#[cfg(test)]
mod tests;
