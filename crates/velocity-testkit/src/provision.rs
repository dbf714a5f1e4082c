//! Schemas in test databases, made the way the operator makes them.

use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_sql::ddl::{Approval, Decision, Plan, plan};
use velocity_store::ddl::{self, ApplyError, Change};
use velocity_store::platform::ProvisionedSpec;

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

/// The month whose partitions are made.
const MONTH: (i32, u32) = (2026, 1);

/// The schema of a SchemaDefinition's `spec` as YAML; panics with every violation.
pub fn schema(spec: &str) -> Schema {
    let json: serde_json::Value = serde_saphyr::from_str(spec).expect("the spec is YAML");
    let spec = SchemaDefinitionSpec::from_json(&json).unwrap_or_else(|e| panic!("{e}"));
    Schema::parse(&spec).unwrap_or_else(|e| panic!("{e}"))
}

/// Makes the schema's tables, policies and triggers, as the operator would; panics when that is blocked.
pub async fn provision(database: &TestDatabase, schema: &Schema) {
    match evolve(database, schema, Approval::default()).await {
        Ok(Decision::Apply(_)) => {}
        Ok(Decision::Blocked { pending, .. }) => panic!("blocked: {pending:#?}"),
        Err(error) => panic!("{error}"),
    }
}

/// Takes the schema's tables to its shape and publishes it, as the operator would, and returns the first decision. A change
/// that is blocked leaves all but upkeep undone.
pub async fn evolve(
    database: &TestDatabase,
    schema: &Schema,
    approval: Approval,
) -> Result<Decision, ApplyError> {
    let mut owner = database.owner().await;
    let mut first = None;
    // A few rounds are enough for any plan that leads to another.
    for _ in 0..5 {
        let decision = decide(&mut owner, schema, approval.clone()).await;
        let (plan, blocked) = match &decision {
            Decision::Apply(plan) => (plan, false),
            Decision::Blocked { upkeep, .. } => (upkeep, true),
        };
        apply(&mut owner, schema, plan, &approval, blocked).await?;
        let over = blocked || !plan.again;
        let decision = first.get_or_insert(decision);
        if over {
            return Ok(decision.clone());
        }
    }
    panic!("the plans for {} come to no end", schema.path());
}

async fn decide(owner: &mut Client, schema: &Schema, mut approval: Approval) -> Decision {
    let live =
        ddl::read(owner, schema).await.unwrap_or_else(|e| panic!("the catalog is not readable: {e:?}"));
    let plan = plan(schema, &live, MONTH);
    let findings = ddl::probe(owner, &plan).await.unwrap_or_else(|e| panic!("{e}: {e:?}"));
    let path = schema.path().to_string();
    let begun = ddl::begun_statements(owner, &path, &schema.hash().to_string()).await;
    approval.begun.extend(begun.expect("the plans are readable"));
    plan.decide(&findings, &approval)
}

async fn apply(
    owner: &mut Client,
    schema: &Schema,
    plan: &Plan,
    approval: &Approval,
    blocked: bool,
) -> Result<(), ApplyError> {
    let (path, spec_hash) = (schema.path().to_string(), schema.hash().to_string());
    let publication = ProvisionedSpec {
        path: path.clone(),
        namespace: "testkit".to_owned(),
        spec: serde_json::json!({}),
        spec_hash: spec_hash.clone(),
    };
    let published = !blocked && !plan.again && plan.waiting.is_empty();
    let change = Change {
        plan,
        path: &path,
        spec_hash: &spec_hash,
        approved: approval.named.is_some(),
        publication: published.then_some(&publication),
        operator: "testkit",
        progress: None,
    };
    // Roles belong to the cluster: two tests may make one at the same time, and one of them has to go again.
    for attempt in 1.. {
        match ddl::apply(owner, &change).await {
            Err(error) if contended(&error) && attempt < 20 => {
                tokio::time::sleep(std::time::Duration::from_millis(10 * attempt)).await;
            }
            other => return other,
        }
    }
    Ok(())
}

/// Whether another process was at the same catalog row.
fn contended(error: &ApplyError) -> bool {
    error.is_transient() && !matches!(error, ApplyError::LockNotAvailable { .. })
}
