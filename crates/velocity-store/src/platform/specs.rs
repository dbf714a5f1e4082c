//! The specs that are provisioned: what the API serves while a newer spec is blocked.

use serde_json::Value as Json;
use tokio_postgres::{Client, Error, GenericClient};

/// A spec whose table, policies and triggers are in place.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvisionedSpec {
    /// `org/app/domain/object/version`.
    pub path: String,
    /// The namespace whose claim on the domain it is.
    pub namespace: String,
    /// The spec as it was applied.
    pub spec: Json,
    /// Its hash.
    pub spec_hash: String,
}

/// Writes down that a spec is provisioned, in place of the one before it.
pub async fn record_provisioned(client: &impl GenericClient, spec: &ProvisionedSpec) -> Result<(), Error> {
    client
        .execute(
            "insert into platform.schemas (path, namespace, spec, spec_hash) values ($1, $2, $3, $4)
             on conflict (path) do update set namespace = excluded.namespace, spec = excluded.spec,
               spec_hash = excluded.spec_hash, provisioned_at = now()
             where schemas.spec_hash <> excluded.spec_hash or schemas.namespace <> excluded.namespace",
            &[&spec.path, &spec.namespace, &spec.spec, &spec.spec_hash],
        )
        .await
        .map(|_| ())
}

/// The provisioned spec at a path. The API's login may read it.
pub async fn provisioned_by_path(client: &Client, path: &str) -> Result<Option<ProvisionedSpec>, Error> {
    let row = client
        .query_opt("select path, namespace, spec, spec_hash from platform.schemas where path = $1", &[&path])
        .await?;
    Ok(row.map(|row| ProvisionedSpec {
        path: row.get(0),
        namespace: row.get(1),
        spec: row.get(2),
        spec_hash: row.get(3),
    }))
}

/// Drops idempotency keys older than a day; returns how many.
pub async fn sweep_idempotency_keys(client: &Client) -> Result<u64, Error> {
    client
        .execute("delete from platform.idempotency_keys where created_at < now() - interval '24 hours'", &[])
        .await
}
