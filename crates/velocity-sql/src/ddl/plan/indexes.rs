//! Indexes and unique constraints.

use super::{LATER, Plan, alter};
use crate::ddl::live::Live;
use crate::ddl::step::{Class, Lock, Stage, Step};
use crate::ddl::{IndexKind, WantedIndex, wanted_indexes};
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::{IDENT_MAX, Ident};
use crate::names::TableNames;
use velocity_schema::Schema;

pub(super) fn plan(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    let wanted = wanted_indexes(schema, names);
    for index in &wanted {
        match &live.table {
            None => {
                let summary = format!("index {}", index.shown);
                plan.steps.push(Step::safe(Stage::Switch, summary, Lock::None, first(index, names)));
            }
            Some(table) => {
                let found = table.indexes.get(index.name.as_str()).copied();
                if index.kind != IndexKind::Unique {
                    ordinary(index, found, names, plan);
                } else if found != Some(true) || !table.constraints.contains_key(index.name.as_str()) {
                    unique(index, table.has_rows || found.is_some(), names, plan);
                }
            }
        }
    }
    superfluous(&wanted, names, live, plan);
}

/// On a table that nobody uses yet.
fn first(index: &WantedIndex, names: &TableNames) -> String {
    if index.kind == IndexKind::Unique { add_unique(index, names) } else { index.create(names, false) }
}

fn add_unique(index: &WantedIndex, names: &TableNames) -> String {
    alter(names) + &frag!["add constraint ", &index.name, " unique "].inline() + &index.tail
}

fn ordinary(index: &WantedIndex, found: Option<bool>, names: &TableNames, plan: &mut Plan) {
    if found == Some(true) {
        return;
    }
    if found == Some(false) {
        // An interrupted build leaves an invalid index behind.
        let summary = format!("drop the unfinished index on {}", index.shown);
        plan.steps
            .push(Step::safe(Stage::Switch, summary, Lock::ShareUpdateExclusive, drop_index(names, &index.name)).alone());
    }
    let summary = format!("build index on {}", index.shown);
    plan.steps.push(Step::safe(Stage::Switch, summary, Lock::ShareUpdateExclusive, index.create(names, true)).alone());
}

fn unique(index: &WantedIndex, needs_data: bool, names: &TableNames, plan: &mut Plan) {
    let sql = add_unique(index, names);
    let summary = format!("add unique constraint on {}", index.shown);
    if needs_data {
        plan.steps.push(Step::blocked(summary, Class::NeedsData, Lock::AccessExclusive, sql, LATER));
    } else {
        plan.steps.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
    }
}

/// Indexes of ours that the schema no longer asks for. Those that people made are theirs.
fn superfluous(wanted: &[WantedIndex], names: &TableNames, live: &Live, plan: &mut Plan) {
    let Some(table) = &live.table else { return };
    for name in table.indexes.keys().filter(|name| is_ours(name, names)) {
        if wanted.iter().any(|index| index.name.as_str() == name) {
            continue;
        }
        let ident = Ident::fitted(name);
        if table.constraints.contains_key(name) {
            plan.steps.push(Step::blocked(format!("drop unique constraint {name}"),
                Class::Safe,
                Lock::AccessExclusive,
                alter(names) + &frag!["drop constraint ", &ident].inline(),
                LATER,
            ));
        } else {
            let sql = drop_index(names, &ident);
            plan.steps
                .push(Step::safe(Stage::Switch, format!("drop index {name}"), Lock::ShareUpdateExclusive, sql).alone());
        }
    }
}

fn drop_index(names: &TableNames, index: &Ident) -> String {
    frag!["drop index concurrently ", Fragment::column(&names.schema, index)].inline()
}

/// Whether an index of the table has a name as [`TableNames::on_fields`] makes them: `table-…`, or, where that is too long,
/// its beginning with a hash.
fn is_ours(name: &str, names: &TableNames) -> bool {
    let prefix = format!("{}-", names.table.as_str());
    let cut = || {
        let (beginning, hash) = name.split_at_checked(IDENT_MAX - 11)?;
        let hash = hash.strip_prefix('_')?;
        Some(hash.len() == 10 && hash.bytes().all(|b| b.is_ascii_hexdigit()) && prefix.starts_with(beginning))
    };
    name != names.on_fields([], "pkey").as_str() && (name.starts_with(&prefix) || cut() == Some(true))
}
