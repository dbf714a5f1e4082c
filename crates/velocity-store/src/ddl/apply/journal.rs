//! What is written down of a plan while it runs: `platform.plans`.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, GenericClient};
use velocity_sql::ddl::{How, Step};

use super::Change;

/// A plan's entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry(i64);

/// The statements of approved plans for this spec that began and were not finished, with none that was finished since: what
/// is left of them was approved with them.
pub async fn begun_statements(
    client: &Client,
    path: &str,
    spec_hash: &str,
) -> Result<BTreeSet<String>, Error> {
    let sql = "select distinct step ->> 'sql' from platform.plans p cross join jsonb_array_elements(p.steps) step
        where p.path = $1 and p.spec_hash = $2 and p.approved and p.state <> 'done'
          and p.id > coalesce((select max(d.id) from platform.plans d where d.path = $1 and d.state = 'done'), 0)";
    let rows = client.query(sql, &[&path, &spec_hash]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Writes the plan down before its first statement. One that was running for the path is superseded; the same plan once
/// more is the same entry. Cursors of backfills that the plan has no part in are of another change, and go.
pub(super) async fn begin(client: &mut Client, change: &Change<'_>, steps: &[&Step]) -> Result<Entry, Error> {
    let plan_hash = change.plan.hash();
    let shown = Json::Array(steps.iter().map(|step| shown(step)).collect());
    let cursors: Vec<&str> = steps
        .iter()
        .filter_map(|step| match &step.how {
            How::Batches { name, .. } => Some(name.as_str()),
            How::Transaction | How::Alone => None,
        })
        .collect();
    let transaction = client.transaction().await?;
    let superseded = "update platform.plans set state = 'superseded', updated_at = now(), finished_at = now()
        where path = $1 and state = 'running' and (spec_hash <> $2 or plan_hash <> $3)";
    transaction.execute(superseded, &[&change.path, &change.spec_hash, &plan_hash]).await?;
    let again = "update platform.plans set state = 'running', next_step = 0, error = null, updated_at = now(), finished_at = null,
          approved = approved or $4, operator = $5, steps = $6
        where id = (select max(id) from platform.plans where path = $1)
          and spec_hash = $2 and plan_hash = $3 and state in ('running', 'failed') returning id";
    let insert = "insert into platform.plans (path, spec_hash, plan_hash, approved, operator, steps, state)
        values ($1, $2, $3, $4, $5, $6, 'running') returning id";
    let entry: [&(dyn ToSql + Sync); 6] =
        [&change.path, &change.spec_hash, &plan_hash, &change.approved, &change.operator, &shown];
    let row = if let Some(known) = transaction.query_opt(again, &entry).await? {
        known
    } else {
        transaction.query_one(insert, &entry).await?
    };
    let sql = "delete from platform.backfills where path = $1 and name <> all ($2)";
    transaction.execute(sql, &[&change.path, &cursors]).await?;
    transaction.commit().await?;
    Ok(Entry(row.get(0)))
}

fn shown(step: &Step) -> Json {
    let how = match &step.how {
        How::Transaction => "transaction",
        How::Alone => "alone",
        How::Batches { .. } => "batches",
    };
    json!({
        "summary": step.summary,
        "class": step.class.as_str(),
        "lock": step.lock.as_str(),
        "sql": step.sql,
        "stage": format!("{:?}", step.stage).to_lowercase(),
        "how": how,
    })
}

impl Entry {
    /// So many of its steps are done.
    pub(super) async fn done(self, client: &impl GenericClient, steps: usize) -> Result<(), Error> {
        let steps = i32::try_from(steps).unwrap_or(i32::MAX);
        let sql = "update platform.plans set next_step = $2, updated_at = now() where id = $1";
        client.execute(sql, &[&self.0, &steps]).await.map(|_| ())
    }

    /// All of them are.
    pub(super) async fn finish(self, client: &Client) -> Result<(), Error> {
        let sql =
            "update platform.plans set state = 'done', updated_at = now(), finished_at = now() where id = $1";
        client.execute(sql, &[&self.0]).await.map(|_| ())
    }

    /// It stopped at an error. Where the database is the trouble this may fail too: then the next attempt finds it running.
    pub(super) async fn fail(self, client: &Client, error: &str) {
        let sql = "update platform.plans set state = 'failed', error = $2, updated_at = now(), finished_at = now() where id = $1";
        if let Err(also) = client.execute(sql, &[&self.0, &error]).await {
            tracing::debug!(plan.id = self.0, error = %also, "the plan's failure could not be written down");
        }
    }
}
