//! Sessions of browsers and devices.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tokio_postgres::Client;

use super::acting::AccessError;

/// A session to be stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns of platform.sessions")]
pub struct StoredSessionRow {
    pub id: String,
    pub hash: [u8; 32],
    pub strategy: String,
    pub actor: String,
    pub roles: Vec<String>,
    pub attributes: Map<String, Json>,
    pub csrf: String,
    pub expires_at: Timestamp,
    pub refresh_at: Option<Timestamp>,
    pub refresh_token: Option<Vec<u8>>,
}

/// A session that was found by the hash of its secret, and is not over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the columns of platform.sessions")]
pub struct FoundSession {
    pub id: String,
    pub strategy: String,
    pub actor: String,
    pub roles: Vec<String>,
    pub attributes: Map<String, Json>,
    pub csrf: String,
    pub expires_at: Timestamp,
    pub refresh_at: Option<Timestamp>,
    #[serde(skip)]
    pub refresh_token: Option<Vec<u8>>,
    pub generation: i64,
}

/// What a refresh changes.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns of platform.sessions")]
pub struct SessionRefresh {
    /// Where the session must be; one further then.
    pub generation: i64,
    pub roles: Vec<String>,
    pub attributes: Map<String, Json>,
    pub expires_at: Timestamp,
    pub refresh_at: Option<Timestamp>,
    pub refresh_token: Option<Vec<u8>>,
}

/// Stores a session.
pub async fn create_session(client: &Client, session: &StoredSessionRow) -> Result<(), AccessError> {
    let sql = "select platform.create_session($1, $2, $3, $4, $5, $6, $7, $8::text::timestamp with time zone,
       $9::text::timestamp with time zone, $10)";
    client
        .execute(
            sql,
            &[
                &session.id,
                &session.hash.as_slice(),
                &session.strategy,
                &session.actor,
                &session.roles,
                &Json::Object(session.attributes.clone()),
                &session.csrf,
                &session.expires_at.to_string(),
                &session.refresh_at.map(|at| at.to_string()),
                &session.refresh_token,
            ],
        )
        .await?;
    Ok(())
}

/// The session whose secret has this SHA-256, unless it is over.
pub async fn find_session(client: &Client, hash: &[u8; 32]) -> Result<Option<FoundSession>, AccessError> {
    let sql = "select to_jsonb(s) - 'refresh_token', refresh_token from platform.find_session($1) s";
    let Some(row) = client.query_opt(sql, &[&hash.as_slice()]).await? else { return Ok(None) };
    let found: FoundSession = serde_json::from_value(row.get(0))?;
    Ok(Some(FoundSession { refresh_token: row.get(1), ..found }))
}

/// Changes a session that is still at the generation; false where another was faster, or it is over.
pub async fn refresh_session(
    client: &Client,
    id: &str,
    refresh: &SessionRefresh,
) -> Result<bool, AccessError> {
    let sql = "select platform.refresh_session($1, $2, $3, $4, $5::text::timestamp with time zone,
       $6::text::timestamp with time zone, $7)";
    let row = client
        .query_one(
            sql,
            &[
                &id,
                &refresh.generation,
                &refresh.roles,
                &Json::Object(refresh.attributes.clone()),
                &refresh.expires_at.to_string(),
                &refresh.refresh_at.map(|at| at.to_string()),
                &refresh.refresh_token,
            ],
        )
        .await?;
    Ok(row.get(0))
}

/// Ends a session, on every replica. One that is not there has ended.
pub async fn end_session(client: &Client, id: &str) -> Result<(), AccessError> {
    client.execute("select platform.end_session($1)", &[&id]).await?;
    Ok(())
}

/// Drops sessions that are over, as the owner; returns how many.
pub async fn sweep_sessions(client: &Client) -> Result<u64, tokio_postgres::Error> {
    client.execute("delete from platform.sessions where expires_at < now()", &[]).await
}
