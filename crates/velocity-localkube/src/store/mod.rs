//! Objects, their revisions and the events that changed them.
//!
//! Reads come from memory. Writes go through one writer thread, which checks them against the newest state, puts
//! a whole batch on disk in one durable transaction, and only then shows it to readers and acknowledges it.

mod disk;
mod state;
mod writer;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, Weak, mpsc};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::{oneshot, watch};

pub(crate) use disk::DiskError;
pub(crate) use state::{Change, Event, Key, Object, Page, State, owners};

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

/// A handle on the store. With the last one, the writer thread ends and the file is closed.
#[derive(Clone)]
pub(crate) struct Store(Arc<Inner>);

/// A handle that keeps nothing open.
pub(crate) struct WeakStore(Weak<Inner>);

struct Inner {
    state: Arc<RwLock<State>>,
    /// `None` only while dropping.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends with its queue; waiting for it means that the file can be opened again at once.
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl WeakStore {
    pub(crate) fn upgrade(&self) -> Option<Store> {
        self.0.upgrade().map(Store)
    }
}

/// New events of one table after a revision, and the store's revision at that moment.
pub(crate) type Tail = Result<(Vec<Arc<Event>>, u64), Compacted>;

type Answer = oneshot::Receiver<Result<Arc<Object>, WriteError>>;

impl Store {
    /// Opens or makes the database file; `history` is the number of events kept for watches, per table. Every
    /// event also goes to the receiver.
    pub(crate) fn open(path: &Path, history: usize) -> Result<(Self, mpsc::Receiver<Arc<Event>>), DiskError> {
        let (disk, state) = disk::Disk::open(path, history)?;
        let state = Arc::new(RwLock::new(state));
        let (jobs, queue) = mpsc::channel();
        let (heard, events) = mpsc::channel();
        let shared = Arc::clone(&state);
        let writer = std::thread::Builder::new()
            .name("localkube-writer".to_owned())
            .spawn(move || writer::run(&disk, &shared, &queue, &heard))
            .map_err(DiskError::Thread)?;
        Ok((Self(Arc::new(Inner { state, jobs: Some(jobs), writer: Some(writer) })), events))
    }

    pub(crate) fn downgrade(&self) -> WeakStore {
        WeakStore(Arc::downgrade(&self.0))
    }

    /// Runs `read` on a consistent state. Keep it short: it holds back the writer's publishing.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.read(|state| state.get(key))
    }

    /// A signal for each change of `table`; take it before reading the tail.
    pub(crate) fn subscribe(&self, table: &str) -> watch::Receiver<u64> {
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        state.table_mut(table).signal.subscribe()
    }

    pub(crate) fn tail(&self, table: &str, after: u64) -> Tail {
        self.read(|state| state.tail(table, after))
    }

    fn enqueue(&self, write: Write) -> Option<Answer> {
        let (done, answer) = oneshot::channel();
        self.0.jobs.as_ref()?.send(Job { write, done }).ok()?;
        Some(answer)
    }

    /// Writes durably; returns the object as stored (for a deletion: as it last was, at the deletion's revision).
    pub(crate) async fn write(&self, write: Write) -> Result<Arc<Object>, WriteError> {
        let answer = self.enqueue(write).ok_or_else(stopped)?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// [`Store::write`] for threads without a runtime.
    pub(crate) fn write_blocking(&self, write: Write) -> Result<Arc<Object>, WriteError> {
        let answer = self.enqueue(write).ok_or_else(stopped)?;
        futures::executor::block_on(answer).unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> WriteError {
    WriteError::Disk("the writer has stopped".to_owned())
}
