//! Sending batches until each has its answer.

use std::cell::Cell;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use velocity_contract::bulk::{BulkError, BulkOutcome, BulkResponse};

use super::batch::{Batch, Reject};
use crate::failure::{Exit, Failure, Outcome};
use crate::server::{Reply, Request, Server};

/// How long a server may be away before the import gives up: a restart takes less.
const AWAY_MAX: Duration = Duration::from_mins(2);
/// How long a server that was away may not know our schema or our token: one that starts learns them a moment later.
const SETTLING: Duration = Duration::from_secs(15);
/// The first pause before a batch is sent again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often rows that failed in an earlier run are tried anew: once for each run before this one. A person who runs a
/// command more often than this within a day looks at the rejects instead.
const RUNS_MAX: u32 = 100;

/// Sends batches to one schema.
pub(super) struct Sender<'a> {
    server: &'a Server,
    route: String,
    scope: String,
    stop: CancellationToken,
    /// When the server was last seen to be away.
    away: Cell<Option<Instant>>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) imported: u64,
    pub(super) skipped: u64,
    pub(super) rejected: Vec<Reject>,
    /// How many of the imported rows an earlier run had sent.
    pub(super) known: u64,
}

impl<'a> Sender<'a> {
    /// `anew` makes keys that no earlier run had.
    pub(super) fn new(server: &'a Server, route: String, anew: bool, stop: CancellationToken) -> Self {
        let salt = if anew { uuid::Uuid::new_v4().to_string() } else { String::new() };
        let scope = format!("{route} {salt}");
        Self { server, route, scope, stop, away: Cell::new(None) }
    }

    /// Delivers a batch.
    ///
    /// A repeated answer lists what failed in an earlier run, perhaps for want of something that is there by now. Failed
    /// rows left nothing behind, so they are sent anew under a key of their own, and those that fail again in that run's
    /// repetition once more: until an answer is a new one.
    pub(super) async fn deliver(&self, batch: Batch) -> Outcome<Delivery> {
        let mut delivery = Delivery { rejected: batch.unreadable.clone(), ..Delivery::default() };
        let mut rows: Vec<usize> = (0..batch.len()).collect();
        for attempt in 0..RUNS_MAX {
            if rows.is_empty() {
                break;
            }
            let (body, key) = batch.request(&self.scope, &rows, attempt);
            let reply = self.insist(&batch, body, key).await?;
            let (answer, failed) = read(&reply, &rows)?;
            delivery.imported += answer.stats.created + answer.stats.updated;
            delivery.skipped += answer.stats.skipped;
            let repeated = reply.header("idempotent-replay") == Some("true");
            if repeated {
                delivery.known += answer.stats.created + answer.stats.updated;
            }
            if !repeated || failed.is_empty() || attempt + 1 == RUNS_MAX {
                delivery
                    .rejected
                    .extend(failed.into_iter().filter_map(|(row, why)| batch.failed(row, reason(&why))));
                break;
            }
            rows = failed.into_iter().map(|(row, _)| row).collect();
        }
        delivery.rejected.sort_by_key(|reject| reject.line);
        Ok(delivery)
    }

    fn is_settling(&self) -> bool {
        self.away.get().is_some_and(|away| away.elapsed() < SETTLING)
    }

    /// Sends a request until there is an answer. The key makes that harmless.
    async fn insist(&self, batch: &Batch, body: String, key: String) -> Outcome<Reply> {
        let request =
            Request::new(Method::POST, self.route.clone()).header("idempotency-key", Some(key)).json(body);
        let mut away_since = None;
        let mut pause = PAUSE_MIN;
        loop {
            let (failure, wanted) = match self.server.send_once(&request).await {
                Ok(reply) if reply.status.is_success() => return Ok(reply),
                Ok(reply) => {
                    let wanted = reply.retry_after();
                    (self.server.failure(&reply), wanted)
                }
                Err(failure) => (failure, None),
            };
            let (first, last) = batch.lines();
            let failure = failure.while_doing(&format!("lines {first} to {last}"));
            match failure.exit() {
                Some(Exit::Unavailable) => self.away.set(Some(Instant::now())),
                Some(Exit::NotFound | Exit::Denied) if self.is_settling() => {}
                _ => return Err(failure),
            }
            let since = *away_since.get_or_insert_with(Instant::now);
            if since.elapsed() > AWAY_MAX {
                return Err(failure.with_help(
                    "the server was away for too long; the same command goes on with the rest and imports no row twice",
                ));
            }
            tokio::select! {
                () = sleep(wanted.unwrap_or(pause).min(PAUSE_MAX)) => {}
                () = self.stop.cancelled() => return Err(failure.with_help(
                    "stopped while the server was away; the same command goes on with the rest and imports no row twice",
                )),
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// The answer, and the rows that failed, by their position in the batch.
fn read(reply: &Reply, rows: &[usize]) -> Outcome<(BulkResponse, Vec<(usize, BulkError)>)> {
    let unreadable = |what: &str| Failure::failed(format!("the server's answer to a batch {what}"));
    let mut answer: BulkResponse = serde_json::from_slice(&reply.body)
        .map_err(|error| unreadable(&format!("cannot be read: {error}")))?;
    let stats = answer.stats;
    let total = stats.created + stats.updated + stats.deleted + stats.skipped + stats.failed;
    if total != rows.len() as u64 {
        return Err(unreadable(&format!("counts {total} rows, not the {} that were sent", rows.len())));
    }
    let mut failed = Vec::new();
    for result in std::mem::take(&mut answer.data) {
        if result.outcome == BulkOutcome::Failed {
            let row =
                rows.get(result.index as usize).ok_or_else(|| unreadable("names a row that was not sent"))?;
            let error = result.error.ok_or_else(|| unreadable("does not say why a row failed"))?;
            failed.push((*row, error));
        }
    }
    if failed.len() as u64 != stats.failed {
        return Err(unreadable("does not list every row that failed"));
    }
    Ok((answer, failed))
}

/// Why a row failed, in one line.
fn reason(error: &BulkError) -> String {
    if error.errors.is_empty() {
        return format!("{}: {}", error.code, error.detail);
    }
    let errors: Vec<String> = error
        .errors
        .iter()
        .map(|error| {
            if error.field.is_empty() {
                error.message.clone()
            } else {
                format!("{}: {}", error.field, error.message)
            }
        })
        .collect();
    errors.join("; ")
}
