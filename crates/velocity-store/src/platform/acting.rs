//! Who administers, as the events of it say, and what may go wrong.

use serde::Serialize;

/// Who does something that is written down. Without an actor nothing is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Acting {
    /// Who.
    pub actor: String,
    /// What kind of actor.
    pub actor_type: String,
    /// The strategy that proved it.
    pub strategy: String,
    /// Method and path of the request.
    pub path: String,
    /// The request's id.
    pub request_id: String,
    /// The trace that the request belongs to.
    pub trace_id: Option<String>,
    /// The client's address.
    pub ip: Option<String>,
}

impl Acting {
    /// As the functions of the database take it.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!(self)
    }
}

/// Why keys, revocations or sessions could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Postgres could not be asked, or refused.
    #[error("the database did not do it")]
    Postgres(#[from] tokio_postgres::Error),
    /// A row is not what this version writes.
    #[error("a row could not be understood")]
    Row(#[from] serde_json::Error),
}

impl AccessError {
    /// Whether the database could not be asked, rather than refused.
    pub fn is_unavailable(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        error
            .code()
            .is_none_or(|state| ["08", "53", "57"].iter().any(|class| state.code().starts_with(class)))
    }

    /// Whether what was sent is at fault, so that it would be refused again.
    pub fn is_of_the_data(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        error.code().is_some_and(|state| ["22", "23"].iter().any(|class| state.code().starts_with(class)))
    }
}
