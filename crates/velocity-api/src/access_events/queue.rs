//! Between the requests and the writer: bounded, and a place where the requests wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use velocity_store::owner::OwnerPool;
use velocity_store::platform::AccessEventRow;

use super::AccessEventLimits;
use super::tally::Tally;
use super::writer::{DRAIN_TIMEOUT, Writer};

/// What the metrics say of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventCounters {
    /// In the queue, of which the writer may have taken some.
    pub(crate) queued: usize,
    /// Rows that are in the database.
    pub(crate) written: u64,
    /// Rows that are only in the log.
    pub(crate) lost: u64,
}

/// What the writer tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) written: AtomicU64,
    pub(super) lost: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<AccessEventRow>,
    tally: Arc<Tally>,
    told: Arc<Told>,
    /// Set when the writer is to end.
    stop: watch::Sender<Option<Instant>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    pub(super) fn start(pool: OwnerPool, limits: AccessEventLimits) -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(limits.queued);
        let (tally, told) = (Arc::new(Tally::new(limits.counted)), Arc::new(Told::default()));
        let (stop, stopped) = watch::channel(None);
        let writer = Writer { pool, receiver, tally: Arc::clone(&tally), told: Arc::clone(&told), stopped };
        let writer = Mutex::new(Some(tokio::spawn(writer.run())));
        Arc::new(Self { sender, tally, told, stop, writer })
    }

    /// Queues the row, waiting for room.
    pub(super) async fn push(&self, row: AccessEventRow) {
        let mut waiting = Waiting { row: Some(row), told: &self.told };
        if let Ok(place) = self.sender.reserve().await
            && let Some(row) = waiting.row.take()
        {
            place.send(row);
        }
    }

    /// Counts the row, waiting for room.
    pub(super) async fn count(&self, row: AccessEventRow) {
        self.tally.count(row).await;
    }

    pub(super) async fn drain(&self) {
        self.stop.send_replace(Some(Instant::now() + DRAIN_TIMEOUT));
        let writer = self.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.await;
        }
    }

    pub(super) fn counters(&self) -> EventCounters {
        EventCounters {
            queued: self.sender.max_capacity() - self.sender.capacity(),
            written: self.told.written.load(Ordering::Relaxed),
            lost: self.told.lost.load(Ordering::Relaxed),
        }
    }
}

/// A row whose request waits. A request that is given up meanwhile, or comes after the writer has ended, leaves it in the
/// log: its caller has seen nothing of the answer.
struct Waiting<'q> {
    row: Option<AccessEventRow>,
    told: &'q Told,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(row) = self.row.take() {
            to_the_log(&row, self.told);
        }
    }
}

/// The last resort.
pub(super) fn to_the_log(row: &AccessEventRow, told: &Told) {
    told.lost.fetch_add(1, Ordering::Relaxed);
    let event = serde_json::to_string(row).unwrap_or_default();
    tracing::error!(access.event = event, "an access event could not be written to the database");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access_events::AccessEvent;

    #[tokio::test(start_paused = true)]
    async fn what_a_given_up_request_and_an_ended_process_could_not_write_is_counted() {
        let pool = OwnerPool::new("postgres://nobody@127.0.0.1:1/none", 1).unwrap();
        let queue = Queue::start(pool, AccessEventLimits { queued: 1, counted: 1 });
        let row = || AccessEvent::default().row(velocity_store::platform::AccessEventKind::Denied);
        queue.push(row()).await;
        // The writer has the first one in its hands.
        while queue.counters().queued > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        queue.push(row()).await;
        assert!(tokio::time::timeout(Duration::from_secs(1), queue.push(row())).await.is_err());
        assert_eq!(queue.counters(), EventCounters { queued: 1, written: 0, lost: 1 });
        queue.drain().await;
        assert_eq!(queue.counters().lost, 3);
        queue.push(row()).await;
        assert_eq!(queue.counters().lost, 4, "nothing waits for a writer that has ended");
    }
}
