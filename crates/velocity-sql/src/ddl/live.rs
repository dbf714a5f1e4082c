//! What is in the database: read from the catalog by the store, compared here.

use std::collections::{BTreeMap, BTreeSet};

/// A column as the catalog has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveColumn {
    /// `format_type`: `numeric(18,2)`, `text`, ….
    pub sql_type: String,
    /// Whether it refuses null.
    pub not_null: bool,
}

/// A table as the catalog has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveTable {
    /// By name.
    pub columns: BTreeMap<String, LiveColumn>,
    /// Names of constraints (primary, unique, check, foreign) with `pg_get_constraintdef`.
    pub constraints: BTreeMap<String, String>,
    /// Names of indexes, and whether each is valid.
    pub indexes: BTreeMap<String, bool>,
    /// Names of all triggers that are not Postgres' own; the value is whether it is enabled.
    pub triggers: BTreeMap<String, bool>,
    /// Names of policies; the value is whether it concerns the domain's role or everyone.
    pub policies: BTreeMap<String, bool>,
    /// The columns that each index and constraint looks at, in expressions and conditions too: `index x`, `constraint x`.
    pub uses: BTreeMap<String, BTreeSet<String>>,
    /// Whether row-level security is on.
    pub row_security: bool,
    /// Our tags: `policy velocity_select`, `column amount`, `constraint x`, `index x`, `trigger x`, `table` (the grants), with
    /// the fingerprint of the text that made it. Only while the catalog shows the thing as it was made.
    pub comments: BTreeMap<String, String>,
    /// Keys as in `comments` of tagged things that were changed by hand since we made them.
    pub altered: BTreeSet<String>,
    /// Whether the table has at least one row.
    pub has_rows: bool,
    /// Postgres' estimate of the rows (`reltuples`); 0 where it has none.
    pub estimated_rows: i64,
    /// Bytes on disk, indexes included.
    pub bytes: i64,
    /// Roles other than the owner, the domain's and the API's that hold a right on the table or a column of it.
    pub foreign_grantees: BTreeSet<String>,
    /// Foreign keys of other tables that point at a column: `schema.table` by column.
    pub referenced_by: BTreeMap<String, BTreeSet<String>>,
}

/// A dropped field's column that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashedColumn {
    /// Its entry in `platform.trash`.
    pub id: i64,
    /// The field's name when it was dropped.
    pub field: String,
    /// The column's name now.
    pub column: String,
    /// `format_type`.
    pub sql_type: String,
    /// Whether it was dropped, and not left over from a change of type: then its values can come back.
    pub restorable: bool,
}

/// A deleted table that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashedTable {
    /// Its entry in `platform.trash`.
    pub id: i64,
    /// The Postgres schema that it was moved to.
    pub schema: String,
    /// The names of its history's partitions.
    pub partitions: Vec<String>,
}

/// Where the extension pg_trgm is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trigrams {
    /// The owner cannot make it: it is not on the server, or is a superuser's to make.
    #[default]
    Unavailable,
    /// The owner can make it.
    Available,
    /// It is there, in this Postgres schema.
    In(String),
}

/// All that belongs to one schema, as the catalog has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Whether the domain's Postgres schema is there.
    pub schema_exists: bool,
    /// Whether the domain's role is there, and granted to the API's login.
    pub role_ready: bool,
    /// The main table.
    pub table: Option<LiveTable>,
    /// The history table.
    pub history: Option<LiveTable>,
    /// The history's partitions.
    pub partitions: BTreeSet<String>,
    /// The months (of UTC) whose events are in the default partition, because no operator ran when they began.
    pub default_months: BTreeSet<(i32, u32)>,
    /// The trigger functions' sources by name; only of those that run as the owner with the settings that we give them.
    pub functions: BTreeMap<String, String>,
    /// The names of the table's shape functions: one, once a spec is provisioned.
    pub shapes: BTreeSet<String>,
    /// The targets of foreign keys: `schema.table` with their columns' types and the columns unique alone.
    pub targets: BTreeMap<String, Target>,
    /// Dropped fields, the latest first.
    pub trashed_columns: Vec<TrashedColumn>,
    /// The path's deleted table, the latest first; only where there is none now.
    pub trashed_table: Option<TrashedTable>,
    /// Where pg_trgm is; looked up only where the schema needs it.
    pub trigrams: Trigrams,
}

/// The target of a foreign key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// `format_type` by column.
    pub columns: BTreeMap<String, String>,
    /// Columns with a full unique index of their own.
    pub unique: BTreeSet<String>,
}
