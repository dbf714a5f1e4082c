//! What happened at the doors: denials, sensitive reads, uses of the administrator's role. Written in batches; what
//! administrators change is written by the functions that change it (`004_access.sql`).

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio_postgres::Client;

use super::acting::AccessError;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccessEventKind {
    /// A request was turned away: 401 or 403.
    Denied,
    /// Fields of personal, financial or confidential data were shown in clear.
    SensitiveRead,
    /// A request was let in because of the role `platform-admin`.
    AdminUse,
}

/// One row of `platform.access_events`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccessEventRow {
    /// A UUID made by the writer, so that a batch may be sent twice.
    pub id: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What kind of thing happened.
    pub kind: AccessEventKind,
    /// How often, within that second: more than 1 only for requests without a valid credential.
    pub count: i32,
    /// Who; `None` where nobody was proven.
    pub actor: Option<String>,
    /// What kind of actor.
    pub actor_type: Option<String>,
    /// The strategy that proved it.
    pub strategy: Option<String>,
    /// Method and path of the request.
    pub path: Option<String>,
    /// The operation that was asked for.
    pub operation: Option<String>,
    /// The code of the answer.
    pub code: Option<String>,
    /// The layer that decided.
    pub layer: Option<String>,
    /// The answer's detail, or what was done.
    pub detail: Option<String>,
    /// The records that it was about, as far as they are known.
    pub record_ids: Vec<String>,
    /// The fields that it was about.
    pub fields: Vec<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// The trace that the request belongs to.
    pub trace_id: Option<String>,
    /// The client's address.
    pub ip: Option<String>,
}

/// Writes a batch, whole or not at all. Rows that are there already are left alone, so that a batch whose end was not seen
/// can be sent again.
pub async fn write_access_events(client: &Client, rows: &[AccessEventRow]) -> Result<(), AccessError> {
    let sql = "insert into platform.access_events (id, occurred_at, kind, count, actor, actor_type, strategy, path, operation,
         code, layer, detail, record_ids, fields, request_id, trace_id, ip)
       select id, occurred_at, kind, count, actor, actor_type, strategy, path, operation,
         code, layer, detail, record_ids, fields, request_id, trace_id, ip
       from jsonb_to_recordset($1) as e (id uuid, occurred_at timestamp with time zone, kind text, count integer, actor text,
         actor_type text, strategy text, path text, operation text, code text, layer text, detail text,
         record_ids text[], fields text[], request_id text, trace_id text, ip inet)
       on conflict do nothing";
    client.execute(sql, &[&json!(rows)]).await?;
    Ok(())
}
