//! Backfills: a statement again and again, each time for some rows, with a cursor that is written with them.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};
use velocity_sql::ddl::Step;

use super::error::ApplyError;
use super::locks;

/// Rows of the first batch.
const FIRST: i64 = 2_000;
/// Fewest and most rows of a batch.
const LEAST: i64 = 100;
const MOST: i64 = 50_000;
/// How long a batch should take: rows are locked for so long.
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_millis(200);

/// A backfill on its way.
pub(super) struct Backfill<'a> {
    pub(super) path: &'a str,
    pub(super) name: &'a str,
    pub(super) silent: bool,
    pub(super) step: &'a Step,
}

/// Where it is.
struct Cursor {
    last: Option<String>,
    rows: i64,
}

impl Backfill<'_> {
    /// Goes on from where it was to its end. Rows that come meanwhile are the triggers'.
    pub(super) async fn run(&self, client: &mut Client, report: impl Fn(i64)) -> Result<(), ApplyError> {
        let failed = |source| ApplyError::of(self.step, source);
        let statement =
            client.prepare_typed(&self.step.sql, &[Type::TEXT, Type::INT8]).await.map_err(failed)?;
        let mut cursor = self.cursor(client).await.map_err(failed)?;
        let mut size = FIRST;
        loop {
            let started = Instant::now();
            let (next, done) = self.insisting(client, &statement, &cursor, size).await?;
            cursor = next;
            report(cursor.rows);
            if done {
                return Ok(());
            }
            size = match started.elapsed() {
                took if took > LONG => (size / 2).max(LEAST),
                took if took < SHORT => (size * 2).min(MOST),
                _ => size,
            };
        }
    }

    async fn cursor(&self, client: &Client) -> Result<Cursor, tokio_postgres::Error> {
        let sql = "select last_id, rows from platform.backfills where path = $1 and name = $2";
        let row = client.query_opt(sql, &[&self.path, &self.name]).await?;
        Ok(row.map_or(Cursor { last: None, rows: 0 }, |row| Cursor { last: row.get(0), rows: row.get(1) }))
    }

    async fn insisting(
        &self,
        client: &mut Client,
        statement: &Statement,
        cursor: &Cursor,
        size: i64,
    ) -> Result<(Cursor, bool), ApplyError> {
        let mut attempt = 1;
        loop {
            match self.batch(client, statement, cursor, size).await {
                Err(error) if error.is_contention() && attempt < locks::ATTEMPTS => {
                    locks::pause(attempt).await;
                    attempt += 1;
                }
                Err(error) if error.is_contention() => {
                    let blockers = locks::blockers(client, self.path).await;
                    return Err(ApplyError::LockNotAvailable {
                        summary: self.step.summary.clone(),
                        blockers,
                    });
                }
                other => return other,
            }
        }
    }

    /// One batch, and the cursor behind it.
    async fn batch(
        &self,
        client: &mut Client,
        statement: &Statement,
        cursor: &Cursor,
        size: i64,
    ) -> Result<(Cursor, bool), ApplyError> {
        let failed = |source| ApplyError::of(self.step, source);
        let transaction = client.transaction().await.map_err(failed)?;
        // Every batch is a short range of the primary key: a plan for any range would look at the whole table each time.
        let settings = format!(
            "set local lock_timeout = {}; set local search_path = pg_catalog, pg_temp; set local plan_cache_mode = force_custom_plan; set local enable_seqscan = off",
            locks::TIMEOUT_MS
        );
        transaction.batch_execute(&settings).await.map_err(failed)?;
        let operation = if self.silent { "BACKFILL" } else { "" };
        let context = "select set_config('velocity.operation', $1, true), set_config('velocity.actor', 'velocity-operator', true),
            set_config('velocity.actor_type', 'system', true), set_config('velocity.reason', $2, true)";
        transaction.execute(context, &[&operation, &self.step.summary]).await.map_err(failed)?;
        let row = transaction.query_one(statement, &[&cursor.last, &size]).await.map_err(failed)?;
        let (last, seen): (Option<String>, i64) = (row.get(0), row.get(1));
        let next = Cursor { rows: cursor.rows + seen, last };
        let done = seen < size || next.last.is_none();
        if done {
            let sql = "delete from platform.backfills where path = $1 and name = $2";
            transaction.execute(sql, &[&self.path, &self.name]).await.map_err(failed)?;
        } else {
            let sql = "insert into platform.backfills (path, name, last_id, rows) values ($1, $2, $3, $4)
                on conflict (path, name) do update set last_id = excluded.last_id, rows = excluded.rows, updated_at = now()";
            transaction
                .execute(sql, &[&self.path, &self.name, &next.last, &next.rows])
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok((next, done))
    }
}
