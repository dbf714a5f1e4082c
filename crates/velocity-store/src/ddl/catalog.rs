//! What is in the database for one schema: the catalog in one round trip, and a look at the rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_sql::ddl::{self, Live, LiveColumn, LiveTable, Target};
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
    let functions = [names.before_function().as_str().to_owned(), names.after_function().as_str().to_owned()];
    let row = client
        .query_one(
            include_str!("catalog.sql"),
            &[
                &names.schema.as_str(),
                &names.table.as_str(),
                &names.history.as_str(),
                &targets,
                &functions.as_slice(),
            ],
        )
        .await?;
    let answer: Answer = serde_json::from_str(row.get(0))?;
    let mut table = answer.table.map(live_table);
    if let Some(table) = &mut table {
        table.has_rows = any(client, from(names.table_sql())).await?;
    }
    let history = answer.history.map(live_table);
    let default_months = match &history {
        Some(_) => default_months(client, &names, &answer.partitions).await?,
        None => BTreeSet::new(),
    };
    Ok(Live {
        schema_exists: answer.schema_exists,
        role_ready: answer.role_ready,
        table,
        history,
        partitions: answer.partitions,
        default_months,
        functions: answer.functions,
        targets: answer
            .targets
            .into_iter()
            .map(|(name, target)| (name, Target { columns: target.columns, unique: target.unique }))
            .collect(),
        ..Live::default()
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
        triggers: table.triggers.into_iter().map(|name| (name, true)).collect(),
        policies: table.policies.into_iter().map(|name| (name, true)).collect(),
        row_security: table.row_security,
        comments: table.comments,
        ..LiveTable::default()
    }
}

fn from(table: Fragment) -> Fragment {
    Fragment::sql("from ") + table
}

async fn any(client: &Client, rows: Fragment) -> Result<bool, tokio_postgres::Error> {
    let sql = Fragment::sql("select exists (select ") + rows + Fragment::sql(")");
    Ok(client.query_one(&sql.render().sql, &[]).await?.get(0))
}

/// The months whose events are in the default partition. There are none unless no operator ran when a month began, and
/// then the partition is read as a whole.
async fn default_months(
    client: &Client,
    names: &TableNames,
    partitions: &BTreeSet<String>,
) -> Result<BTreeSet<(i32, u32)>, tokio_postgres::Error> {
    let partition = ddl::default_partition(names);
    if !partitions.contains(partition.as_str()) {
        return Ok(BTreeSet::new());
    }
    let table = Fragment::column(&names.schema, &partition);
    if !any(client, from(table.clone())).await? {
        return Ok(BTreeSet::new());
    }
    let sql = Fragment::sql(
        "select distinct extract(year from occurred_at at time zone 'UTC')::int, extract(month from occurred_at at time zone 'UTC')::int from ",
    ) + table;
    let rows = client.query(&sql.render().sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), u32::try_from(row.get::<_, i32>(1)).unwrap_or(1))).collect())
}
