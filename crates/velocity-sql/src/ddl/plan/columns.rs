//! Columns with their types, nullability, defaults and checks.

use std::collections::BTreeSet;

use velocity_schema::{Field, Schema};

use super::{LATER, Plan, alter, column_tags, comment, fingerprint, is_unchecked, tagged, validate};
use crate::ddl::HIDDEN_COLUMNS;
use crate::ddl::columns::{CHECK_RULES, check_name, checks, column_definition, default_literal};
use crate::ddl::live::{LiveColumn, LiveTable};
use crate::ddl::step::{Class, Lock, Stage, Step};
use crate::frag;
use crate::ident::Ident;
use crate::names::TableNames;
use crate::sql_type::column_type;

pub(super) fn plan(schema: &Schema, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    for field in schema.fields() {
        let old = field.renamed_from.as_ref().filter(|old| table.columns.contains_key(old.as_str()));
        match (table.columns.get(field.name.as_str()), old) {
            (Some(live), _) => existing(field, live, names, table, plan),
            (None, Some(old)) => {
                let column = Ident::from(&field.name);
                let sql =
                    alter(names) + &frag!["rename column ", &Ident::from(old), " to ", &column].inline();
                let summary = format!("rename column {old} to {}", field.name);
                plan.steps.push(Step::blocked(summary, Class::Safe, Lock::AccessExclusive, sql, LATER));
            }
            (None, None) => add(field, names, table, plan),
        }
    }
    superfluous_checks(schema, names, table, plan);
    superfluous_columns(schema, names, table, plan);
}

fn add(field: &Field, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let mut sql = format!("{}add column {}", alter(names), column_definition(field, field.required));
    let checks = checks(field);
    // Rows that are there have no value or the default, but Postgres would look at each of them under its lock.
    let unchecked = if table.has_rows { " not valid" } else { "" };
    for (name, condition) in &checks {
        sql.push_str(&frag![", add constraint ", name, " check (", condition.clone(), ")"].inline());
        sql.push_str(unchecked);
    }
    let sql = tagged(sql, column_tags(std::slice::from_ref(field), names));
    let summary = format!("add column {} ({})", field.name, column_type(&field.kind));
    if field.required && field.default.is_none() && table.has_rows {
        let reason = "existing records would have no value; make the field optional, or give it a default";
        plan.steps.push(Step::blocked(summary, Class::NeedsData, Lock::AccessExclusive, sql, reason));
        return;
    }
    plan.steps.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
    if table.has_rows {
        plan.steps.extend(checks.iter().map(|(name, _)| validate(name, names)));
    }
}

fn existing(field: &Field, live: &LiveColumn, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let column = Ident::from(&field.name);
    let wanted_type = column_type(&field.kind);
    if live.sql_type != wanted_type {
        plan.steps.push(Step::blocked(format!("change the type of {} from {} to {wanted_type}", field.name, live.sql_type),
            Class::Breaking,
            Lock::AccessExclusive,
            format!("{}alter column {column} type {wanted_type}", alter(names)),
            LATER,
        ));
    }
    let wanted_not_null = field.required || field.system;
    if live.not_null != wanted_not_null {
        let (verb, class) = if wanted_not_null { ("set", Class::NeedsData) } else { ("drop", Class::Safe) };
        plan.steps.push(Step::blocked(format!("{verb} not null on {}", field.name),
            class,
            Lock::AccessExclusive,
            format!("{}alter column {column} {verb} not null", alter(names)),
            LATER,
        ));
    }
    check_changes(field, names, table, plan);
    default_change(field, names, table, plan);
}

fn default_change(field: &Field, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let recorded = table.comments.get(&format!("column {}", field.name));
    let column = || frag!["column ", names.table_sql(), ".", &Ident::from(&field.name)];
    let alter =
        frag!["alter table ", names.table_sql(), " alter column ", &Ident::from(&field.name)].inline();
    let (verb, sql) = match default_literal(field) {
        Some(literal) if recorded != Some(&fingerprint(&literal)) => {
            ("set", format!("{alter} set default {literal};\n{}", comment(&column(), &literal)))
        }
        None if recorded.is_some() => (
            "drop",
            format!("{alter} drop default;\n{}", frag!["comment on ", column(), " is null"].inline()),
        ),
        _ => return,
    };
    let summary = format!("{verb} the default of {}", field.name);
    plan.steps.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
}

fn check_changes(field: &Field, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    for (name, condition) in checks(field) {
        let text = condition.inline();
        let live = table.constraints.get(name.as_str());
        let recorded = table.comments.get(&format!("constraint {}", name.as_str()));
        match live.filter(|_| recorded == Some(&fingerprint(&text))) {
            Some(definition) if is_unchecked(definition) => plan.steps.push(validate(&name, names)),
            Some(_) => {}
            None => {
                let add = frag!["add constraint ", &name, " check (", condition, ") not valid"].inline();
                let verb = if live.is_some() { "change" } else { "add" };
                plan.steps.push(Step::blocked(format!("{verb} check {}", name.as_str()),
                    Class::NeedsData,
                    Lock::AccessExclusive,
                    alter(names) + &add,
                    LATER,
                ));
            }
        }
    }
}

/// Checks of ours that no field asks for any more. Those of columns that are to go or to be renamed go with them.
fn superfluous_checks(schema: &Schema, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let gone = table.columns.keys().filter(|name| schema.field(name).is_none());
    let of_gone = gone.flat_map(|column| CHECK_RULES.map(|rule| check_name(column, rule)));
    let wanted = schema.fields().iter().flat_map(checks).map(|(name, _)| name);
    let known: BTreeSet<Ident> = of_gone.chain(wanted).collect();
    for name in ours(table, "CHECK") {
        let ident = Ident::fitted(name);
        if !known.contains(&ident) {
            plan.steps.push(Step::blocked(format!("drop check {name}"),
                Class::Safe,
                Lock::AccessExclusive,
                alter(names) + &frag!["drop constraint ", &ident].inline(),
                LATER,
            ));
        }
    }
}

/// The constraints of a kind that carry a tag of ours: others were made by hand and are left alone.
pub(super) fn ours<'a>(table: &'a LiveTable, kind: &'a str) -> impl Iterator<Item = &'a str> {
    table
        .constraints
        .iter()
        .filter(move |(name, definition)| {
            definition.starts_with(kind) && table.comments.contains_key(&format!("constraint {name}"))
        })
        .map(|(name, _)| name.as_str())
}

fn superfluous_columns(schema: &Schema, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let renamed: BTreeSet<&str> = schema
        .fields()
        .iter()
        .filter(|field| !table.columns.contains_key(field.name.as_str()))
        .filter_map(|field| field.renamed_from.as_ref())
        .map(velocity_schema::FieldName::as_str)
        .collect();
    for name in table.columns.keys().map(String::as_str) {
        if schema.field(name).is_some() || HIDDEN_COLUMNS.contains(&name) || renamed.contains(name) {
            continue;
        }
        plan.steps.push(Step::blocked(format!("drop column {name}"),
            Class::Breaking,
            Lock::AccessExclusive,
            alter(names) + &frag!["drop column ", &Ident::fitted(name)].inline(),
            LATER,
        ));
    }
}
