//! Indexes and unique constraints. What is built while another has its name takes the name in the switch.

use velocity_schema::Schema;
use velocity_schema::field::Field;

use super::base::Base;
use super::draft::Draft;
use super::{Plan, alter, extension, fingerprint, stamp, suffixed, tagged};
use crate::ddl::indexes::indexes_on;
use crate::ddl::live::Live;
use crate::ddl::step::{Check, Class, Lock, Otherwise, Stage, Step};
use crate::ddl::{IndexKind, WantedIndex, wanted_indexes};
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::{IDENT_MAX, Ident};
use crate::names::TableNames;

/// On a table that is being made.
pub(super) fn first(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    let wanted = wanted_indexes(schema, names);
    plan.steps.extend(extension::step(&wanted, live, Stage::Switch));
    for index in wanted {
        let sql = if index.kind == IndexKind::Unique {
            alter(names) + &frag!["add constraint ", &index.name, " unique "].inline() + &index.tail
        } else {
            index.clone().in_reach_of(&extension::home(live)).create_as(&index.name, names, false)
        };
        let sql = tagged(sql, vec![tag(&index, &index.name, names)]);
        plan.steps.push(Step::safe(Stage::Switch, format!("index {}", index.shown), Lock::None, sql));
    }
}

pub(super) fn plan(base: &Base<'_>, draft: &mut Draft) {
    let wanted = wanted_indexes(base.schema, base.names);
    let now = indexes_on(base.schema, base.names, &|field| Fragment::ident(&base.column(field.as_str())));
    draft.built.extend(extension::step(&wanted, base.live, Stage::Prepare));
    for (index, now) in wanted.iter().zip(&now) {
        one(index, now, base, draft);
    }
    primary_key(base, draft);
    superfluous(&wanted, base, draft);
}

fn tag(index: &WantedIndex, name: &Ident, names: &TableNames) -> String {
    let kind = if index.kind == IndexKind::Unique { "constraint" } else { "index" };
    stamp(kind, names, name.as_str(), &index.tail)
}

/// `index` has the final columns in its text, `now` those that there are before the switch.
fn one(index: &WantedIndex, now: &WantedIndex, base: &Base<'_>, draft: &mut Draft) {
    let (name, names) = (&index.name, base.names);
    let unique = index.kind == IndexKind::Unique;
    let live = base.table.indexes.get(name.as_str()).copied();
    let constrained = base.table.constraints.contains_key(name.as_str());
    let key = format!("{} {}", if constrained { "constraint" } else { "index" }, name.as_str());
    // Before tags were written there were none: then the name has to do.
    let untagged =
        base.live.shapes.is_empty() && base.tag(&key).is_none() && !base.table.altered.contains(&key);
    let ours = (untagged || is_made_from(&key, index, now, base)) && !base.doomed.contains(&key);
    if live == Some(true) && ours && unique == constrained {
        if untagged {
            let summary = format!("tag index {}", name.as_str());
            draft.settles.push(Step::safe(Stage::Switch, summary, Lock::None, tag(index, name, names)));
        }
        return;
    }
    let built_as = building(index, now);
    draft.temporary.insert(built_as.clone());
    let found = base.table.indexes.get(built_as.as_str()).copied();
    if found != Some(true) {
        build(index, now, &built_as, found.is_some(), base, draft);
    }
    if live.is_some() {
        draft.drops.push(drop(name, constrained, base));
    }
    let named =
        frag!["alter index ", Fragment::column(&names.schema, &built_as), " rename to ", name].inline();
    let tag = tag(index, name, names);
    let (summary, sql) = if unique {
        let add = alter(names) + &frag!["add constraint ", name, " unique using index ", name].inline();
        (format!("make {} unique", index.shown), tagged(named, vec![add, tag]))
    } else {
        (format!("put the index on {} in place", index.shown), tagged(named, vec![tag]))
    };
    draft.settles.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
}

