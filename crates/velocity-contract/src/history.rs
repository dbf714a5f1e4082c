//! `GET …/{id}/history`: one event per mutation, newest first.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An event of a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEvent {
    /// Its place among the events of the schema: grows, with gaps.
    pub seq: i64,
    /// When it happened: RFC 3339, UTC, to the microsecond.
    pub at: String,
    /// Who did it.
    pub actor: String,
    /// What was done: CREATE, UPDATE, DELETE, UNDELETE, RESTORE, ARCHIVE, UNARCHIVE, PURGE or IMPORT.
    pub operation: String,
    /// The record's version after it.
    pub version: i64,
    /// The fields whose values changed.
    pub changed: Vec<String>,
    /// The record before it, as far as the caller may see it; null for the first event.
    pub before: Option<Box<RawValue>>,
    /// The record after it, as far as the caller may see it; null after a purge.
    pub after: Option<Box<RawValue>>,
    /// Why, as the caller gave it.
    pub reason: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// The SHA-256 that chains it to the event before: 64 hex digits.
    pub hash: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_every_member_and_states_keep_their_digits() {
        let body = r#"{"seq":9,"at":"2026-05-19T14:00:00Z","actor":"ravi","operation":"CREATE","version":1,"changed":["amount"],"before":null,"after":{"amount":10.50},"reason":null,"requestId":"r","hash":"ab"}"#;
        let event: HistoryEvent = serde_json::from_str(body).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), body);
    }
}
