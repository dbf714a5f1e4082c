//! Looks for rows that do not fit a plan. Reads only.

use std::collections::BTreeMap;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel, Transaction};
use velocity_sql::ddl::{Check, Finding, Plan};

/// How long one look may take.
const TIMEOUT: &str = "5min";
/// Ids that a finding names.
const SAMPLES: &str = "3";

/// Why the data could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The table is too large for the time that a look may take.
    #[error(
        "looking for rows that keep `{summary}` from being applied took longer than {TIMEOUT}; it is tried again"
    )]
    TooLong {
        /// The step.
        summary: String,
    },
    /// Postgres refused the look.
    #[error(
        "the rows that keep `{summary}` from being applied could not be counted: {}",
        super::apply::message(source)
    )]
    Check {
        /// The step.
        summary: String,
        /// Postgres' answer.
        source: tokio_postgres::Error,
    },
    /// Postgres is not there.
    #[error("the database is not reachable")]
    Unreachable(#[source] tokio_postgres::Error),
}

/// The rows that each step's check finds, by the step's position in the plan; all looks at one moment.
pub async fn probe(client: &mut Client, plan: &Plan) -> Result<BTreeMap<usize, Finding>, ProbeError> {
    let mut findings = BTreeMap::new();
    if plan.steps.iter().all(|step| step.check.is_none()) {
        return Ok(findings);
    }
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(ProbeError::Unreachable)?;
    let settings =
        format!("set local statement_timeout = '{TIMEOUT}'; set local search_path = pg_catalog, pg_temp");
    transaction.batch_execute(&settings).await.map_err(ProbeError::Unreachable)?;
    for (index, step) in plan.steps.iter().enumerate() {
        let Some(check) = &step.check else { continue };
        let finding = look(&transaction, check).await.map_err(|source| {
            let summary = step.summary.clone();
            if source.code() == Some(&SqlState::QUERY_CANCELED) {
                ProbeError::TooLong { summary }
            } else if source.as_db_error().is_none() {
                ProbeError::Unreachable(source)
            } else {
                ProbeError::Check { summary, source }
            }
        })?;
        findings.insert(index, finding);
    }
    transaction.commit().await.map_err(ProbeError::Unreachable)?;
    Ok(findings)
}

async fn look(transaction: &Transaction<'_>, check: &Check) -> Result<Finding, tokio_postgres::Error> {
    let count: i64 = transaction.query_one(&format!("select count(*) {}", check.from), &[]).await?.get(0);
    if count == 0 {
        return Ok(Finding::default());
    }
    let sql = format!(
        "select r.id::text || case when r.deleted_at is null then '' else ' (deleted)' end {} order by r.id limit {SAMPLES}",
        check.from
    );
    let samples = transaction.query(&sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    Ok(Finding { count, samples })
}
