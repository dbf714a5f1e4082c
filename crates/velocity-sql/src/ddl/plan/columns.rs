//! Columns: new ones, renamed ones, from and to the trash; whether they may be null, and their defaults.

use std::collections::BTreeSet;

use velocity_schema::Field;

use super::base::{Base, Source};
use super::draft::Draft;
use super::{alter, call, fingerprint, stamp, tagged};
use crate::ddl::HIDDEN_COLUMNS;
use crate::ddl::columns::{check_name, checks, column_definition, default_literal};
use crate::ddl::step::{Check, Class, How, Lock, Otherwise, Stage, Step};
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::{Ident, quote_literal};
use crate::sql_type::column_type;

const RENAMED_TAKES: &str = "requests that use the old name are refused from then on";

pub(super) fn plan(base: &Base<'_>, draft: &mut Draft) {
    for field in base.schema.fields() {
        match base.of_field(field.name.as_str()) {
            Source::New => add(field, base, draft),
            Source::Stuck { live, why } => {
                let summary = format!("change {} from {live} to {}", field.name, column_type(&field.kind));
                let sql = format!(
                    "{}alter column {} type {}",
                    alter(base.names),
                    Ident::from(&field.name),
                    column_type(&field.kind)
                );
                draft.moves.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql).refused(why));
            }
            Source::Renamed(old) => {
                rename(old, field, base, draft);
                existing(field, base, draft);
            }
            Source::Restored(trashed) => {
                let summary = format!("bring column {} back from the trash", field.name);
                let sql =
                    call("untrash_column", &[trashed.id.to_string(), quote_literal(field.name.as_str())]);
                draft.moves.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
                (draft.renew_grants, draft.renamed) = (true, true);
                existing(field, base, draft);
            }
            Source::Column | Source::Converted { .. } => existing(field, base, draft),
        }
    }
    rename_objects(base, draft);
    superfluous(base, draft);
}

/// What the tag of a column stands for: its default.
pub(super) fn source_of(field: &Field) -> String {
    default_literal(field).unwrap_or_default()
}

fn add(field: &Field, base: &Base<'_>, draft: &mut Draft) {
    let (names, table) = (base.names, &base.table);
    let missing = field.required && field.default.is_none();
    let mut sql =
        format!("{}add column {}", alter(names), column_definition(field, field.required && !missing));
    let checks = checks(field);
    // Rows that are there have no value or the default, but Postgres would look at each of them under its lock.
    let unchecked = if table.has_rows { " not valid" } else { "" };
    for (name, condition) in &checks {
        sql.push_str(&frag![", add constraint ", name, " check (", condition.clone(), ")"].inline());
        sql.push_str(unchecked);
    }
    let tags = checks
        .iter()
        .map(|(name, condition)| stamp("constraint", names, name.as_str(), &condition.clone().inline()));
    let tags = std::iter::once(stamp("column", names, field.name.as_str(), &source_of(field))).chain(tags);
    let sql = tagged(sql, tags.collect());
    let summary = format!("add column {} ({})", field.name, column_type(&field.kind));
    let mut step = Step::safe(Stage::Prepare, summary, Lock::AccessExclusive, sql);
    if missing && table.has_rows {
        step = step.needs(Check {
            from: base.rows(&Fragment::sql("true")),
            complaint: format!("would have no value for {}", field.name),
            way_out: "make the field optional, or give it a default".to_owned(),
            otherwise: Otherwise::Block,
        });
    }
    draft.columns.push(step);
    if table.has_rows {
        draft.built.extend(checks.iter().map(|(name, _)| super::validate(name, names, Stage::Prepare)));
    }
    if missing {
        draft.settles.push(set_not_null(field, base));
    }
    draft.renew_grants = true;
}

fn rename(old: &Ident, field: &Field, base: &Base<'_>, draft: &mut Draft) {
    let names = base.names;
    let log = call(
        "log_rename",
        &[names.schema.as_str(), names.history.as_str(), old.as_str(), field.name.as_str()]
            .map(quote_literal),
    );
    let sql = format!("{}rename column {old} to {};\n{log}", alter(names), Ident::from(&field.name));
    let summary = format!("rename column {} to {}", old.as_str(), field.name);
    let mut step = Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql);
    step.reason = Some(RENAMED_TAKES.to_owned());
    draft.moves.push(step);
    draft.renamed = true;
}

