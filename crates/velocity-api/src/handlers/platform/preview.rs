//! Looks at the rows that a plan is about, as the administrator who asks.

use std::time::Duration;

use tokio::time::Instant;
use velocity_schema::SchemaPath;
use velocity_sql::ddl::Plan;
use velocity_store::records::{RecordError, Session};
use velocity_store::wire::{SqlState, WireError};

use super::operations::Looked;
use crate::error::ApiError;
use crate::state::Api;

/// All looks of one request together: an answer with gaps is worth more than none at the request's deadline.
const PATIENCE: Duration = Duration::from_secs(30);

/// The rows that the plan's checks find. What cannot be looked at is told, never taken for fitting.
pub(super) async fn look(
    api: &Api,
    session: &Session,
    path: &SchemaPath,
    plan: &Plan,
) -> Result<Looked, ApiError> {
    let mut looked = Looked::default();
    let began = Instant::now();
    for (index, step) in plan.steps.iter().enumerate() {
        let Some(check) = &step.check else { continue };
        if began.elapsed() > PATIENCE {
            looked.unknown.insert(index, "the looks before it took all the time there is".to_owned());
            continue;
        }
        match api.records().look(session, path, check).await {
            Ok(finding) => drop(looked.findings.insert(index, finding)),
            Err(WireError::Unavailable(unavailable)) => {
                return Err(ApiError::from(RecordError::Unavailable {
                    retry_after: unavailable.retry_after,
                    ran: unavailable.ran,
                    source: Box::new(WireError::Unavailable(unavailable)),
                }));
            }
            Err(error) => drop(looked.unknown.insert(index, why(&error, session.statement_timeout))),
        }
    }
    Ok(looked)
}

fn why(error: &WireError, limit: Duration) -> String {
    match error.code() {
        Some(SqlState::QUERY_CANCELED) => {
            format!(
                "looking took longer than {} s; the operator takes its time when it is applied",
                limit.as_secs()
            )
        }
        Some(SqlState::INSUFFICIENT_PRIVILEGE) => {
            "the API may not read all that it is about; the operator looks when it is applied".to_owned()
        }
        _ => match error.database() {
            Some(database) => format!("the database says: {}", database.message),
            None => "the look failed".to_owned(),
        },
    }
}
