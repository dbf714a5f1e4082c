//! The steps from what is there to what is wanted. Pure, and without errors: what cannot be done is a blocked step.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use velocity_schema::{Field, Schema};

use super::columns::{ForeignKey, checks, column_definition, create_table, default_literal, foreign_keys};
use super::live::{Live, LiveTable};
use super::step::{Class, Lock, Step};
use super::{HIDDEN_COLUMNS, IndexKind, grants, history, policies, triggers, wanted_indexes};
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::{Ident, quote_literal};
use crate::names::TableNames;
use crate::sql_type::column_type;

const LATER: &str = "changing this in place is not supported yet; the table keeps serving its old shape";

/// What a reconcile is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whether the main table is yet to be made; then all steps run in one transaction.
    pub creates_table: bool,
    /// To be applied, in this order.
    pub steps: Vec<Step>,
    /// Not to be applied; when there are any, nothing is.
    pub blocked: Vec<Step>,
    /// References whose target is not there yet.
    pub waiting: Vec<Waiting>,
}

/// A foreign key whose target is not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The field.
    pub field: String,
    /// `schema.table` of the target.
    pub target: String,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.blocked.is_empty()
    }

    /// The hash of exactly this plan: what an approval names.
    pub fn hash(&self) -> String {
        let all: Vec<&str> = self.steps.iter().chain(&self.blocked).map(|step| step.sql.as_str()).collect();
        format!("sha256:{}", fingerprint(&all.join(";\n")))
    }
}

