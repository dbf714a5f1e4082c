//! Schemas in test databases, made the way the operator makes them.

use velocity_schema::Schema;
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_sql::ddl;

use crate::database::TestDatabase;
use crate::template::Template;

/// A database with the platform's own tables.
pub static PLATFORM: Template = Template::new("platform", |owner_url| {
    Box::pin(async move {
        let (mut client, connection) =
            tokio_postgres::connect(&owner_url, tokio_postgres::NoTls).await.expect("the owner logs in");
        let connection = tokio::spawn(connection);
        velocity_store::platform::migrate(&mut client).await.expect("the platform's tables are made");
        drop(client);
        connection.await.expect("the connection ends").expect("the connection was good");
    })
});

/// The schema of a SchemaDefinition's `spec` as YAML; panics with every violation.
pub fn schema(spec: &str) -> Schema {
    let json: serde_json::Value = serde_saphyr::from_str(spec).expect("the spec is YAML");
    let spec = SchemaDefinitionSpec::from_json(&json).unwrap_or_else(|e| panic!("{e}"));
    Schema::parse(&spec).unwrap_or_else(|e| panic!("{e}"))
}

/// Makes the schema's tables, policies and triggers, as the operator would.
pub async fn provision(database: &TestDatabase, schema: &Schema) {
    let mut owner = database.owner().await;
    let live = velocity_store::ddl::read(&owner, schema).await.expect("the catalog is read");
    let plan = ddl::plan(schema, &live, (2026, 1));
    assert!(plan.blocked.is_empty(), "blocked: {:#?}", plan.blocked);
    // Roles belong to the cluster: two tests may make one at the same time, and one of them has to go again.
    for attempt in 0.. {
        match velocity_store::ddl::apply(&mut owner, &plan).await {
            Ok(()) => return,
            Err(error) if error.is_transient() && attempt < 20 => {
                tokio::time::sleep(std::time::Duration::from_millis(10 * (attempt + 1))).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