/// Names of constraints and indexes after renamed fields.
fn rename_objects(base: &Base<'_>, draft: &mut Draft) {
    for renaming in &base.renamings {
        let (from, to) = (&renaming.from, &renaming.to);
        let rename = if renaming.kind == "constraint" {
            format!("{}rename constraint {from} to {to}", alter(base.names))
        } else {
            frag!["alter index ", Fragment::column(&base.names.schema, from), " rename to ", to].inline()
        };
        let tag = renaming
            .source
            .as_ref()
            .filter(|_| base.tag(&format!("{} {}", renaming.kind, to.as_str())).is_some())
            .map(|source| super::stamp_as(renaming.kind, base.names, to.as_str(), source));
        // A reference to a field of the table's own that has another name now keeps its own.
        let rename = Some(rename).filter(|_| from != to);
        let statements: Vec<String> = rename.into_iter().chain(tag).collect();
        let summary = format!("rename {} {} to {}", renaming.kind, from.as_str(), to.as_str());
        if !statements.is_empty() {
            draft.moves.push(Step::safe(
                Stage::Switch,
                summary,
                Lock::AccessExclusive,
                statements.join(";\n"),
            ));
        }
    }
}

fn existing(field: &Field, base: &Base<'_>, draft: &mut Draft) {
    nullability(field, base, draft);
    default_change(field, base, draft);
}

fn set_not_null(field: &Field, base: &Base<'_>) -> Step {
    let sql = format!("{}alter column {} set not null", alter(base.names), Ident::from(&field.name));
    Step::safe(Stage::Switch, format!("set not null on {}", field.name), Lock::AccessExclusive, sql)
}

fn nullability(field: &Field, base: &Base<'_>, draft: &mut Draft) {
    let name = field.name.as_str();
    let wanted = field.required || field.system;
    let live = base.table.columns.get(name).is_some_and(|column| column.not_null) && !base.is_replaced(name);
    if live && !wanted {
        let sql = format!("{}alter column {} drop not null", alter(base.names), Ident::from(&field.name));
        draft.settles.push(Step::safe(
            Stage::Switch,
            format!("drop not null on {name}"),
            Lock::AccessExclusive,
            sql,
        ));
    } else if wanted && !live {
        require(field, base, draft);
    }
}

/// A check that is validated while traffic goes on; Postgres takes it as the proof, and needs no look at the rows under its
/// strong lock (`ALTER TABLE … SET NOT NULL` in its documentation).
fn require(field: &Field, base: &Base<'_>, draft: &mut Draft) {
    let names = base.names;
    let proof = check_name(field.name.as_str(), "required");
    let column = base.column(field.name.as_str());
    let value = base.value(field);
    let key = format!("constraint {}", proof.as_str());
    let present = base.table.constraints.get(proof.as_str()).filter(|_| base.is_on(&key, &[&column]));
    if present.is_none() {
        fill(field, "", base, draft);
        let stale = super::drop_stale(base, &proof);
        let condition = frag![&column, " is not null"].inline();
        let sql = format!("{stale}{}add constraint {proof} check ({condition}) not valid", alter(names));
        let sql = tagged(sql, vec![stamp("constraint", names, proof.as_str(), "required")]);
        let mut step =
            Step::safe(Stage::Prepare, format!("require {}", field.name), Lock::AccessExclusive, sql);
        let converts = matches!(base.of_field(field.name.as_str()), Source::Converted { .. });
        if base.table.has_rows && (field.default.is_none() || converts) {
            step = step.needs(Check {
                from: base.rows(&frag![value, " is null"]),
                complaint: format!("have no value for {}", field.name),
                way_out: "give them one, or keep the field optional".to_owned(),
                otherwise: Otherwise::Block,
            });
        }
        draft.built.push(step);
    }
    if present.is_none_or(|definition| super::is_unchecked(definition)) {
        // What came without a value meanwhile; from here on none does.
        fill(field, " again", base, draft);
        draft.built.push(super::validate(&proof, names, Stage::Prepare));
    }
    draft.settles.push(set_not_null(field, base));
    let sql = format!("{}drop constraint {proof}", alter(names));
    draft.settles.push(Step::safe(
        Stage::Switch,
        format!("drop check {}", proof.as_str()),
        Lock::AccessExclusive,
        sql,
    ));
}

