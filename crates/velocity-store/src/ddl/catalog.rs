//! What is in the database for one schema, in one round trip.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_sql::ddl::{Live, LiveColumn, LiveTable, Target};
use velocity_sql::{Fragment, TableNames};

/// Why the catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Postgres refused, or was not there.
    #[error("the database's catalog could not be read")]
    Postgres(#[from] tokio_postgres::Error),
    /// An answer of another shape than the query's: a bug.
    #[error("the database's catalog has an unexpected shape")]
    Shape(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Answer {
    schema_exists: bool,
    role_ready: bool,
    table: Option<Table>,
    history: Option<Table>,
    partitions: BTreeSet<String>,
    functions: BTreeMap<String, String>,
    targets: BTreeMap<String, TargetAnswer>,
}

#[derive(Deserialize)]
struct Table {
    columns: BTreeMap<String, Column>,
    constraints: BTreeMap<String, String>,
    indexes: BTreeMap<String, bool>,
    triggers: BTreeSet<String>,
    policies: BTreeSet<String>,
    row_security: bool,
    comments: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Column {
    sql_type: String,
    not_null: bool,
}

#[derive(Deserialize)]
struct TargetAnswer {
    columns: BTreeMap<String, String>,
    unique: BTreeSet<String>,
}

/// Reads what there is for `schema`.
pub async fn read(client: &Client, schema: &Schema) -> Result<Live, CatalogError> {
    let names = TableNames::of(schema.path());
    let targets: Vec<String> = schema
        .fields()
        .iter()
        .filter_map(|field| field.reference.as_ref())
        .filter(|reference| reference.enforce)
        .map(|reference| TableNames::of(&reference.target).display())
        .collect();
    let row = client
        .query_one(
            include_str!("catalog.sql"),
            &[&names.schema.as_str(), &names.table.as_str(), &names.history.as_str(), &targets],
        )
        .await?;
    let answer: Answer = serde_json::from_str(row.get(0))?;
    let grants = answer.table.as_ref().and_then(|table| table.comments.get("table").cloned());
    let mut table = answer.table.map(live_table);
    if let Some(table) = &mut table {
        table.has_rows = has_rows(client, &names).await?;
    }
    Ok(Live {
        schema_exists: answer.schema_exists,
        role_ready: answer.role_ready,
        table,
        history: answer.history.map(live_table),
        partitions: answer.partitions,
        functions: answer.functions,
        grants,
        targets: answer
            .targets
            .into_iter()
            .map(|(name, target)| (name, Target { columns: target.columns, unique: target.unique }))
            .collect(),
    })
}

fn live_table(table: Table) -> LiveTable {
    LiveTable {
        columns: table
            .columns
            .into_iter()
            .map(|(name, column)| (name, LiveColumn { sql_type: column.sql_type, not_null: column.not_null }))
            .collect(),
        constraints: table.constraints,
        indexes: table.indexes,
        triggers: table.triggers,
        policies: table.policies,
        row_security: table.row_security,
        comments: table.comments,
        has_rows: false,
    }
}

async fn has_rows(client: &Client, names: &TableNames) -> Result<bool, tokio_postgres::Error> {
    let sql = Fragment::sql("select exists (select from ") + names.table_sql() + Fragment::sql(")");
    Ok(client.query_one(&sql.render().sql, &[]).await?.get(0))
}
