//! Foreign keys.

use velocity_schema::Schema;

use super::base::{Base, Source};
use super::draft::Draft;
use super::{Plan, Waiting, alter, fingerprint, is_unchecked, stamp, tagged, temporary, validate};
use crate::ddl::columns::{ForeignKey, foreign_keys};
use crate::ddl::live::{Live, Target};
use crate::ddl::step::{Check, Lock, Otherwise, Stage, Step};
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::Ident;
use crate::names::TableNames;

/// On a table that is being made.
pub(super) fn first(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    for key in foreign_keys(schema, names) {
        match target(&key, names, live) {
            Err(waiting) => plan.waiting.push(waiting),
            Ok(target) => {
                let sql =
                    alter(names) + &frag!["add constraint ", &key.name, " "].inline() + &key.definition();
                let sql = tagged(sql, vec![stamp("constraint", names, key.name.as_str(), &key.definition())]);
                let step = Step::safe(Stage::Switch, summary(&key), Lock::ShareRowExclusive, sql);
                plan.steps.push(fit(step, &key, target));
            }
        }
    }
}

pub(super) fn plan(base: &Base<'_>, plan: &mut Plan, draft: &mut Draft) {
    let keys = foreign_keys(base.schema, base.names);
    for key in &keys {
        one(key, base, plan, draft);
    }
    for (name, definition) in &base.table.constraints {
        let known = keys.iter().any(|key| key.name.as_str() == name)
            || draft.temporary.iter().any(|temporary| temporary.as_str() == name);
        if !definition.starts_with("FOREIGN KEY") || known {
            continue;
        }
        let tag = format!("constraint {name}");
        let ours = base.tag(&tag).is_some() || base.table.altered.contains(&tag);
        let step = drop(&Ident::fitted(name), base);
        // Before the unique constraints that they may need.
        if ours { draft.drops.insert(0, step) } else { draft.foreign.push(step) }
    }
}

fn summary(key: &ForeignKey) -> String {
    format!("add foreign key {} to {}", key.column.as_str(), key.target.display())
}

fn drop(name: &Ident, base: &Base<'_>) -> Step {
    let sql = alter(base.names) + &frag!["drop constraint if exists ", name].inline();
    Step::safe(Stage::Switch, format!("drop foreign key {}", name.as_str()), Lock::AccessExclusive, sql)
}

/// The target; none where it is the table itself, whose references were checked when the schema was parsed.
fn target<'l>(key: &ForeignKey, names: &TableNames, live: &'l Live) -> Result<Option<&'l Target>, Waiting> {
    let target = live.targets.get(&key.target.display());
    if key.target == *names {
        return Ok(None);
    }
    let waiting = || Waiting { field: key.column.as_str().to_owned(), target: key.target.display() };
    target.map(Some).ok_or_else(waiting)
}

fn fit(step: Step, key: &ForeignKey, target: Option<&Target>) -> Step {
    match target.and_then(|target| unfit(key, target)) {
        Some(reason) => step.refused(reason),
        None => step,
    }
}

fn one(key: &ForeignKey, base: &Base<'_>, plan: &mut Plan, draft: &mut Draft) {
    let names = base.names;
    let tag = format!("constraint {}", key.name.as_str());
    let print = fingerprint(&key.definition());
    let live = base.table.constraints.get(key.name.as_str());
    let column = base.column(key.column.as_str());
    let same = |key: &str| base.tag(key) == Some(print.as_str()) && base.is_on(key, &[&column]);
    let target_moves = key.target == *names && base.is_replaced(key.target_column.as_str());
    let kept = live.filter(|_| same(&tag) && !base.doomed.contains(&tag) && !target_moves);
    if let Some(definition) = kept {
        if is_unchecked(definition) {
            draft.finish.push(validate(&key.name, names, Stage::Finish));
        }
        return;
    }
    let target = match target(key, names, base.live) {
        Ok(target) => target,
        Err(waiting) => return plan.waiting.push(waiting),
    };
    let name = if live.is_some() { temporary(&key.name) } else { key.name.clone() };
    let begun = base.table.constraints.get(name.as_str()).filter(|_| name != key.name);
    let begun = begun.filter(|_| same(&format!("constraint {}", name.as_str())));
    if begun.is_none() {
        draft.built.push(fit(add(key, &name, base), key, target));
    }
    if base.table.has_rows && begun.is_none_or(|definition| is_unchecked(definition)) {
        draft.built.push(validate(&name, names, Stage::Prepare));
    }
    if name != key.name {
        draft.temporary.insert(name.clone());
        draft.drops.insert(0, drop(&key.name, base));
        let sql = format!("{}rename constraint {name} to {}", alter(names), key.name);
        let summary = format!("rename constraint {} to {}", name.as_str(), key.name.as_str());
        draft.settles.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
        draft.renamed = true;
    }
}

/// The column that has the target's values before the switch: of the table itself it may be another one.
fn target_column(key: &ForeignKey, base: &Base<'_>) -> Ident {
    if key.target == *base.names {
        base.column(key.target_column.as_str())
    } else {
        key.target_column.clone()
    }
}

/// The target's value in a row `t`, as it will be.
fn target_value(key: &ForeignKey, base: &Base<'_>) -> Fragment {
    let own = base.schema.field(key.target_column.as_str()).filter(|_| key.target == *base.names);
    own.map_or_else(
        || Fragment::column(&Ident::fixed("t"), &key.target_column),
        |field| base.value_of("t", field),
    )
}

fn add(key: &ForeignKey, name: &Ident, base: &Base<'_>) -> Step {
    let names = base.names;
    let stale = super::drop_stale(base, name);
    let unchecked = if base.table.has_rows { " not valid" } else { "" };
    let column = base.column(key.column.as_str());
    let sql = stale
        + &alter(names)
        + &frag!["add constraint ", name, " "].inline()
        + &key.definition_on(&column, &target_column(key, base))
        + unchecked;
    let sql = tagged(sql, vec![stamp("constraint", names, name.as_str(), &key.definition())]);
    let step = Step::safe(Stage::Prepare, summary(key), Lock::ShareRowExclusive, sql);
    let new = matches!(base.of_field(key.column.as_str()), Source::New);
    let Some(field) = base
        .schema
        .field(key.column.as_str())
        .filter(|field| base.table.has_rows && (!new || field.default.is_some()))
    else {
        return step;
    };
    if new {
        return step;
    }
    let value = base.value(field);
    let found = frag![
        "exists (select from ",
        key.target.table_sql(),
        " t where ",
        target_value(key, base),
        " = ",
        value.clone(),
        ")"
    ];
    step.needs(Check {
        from: base.rows(&frag![value, " is not null and not ", found]),
        complaint: format!("have a value of {} that {} has no record for", field.name, key.target.display()),
        way_out: "change those values, add what they point to, or set `enforce: false`".to_owned(),
        otherwise: Otherwise::Block,
    })
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
