//! What is in the database for one schema: the catalog in one round trip, and a look at the rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_sql::ddl::{
    self, IndexKind, Live, LiveColumn, LiveTable, Target, TrashedColumn, TrashedTable, Trigrams,
};
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

/// As whom the catalog is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The owner, who also looks at rows.
    Owner,
    /// The API's login, which sees the catalog only: a table counts as one with rows as soon as it takes room on disk, and the
    /// months in the default partition are not known.
    ApiLogin,
}

#[derive(Deserialize)]
struct Answer {
    schema_exists: bool,
    role_ready: bool,
    table: Option<Table>,
    history: Option<Table>,
    partitions: BTreeSet<String>,
    functions: BTreeMap<String, String>,
    shapes: BTreeSet<String>,
    targets: BTreeMap<String, TargetAnswer>,
    trashed_columns: Vec<TrashedColumnAnswer>,
    trashed_table: Option<TrashedTableAnswer>,
    trigrams: Option<TrigramsAnswer>,
}

#[derive(Deserialize)]
struct TrigramsAnswer {
    schema: Option<String>,
    available: bool,
}

#[derive(Deserialize)]
struct Table {
    columns: BTreeMap<String, Column>,
    constraints: BTreeMap<String, String>,
    indexes: BTreeMap<String, bool>,
    uses: BTreeMap<String, BTreeSet<String>>,
    triggers: BTreeMap<String, bool>,
    policies: BTreeMap<String, bool>,
    row_security: bool,
    comments: BTreeMap<String, String>,
    altered: BTreeSet<String>,
    estimated_rows: i64,
    bytes: i64,
    on_disk: bool,
    foreign_grantees: BTreeSet<String>,
    referenced_by: BTreeMap<String, BTreeSet<String>>,
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

#[derive(Deserialize)]
struct TrashedColumnAnswer {
    id: i64,
    field: String,
    column: String,
    sql_type: String,
    restorable: bool,
}

#[derive(Deserialize)]
struct TrashedTableAnswer {
    id: i64,
    schema: String,
    partitions: Vec<String>,
}

/// Reads what there is for `schema`, as the owner.
pub async fn read(client: &Client, schema: &Schema) -> Result<Live, CatalogError> {
    read_as(client, schema, Reader::Owner).await
}

/// Reads what there is for `schema`.
pub async fn read_as(client: &Client, schema: &Schema, reader: Reader) -> Result<Live, CatalogError> {
    let names = TableNames::of(schema.path());
    let answer = ask(client, schema, &names).await?;
    let mut table = answer.table.map(live_table);
    if let Some(table) = table.as_mut().filter(|_| reader == Reader::Owner) {
        table.has_rows = any(client, from(names.table_sql())).await?;
    }
    let history = answer.history.map(live_table);
    let default_months = match &history {
        Some(_) if reader == Reader::Owner => default_months(client, &names, &answer.partitions).await?,
        _ => BTreeSet::new(),
    };
    let target = |target: TargetAnswer| Target { columns: target.columns, unique: target.unique };
    Ok(Live {
        schema_exists: answer.schema_exists,
        role_ready: answer.role_ready,
        table,
        history,
        partitions: answer.partitions,
        default_months,
        functions: answer.functions,
        shapes: answer.shapes,
        targets: answer.targets.into_iter().map(|(name, answer)| (name, target(answer))).collect(),
        trashed_columns: answer.trashed_columns.into_iter().map(trashed_column).collect(),
        trashed_table: answer.trashed_table.map(|trashed| TrashedTable {
            id: trashed.id,
            schema: trashed.schema,
            partitions: trashed.partitions,
        }),
        trigrams: answer.trigrams.map(live_trigrams).unwrap_or_default(),
    })
}

async fn ask(client: &Client, schema: &Schema, names: &TableNames) -> Result<Answer, CatalogError> {
    let targets: Vec<String> = schema
        .fields()
        .iter()
        .filter_map(|field| field.reference.as_ref())
        .filter(|reference| reference.enforce)
        .map(|reference| TableNames::of(&reference.target).display())
        .collect();
    let functions = [names.before_function(), names.after_function(), names.convert_function()]
        .map(|name| name.as_str().to_owned());
    let needs_trigrams =
        ddl::wanted_indexes(schema, names).iter().any(|index| index.kind == IndexKind::Trigrams);
    let row = client
        .query_one(
            include_str!("catalog.sql"),
            &[
                &names.schema.as_str(),
                &names.table.as_str(),
                &names.history.as_str(),
                &targets,
                &functions.as_slice(),
                &names.shape_prefix(),
                &schema.path().to_string(),
                &needs_trigrams,
            ],
        )
        .await?;
    Ok(serde_json::from_str(row.get(0))?)
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
        uses: table.uses,
        triggers: table.triggers,
        policies: table.policies,
        row_security: table.row_security,
        comments: table.comments,
        altered: table.altered,
        has_rows: table.on_disk,
        estimated_rows: table.estimated_rows,
        bytes: table.bytes,
        foreign_grantees: table.foreign_grantees,
        referenced_by: table.referenced_by,
    }
}

fn live_trigrams(answer: TrigramsAnswer) -> Trigrams {
    match answer.schema {
        Some(schema) => Trigrams::In(schema),
        None if answer.available => Trigrams::Available,
        None => Trigrams::Unavailable,
    }
}

fn trashed_column(trashed: TrashedColumnAnswer) -> TrashedColumn {
    TrashedColumn {
        id: trashed.id,
        field: trashed.field,
        column: trashed.column,
        sql_type: trashed.sql_type,
        restorable: trashed.restorable,
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
