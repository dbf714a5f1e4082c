//! Plans against a live database, made and applied as the operator does.

use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_sql::ddl::{self, Approval, Decision, Plan};
use velocity_store::ddl::{ApplyError, Change, probe, read};

/// A month, as plans name it.
pub(crate) const MONTH: (i32, u32) = (2026, 1);

pub(crate) async fn plan(owner: &Client, schema: &Schema) -> Plan {
    plan_in(owner, schema, MONTH).await
}

pub(crate) async fn plan_in(owner: &Client, schema: &Schema, month: (i32, u32)) -> Plan {
    ddl::plan(schema, &read(owner, schema).await.unwrap(), month)
}

/// What to do for the schema in a month, given what people agreed to.
pub(crate) async fn decide(
    owner: &mut Client,
    schema: &Schema,
    month: (i32, u32),
    approval: &Approval,
) -> Decision {
    let plan = plan_in(owner, schema, month).await;
    let findings = probe(owner, &plan).await.unwrap();
    plan.decide(&findings, approval)
}

/// A change of the schema's tables without a publication.
pub(crate) fn change<'a>(plan: &'a Plan, path: &'a str) -> Change<'a> {
    Change {
        plan,
        path,
        spec_hash: "sha256:of-the-test",
        approved: false,
        publication: None,
        operator: "the test",
        progress: None,
    }
}

/// Applies a plan for the schema, and publishes nothing.
pub(crate) async fn apply(owner: &mut Client, schema: &Schema, plan: &Plan) -> Result<(), ApplyError> {
    velocity_store::ddl::apply(owner, &change(plan, &schema.path().to_string())).await
}

/// Makes the table what the schema says, and checks that a second look finds nothing to do. Returns the first plan.
pub(crate) async fn migrate(owner: &mut Client, schema: &Schema) -> Plan {
    let mut first = None;
    for _ in 0..5 {
        let wanted = match decide(owner, schema, MONTH, &Approval::default()).await {
            Decision::Apply(plan) => plan,
            Decision::Blocked { pending, .. } => panic!("{pending:#?}"),
        };
        // Roles belong to the cluster: two tests may make one at the same time.
        for attempt in 0.. {
            match apply(owner, schema, &wanted).await {
                Ok(()) => break,
                Err(error) if error.is_transient() && wanted.creates_table && attempt < 20 => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let over = !wanted.again;
        first.get_or_insert(wanted);
        if over {
            let again = plan(owner, schema).await;
            assert!(again.is_empty(), "{again:#?}");
            return first.unwrap();
        }
    }
    panic!("the plans come to no end");
}
