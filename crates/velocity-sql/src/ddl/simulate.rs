//! The catalog as it is once a schema is provisioned, without a database: what two manifests are compared with offline.

use velocity_schema::{FieldName, Schema};

use super::columns::{checks, default_literal, foreign_keys};
use super::live::{Live, LiveColumn, LiveTable, Target, Trigrams};
use super::plan::fingerprint;
use super::{HIDDEN_COLUMNS, IndexKind, grants, history, policies, triggers, wanted_indexes};
use crate::names::TableNames;
use crate::sql_type::column_type;

/// What the catalog shows of a schema that was provisioned in `month` (of UTC) and has records. Everything that it refers to
/// counts as there.
pub fn provisioned(schema: &Schema, month: (i32, u32)) -> Live {
    let names = TableNames::of(schema.path());
    let mut table = LiveTable { row_security: true, has_rows: true, ..LiveTable::default() };
    columns(schema, &mut table);
    indexes(schema, &names, &mut table);
    keys(schema, &names, &mut table);
    let mut events = LiveTable { row_security: true, ..LiveTable::default() };
    for (name, sql_type, not_null) in history::COLUMNS {
        events.columns.insert(name.to_owned(), LiveColumn { sql_type: sql_type.to_owned(), not_null });
    }
    events.indexes =
        history::indexes(&names).into_iter().map(|(name, _)| (name.as_str().to_owned(), true)).collect();
    for (name, sql) in triggers::triggers(&names) {
        table.triggers.insert(name.to_owned(), true);
        table.comments.insert(format!("trigger {name}"), fingerprint(&sql));
    }
    for policy in policies::policies(schema, &names) {
        let on = if policy.on_history { &mut events } else { &mut table };
        on.policies.insert(policy.name.to_owned(), true);
        on.comments.insert(format!("policy {}", policy.name), fingerprint(&policy.tail));
    }
    table.comments.insert("table".to_owned(), fingerprint(&grants::grants(schema, &names)));
    let partition = |(year, month)| history::partition_for(&names, year, month).0.as_str().to_owned();
    Live {
        schema_exists: true,
        role_ready: true,
        table: Some(table),
        history: Some(events),
        partitions: history::months_from(month).map(partition).into(),
        functions: triggers::functions(schema, &names)
            .into_iter()
            .map(|(name, body)| (name.as_str().to_owned(), body))
            .collect(),
        shapes: [names.shape_function(schema.hash().as_str()).as_str().to_owned()].into(),
        targets: targets(schema),
        trigrams: Trigrams::In(super::plan::EXTENSIONS.to_owned()),
        ..Live::default()
    }
}

/// What the references of `wanted` point to, as if it were there: its types are taken to fit.
pub fn with_targets_of(mut live: Live, wanted: &Schema) -> Live {
    live.targets.extend(targets(wanted));
    live
}

fn columns(schema: &Schema, table: &mut LiveTable) {
    for field in schema.fields() {
        let not_null = field.required || field.system;
        let column = LiveColumn { sql_type: column_type(&field.kind), not_null };
        table.columns.insert(field.name.to_string(), column);
        let default = default_literal(field).unwrap_or_default();
        table.comments.insert(format!("column {}", field.name), fingerprint(&default));
        for (name, condition) in checks(field) {
            let key = format!("constraint {}", name.as_str());
            table
                .constraints
                .insert(name.as_str().to_owned(), format!("CHECK (({}))", condition.clone().inline()));
            table.comments.insert(key.clone(), fingerprint(&condition.inline()));
            table.uses.insert(key, [field.name.to_string()].into());
        }
    }
    for name in HIDDEN_COLUMNS {
        let sql_type = if name == "deleted_at" { "timestamp with time zone" } else { "bytea" };
        let column = LiveColumn { sql_type: sql_type.to_owned(), not_null: name != "deleted_at" };
        table.columns.insert(name.to_owned(), column);
    }
}

fn indexes(schema: &Schema, names: &TableNames, table: &mut LiveTable) {
    let pkey = names.on_fields([], "pkey").as_str().to_owned();
    table.constraints.insert(pkey.clone(), "PRIMARY KEY (id)".to_owned());
    table.indexes.insert(pkey, true);
    for index in wanted_indexes(schema, names) {
        let name = index.name.as_str().to_owned();
        let unique = index.kind == IndexKind::Unique;
        if unique {
            table.constraints.insert(name.clone(), format!("UNIQUE {}", index.tail));
        }
        let mentioned = schema.fields().iter().map(|field| &field.name);
        let uses = mentioned
            .filter(|field| index.tail.contains(&format!("\"{field}\"")))
            .map(FieldName::to_string)
            .collect();
        let key = format!("{} {name}", if unique { "constraint" } else { "index" });
        table.comments.insert(key.clone(), fingerprint(&index.tail));
        table.uses.insert(key, uses);
        table.indexes.insert(name, true);
    }
}

fn keys(schema: &Schema, names: &TableNames, table: &mut LiveTable) {
    for key in foreign_keys(schema, names) {
        let definition = key.definition().replace("foreign key", "FOREIGN KEY");
        let tag = format!("constraint {}", key.name.as_str());
        table.constraints.insert(key.name.as_str().to_owned(), definition);
        table.comments.insert(tag.clone(), fingerprint(&key.definition()));
        table.uses.insert(tag, [key.column.as_str().to_owned()].into());
    }
}

fn targets(schema: &Schema) -> std::collections::BTreeMap<String, Target> {
    let mut all = std::collections::BTreeMap::<String, Target>::new();
    for key in foreign_keys(schema, &TableNames::of(schema.path())) {
        let target = all.entry(key.target.display()).or_default();
        target.columns.insert(key.target_column.as_str().to_owned(), key.column_type.clone());
        target.unique.insert(key.target_column.as_str().to_owned());
    }
    all
}
