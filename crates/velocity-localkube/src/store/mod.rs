//! Objects, their revisions and the events that changed them.
//!
//! Reads come from memory. Writes go through one writer thread, which checks them against the newest state, puts
//! a whole batch on disk in one durable transaction, and only then shows it to readers and acknowledges it.

mod disk;
mod state;
mod writer;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, mpsc};

use serde_json::Value;
use tokio::sync::{oneshot, watch};

pub(crate) use disk::DiskError;
pub(crate) use state::{Change, Event, Key, Object, Page, State};

/// What a write expects to find, checked atomically with the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Absent,
    Revision(u64),
}

/// One write; `value: None` deletes.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) key: Key,
    pub(crate) expected: Expected,
    pub(crate) value: Option<Value>,
}

/// Why a write did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// There is an object where none was expected.
    Exists,
    /// The object is gone, or has another revision than expected.
    Changed,
    NamespaceMissing,
    NamespaceTerminating,
    /// The disk failed; nothing was written.
    Disk(String),
}

/// Why events from a revision on cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compacted {
    /// The oldest revision from which a watch can start.
    pub(crate) oldest: u64,
}

struct Job {
    write: Write,
    done: oneshot::Sender<Result<Arc<Object>, WriteError>>,
}

/// A handle on the store; the writer thread ends when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Store {
    state: Arc<RwLock<State>>,
    jobs: mpsc::Sender<Job>,
}

/// New events of one table after a revision, and the store's revision at that moment.
pub(crate) type Tail = Result<(Vec<Arc<Event>>, u64), Compacted>;

impl Store {
    /// Opens or makes the database file; `history` is the number of events kept for watches, per table.
    pub(crate) fn open(path: &Path, history: usize) -> Result<Self, DiskError> {
        let (disk, state) = disk::Disk::open(path, history)?;
        let state = Arc::new(RwLock::new(state));
        let (jobs, queue) = mpsc::channel();
        let shared = Arc::clone(&state);
        std::thread::Builder::new()
            .name("localkube-writer".to_owned())
            .spawn(move || writer::run(&disk, &shared, &queue))
            .map_err(DiskError::Thread)?;
        Ok(Self { state, jobs })
    }

    /// Runs `read` on a consistent state. Keep it short: it holds back the writer's publishing.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.read(|state| state.get(key))
    }

    /// A signal for each change of `table`; take it before reading the tail.
    pub(crate) fn subscribe(&self, table: &str) -> watch::Receiver<u64> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.table_mut(table).signal.subscribe()
    }

    pub(crate) fn tail(&self, table: &str, after: u64) -> Tail {
        self.read(|state| state.tail(table, after))
    }

    /// Writes durably; returns the object as stored (for a deletion: as it last was, at the deletion's revision).
    pub(crate) async fn write(&self, write: Write) -> Result<Arc<Object>, WriteError> {
        let (done, answer) = oneshot::channel();
        self.jobs
            .send(Job { write, done })
            .map_err(|_| WriteError::Disk("the writer has stopped".to_owned()))?;
        answer.await.unwrap_or_else(|_| Err(WriteError::Disk("the writer has stopped".to_owned())))
    }

    /// [`Store::write`] for callers outside of a runtime (opening).
    pub(crate) fn write_blocking(&self, write: Write) -> Result<Arc<Object>, WriteError> {
        let (done, answer) = oneshot::channel();
        self.jobs
            .send(Job { write, done })
            .map_err(|_| WriteError::Disk("the writer has stopped".to_owned()))?;
        let mut answer = answer;
        loop {
            match answer.try_recv() {
                Ok(result) => return result,
                Err(oneshot::error::TryRecvError::Empty) => {
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
                Err(oneshot::error::TryRecvError::Closed) => {
                    return Err(WriteError::Disk("the writer has stopped".to_owned()));
                }
            }
        }
    }
}
