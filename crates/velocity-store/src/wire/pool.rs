//! What both lanes share: the lease of a connection, and the numbers to watch.

use std::{
    error::Error as _,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    ConnectError, Connection,
    connection::{Hold, Reply},
    encode::Request,
    exclusive,
};

/// A cancelled statement usually ends within this time.
const FIRST_CANCEL_PAUSE: Duration = Duration::from_millis(2);

/// Between further cancels of something that does not let itself be cancelled.
const LONGEST_CANCEL_PAUSE: Duration = Duration::from_secs(5);

/// A lane's state at one moment, and what happened since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections that carry at least one request.
    pub in_use: usize,
    /// Connections that wait for one.
    pub idle: usize,
    /// Callers that wait for a connection.
    pub waiting: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// Connections made since the start.
    pub created: u64,
    /// Attempts to connect that failed since the start.
    pub failed: u64,
    /// Connections that were closed since the start, broken or too old.
    pub discarded: u64,
    /// Callers turned away because all connections were busy.
    pub refused: u64,
}

/// The exclusive right to a connection. When its last holder lets go, the connection goes back to the pool,
/// or away if its state is in any doubt.
///
/// The connection's task holds it too until the answer is complete, so that a caller who leaves early
/// gives nothing back early.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Connection>,
    pool: Weak<exclusive::Shared>,
    doubtful: AtomicBool,
}

impl Lease {
    pub(super) fn new(connection: Connection, pool: Weak<exclusive::Shared>) -> Self {
        Self { connection: Some(connection), pool, doubtful: AtomicBool::new(false) }
    }

    /// The leased connection; there for as long as the lease is held.
    pub(super) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Takes the connection out, so that dropping the lease does nothing.
    pub(super) fn take(&mut self) -> Option<Connection> {
        self.connection.take()
    }

    /// Queues a request that holds this lease until it is answered.
    pub(super) fn send(self: &Arc<Self>, request: Box<Request>) -> oneshot::Receiver<Reply> {
        match &self.connection {
            Some(connection) => connection.send(request, Hold::Lease(Arc::clone(self))),
            // The sender is gone at once, which reads as a lost connection.
            None => oneshot::channel().1,
        }
    }

    /// Cancels what the connection is running, until it runs nothing any more. The server ignores a cancel
    /// that arrives before the request does, so that one is not always enough.
    ///
    /// If it is not certain that a cancel has come and gone, the connection is not used again: it could
    /// hit the next request.
    pub(super) async fn cancel(&self) {
        let Some(connection) = &self.connection else { return };
        let mut pause = FIRST_CANCEL_PAUSE;
        while connection.in_flight() > 0 && !connection.is_closed() {
            if let Err(error) = connection.canceller().cancel().await {
                tracing::debug!(error = %error, "cancel request failed");
                self.doubtful.store(true, Ordering::Release);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_CANCEL_PAUSE);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if let Some(pool) = self.pool.upgrade() {
            let usable = !self.doubtful.load(Ordering::Acquire) && connection.is_clean();
            exclusive::give_back(&pool, connection, usable);
        }
    }
}

/// Counts a caller for as long as it waits.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    pub(super) fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says once per attempt that the server cannot be reached; attempts are spaced by the back-off.
pub(super) fn report_failure(error: &ConnectError) {
    let cause = error.source().map(ToString::to_string);
    tracing::warn!(error = %error, cause = cause.as_deref(), "cannot connect to Postgres");
}
