//! The event table: made, kept in its shape, with the partitions of this and the next months.

use super::{Plan, tagged};
use crate::ddl::history;
use crate::ddl::live::{Live, LiveTable};
use crate::ddl::step::{Lock, Stage, Step};
use crate::frag;
use crate::names::TableNames;

/// A month whose events are in the default partition already (no operator ran when it began) stays there: moving them would
/// hold up writers.
pub(super) fn plan(names: &TableNames, live: &Live, month: (i32, u32), plan: &mut Plan) {
    match &live.history {
        None => {
            let summary = format!("create the event table {}", names.history.as_str());
            plan.steps.push(Step::safe(Stage::Switch, summary, Lock::None, history::create_history(names)));
        }
        Some(table) => shape(names, table, plan),
    }
    for of in history::months_from(month) {
        let (name, sql) = history::partition_for(names, of.0, of.1);
        if !live.partitions.contains(name.as_str()) && !live.default_months.contains(&of) {
            let summary = format!("create partition {}", name.as_str());
            plan.steps.push(Step::safe(Stage::Switch, summary, Lock::ShareUpdateExclusive, sql).upkeep());
        }
    }
}

/// Columns that a later release has more, or that somebody dropped; indexes likewise.
fn shape(names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let alter = frag!["alter table ", names.history_sql(), " "].inline();
    for (column, sql_type, required) in history::COLUMNS {
        let live = table.columns.get(column);
        if live.is_some_and(|live| live.sql_type == sql_type) {
            continue;
        }
        let sql = format!("{alter}add column {column} {sql_type}");
        let step = Step::safe(
            Stage::Switch,
            format!("add column {column} to the history"),
            Lock::AccessExclusive,
            sql,
        );
        plan.steps.push(if live.is_some() || required {
            step.refused("events cannot be read without it; restore the event table from a backup")
        } else {
            step
        });
    }
    for (name, sql) in history::indexes(names) {
        if table.indexes.get(name.as_str()) != Some(&true) {
            let summary = format!("index the history: {}", name.as_str());
            plan.steps.push(Step::safe(
                Stage::Finish,
                summary,
                Lock::ShareRowExclusive,
                tagged(sql, Vec::new()),
            ));
        }
    }
    for (column, live) in &table.columns {
        if history::COLUMNS.iter().all(|(known, ..)| known != column) {
            let sql = format!("{alter}drop column {}", crate::ident::Ident::fitted(column));
            let summary = format!("drop column {column} ({}) of the history", live.sql_type);
            let step = Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql);
            plan.foreign.push(step.breaking("nobody declared it; its values are gone"));
        }
    }
}
