//! Revocations. Each change of one gets a number in the order of commits, so that whoever has seen a number has seen all
//! before it.

use jiff::Timestamp;
use serde::Deserialize;
use tokio_postgres::Client;

use super::acting::{AccessError, Acting};

/// A revocation to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRevocation {
    /// Its id, unless the same is revoked already.
    pub id: String,
    /// `actor`, `token`, `session` or `key`.
    pub kind: String,
    /// Which one.
    pub value: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A revocation as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the columns of platform.revocations")]
pub struct ListedRevocation {
    pub id: String,
    pub kind: String,
    pub value: String,
    pub reason: String,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
}

/// A change of a revocation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChangedRevocation {
    /// Its number.
    pub change: i64,
    /// `actor`, `token`, `session` or `key`.
    pub kind: String,
    /// Which one.
    pub value: String,
    /// Whether it is in force no more.
    pub lifted: bool,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Revokes, and returns the revocation's id.
pub async fn revoke(client: &Client, by: &Acting, new: &NewRevocation) -> Result<String, AccessError> {
    let sql = "select platform.revoke($1, $2, $3, $4, $5, $6::text::timestamp with time zone)";
    let expires_at = new.expires_at.map(|at| at.to_string());
    let row = client
        .query_one(sql, &[&by.json(), &new.id, &new.kind, &new.value, &new.reason, &expires_at])
        .await?;
    Ok(row.get(0))
}

/// Lifts a revocation; false where none of that id is in force.
pub async fn lift_revocation(client: &Client, by: &Acting, id: &str) -> Result<bool, AccessError> {
    Ok(client.query_one("select platform.lift_revocation($1, $2)", &[&by.json(), &id]).await?.get(0))
}

/// Those in force, of a kind and value where one is given; the newest first.
pub async fn list_revocations(
    client: &Client,
    kind: Option<&str>,
    value: Option<&str>,
) -> Result<Vec<ListedRevocation>, AccessError> {
    let sql = "select to_jsonb(r) from (select id, kind, value, reason, created_at, created_by, expires_at
         from platform.revocations where lifted_at is null and (expires_at is null or expires_at > now())
           and ($1::text is null or kind = $1) and ($2::text is null or value = $2)
         order by created_at desc, id) r";
    let rows = client.query(sql, &[&kind, &value]).await?;
    rows.iter().map(|row| Ok(serde_json::from_value(row.get(0))?)).collect()
}

/// One of those in force.
pub async fn revocation_by_id(client: &Client, id: &str) -> Result<Option<ListedRevocation>, AccessError> {
    let sql = "select to_jsonb(r) from (select id, kind, value, reason, created_at, created_by, expires_at
         from platform.revocations where id = $1 and lifted_at is null) r";
    let row = client.query_opt(sql, &[&id]).await?;
    row.map(|row| Ok(serde_json::from_value(row.get(0))?)).transpose()
}

/// What has changed after the change of that number, in order.
pub async fn revocations_since(client: &Client, change: i64) -> Result<Vec<ChangedRevocation>, AccessError> {
    let sql =
        "select to_jsonb(r) from (select change, kind, value, lifted_at is not null as lifted, expires_at
         from platform.revocations where change > $1 order by change) r";
    let rows = client.query(sql, &[&change]).await?;
    rows.iter().map(|row| Ok(serde_json::from_value(row.get(0))?)).collect()
}

/// Drops revocations that ended by themselves, and those that were lifted so long ago that every replica knows, as the owner;
/// returns how many.
pub async fn sweep_revocations(client: &Client) -> Result<u64, tokio_postgres::Error> {
    let sql = "delete from platform.revocations
       where expires_at < now() - interval '1 day' or lifted_at < now() - interval '30 days'";
    client.execute(sql, &[]).await
}
