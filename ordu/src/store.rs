//! Where a node keeps what it must find again when it is started anew.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ordu_core::transport::Runtime;
use ordu_core::{Input, VoterRecord, VoterRecordError, VoterStore};
use tokio::runtime::Handle;
use tokio::select;
use tokio::sync::{mpsc, oneshot};

use crate::driver::Mail;

/// A place that outlasts the program, for some hundred bytes; give it to
/// [`NodeBuilder::voter_store`](crate::NodeBuilder::voter_store).
///
/// One store belongs to one node by its name. A node that comes up with the store of another, with
/// an older copy of its own, or with none though it was a voter before voters were changed, breaks
/// what leases promise: start it under another name, or with the present voters and their epoch
/// ([`NodeBuilder::leases_granted_by`](crate::NodeBuilder::leases_granted_by)).
#[async_trait]
pub trait RecordStore: Send + Sync + 'static {
    /// Returns what was saved last; `None` if nothing ever was.
    ///
    /// # Errors
    ///
    /// When that cannot be found out. The node does not start then.
    async fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Puts `record` in the place of what was saved before, all of it or nothing; it must outlast a
    /// loss of power once this returns. Never called twice at a time.
    ///
    /// # Errors
    ///
    /// When it may not outlast that. The node then has no say in the change that it was for.
    async fn save(&self, record: &[u8]) -> io::Result<()>;
}

/// A [`RecordStore`] in a file of its own. Beside it a second file is written, of the same name and
/// `.new`, and put in its place.
#[derive(Clone, Debug)]
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// Returns the store in the file at `path`, which need not be there yet; its directory must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

#[async_trait]
impl RecordStore for FileStore {
    async fn load(&self) -> io::Result<Option<Vec<u8>>> {
        let path = self.path.clone();
        aside(move || match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            // A directory that is not there may be one that was not mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound && parent(&path).is_dir() => {
                Ok(None)
            }
            Err(error) => Err(error),
        })
        .await
    }

    async fn save(&self, record: &[u8]) -> io::Result<()> {
        let (path, record) = (self.path.clone(), record.to_vec());
        aside(move || replace(&path, &record)).await
    }
}

/// Does what may wait for a disk where it holds nobody up.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match Handle::try_current() {
        Ok(tokio) => {
            let done = tokio.spawn_blocking(work).await;
            done.unwrap_or_else(|error| Err(io::Error::other(error)))
        }
        Err(_) => work(),
    }
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn replace(path: &Path, record: &[u8]) -> io::Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(record)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_directory(parent(path))
}

/// Makes sure that the names in a directory outlast a loss of power.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be opened, and when its names are written is up to the system.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Why a node could not find again what it had stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The store could not be read. Mend what its error says.
    #[error("the store cannot be read: {source}")]
    Io {
        /// What went wrong.
        source: io::Error,
    },
    /// What it holds is no record.
    #[error(transparent)]
    Record(#[from] VoterRecordError),
}

/// Returns what is in `store`.
pub(crate) async fn load(store: &dyn RecordStore) -> Result<VoterStore, LoadError> {
    match store.load().await.map_err(|source| LoadError::Io { source })? {
        None => Ok(VoterStore::Empty),
        Some(bytes) => Ok(VoterStore::Holds(VoterRecord::from_bytes(&bytes)?)),
    }
}

/// Saves what a node decides, one record after the other.
pub(crate) struct Keeper {
    /// What there is to save, each with the number by which the state machine knows it.
    records: mpsc::UnboundedSender<(u64, VoterRecord)>,
    /// Ends once nothing is being saved any more.
    over: oneshot::Receiver<()>,
}

impl Keeper {
    /// How long a node that is over waits for what is being saved.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Saves in `store`, and tells `mailbox`.
    pub(crate) fn new(
        store: Arc<dyn RecordStore>,
        mailbox: mpsc::Sender<Mail>,
        runtime: &Arc<dyn Runtime>,
    ) -> Self {
        let (records, mut given) = mpsc::unbounded_channel::<(u64, VoterRecord)>();
        let (ends, over) = oneshot::channel();
        runtime.spawn(Box::pin(async move {
            let _ends = ends;
            let mut waiting = Vec::new();
            // What comes later holds all that came before: of many the last is saved, for all.
            while 0 < given.recv_many(&mut waiting, usize::MAX).await {
                let Some((_, record)) = waiting.last() else { continue };
                let saved = store.save(&record.to_bytes()).await;
                if let Err(error) = &saved {
                    tracing::error!(%error, "what was decided of the voters could not be saved");
                }
                for (number, _) in waiting.drain(..) {
                    let input = Input::Persisted { number, is_stored: saved.is_ok() };
                    if mailbox.send(Mail::Input(input)).await.is_err() {
                        return;
                    }
                }
            }
        }));
        Self { records, over }
    }

    /// Saves `record` in the place of what was saved before.
    pub(crate) fn save(&self, number: u64, record: VoterRecord) {
        if self.records.send((number, record)).is_err() {
            tracing::error!("nobody saves what is decided of the voters any more");
        }
    }

    /// Waits for what is being saved: the next node of this name is to find that, and is not to be
    /// overtaken by it.
    pub(crate) async fn finish(self, runtime: &dyn Runtime) {
        let Self { records, over } = self;
        drop(records);
        select! {
            biased;
            _ = over => (),
            () = runtime.sleep_until(runtime.now() + Self::PATIENCE) => {
                tracing::warn!("what was decided of the voters is still being saved");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an empty directory of this test's own.
    fn directory(test: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("ordu-{test}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[tokio::test]
    async fn a_file_holds_what_was_saved_last_and_nothing_before() {
        let directory = directory("saved-last");
        let store = FileStore::new(directory.join("voters"));
        assert_eq!(store.load().await.unwrap(), None);
        store.save(b"one, and longer").await.unwrap();
        store.save(b"two").await.unwrap();
        assert_eq!(store.load().await.unwrap().as_deref(), Some(&b"two"[..]));
        fs::remove_dir_all(directory).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_record_is_refused_and_not_taken_for_an_empty_store() {
        let directory = directory("no-record");
        let path = directory.join("voters");
        fs::write(&path, b"nonsense").unwrap();
        let error = load(&FileStore::new(&path)).await.unwrap_err();
        assert!(matches!(error, LoadError::Record(_)), "{error}");
        let error = load(&FileStore::new(&directory)).await.unwrap_err();
        assert!(matches!(error, LoadError::Io { .. }), "{error}");
        let unmounted = FileStore::new(directory.join("unmounted").join("voters"));
        let error = load(&unmounted).await.unwrap_err();
        assert!(matches!(error, LoadError::Io { .. }), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }
}
