//! Getting a lock without holding up traffic.

use std::time::Duration;

use rand::RngExt;
use tokio_postgres::Client;
use velocity_schema::SchemaPath;
use velocity_sql::TableNames;

/// How long a transaction waits for a lock. Whoever waits for ACCESS EXCLUSIVE queues every request behind it.
pub(super) const TIMEOUT_MS: u32 = 500;
/// How often a transaction tries to get its locks before the reconcile gives up for now.
pub(super) const ATTEMPTS: u32 = 20;
/// Longest query text that an error quotes.
const QUOTED: i32 = 120;

/// Lets traffic pass. Grows, and differs between processes that met at the same lock.
pub(super) async fn pause(attempt: u32) {
    let base = u64::from(attempt * 40).min(600);
    let millis = rand::rng().random_range(base / 2..=base * 3 / 2);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Who has held a lock on the path's tables for twice as long as we wait: requests that queued behind us are younger. A second
/// look, after the fact: best effort.
pub(super) async fn blockers(client: &Client, path: &str) -> Vec<String> {
    let Ok(path) = path.parse::<SchemaPath>() else { return Vec::new() };
    let names = TableNames::of(&path);
    let sql =
        "select distinct format('process %s: %s', a.pid, left(regexp_replace(a.query, '\\s+', ' ', 'g'), $4))
        from pg_locks l join pg_stat_activity a on a.pid = l.pid
        join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
        where l.granted and l.database = (select oid from pg_database where datname = current_database())
          and a.pid <> pg_backend_pid() and n.nspname = $1 and c.relname in ($2, $3)
          and a.xact_start < clock_timestamp() - $5::integer * interval '1 millisecond'
        limit 3";
    let wait = i32::try_from(2 * TIMEOUT_MS).unwrap_or(i32::MAX);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&names.schema.as_str(), &names.table.as_str(), &names.history.as_str(), &QUOTED, &wait];
    let rows = client.query(sql, &parameters).await.unwrap_or_default();
    rows.iter().map(|row| row.get(0)).collect()
}
