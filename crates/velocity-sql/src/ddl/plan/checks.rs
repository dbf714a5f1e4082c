//! Check constraints. A changed one is built beside the old one and takes its name in the switch.

use std::collections::BTreeSet;

use velocity_schema::Field;
use velocity_schema::field::FieldType;

use super::base::Base;
use super::draft::Draft;
use super::{alter, fingerprint, is_unchecked, stamp, tagged, temporary, validate};
use crate::ddl::columns::{check_name, rules};
use crate::ddl::live::LiveTable;
use crate::ddl::step::{Check, Lock, Otherwise, Stage, Step};
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::Ident;

pub(super) fn plan(base: &Base<'_>, draft: &mut Draft) {
    let mut known: BTreeSet<Ident> = BTreeSet::new();
    for field in base.schema.fields() {
        let name = field.name.as_str();
        let made_with_the_column = !base.exists(name);
        for (rule, condition) in rules(field, &Fragment::ident(&Ident::from(&field.name))) {
            let check = check_name(name, rule);
            if !made_with_the_column {
                one(&Wanted { field, rule, name: &check, condition }, base, draft);
            }
            known.insert(check);
        }
        // Proofs that are under way.
        known.extend(["required", "converted"].map(|rule| check_name(name, rule)).into_iter().filter(
            |proof| {
                let required = proof.as_str() == check_name(name, "required").as_str();
                let live = base.table.columns.get(name).is_some_and(|column| column.not_null);
                if required { (field.required || field.system) && !live } else { base.is_replaced(name) }
            },
        ));
    }
    known.extend(draft.temporary.iter().cloned());
    superfluous(&known, base, draft);
}

struct Wanted<'a> {
    field: &'a Field,
    rule: &'static str,
    name: &'a Ident,
    /// With the field's final name.
    condition: Fragment,
}

fn one(wanted: &Wanted<'_>, base: &Base<'_>, draft: &mut Draft) {
    let key = format!("constraint {}", wanted.name.as_str());
    let source = wanted.condition.clone().inline();
    let print = fingerprint(&source);
    let live = base.table.constraints.get(wanted.name.as_str());
    let column = base.column(wanted.field.name.as_str());
    let same = |key: &str| base.tag(key) == Some(print.as_str()) && base.is_on(key, &[&column]);
    let kept = live.filter(|_| same(&key) && !base.doomed.contains(&key));
    if let Some(definition) = kept {
        if is_unchecked(definition) {
            let step = validate(wanted.name, base.names, Stage::Finish);
            // Values that were taken from an enum in spite of records that have them stay until those records change.
            let otherwise = if wanted.rule == "enum" { Otherwise::Skip } else { Otherwise::Block };
            draft.finish.push(step.needs(violations(wanted, base, otherwise)));
        }
        return;
    }
    let name = if live.is_some() { temporary(wanted.name) } else { wanted.name.clone() };
    let begun = base.table.constraints.get(name.as_str()).filter(|_| name != *wanted.name);
    let begun = begun.filter(|_| same(&format!("constraint {}", name.as_str())));
    build(wanted, &name, begun.is_none(), base, draft);
    if begun.is_none_or(|definition| is_unchecked(definition)) {
        let mut step = validate(&name, base.names, Stage::Prepare);
        if wanted.rule == "enum" {
            step.check = Some(violations(wanted, base, Otherwise::Skip));
        }
        draft.built.push(step);
    }
    if name != *wanted.name {
        draft.temporary.insert(name.clone());
        // Of a column that goes to the trash, the check goes with it; of one that stays, it is dropped here.
        draft.drops.push(drop(wanted.name, base));
        let sql = format!("{}rename constraint {name} to {}", alter(base.names), wanted.name);
        let summary = format!("rename constraint {} to {}", name.as_str(), wanted.name.as_str());
        draft.settles.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
        draft.renamed = true;
    }
}

fn build(wanted: &Wanted<'_>, name: &Ident, missing: bool, base: &Base<'_>, draft: &mut Draft) {
    if !missing {
        return;
    }
    let names = base.names;
    let column = Fragment::ident(&base.column(wanted.field.name.as_str()));
    let Some((_, condition)) =
        rules(wanted.field, &column).into_iter().find(|(rule, _)| *rule == wanted.rule)
    else {
        return;
    };
    // A leftover under the temporary name that checks something else.
    let stale = super::drop_stale(base, name);
    let add = frag!["add constraint ", name, " check (", condition, ") not valid"].inline();
    let tag = stamp("constraint", names, name.as_str(), &wanted.condition.clone().inline());
    let sql = tagged(format!("{stale}{}{add}", alter(names)), vec![tag]);
    let replaced = base.table.constraints.contains_key(wanted.name.as_str());
    let verb = if replaced { "change" } else { "add" };
    let step = Step::safe(
        Stage::Prepare,
        format!("{verb} check {}", wanted.name.as_str()),
        Lock::AccessExclusive,
        sql,
    );
    if !base.table.has_rows || (replaced && is_wider(wanted, &base.table)) {
        draft.built.push(step);
        return;
    }
    let otherwise = if wanted.rule == "enum" && replaced { Otherwise::Breaking } else { Otherwise::Block };
    draft.built.push(step.needs(violations(wanted, base, otherwise)));
}

