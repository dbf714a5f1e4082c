//! Columns with their defaults, checks and foreign keys.

use velocity_schema::field::{Field, FieldType};
use velocity_schema::{Schema, Value};

use crate::frag;
use crate::fragment::Fragment;
use crate::ident::Ident;
use crate::names::TableNames;
use crate::sql_type::{SqlType, column_type};

/// `"amount" numeric(18,2) default '0'::numeric not null`; texts compare by code point, as the API does.
pub fn column_definition(field: &Field, not_null: bool) -> String {
    let mut sql = bare_definition(&Ident::from(&field.name), field);
    if let Some(default) = default_literal(field) {
        sql.push_str(" default ");
        sql.push_str(&default);
    }
    if not_null {
        sql.push_str(" not null");
    }
    sql
}

/// A column of the field's type, without default and constraints.
pub(super) fn bare_definition(name: &Ident, field: &Field) -> String {
    let mut sql = format!("{name} {}", column_type(&field.kind));
    if has_text(&field.kind) {
        sql.push_str(" collate \"C\"");
    }
    sql
}

/// The default as a literal.
pub(super) fn default_literal(field: &Field) -> Option<String> {
    field.default.as_ref().map(|default| Fragment::bind(SqlType::of(&field.kind), default.clone()).inline())
}

fn has_text(kind: &FieldType) -> bool {
    match kind {
        FieldType::String { .. } | FieldType::Enum { .. } => true,
        FieldType::Array { items, .. } => has_text(items),
        _ => false,
    }
}

/// The constraints of a field that its column has as checks. A pattern is none: Postgres' expressions are another dialect.
/// `required` and `converted` are there while a column is being made not null, or another type.
pub const CHECK_RULES: [&str; 11] = [
    "minLength",
    "maxLength",
    "min",
    "max",
    "enum",
    "maxSize",
    "items",
    "minItems",
    "maxItems",
    "required",
    "converted",
];

/// The name of the check of a column for one of [`CHECK_RULES`].
pub fn check_name(column: &str, rule: &str) -> Ident {
    Ident::fitted(&format!("{column}_{rule}_check"))
}

/// The check constraints of a field: name and condition.
pub(super) fn checks(field: &Field) -> Vec<(Ident, Fragment)> {
    let column = Fragment::ident(&Ident::from(&field.name));
    rules(field, &column)
        .into_iter()
        .map(|(rule, condition)| (check_name(field.name.as_str(), rule), condition))
        .collect()
}

/// The rules of a field that are checks, over an expression that has its value.
pub(super) fn rules(field: &Field, value: &Fragment) -> Vec<(&'static str, Fragment)> {
    let column = || value.clone();
    let mut all: Vec<(&'static str, Fragment)> = Vec::new();
    match &field.kind {
        FieldType::String { min_length, max_length, .. } => {
            let length = || frag!["char_length(", column(), ")"];
            all.extend(
                min_length.map(|n| ("minLength", frag![length(), " >= ", Fragment::number(n.into())])),
            );
            all.extend(
                max_length.map(|n| ("maxLength", frag![length(), " <= ", Fragment::number(n.into())])),
            );
        }
        FieldType::Integer { min, max } => {
            let bind = |n: i64| Fragment::bind(SqlType::Int8, Value::Integer(n));
            all.extend(min.map(|n| ("min", frag![column(), " >= ", bind(n)])));
            all.extend(max.map(|n| ("max", frag![column(), " <= ", bind(n)])));
        }
        FieldType::Number { min, max, .. } => {
            let bind =
                |n: &bigdecimal::BigDecimal| Fragment::bind(SqlType::Numeric, Value::Number(n.clone()));
            all.extend(min.as_ref().map(|n| ("min", frag![column(), " >= ", bind(n)])));
            all.extend(max.as_ref().map(|n| ("max", frag![column(), " <= ", bind(n)])));
        }
        FieldType::Enum { values } => {
            let values = Value::Array(values.iter().cloned().map(Value::String).collect());
            all.push(("enum", frag![column(), " = any (", Fragment::bind(SqlType::TextArray, values), ")"]));
        }
        FieldType::Bytes { max_size } => {
            let length = || frag!["octet_length(", column(), ")"];
            all.extend(max_size.map(|n| ("maxSize", frag![length(), " <= ", Fragment::number(n.into())])));
        }
        FieldType::Array { min_items, max_items, .. } => {
            let length = || frag!["cardinality(", column(), ")"];
            all.push(("items", frag!["array_position(", column(), ", null) is null"]));
            all.extend(min_items.map(|n| ("minItems", frag![length(), " >= ", Fragment::number(n.into())])));
            all.extend(max_items.map(|n| ("maxItems", frag![length(), " <= ", Fragment::number(n.into())])));
        }
        FieldType::Boolean
        | FieldType::Timestamp
        | FieldType::Date
        | FieldType::Time
        | FieldType::Json
        | FieldType::Uuid => {}
    }
    all
}

/// A foreign key that the schema asks for.
pub(super) struct ForeignKey {
    pub(super) name: Ident,
    pub(super) column: Ident,
    pub(super) target: TableNames,
    pub(super) target_column: Ident,
    pub(super) column_type: String,
}

impl ForeignKey {
    /// `foreign key ("a") references "s"."t" ("b")`
    pub(super) fn definition(&self) -> String {
        self.definition_on(&self.column, &self.target_column)
    }

    /// The same on columns that have other names for now.
    pub(super) fn definition_on(&self, column: &Ident, target_column: &Ident) -> String {
        frag!["foreign key (", column, ") references ", self.target.table_sql(), " (", target_column, ")"]
            .inline()
    }
}

/// The enforced references of a schema.
pub(super) fn foreign_keys(schema: &Schema, names: &TableNames) -> Vec<ForeignKey> {
    schema
        .fields()
        .iter()
        .filter_map(|field| {
            let reference = field.reference.as_ref().filter(|reference| reference.enforce)?;
            Some(ForeignKey {
                name: names.on_fields([field.name.as_str()], "fkey"),
                column: Ident::from(&field.name),
                target: TableNames::of(&reference.target),
                target_column: Ident::from(&reference.field),
                column_type: column_type(&field.kind),
            })
        })
        .collect()
}

/// `create table …` with columns, primary key and checks.
pub(super) fn create_table(schema: &Schema, names: &TableNames) -> String {
    let mut lines: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| column_definition(field, field.required || field.system))
        .collect();
    lines.push("\"deleted_at\" timestamp with time zone".to_owned());
    lines.push("\"_head_hash\" bytea not null".to_owned());
    lines.push(frag!["constraint ", &names.on_fields([], "pkey"), " primary key (\"id\")"].inline());
    for (name, condition) in schema.fields().iter().flat_map(checks) {
        lines.push(frag!["constraint ", &name, " check (", condition, ")"].inline());
    }
    format!("create table {} (\n  {}\n)", names.table_sql().inline(), lines.join(",\n  "))
}