/// The SHA-256 of a text in hex.
pub(super) fn fingerprint(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What has to be done for `schema`, given what is there. `month` (of UTC) says which partitions the history needs.
pub fn plan(schema: &Schema, live: &Live, month: (i32, u32)) -> Plan {
    let names = TableNames::of(schema.path());
    let mut plan = Plan { creates_table: live.table.is_none(), ..Plan::default() };
    domain(&names, live, &mut plan);
    match &live.table {
        None => plan.steps.push(Step::safe(
            format!("create table {}", names.display()),
            Lock::None,
            tagged(create_table(schema, &names), column_tags(schema.fields(), &names)),
        )),
        Some(table) => columns(schema, &names, table, &mut plan),
    }
    events(&names, live, month, &mut plan);
    indexes(schema, &names, live, &mut plan);
    references(schema, &names, live, &mut plan);
    functions_and_triggers(schema, &names, live, &mut plan);
    row_security(schema, &names, live, &mut plan);
    let wanted = grants::grants(schema, &names);
    if live.grants.as_deref() != Some(fingerprint(&wanted).as_str()) {
        let tag = comment(&frag!["table ", names.table_sql()], &wanted);
        plan.steps.push(Step::safe(
            "grant the domain's role its rights",
            Lock::None,
            format!("{wanted};\n{tag}"),
        ));
    }
    if !plan.blocked.is_empty() {
        // Nothing half-applied: the table keeps its old shape whole.
        plan.steps.clear();
    }
    plan
}

/// The statements, with the tags of what they make behind them.
fn tagged(sql: String, tags: Vec<String>) -> String {
    std::iter::once(sql).chain(tags).collect::<Vec<_>>().join(";\n")
}

/// The tags of what fields bring besides their columns: checks and defaults, whose text the catalog does not keep.
fn column_tags(fields: &[Field], names: &TableNames) -> Vec<String> {
    let mut tags = Vec::new();
    for field in fields {
        for (name, condition) in checks(field) {
            tags.push(comment(&frag!["constraint ", &name, " on ", names.table_sql()], &condition.inline()));
        }
        if let Some(default) = default_literal(field) {
            tags.push(comment(
                &frag!["column ", names.table_sql(), ".", &Ident::from(&field.name)],
                &default,
            ));
        }
    }
    tags
}

/// `comment on … is 'velocity:…'`: how the next reconcile knows the text that made a thing.
fn comment(on: &Fragment, text: &str) -> String {
    frag!["comment on ", on.clone(), " is "].inline()
        + &quote_literal(&format!("velocity:{}", fingerprint(text)))
}

fn domain(names: &TableNames, live: &Live, plan: &mut Plan) {
    // Two schemas of a new domain may be made at once; role and schema are catalog rows that only one may touch.
    let lock = format!(
        "select pg_advisory_xact_lock(hashtextextended({}, 0));\n",
        quote_literal(&format!("velocity-domain:{}", names.schema.as_str()))
    );
    if !live.role_ready {
        let role = names.role();
        plan.steps.push(Step::safe(
            format!("create role {}", role.as_str()),
            Lock::None,
            format!("{lock}select platform.ensure_domain_role({})", quote_literal(role.as_str())),
        ));
    }
    if !live.schema_exists {
        let sql = frag![
            "create schema if not exists ",
            &names.schema,
            ";\nrevoke all on schema ",
            &names.schema,
            " from public;\ngrant usage on schema ",
            &names.schema,
            " to ",
            names.role(),
        ];
        plan.steps.push(Step::safe(
            format!("create schema {}", names.schema.as_str()),
            Lock::None,
            format!("{lock}{}", sql.inline()),
        ));
    }
}

fn columns(schema: &Schema, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let alter = || frag!["alter table ", names.table_sql(), " "].inline();
    for field in schema.fields() {
        let column = Ident::from(&field.name);
        let wanted_type = column_type(&field.kind);
        let Some(live) = table.columns.get(field.name.as_str()) else {
            let old = field.renamed_from.as_ref().filter(|old| table.columns.contains_key(old.as_str()));
            if let Some(old) = old {
                let sql = alter() + &frag!["rename column ", &Ident::from(old), " to ", &column].inline();
                plan.blocked.push(Step::blocked(
                    format!("rename column {old} to {}", field.name),
                    Class::Safe,
                    Lock::AccessExclusive,
                    sql,
                    LATER,
                ));
                continue;
            }
            let mut sql = format!("{}add column {}", alter(), column_definition(field, field.required));
            for (name, condition) in checks(field) {
                sql.push_str(&frag![", add constraint ", &name, " check (", condition, ")"].inline());
            }
            let sql = tagged(sql, column_tags(std::slice::from_ref(field), names));
            let summary = format!("add column {} ({wanted_type})", field.name);
            if field.required && field.default.is_none() {
                let (class, reason) = if table.has_rows {
                    (
                        Class::NeedsData,
                        "existing records would have no value; make the field optional, or give it a default",
                    )
                } else {
                    (Class::Safe, LATER)
                };
                if table.has_rows {
                    plan.blocked.push(Step::blocked(summary, class, Lock::AccessExclusive, sql, reason));
                } else {
                    plan.steps.push(Step::safe(summary, Lock::AccessExclusive, sql));
                }
            } else {
                plan.steps.push(Step::safe(summary, Lock::AccessExclusive, sql));
            }
            continue;
        };
        if live.sql_type != wanted_type {
            let sql = format!("{}alter column {column} type {wanted_type}", alter());
            plan.blocked.push(Step::blocked(
                format!("change the type of {} from {} to {wanted_type}", field.name, live.sql_type),
                Class::Breaking,
                Lock::AccessExclusive,
                sql,
                LATER,
            ));
        }
        let wanted_not_null = field.required || field.system;
        if live.not_null != wanted_not_null {
            let verb = if wanted_not_null { "set" } else { "drop" };
            let class = if wanted_not_null { Class::NeedsData } else { Class::Safe };
            let sql = format!("{}alter column {column} {verb} not null", alter());
            plan.blocked.push(Step::blocked(
                format!("{verb} not null on {}", field.name),
                class,
                Lock::AccessExclusive,
                sql,
                LATER,
            ));
        }
        check_changes(field, names, table, plan);
        default_change(field, names, table, plan);
    }
    for name in table.columns.keys() {
        let renamed = schema
            .fields()
            .iter()
            .any(|field| field.renamed_from.as_ref().is_some_and(|old| old.as_str() == name));
        if schema.field(name).is_none() && !HIDDEN_COLUMNS.contains(&name.as_str()) && !renamed {
            let column = Ident::fitted(name);
            let sql = format!("{}drop column {column}", alter());
            plan.blocked.push(Step::blocked(
                format!("drop column {name}"),
                Class::Breaking,
                Lock::AccessExclusive,
                sql,
                LATER,
            ));
        }
    }
}

fn default_change(field: &Field, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let wanted = default_literal(field);
    let recorded = table.comments.get(&format!("column {}", field.name));
    let column = || frag!["column ", names.table_sql(), ".", &Ident::from(&field.name)];
    let alter =
        frag!["alter table ", names.table_sql(), " alter column ", &Ident::from(&field.name)].inline();
    match wanted {
        Some(literal) if recorded != Some(&fingerprint(&literal)) => {
            let sql = format!("{alter} set default {literal};\n{}", comment(&column(), &literal));
            plan.steps.push(Step::safe(
                format!("set the default of {}", field.name),
                Lock::AccessExclusive,
                sql,
            ));
        }
        None if recorded.is_some() => {
            let sql =
                format!("{alter} drop default;\n{}", frag!["comment on ", column(), " is null"].inline());
            plan.steps.push(Step::safe(
                format!("drop the default of {}", field.name),
                Lock::AccessExclusive,
                sql,
            ));
        }
        _ => {}
    }
}

fn check_changes(field: &Field, names: &TableNames, table: &LiveTable, plan: &mut Plan) {
    let wanted = checks(field);
    for (name, condition) in &wanted {
        let text = condition.inline();
        let tag = format!("constraint {}", name.as_str());
        let same = table.constraints.contains_key(name.as_str())
            && table.comments.get(&tag).is_some_and(|recorded| *recorded == fingerprint(&text));
        if !same {
            let sql = frag![
                "alter table ",
                names.table_sql(),
                " add constraint ",
                name,
                " check (",
                condition.clone(),
                ") not valid"
            ]
            .inline();
            plan.blocked.push(Step::blocked(
                format!("change check {}", name.as_str()),
                Class::NeedsData,
                Lock::AccessExclusive,
                sql,
                LATER,
            ));
        }
    }
    let prefix = format!("{}_", field.name);
    for live in table.constraints.keys().filter(|name| name.starts_with(&prefix) && name.ends_with("_check"))
    {
        let rule = live.trim_start_matches(&prefix).trim_end_matches("_check");
        let ours =
            ["minLength", "maxLength", "min", "max", "enum", "maxSize", "items", "minItems", "maxItems"]
                .contains(&rule);
        if ours && wanted.iter().all(|(name, _)| name.as_str() != live) {
            let sql =
                frag!["alter table ", names.table_sql(), " drop constraint ", &Ident::fitted(live)].inline();
            plan.blocked.push(Step::blocked(
                format!("drop check {live}"),
                Class::Safe,
                Lock::AccessExclusive,
                sql,
                LATER,
            ));
        }
    }
}

fn events(names: &TableNames, live: &Live, month: (i32, u32), plan: &mut Plan) {
    if live.history.is_none() {
        let summary = format!("create the event table {}", names.history.as_str());
        plan.steps.push(Step::safe(summary, Lock::None, history::create_history(names)));
    }
    for (name, sql) in history::partitions(names, month.0, month.1) {
        if !live.partitions.contains(name.as_str()) {
            plan.steps.push(Step::safe(
                format!("create partition {}", name.as_str()),
                Lock::ShareUpdateExclusive,
                sql,
            ));
        }
    }
}

fn indexes(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    let wanted = wanted_indexes(schema, names);
    for index in &wanted {
        let constraint =
            || frag!["alter table ", names.table_sql(), " add constraint ", &index.name, " unique "].inline();
        let Some(table) = &live.table else {
            let sql = if index.kind == IndexKind::Unique {
                constraint() + &index.tail
            } else {
                index.create(names, false)
            };
            plan.steps.push(Step::safe(format!("index {}", index.shown), Lock::None, sql));
            continue;
        };
        match table.indexes.get(index.name.as_str()) {
            Some(true)
                if index.kind != IndexKind::Unique || table.constraints.contains_key(index.name.as_str()) => {
            }
            found if index.kind == IndexKind::Unique => {
                let sql = constraint() + &index.tail;
                let summary = format!("add unique constraint on {}", index.shown);
                if table.has_rows || found.is_some() {
                    plan.blocked.push(Step::blocked(
                        summary,
                        Class::NeedsData,
                        Lock::ShareRowExclusive,
                        sql,
                        LATER,
                    ));
                } else {
                    plan.steps.push(Step::safe(summary, Lock::AccessExclusive, sql));
                }
            }
            found => {
                if found == Some(&false) {
                    // An interrupted build leaves an invalid index behind.
                    let drop =
                        frag!["drop index concurrently ", Fragment::column(&names.schema, &index.name)]
                            .inline();
                    plan.steps.push(
                        Step::safe(
                            format!("drop the unfinished index on {}", index.shown),
                            Lock::ShareUpdateExclusive,
                            drop,
                        )
                        .alone(),
                    );
                }
                let summary = format!("build index on {}", index.shown);
                plan.steps
                    .push(Step::safe(summary, Lock::ShareUpdateExclusive, index.create(names, true)).alone());
            }
        }
    }
    let Some(table) = &live.table else { return };
    let ours = format!("{}-", names.table.as_str());
    for name in table.indexes.keys().filter(|name| name.starts_with(&ours)) {
        if wanted.iter().any(|index| index.name.as_str() == name) {
            continue;
        }
        let ident = Ident::fitted(name);
        if table.constraints.contains_key(name) {
            let sql = frag!["alter table ", names.table_sql(), " drop constraint ", &ident].inline();
            plan.blocked.push(Step::blocked(
                format!("drop unique constraint {name}"),
                Class::Safe,
                Lock::AccessExclusive,
                sql,
                LATER,
            ));
        } else {
            let sql = frag!["drop index concurrently ", Fragment::column(&names.schema, &ident)].inline();
            plan.steps
                .push(Step::safe(format!("drop index {name}"), Lock::ShareUpdateExclusive, sql).alone());
        }
    }
}

fn references(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    let keys = foreign_keys(schema, names);
    for key in &keys {
        let tag = format!("constraint {}", key.name.as_str());
        let present = live.table.as_ref().filter(|table| table.constraints.contains_key(key.name.as_str()));
        if let Some(table) = present {
            if table.comments.get(&tag) != Some(&fingerprint(&key.definition())) {
                let sql = frag!["alter table ", names.table_sql(), " drop constraint ", &key.name].inline();
                plan.blocked.push(Step::blocked(
                    format!("change foreign key {}", key.column.as_str()),
                    Class::NeedsData,
                    Lock::AccessExclusive,
                    sql,
                    LATER,
                ));
            }
            continue;
        }
        let own = key.target == *names;
        let target = if own { None } else { live.targets.get(&key.target.display()) };
        if !own && target.is_none() {
            plan.waiting
                .push(Waiting { field: key.column.as_str().to_owned(), target: key.target.display() });
            continue;
        }
        let sql = frag!["alter table ", names.table_sql(), " add constraint ", &key.name, " "].inline()
            + &key.definition();
        let sql = tagged(
            sql,
            vec![comment(&frag!["constraint ", &key.name, " on ", names.table_sql()], &key.definition())],
        );
        let summary = format!("add foreign key {} to {}", key.column.as_str(), key.target.display());
        if let Some(reason) = target.and_then(|target| unfit(key, target)) {
            plan.blocked.push(Step::blocked(summary, Class::Breaking, Lock::ShareRowExclusive, sql, reason));
        } else if live.table.as_ref().is_some_and(|table| table.has_rows) {
            let existing =
                live.table.as_ref().is_some_and(|table| table.columns.contains_key(key.column.as_str()));
            if existing {
                plan.blocked.push(Step::blocked(
                    summary,
                    Class::NeedsData,
                    Lock::ShareRowExclusive,
                    sql,
                    LATER,
                ));
            } else {
                plan.steps.push(Step::safe(summary, Lock::ShareRowExclusive, sql));
            }
        } else {
            plan.steps.push(Step::safe(summary, Lock::ShareRowExclusive, sql));
        }
    }
    if let Some(table) = &live.table {
        for name in table.constraints.keys().filter(|name| name.ends_with("_fkey")) {
            if keys.iter().all(|key| key.name.as_str() != name) {
                let sql = frag!["alter table ", names.table_sql(), " drop constraint ", &Ident::fitted(name)]
                    .inline();
                plan.blocked.push(Step::blocked(
                    format!("drop foreign key {name}"),
                    Class::Safe,
                    Lock::AccessExclusive,
                    sql,
                    LATER,
                ));
            }
        }
    }
}

fn unfit(key: &ForeignKey, target: &super::live::Target) -> Option<String> {
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

fn functions_and_triggers(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    let missing_keys = !plan.waiting.is_empty();
    for (name, body) in triggers::functions(schema, names) {
        // The body names the targets of references; it is written once they are there.
        if missing_keys && live.functions.contains_key(name.as_str()) {
            continue;
        }
        if live.functions.get(name.as_str()) != Some(&body) {
            let sql = triggers::create_function(names, &name, &body);
            plan.steps.push(Step::safe(format!("write function {}", name.as_str()), Lock::None, sql));
        }
    }
    for (name, sql) in triggers::triggers(names) {
        let present = live.table.as_ref().is_some_and(|table| table.triggers.contains(name));
        if !present {
            plan.steps.push(Step::safe(format!("create trigger {name}"), Lock::ShareRowExclusive, sql));
        }
    }
}

fn row_security(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    for (table, sql_name) in [(&live.table, names.table_sql()), (&live.history, names.history_sql())] {
        if !table.as_ref().is_some_and(|table| table.row_security) {
            let sql = frag!["alter table ", sql_name.clone(), " enable row level security"].inline();
            let summary = format!("enable row-level security on {}", sql_name.inline().replace('"', ""));
            plan.steps.push(Step::safe(summary, Lock::AccessExclusive, sql));
        }
    }
    for policy in policies::policies(schema, names) {
        let (table, sql_name) = if policy.on_history {
            (&live.history, names.history_sql())
        } else {
            (&live.table, names.table_sql())
        };
        let name = Ident::fixed(policy.name);
        let tag = format!("policy {}", policy.name);
        let current = table.as_ref().and_then(|table| table.comments.get(&tag));
        let exists = table.as_ref().is_some_and(|table| table.policies.contains(policy.name));
        if exists && current == Some(&fingerprint(&policy.tail)) {
            continue;
        }
        let on = || frag![&name, " on ", sql_name.clone()].inline();
        let drop = if exists { format!("drop policy {};\n", on()) } else { String::new() };
        let create = format!("create policy {} {}", on(), policy.tail);
        let tag = comment(&frag!["policy ", &name, " on ", sql_name.clone()], &policy.tail);
        let verb = if exists { "replace" } else { "create" };
        let where_to = if policy.on_history { " of the history" } else { "" };
        plan.steps.push(Step::safe(
            format!("{verb} policy {}{where_to}", policy.name),
            Lock::AccessExclusive,
            format!("{drop}{create};\n{tag}"),
        ));
    }
}
