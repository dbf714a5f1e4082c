//! API keys. Only their hashes are stored, and a key is found only by the hash that somebody brings.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use tokio_postgres::Client;

use super::acting::{AccessError, Acting};

/// A key to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewApiKey {
    /// Its id.
    pub id: String,
    /// The SHA-256 of its text.
    pub hash: [u8; 32],
    /// What people call it.
    pub name: Option<String>,
    /// Whom it stands for.
    pub actor: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its attributes.
    pub attributes: Map<String, Json>,
    /// What it may be used for, as the API reads it back.
    pub scopes: Json,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// A key as it is listed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the columns of platform.api_keys")]
pub struct ListedApiKey {
    pub id: String,
    pub name: Option<String>,
    pub actor: String,
    pub roles: Vec<String>,
    pub attributes: Map<String, Json>,
    pub scopes: Json,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub replaced_by: Option<String>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub last_used_ip: Option<String>,
}

/// A key that was found by its hash; revoked ones are not found.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the columns of platform.api_keys")]
pub struct FoundApiKey {
    pub id: String,
    pub actor: String,
    pub roles: Vec<String>,
    pub attributes: Map<String, Json>,
    pub scopes: Json,
    pub expires_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
}

/// When a key was used last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyUse {
    /// The key.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// From where.
    pub ip: Option<IpAddr>,
}

/// How a new key takes the place of an old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRotation {
    /// The old key.
    pub old_id: String,
    /// The new key.
    pub new_id: String,
    /// The SHA-256 of its text.
    pub new_hash: [u8; 32],
    /// How many seconds the old one goes on.
    pub overlap_seconds: u64,
    /// When the new one expires; `None`: after as long as the old one was to be valid.
    pub expires_at: Option<Timestamp>,
}

/// What became of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationOutcome {
    /// It is done.
    Rotated,
    /// There is no such key.
    Unknown,
    /// The key was revoked.
    Revoked,
    /// The key has expired.
    Expired,
    /// Another took its place before.
    Replaced,
}

/// Stores a key.
pub async fn create_api_key(client: &Client, by: &Acting, key: &NewApiKey) -> Result<(), AccessError> {
    let sql =
        "select platform.create_api_key($1, $2, $3, $4, $5, $6, $7, $8, $9::text::timestamp with time zone)";
    let attributes = Json::Object(key.attributes.clone());
    client
        .execute(
            sql,
            &[
                &by.json(),
                &key.id,
                &key.hash.as_slice(),
                &key.name,
                &key.actor,
                &key.roles,
                &attributes,
                &key.scopes,
                &key.expires_at.map(|at| at.to_string()),
            ],
        )
        .await?;
    Ok(())
}

/// Puts a new key in the place of an old one, with its actor, roles, attributes and scopes.
pub async fn rotate_api_key(
    client: &Client,
    by: &Acting,
    rotation: &ApiKeyRotation,
) -> Result<RotationOutcome, AccessError> {
    let sql = "select platform.rotate_api_key($1, $2, $3, $4, make_interval(secs => $5), $6::text::timestamp with time zone)";
    #[expect(clippy::cast_precision_loss, reason = "a duration of at most a thousand years")]
    let overlap = rotation.overlap_seconds as f64;
    let row = client
        .query_one(
            sql,
            &[
                &by.json(),
                &rotation.old_id,
                &rotation.new_id,
                &rotation.new_hash.as_slice(),
                &overlap,
                &rotation.expires_at.map(|at| at.to_string()),
            ],
        )
        .await?;
    Ok(match row.get::<_, Option<&str>>(0) {
        None => RotationOutcome::Rotated,
        Some("revoked") => RotationOutcome::Revoked,
        Some("expired") => RotationOutcome::Expired,
        Some("replaced") => RotationOutcome::Replaced,
        Some(_) => RotationOutcome::Unknown,
    })
}

/// Ends a key for good; false where there is none of that id. One that has ended already stays as it is.
pub async fn revoke_api_key(client: &Client, by: &Acting, id: &str) -> Result<bool, AccessError> {
    Ok(client.query_one("select platform.revoke_api_key($1, $2)", &[&by.json(), &id]).await?.get(0))
}

/// The keys of an actor, or of everyone; the newest first.
pub async fn list_api_keys(client: &Client, actor: Option<&str>) -> Result<Vec<ListedApiKey>, AccessError> {
    listed(client, "($1::text is null or actor = $1)", actor).await
}

/// One key as it is listed.
pub async fn api_key_by_id(client: &Client, id: &str) -> Result<Option<ListedApiKey>, AccessError> {
    Ok(listed(client, "id = $1", Some(id)).await?.pop())
}

async fn listed(
    client: &Client,
    condition: &str,
    value: Option<&str>,
) -> Result<Vec<ListedApiKey>, AccessError> {
    let sql = format!(
        "select to_jsonb(k) from (select id, name, actor, roles, attributes, scopes, created_at, created_by, expires_at,
           ends_at, replaced_by, revoked_at, last_used_at, host(last_used_ip) as last_used_ip
         from platform.api_keys where {condition} order by created_at desc, id) k"
    );
    let rows = client.query(&sql, &[&value]).await?;
    rows.iter().map(|row| Ok(serde_json::from_value(row.get(0))?)).collect()
}

/// The key whose text has this SHA-256, expired or not.
pub async fn find_api_key(client: &Client, hash: &[u8; 32]) -> Result<Option<FoundApiKey>, AccessError> {
    let sql = "select to_jsonb(k) from platform.find_api_key($1) k";
    let row = client.query_opt(sql, &[&hash.as_slice()]).await?;
    row.map(|row| Ok(serde_json::from_value(row.get(0))?)).transpose()
}

/// Writes down when keys were used last, each of them once.
pub async fn note_key_uses(client: &Client, uses: &[KeyUse]) -> Result<(), AccessError> {
    client.execute("select platform.note_key_uses($1)", &[&json!(uses)]).await?;
    Ok(())
}
