//! Plans against a live database, made and applied as the operator does.

use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_sql::ddl::{self, Plan};
use velocity_store::ddl::{apply, read};

/// A month, as plans name it.
pub(crate) const MONTH: (i32, u32) = (2026, 1);

pub(crate) async fn plan(owner: &Client, schema: &Schema) -> Plan {
    plan_in(owner, schema, MONTH).await
}

pub(crate) async fn plan_in(owner: &Client, schema: &Schema, month: (i32, u32)) -> Plan {
    ddl::plan(schema, &read(owner, schema).await.unwrap(), month)
}

/// Makes the table what the schema says, and checks that a second look finds nothing to do.
pub(crate) async fn migrate(owner: &mut Client, schema: &Schema) -> Plan {
    let wanted = plan(owner, schema).await;
    assert!(wanted.blocked.is_empty(), "{:#?}", wanted.blocked);
    // Roles belong to the cluster: two tests may make one at the same time.
    for attempt in 0.. {
        match apply(owner, &wanted).await {
            Ok(()) => break,
            Err(error) if error.is_transient() && wanted.creates_table && attempt < 20 => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    let again = plan(owner, schema).await;
    assert!(again.is_empty(), "{again:#?}");
    wanted
}
