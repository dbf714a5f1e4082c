//! What is there: the claim on the path, and the live catalog.

use serde_json::json;
use tokio_postgres::Client;
use velocity_schema::{Schema, SchemaPath};
use velocity_sql::ddl::Live;
use velocity_store::ddl::{CatalogError, read};
use velocity_store::platform::{Claim, ClaimOutcome, claim};

/// Claims the path; the reason when it is another's.
pub(crate) async fn hold_claim(
    client: &mut Client,
    path: &SchemaPath,
    namespace: &str,
    name: &str,
) -> Result<Option<String>, tokio_postgres::Error> {
    let wanted = Claim {
        path: path.to_string(),
        domain: format!("{}/{}/{}", path.org, path.app, path.domain),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    Ok(match claim(client, &wanted).await? {
        ClaimOutcome::Held => None,
        ClaimOutcome::PathTaken(holder) => Some(format!(
            "`{path}` belongs to the SchemaDefinition {holder}; delete that one, or choose another object or version"
        )),
        ClaimOutcome::NamespaceTaken(domain) => Some(format!(
            "the namespace `{namespace}` belongs to `{domain}`; choose names that do not meet in one namespace"
        )),
    })
}

/// The paths that a resource holds.
pub(crate) async fn claimed(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Vec<SchemaPath>, tokio_postgres::Error> {
    let sql = "select path from platform.claims where namespace = $1 and name = $2 order by path";
    let rows = client.query(sql, &[&namespace, &name]).await?;
    Ok(rows.iter().filter_map(|row| row.get::<_, &str>(0).parse().ok()).collect())
}

/// What the database has at a path, whatever spec it was made for.
pub(crate) async fn live_at(client: &Client, path: &SchemaPath) -> Result<Live, CatalogError> {
    let spec = json!({
        "org": path.org, "app": path.app, "domain": path.domain, "object": path.object, "version": path.version,
        "fields": [{ "name": "title", "type": "string" }],
    });
    match Schema::from_json(&spec) {
        Ok((_, schema)) => read(client, &schema).await,
        Err(_) => Ok(Live::default()), // no path that was claimed for a schema is none
    }
}

/// What the database has for the schema.
pub(crate) async fn live(client: &Client, schema: &Schema) -> Result<Live, CatalogError> {
    read(client, schema).await
}