fn violations(wanted: &Wanted<'_>, base: &Base<'_>, otherwise: Otherwise) -> Check {
    let value = base.value(wanted.field);
    let condition = rules(wanted.field, &value).into_iter().find(|(rule, _)| *rule == wanted.rule);
    let condition = condition.map_or_else(|| Fragment::sql("true"), |(_, condition)| condition);
    Check {
        from: base.rows(&frag!["not (", condition, ")"]),
        complaint: format!("have a value of {} that breaks its `{}`", wanted.field.name, wanted.rule),
        way_out: "change those values, or the rule".to_owned(),
        otherwise,
    }
}

/// Whether everything that the live check lets pass, the wanted one does. Told from the catalog's text where that is simple.
fn is_wider(wanted: &Wanted<'_>, table: &LiveTable) -> bool {
    let Some(definition) = table.constraints.get(wanted.name.as_str()) else { return false };
    let bound = || last_number(definition);
    let at_most = |limit: Option<i128>| limit.zip(bound()).is_some_and(|(new, old)| new >= old);
    let at_least = |limit: Option<i128>| limit.zip(bound()).is_some_and(|(new, old)| new <= old);
    match (&wanted.field.kind, wanted.rule) {
        (FieldType::String { max_length, .. }, "maxLength") => at_most(max_length.map(i128::from)),
        (FieldType::String { min_length, .. }, "minLength") => at_least(min_length.map(i128::from)),
        (FieldType::Integer { max, .. }, "max") => at_most(max.map(i128::from)),
        (FieldType::Integer { min, .. }, "min") => at_least(min.map(i128::from)),
        (FieldType::Bytes { max_size }, "maxSize") => at_most(max_size.map(i128::from)),
        (FieldType::Array { max_items, .. }, "maxItems") => at_most(max_items.map(i128::from)),
        (FieldType::Array { min_items, .. }, "minItems") => at_least(min_items.map(i128::from)),
        (FieldType::Enum { values }, "enum") => {
            let live = quoted(definition);
            !live.is_empty() && live.iter().all(|value| values.contains(value))
        }
        _ => false,
    }
}

/// The last whole number of `CHECK ((char_length(note) <= 40))`.
fn last_number(definition: &str) -> Option<i128> {
    let text = definition.trim_end_matches(" NOT VALID").replace("::bigint", "");
    let text = text.trim_end_matches([')', '\'']);
    let digits: String = text.chars().rev().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
    digits.chars().rev().collect::<String>().parse().ok()
}

/// The texts in quotes of `CHECK ((status = ANY (ARRAY['draft'::text, …])))`.
fn quoted(definition: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = definition;
    while let Some(start) = rest.find('\'') {
        let mut value = String::new();
        let mut after = &rest[start + 1..];
        loop {
            let Some(end) = after.find('\'') else { return Vec::new() };
            value.push_str(&after[..end]);
            after = &after[end + 1..];
            let Some(more) = after.strip_prefix('\'') else { break };
            value.push('\'');
            after = more;
        }
        all.push(value);
        rest = after;
    }
    all
}

fn drop(name: &Ident, base: &Base<'_>) -> Step {
    let sql = format!("{}drop constraint if exists {name}", alter(base.names));
    Step::safe(Stage::Switch, format!("drop check {}", name.as_str()), Lock::AccessExclusive, sql)
}

/// Checks of ours that no field asks for any more.
fn superfluous(known: &BTreeSet<Ident>, base: &Base<'_>, draft: &mut Draft) {
    for (name, definition) in &base.table.constraints {
        let key = format!("constraint {name}");
        if !definition.starts_with("CHECK") || known.contains(&Ident::fitted(name)) {
            continue;
        }
        let ours = base.tag(&key).is_some() || base.table.altered.contains(&key);
        let step = drop(&Ident::fitted(name), base);
        if ours { draft.drops.push(step) } else { draft.foreign.push(step) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_values_are_read_from_what_the_catalog_shows() {
        assert_eq!(last_number("CHECK ((char_length(note) <= 40))"), Some(40));
        assert_eq!(last_number("CHECK ((level >= '-5'::bigint)) NOT VALID"), Some(-5));
        assert_eq!(last_number("CHECK ((level >= (5)::bigint))"), Some(5));
        assert_eq!(last_number("CHECK ((a = b))"), None);
        assert_eq!(
            quoted("CHECK ((s = ANY (ARRAY['it''s'::text, 'b'::text])))"),
            ["it's".to_owned(), "b".to_owned()]
        );
    }
}