/// What an index is called until the switch. The name tells what it was made from: one that was left half-way is known by it.
fn building(index: &WantedIndex, now: &WantedIndex) -> Ident {
    let print = fingerprint(&format!("{} for {}", now.tail, index.tail));
    suffixed(&index.name, &format!("~{}", &print[..8]))
}

/// Whether an index, or a constraint's, was made from this text, on the columns that have the values.
fn is_made_from(key: &str, index: &WantedIndex, now: &WantedIndex, base: &Base<'_>) -> bool {
    let uses = base.table.uses.get(key);
    base.tag(key) == Some(fingerprint(&index.tail).as_str())
        && uses.is_none_or(|columns| columns.iter().all(|c| now.tail.contains(&format!("\"{c}\""))))
}

fn build(
    index: &WantedIndex,
    now: &WantedIndex,
    name: &Ident,
    leftover: bool,
    base: &Base<'_>,
    draft: &mut Draft,
) {
    let names = base.names;
    let now = now.clone().in_reach_of(&extension::home(base.live));
    if leftover {
        // An interrupted build leaves an invalid index behind.
        let summary = format!("drop the unfinished index on {}", index.shown);
        let sql = concurrently(names, name);
        draft.built.push(Step::safe(Stage::Prepare, summary, Lock::ShareUpdateExclusive, sql).alone());
    }
    let (what, class) = if index.kind == IndexKind::Unique {
        ("unique index", Class::NeedsData)
    } else {
        ("index", Class::Safe)
    };
    let summary = format!("build {what} on {}", index.shown);
    if !base.table.has_rows {
        let sql = now.create_as(name, names, false);
        draft.built.push(Step::safe(Stage::Prepare, summary, Lock::ShareRowExclusive, sql));
        return;
    }
    let sql = now.create_as(name, names, true);
    let mut step = Step::safe(Stage::Prepare, summary, Lock::ShareUpdateExclusive, sql).alone();
    if class == Class::NeedsData
        && let Some(check) = duplicates(index, base)
    {
        step = step.needs(check);
    }
    draft.built.push(step);
}

/// The rows whose values another row has too. Nulls are never the same; new fields have none or the default.
fn duplicates(index: &WantedIndex, base: &Base<'_>) -> Option<Check> {
    let fields: Vec<&Field> =
        index.fields.iter().filter_map(|name| base.schema.field(name.as_str())).collect();
    if fields.iter().any(|field| !base.exists(field.name.as_str()) && field.default.is_none()) {
        return None;
    }
    let fields: Vec<&Field> = fields.into_iter().filter(|field| base.exists(field.name.as_str())).collect();
    if fields.is_empty() {
        return Some(Check {
            from: base.rows(&Fragment::sql("true")),
            complaint: format!("would all have the same value of {}", index.shown),
            way_out: "leave out the default, or `unique`".to_owned(),
            otherwise: Otherwise::Block,
        });
    }
    let list = |separator| Fragment::join(fields.iter().map(|field| base.value(field)), separator);
    let given = Fragment::join(fields.iter().map(|field| frag![base.value(field), " is not null"]), " and ");
    let twice = frag![
        "select ",
        list(", "),
        " from ",
        base.names.table_sql(),
        " r where ",
        given,
        " group by ",
        list(", "),
        " having count(*) > 1"
    ];
    Some(Check {
        from: base.rows(&frag!["(", list(", "), ") in (", twice, ")"]),
        complaint: format!("share their value of {} with another one", index.shown),
        way_out: "give each its own, or purge what is there twice".to_owned(),
        otherwise: Otherwise::Block,
    })
}

