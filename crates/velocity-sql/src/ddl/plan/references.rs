//! Foreign keys.

use velocity_schema::Schema;

use super::columns::ours;
use super::{LATER, Plan, Waiting, alter, comment, fingerprint, is_unchecked, tagged, validate};
use crate::ddl::columns::{ForeignKey, foreign_keys};
use crate::ddl::live::{Live, LiveTable, Target};
use crate::ddl::step::{Class, Lock, Stage, Step};
use crate::frag;
use crate::ident::Ident;
use crate::names::TableNames;

pub(super) fn plan(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    let keys = foreign_keys(schema, names);
    for key in &keys {
        let present = live.table.as_ref().filter(|table| table.constraints.contains_key(key.name.as_str()));
        match present {
            Some(table) => existing(key, names, table, plan),
            None => missing(key, names, live, plan),
        }
    }
    let Some(table) = &live.table else { return };
    for name in ours(table, "FOREIGN KEY") {
        if keys.iter().all(|key| key.name.as_str() != name) {
            plan.steps.push(Step::blocked(format!("drop foreign key {name}"),
                Class::Safe,
                Lock::AccessExclusive,
                alter(names) + &frag!["drop constraint ", &Ident::fitted(name)].inline(),
                LATER,
            ));
        }
    }
}

fn existing(key: &ForeignKey, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let tag = format!("constraint {}", key.name.as_str());
    if table.comments.get(&tag) != Some(&fingerprint(&key.definition())) {
        plan.steps.push(Step::blocked(format!("change foreign key {}", key.column.as_str()),
            Class::NeedsData,
            Lock::AccessExclusive,
            alter(names) + &frag!["drop constraint ", &key.name].inline(),
            LATER,
        ));
    } else if table.constraints.get(key.name.as_str()).is_some_and(|definition| is_unchecked(definition)) {
        plan.steps.push(validate(&key.name, names));
    }
}

fn missing(key: &ForeignKey, names: &TableNames, live: &Live, plan: &mut Plan) {
    let own = key.target == *names;
    let target = live.targets.get(&key.target.display());
    if !own && target.is_none() {
        plan.waiting.push(Waiting { field: key.column.as_str().to_owned(), target: key.target.display() });
        return;
    }
    // A column of rows without a value breaks nothing: a new one, or one whose target was not there yet.
    let used = live.table.as_ref().filter(|table| table.has_rows);
    let may_break = used.is_some_and(|table| {
        let column = key.column.as_str();
        table.columns.contains_key(column)
    });
    let unchecked = if used.is_some() { " not valid" } else { "" };
    let sql =
        alter(names) + &frag!["add constraint ", &key.name, " "].inline() + &key.definition() + unchecked;
    let tag = comment(&frag!["constraint ", &key.name, " on ", names.table_sql()], &key.definition());
    let sql = tagged(sql, vec![tag]);
    let summary = format!("add foreign key {} to {}", key.column.as_str(), key.target.display());
    // A schema's references to itself were checked when it was parsed.
    let unfit = if own { None } else { target.and_then(|target| unfit(key, target)) };
    if let Some(reason) = unfit {
        plan.steps.push(Step::blocked(summary, Class::Breaking, Lock::ShareRowExclusive, sql, reason));
    } else if may_break {
        plan.steps.push(Step::blocked(summary, Class::NeedsData, Lock::ShareRowExclusive, sql, LATER));
    } else {
        plan.steps.push(Step::safe(Stage::Switch, summary, Lock::ShareRowExclusive, sql));
        if used.is_some() {
            plan.steps.push(validate(&key.name, names));
        }
    }
}

fn unfit(key: &ForeignKey, target: &Target) -> Option<String> {
    let column = key.target_column.as_str();
    match target.columns.get(column) {
        None => Some(format!("{} has no field `{column}`", key.target.display())),
        Some(live) if *live != key.column_type => Some(format!(
            "`{column}` of {} is {live}, this field is {}; give both the same type",
            key.target.display(),
            key.column_type
        )),
        Some(_) if !target.unique.contains(column) => Some(format!(
            "`{column}` of {} is not unique; declare it `unique: true` there, or set `enforce: false` here",
            key.target.display()
        )),
        Some(_) => None,
    }
}
