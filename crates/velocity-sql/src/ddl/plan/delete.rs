//! A table that is deleted: it goes to the trash.

use velocity_schema::SchemaPath;

use super::{Plan, call};
use crate::ddl::live::Live;
use crate::ddl::step::{Lock, Stage, Step};
use crate::ident::quote_literal;
use crate::names::TableNames;

/// What has to be done when a SchemaDefinition goes, and its data with it: a breaking plan of one step, or nothing where
/// there is no table.
pub fn delete_plan(path: &SchemaPath, live: &Live) -> Plan {
    let names = TableNames::of(path);
    let mut plan = Plan::default();
    let Some(table) = &live.table else { return plan };
    let prefix = names.shape_prefix();
    let path = path.to_string();
    let arguments =
        [path.as_str(), names.schema.as_str(), names.table.as_str(), names.history.as_str(), prefix.as_str()];
    let sql = call("trash_table", &arguments.map(quote_literal));
    let summary = format!("drop table {} and its history", names.display());
    let step = Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql);
    let others: Vec<&str> = table
        .referenced_by
        .values()
        .flatten()
        .map(String::as_str)
        .filter(|other| *other != names.display())
        .collect();
    plan.steps.push(if others.is_empty() {
        step.breaking("the table and its history stay in the trash for 30 days; apply the SchemaDefinition again to have them back")
    } else {
        step.refused(format!("{} point to it; drop those references first", others.join(", ")))
    });
    plan
}
