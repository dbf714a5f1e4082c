//! Applies a plan's steps. A killed process leaves whole steps only, and the next plan goes on from there.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use velocity_sql::ddl::{How, Plan, Step};

/// How long a step waits for its lock before it lets traffic pass and tries again.
const LOCK_TIMEOUT_MS: u32 = 2_000;
/// How often a step tries to get its lock before the reconcile gives up for now.
const LOCK_ATTEMPTS: u32 = 5;

/// Why a step was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The lock was not to be had; the table serves on.
    #[error("`{summary}` did not get its lock in {LOCK_ATTEMPTS} attempts; it is tried again")]
    LockNotAvailable {
        /// The step.
        summary: String,
    },
    /// Postgres refused the statement.
    #[error("`{summary}` failed: {}", message(source))]
    Step {
        /// The step.
        summary: String,
        /// Postgres' answer.
        source: tokio_postgres::Error,
    },
    /// Postgres is not there.
    #[error("the database is not reachable")]
    Unreachable(#[source] tokio_postgres::Error),
}

impl ApplyError {
    /// Whether trying the same again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::LockNotAvailable { .. } | Self::Unreachable(_) => true,
            Self::Step { source, .. } => source.code().is_some_and(|code| {
                // Connection trouble, resources, operator intervention, and two processes at one catalog row.
                ["08", "53", "57", "40"].iter().any(|class| code.code().starts_with(class))
                    || code.code() == "XX000"
            }),
        }
    }
}

fn message(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned())
}

/// Applies the steps in order: in one transaction when the table is made, else each in a transaction of its own, so
/// that no lock is held longer than its step needs.
pub async fn apply(client: &mut Client, plan: &Plan) -> Result<(), ApplyError> {
    if plan.creates_table {
        return together(client, &plan.steps).await;
    }
    for step in &plan.steps {
        if step.how == How::Alone {
            alone(client, step).await?;
        } else {
            together(client, std::slice::from_ref(step)).await?;
        }
    }
    Ok(())
}

async fn together(client: &mut Client, steps: &[Step]) -> Result<(), ApplyError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match transaction(client, steps).await {
            Err(ApplyError::Step { summary, source })
                if source.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) =>
            {
                if attempt >= LOCK_ATTEMPTS {
                    return Err(ApplyError::LockNotAvailable { summary });
                }
                pause(attempt).await;
            }
            other => return other,
        }
    }
}

/// Grows, and differs between processes that met at the same lock.
async fn pause(attempt: u32) {
    let jitter = u64::from(std::process::id() % 97);
    tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 150 + jitter)).await;
}

async fn transaction(client: &mut Client, steps: &[Step]) -> Result<(), ApplyError> {
    let transaction = client.transaction().await.map_err(ApplyError::Unreachable)?;
    let settings =
        format!("set local lock_timeout = {LOCK_TIMEOUT_MS}; set local search_path = pg_catalog, pg_temp");
    transaction.batch_execute(&settings).await.map_err(ApplyError::Unreachable)?;
    for step in steps {
        transaction.batch_execute(&step.sql).await.map_err(|source| failed(step, source))?;
    }
    transaction.commit().await.map_err(ApplyError::Unreachable)
}

async fn alone(client: &Client, step: &Step) -> Result<(), ApplyError> {
    client.batch_execute(&step.sql).await.map_err(|source| failed(step, source))
}

fn failed(step: &Step, source: tokio_postgres::Error) -> ApplyError {
    if source.is_closed() || source.as_db_error().is_none() {
        ApplyError::Unreachable(source)
    } else {
        ApplyError::Step { summary: step.summary.clone(), source }
    }
}