/// A primary key that somebody dropped.
fn primary_key(base: &Base<'_>, draft: &mut Draft) {
    let names = base.names;
    let name = names.on_fields([], "pkey");
    if base.table.constraints.contains_key(name.as_str()) {
        return;
    }
    let unique =
        |how: &str| frag![Fragment::ident(&name)].inline() + how + &names.table_sql().inline() + " (\"id\")";
    match base.table.indexes.get(name.as_str()) {
        Some(true) => {}
        found => {
            if found.is_some() {
                let sql = concurrently(names, &name);
                draft.built.push(
                    Step::safe(
                        Stage::Prepare,
                        "drop the unfinished index on id",
                        Lock::ShareUpdateExclusive,
                        sql,
                    )
                    .alone(),
                );
            }
            let sql = format!("create unique index concurrently {}", unique(" on "));
            draft.built.push(
                Step::safe(Stage::Prepare, "build the primary key's index", Lock::ShareUpdateExclusive, sql)
                    .alone(),
            );
        }
    }
    let sql = alter(names) + &frag!["add constraint ", &name, " primary key using index ", &name].inline();
    draft.settles.push(Step::safe(Stage::Switch, "add the primary key", Lock::AccessExclusive, sql));
}

/// Indexes that the schema does not ask for: ours go, those that people made are theirs.
fn superfluous(wanted: &[WantedIndex], base: &Base<'_>, draft: &mut Draft) {
    let pkey = base.names.on_fields([], "pkey");
    for name in base.table.indexes.keys().filter(|name| **name != pkey.as_str()) {
        let ident = Ident::fitted(name);
        if wanted.iter().any(|index| index.name == ident) || draft.temporary.contains(&ident) {
            continue;
        }
        let constrained = base.table.constraints.contains_key(name);
        let ours = is_ours(name, base.names);
        if constrained {
            let mut step = drop(&ident, true, base);
            let columns = base.table.uses.get(&format!("constraint {name}"));
            let referenced = columns
                .into_iter()
                .flatten()
                .filter_map(|column| base.table.referenced_by.get(column))
                .flatten();
            let referenced: Vec<&str> = referenced.map(String::as_str).collect();
            if !referenced.is_empty() {
                step = step
                    .refused(format!("{} point to it; drop those references first", referenced.join(", ")));
            }
            if ours { draft.drops.push(step) } else { draft.foreign.push(step) }
        } else {
            let sql = concurrently(base.names, &ident);
            let step =
                Step::safe(Stage::Finish, format!("drop index {name}"), Lock::ShareUpdateExclusive, sql)
                    .alone();
            if ours { draft.finish.push(step) } else { draft.foreign.push(step) }
        }
    }
}

fn drop(name: &Ident, constrained: bool, base: &Base<'_>) -> Step {
    if constrained {
        let sql = alter(base.names) + &frag!["drop constraint if exists ", name].inline();
        Step::safe(
            Stage::Switch,
            format!("drop unique constraint {}", name.as_str()),
            Lock::AccessExclusive,
            sql,
        )
    } else {
        let sql = frag!["drop index if exists ", Fragment::column(&base.names.schema, name)].inline();
        Step::safe(Stage::Switch, format!("drop index {}", name.as_str()), Lock::AccessExclusive, sql)
    }
}

fn concurrently(names: &TableNames, index: &Ident) -> String {
    frag!["drop index concurrently if exists ", Fragment::column(&names.schema, index)].inline()
}

/// Whether an index of the table has a name as [`TableNames::on_fields`] makes them: `table-…`, or, where that is too long,
/// its beginning with a hash.
pub(super) fn is_ours(name: &str, names: &TableNames) -> bool {
    let prefix = format!("{}-", names.table.as_str());
    let cut = || {
        let (beginning, hash) = name.split_at_checked(IDENT_MAX - 11)?;
        let hash = hash.strip_prefix('_')?;
        Some(hash.len() == 10 && hash.bytes().all(|b| b.is_ascii_hexdigit()) && prefix.starts_with(beginning))
    };
    name != names.on_fields([], "pkey").as_str() && (name.starts_with(&prefix) || cut() == Some(true))
}
