//! Writes that happen once, however often they are sent.
//!
//! The key is claimed, the write done and the answer stored in one transaction. Whoever comes second with the same key
//! waits for the first at the claim, and gets its answer.

use std::sync::Arc;

use bytes::Bytes;
use velocity_schema::Value;
use velocity_sql::SqlType;

use super::Records;
use super::error::{RecordError, is_conflict_of_transactions};
use super::guard::{Guard, Unguarded};
use super::session::Session;
use super::table::Table;
use super::write::{Write, Written, apply_within};
use crate::codec::{decode_value, push_value};
use crate::wire::{Params, ResultSet, Row, Statement, Transaction, TransactionMode, WireError, types};

/// How often a call begins again after it lost against another.
const ATTEMPTS: usize = 4;

/// Keys live for 24 hours. Row-level security shows a caller its own only, and those of its domain only.
const FORGET: &str = "delete from platform.idempotency_keys \
    where domain = current_user and actor = $1 and key = $2 and created_at < now() - interval '24 hours'";
const CLAIM: &str = "insert into platform.idempotency_keys (actor, key, digest) values ($1, $2, $3) \
    on conflict do nothing returning true";
const RECALL: &str = "select digest, status::bigint, headers, body from platform.idempotency_keys \
    where domain = current_user and actor = $1 and key = $2";
const STORE: &str = "update platform.idempotency_keys set status = $3::bigint, headers = $4, body = $5 \
    where domain = current_user and actor = $1 and key = $2";

/// A caller's `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The header's value.
    pub key: String,
    /// A SHA-256 over all that the answer depends on: method, path, query and body.
    pub digest: [u8; 32],
}

/// An answer as it was, and will be, sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to the answer: `ETag`, `Location`, `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// The answer to a write with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// The write was carried out now.
    Fresh(StoredResponse),
    /// It was carried out before: `Idempotent-Replay: true`.
    Replayed(StoredResponse),
}

impl Records {
    /// Carries out a write unless it was carried out before, and keeps the answer that `present` makes of it. A write
    /// that fails leaves no trace of its key.
    pub async fn write_once(
        &self,
        session: &Session,
        table: &Arc<Table>,
        key: &IdempotencyKey,
        write: &Write,
        present: impl FnMut(&Written) -> Result<StoredResponse, RecordError>,
    ) -> Result<Once, RecordError> {
        self.write_once_guarded(session, table, key, write, &Unguarded, present).await
    }

    /// The same for a write that `guard` lets pass. What was written before is not asked for again.
    pub async fn write_once_guarded(
        &self,
        session: &Session,
        table: &Arc<Table>,
        key: &IdempotencyKey,
        write: &Write,
        guard: &dyn Guard,
        mut present: impl FnMut(&Written) -> Result<StoredResponse, RecordError>,
    ) -> Result<Once, RecordError> {
        let wire = session.to_wire(table.role())?;
        let mut outcome = Err(RecordError::IdempotencyConflict);
        for _ in 0..ATTEMPTS {
            let begin = self.shared.exclusive.begin(
                wire.clone(),
                TransactionMode::ReadWrite,
                Some(session.statement_timeout),
            );
            let transaction = begin.await.map_err(|error| RecordError::of(table, error))?;
            outcome = match attempt(transaction, table, session, key, (write, guard), &mut present).await {
                Ok(Some(once)) => return Ok(once),
                Ok(None) => continue,
                Err(error) => Err(error),
            };
            if !outcome.as_ref().is_err_and(|error| lost_a_race(error, write)) {
                break;
            }
        }
        outcome
    }
}

fn lost_a_race(error: &RecordError, write: &Write) -> bool {
    match error {
        RecordError::Unavailable { source, .. } => source.database().is_some_and(is_conflict_of_transactions),
        // Somebody made the record that was to be made or replaced: it can be replaced now.
        RecordError::UniqueViolation { fields } => matches!(write, Write::Replace(_)) && fields == &["id"],
        _ => false,
    }
}

/// `None`: the key's holder went away just now; begin again.
async fn attempt(
    mut transaction: Transaction,
    table: &Arc<Table>,
    session: &Session,
    key: &IdempotencyKey,
    (write, guard): (&Write, &dyn Guard),
    present: &mut impl FnMut(&Written) -> Result<StoredResponse, RecordError>,
) -> Result<Option<Once>, RecordError> {
    let of = |error: WireError| RecordError::of(table, error);
    let mut claim = named(session, key);
    claim.push(types::BYTEA, Some(&key.digest));
    let statements = vec![Statement::new(FORGET, named(session, key)), Statement::new(CLAIM, claim)];
    let claimed = transaction.run_all(statements).await.map_err(of)?;
    if claimed.last().is_none_or(|result| result.rows().is_empty()) {
        let stored = transaction.run(Statement::new(RECALL, named(session, key))).await.map_err(of)?;
        return recall(&stored, key);
    }
    let written = apply_within(&mut transaction, table, write, guard).await?;
    let response = present(&written)?;
    let store = Statement::new(STORE, stored_params(session, key, &response)?);
    transaction.run(store).await.map_err(of)?;
    transaction.commit().await.map_err(of)?;
    Ok(Some(Once::Fresh(response)))
}

fn named(session: &Session, key: &IdempotencyKey) -> Params {
    let mut params = Params::new();
    params.text(&session.actor).text(&key.key);
    params
}

fn stored_params(
    session: &Session,
    key: &IdempotencyKey,
    response: &StoredResponse,
) -> Result<Params, RecordError> {
    let headers = serde_json::to_string(&response.headers).map_err(RecordError::internal)?;
    let mut params = named(session, key);
    params.int8(response.status.into());
    push_value(&mut params, SqlType::Jsonb, &Value::Json(headers));
    params.push(types::BYTEA, Some(&response.body));
    Ok(params)
}

fn recall(stored: &ResultSet, key: &IdempotencyKey) -> Result<Option<Once>, RecordError> {
    let Some(row) = stored.rows().get(0) else { return Ok(None) };
    if row.get(0) != Some(&key.digest[..]) {
        return Err(RecordError::IdempotencyConflict);
    }
    response_of(row).map(|response| Some(Once::Replayed(response)))
}

fn response_of(row: Row<'_>) -> Result<StoredResponse, RecordError> {
    let status = match decode_value(SqlType::Int8, row.get(1))? {
        Value::Integer(status) => u16::try_from(status).ok(),
        _ => None,
    };
    let status = status.ok_or_else(|| RecordError::internal("a key without its answer"))?;
    let headers = match decode_value(SqlType::Jsonb, row.get(2))? {
        Value::Json(json) => serde_json::from_str(&json).map_err(RecordError::internal)?,
        _ => Vec::new(),
    };
    Ok(StoredResponse { status, headers, body: row.get_bytes(3).unwrap_or_default() })
}
