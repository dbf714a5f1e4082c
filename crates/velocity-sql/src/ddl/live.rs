//! What is in the database: read from the catalog by the store, compared here.

use std::collections::{BTreeMap, BTreeSet};

/// A column as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Names of triggers of ours that are enabled.
    pub triggers: BTreeSet<String>,
    /// Names of policies.
    pub policies: BTreeSet<String>,
    /// Whether row-level security is on.
    pub row_security: bool,
    /// Our tags: `policy velocity_select`, `column amount`, `constraint x`, … with the hash of the text that made it.
    pub comments: BTreeMap<String, String>,
    /// Whether the table has at least one row.
    pub has_rows: bool,
    /// Columns that are references without a foreign key yet and that no row has a value in.
    pub empty_columns: BTreeSet<String>,
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
    /// The trigger functions' sources by name.
    pub functions: BTreeMap<String, String>,
    /// The grants' tag on the main table.
    pub grants: Option<String>,
    /// The targets of foreign keys: `schema.table` with their columns' types and the columns unique alone.
    pub targets: BTreeMap<String, Target>,
}

/// The target of a foreign key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// `format_type` by column.
    pub columns: BTreeMap<String, String>,
    /// Columns with a full unique index of their own.
    pub unique: BTreeSet<String>,
}
