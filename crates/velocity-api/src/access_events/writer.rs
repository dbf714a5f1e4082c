//! Writes the events, one batch after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use velocity_store::owner::{OwnerError, OwnerPool};
use velocity_store::platform::{AccessError, AccessEventRow, write_access_events};

use super::queue::{Told, to_the_log};
use super::tally::Tally;

/// Most rows of one statement. What comes while a batch is written is the next one.
const BATCH: usize = 512;
/// How often the counts are looked at: they are of whole seconds.
const TICK: Duration = Duration::from_millis(500);
/// Between attempts while the database is away.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the database: after the requests' 25 s, within the 30 s of Kubernetes.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);

pub(super) struct Writer {
    pub(super) pool: OwnerPool,
    pub(super) receiver: mpsc::Receiver<AccessEventRow>,
    pub(super) tally: Arc<Tally>,
    pub(super) told: Arc<Told>,
    pub(super) stopped: watch::Receiver<Option<Instant>>,
}

/// Why a batch is not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("no connection")]
    Connection(#[from] OwnerError),
    #[error(transparent)]
    Refused(#[from] AccessError),
    #[error("it took longer than {} s", ATTEMPT.as_secs())]
    Slow,
}

impl WriteError {
    /// Whether the rows themselves are at fault, so that they would be refused again.
    fn is_of_the_rows(&self) -> bool {
        matches!(self, Self::Refused(error) if error.is_of_the_data())
    }
}

impl Writer {
    /// Until the process ends, or nobody is left who could send anything.
    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            let mut last = false;
            tokio::select! {
                received = self.receiver.recv_many(&mut batch, BATCH) => last = received == 0,
                _ = tick.tick() => {}
                // Also when the other end is gone, and with it everyone who could send.
                () = stop(&mut self.stopped) => {
                    self.receiver.close();
                    last = self.receiver.recv_many(&mut batch, BATCH).await == 0;
                }
            }
            let before = if last { i64::MAX } else { Timestamp::now().as_second() };
            batch.extend(self.tally.take(before));
            self.write(batch).await;
            if last {
                return;
            }
        }
    }

    /// Tries until they are written, or the process may not wait any longer.
    async fn write(&mut self, rows: Vec<AccessEventRow>) {
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        while !rows.is_empty() {
            match self.attempt(&rows).await {
                Ok(()) => return self.wrote(rows.len()),
                Err(error) if error.is_of_the_rows() => return self.write_one_by_one(rows).await,
                Err(error) => {
                    if !told {
                        tracing::warn!(error = %chain(&error), rows = rows.len(), "access events wait to be written");
                        told = true;
                    }
                }
            }
            let until = Instant::now() + pause;
            if self.is_over(until) {
                return rows.iter().for_each(|row| to_the_log(row, &self.told));
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = changed(&mut self.stopped) => pause = FIRST_PAUSE,
            }
        }
    }

    async fn attempt(&self, rows: &[AccessEventRow]) -> Result<(), WriteError> {
        let write = async {
            let mut connection = self.pool.connection().await?;
            Ok(write_access_events(connection.client(), rows).await?)
        };
        let mut stopped = self.stopped.clone();
        tokio::select! {
            written = write => written,
            () = tokio::time::sleep(ATTEMPT) => Err(WriteError::Slow),
            () = deadline(&mut stopped) => Err(WriteError::Slow),
        }
    }

    /// Whether the process does not wait until then.
    fn is_over(&self, until: Instant) -> bool {
        self.stopped.borrow().is_some_and(|deadline| until > deadline)
    }

    /// One that the database refuses must not keep the others.
    async fn write_one_by_one(&mut self, rows: Vec<AccessEventRow>) {
        for row in rows {
            let mut attempt = self.attempt(std::slice::from_ref(&row)).await;
            while attempt.as_ref().is_err_and(|error| !error.is_of_the_rows())
                && !self.is_over(Instant::now() + FIRST_PAUSE)
            {
                tokio::time::sleep(FIRST_PAUSE).await;
                attempt = self.attempt(std::slice::from_ref(&row)).await;
            }
            match attempt {
                Ok(()) => self.wrote(1),
                Err(_) => to_the_log(&row, &self.told),
            }
        }
    }

    fn wrote(&self, rows: usize) {
        self.told.written.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

/// Until the writer is to end.
async fn stop(stopped: &mut watch::Receiver<Option<Instant>>) {
    let _ = stopped.wait_for(Option::is_some).await;
}

/// Until that is said; never, where nobody can say it any more.
async fn changed(stopped: &mut watch::Receiver<Option<Instant>>) {
    if stopped.borrow_and_update().is_some() || stopped.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Until the end of the time in which it is to end.
async fn deadline(stopped: &mut watch::Receiver<Option<Instant>>) {
    let deadline = stopped.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
