//! What is there: the claim on the path, and the live catalog.

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

/// What the database has for the schema.
pub(crate) async fn live(client: &Client, schema: &Schema) -> Result<Live, CatalogError> {
    read(client, schema).await
}