/// Gives records without a value the default: an update of each, with its event, by the operator. Deleted records cannot
/// change; the triggers let the operator fill their column without an event. All in one round: a record that is deleted or
/// undeleted meanwhile is met either way.
fn fill(field: &Field, again: &str, base: &Base<'_>, draft: &mut Draft) {
    let Some(default) = default_literal(field) else { return };
    if !base.table.has_rows || matches!(base.of_field(field.name.as_str()), Source::Converted { .. }) {
        return;
    }
    let column = base.column(field.name.as_str());
    let sql = super::batch(base, &format!("{column} is null"), &format!("{column} = {default}"));
    let summary = format!("give records without {} its default{again}", field.name);
    let mut step = Step::safe(Stage::Prepare, summary, Lock::RowExclusive, sql);
    // A field from the trash is none yet: no event can tell of it.
    let silent = matches!(base.of_field(field.name.as_str()), Source::Restored(_));
    step.how = How::Batches { name: format!("fill {}{again}", field.name), silent };
    draft.built.push(step);
}

fn default_change(field: &Field, base: &Base<'_>, draft: &mut Draft) {
    let name = field.name.as_str();
    let source = source_of(field);
    let recorded = base.tag(&format!("column {name}"));
    if recorded == Some(fingerprint(&source).as_str()) && !base.is_replaced(name) {
        return;
    }
    let column = Ident::from(&field.name);
    let (summary, sql) = match default_literal(field) {
        Some(literal) => (
            format!("set the default of {name}"),
            format!("{}alter column {column} set default {literal}", alter(base.names)),
        ),
        None if recorded.is_none() && !base.table.altered.contains(&format!("column {name}")) => {
            // Nothing but the tag is missing: a column of a release that had none, or one that is just coming into place.
            let sql = stamp("column", base.names, name, &source);
            draft.settles.push(Step::safe(Stage::Switch, format!("tag column {name}"), Lock::None, sql));
            return;
        }
        None => (
            format!("drop the default of {name}"),
            format!("{}alter column {column} drop default", alter(base.names)),
        ),
    };
    let sql = tagged(sql, vec![stamp("column", base.names, name, &source)]);
    draft.settles.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
}

/// Columns that the spec does not name: fields of ours that are gone, shadows that nobody needs any more, strangers.
fn superfluous(base: &Base<'_>, draft: &mut Draft) {
    let converted: BTreeSet<&str> = base
        .schema
        .fields()
        .iter()
        .filter_map(|field| match base.of_field(field.name.as_str()) {
            Source::Converted { column, shadow, .. } => Some([column.as_str(), shadow.as_str()]),
            _ => None,
        })
        .flatten()
        .collect();
    let trashed = |name: &str| base.live.trashed_columns.iter().any(|trashed| trashed.column == name);
    let ours = |name: &str| {
        let key = format!("column {name}");
        base.live.shapes.is_empty() || base.tag(&key).is_some() || base.table.altered.contains(&key)
    };
    for (name, column) in &base.table.columns {
        let known = base.schema.field(name).is_some() || HIDDEN_COLUMNS.contains(&name.as_str());
        if known || converted.contains(name.as_str()) || trashed(name) {
            continue;
        }
        let restorable = ours(name);
        let sql = trash(base, name, restorable);
        let step = Step::safe(
            Stage::Switch,
            format!("drop column {name} ({})", column.sql_type),
            Lock::AccessExclusive,
            sql,
        );
        if !restorable {
            draft.foreign.push(step.breaking("nobody declared it; its values stay in the trash for 30 days"));
            continue;
        }
        let step = match base.table.referenced_by.get(name).filter(|others| !others.is_empty()) {
            Some(others) => step.refused(format!(
                "{} point to it; drop those references first",
                others.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            )),
            None => step.breaking(
                "its values stay in the trash for 30 days; declare the field again to have them back",
            ),
        };
        draft.moves.push(step);
    }
    for hidden in HIDDEN_COLUMNS {
        if !base.table.columns.contains_key(hidden) {
            let step = Step::safe(
                Stage::Switch,
                format!("add column {hidden}"),
                Lock::AccessExclusive,
                String::new(),
            );
            draft.moves.push(step.refused(
                "the column is gone, and with it what proves the history; restore the table from a backup",
            ));
        }
    }
}

/// A column goes to the trash.
pub(super) fn trash(base: &Base<'_>, column: &str, restorable: bool) -> String {
    let names = base.names;
    let path = base.schema.path().to_string();
    let texts = [path.as_str(), names.schema.as_str(), names.table.as_str(), names.history.as_str(), column];
    let mut arguments: Vec<String> = texts.map(quote_literal).to_vec();
    arguments.push(restorable.to_string());
    call("trash_column", &arguments)
}

/// A step's class, at least.
pub(super) fn at_least(mut step: Step, class: Class) -> Step {
    step.class = step.class.max(class);
    step
}
