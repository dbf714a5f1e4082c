//! Who gains and who loses which fields, and which conditions requests must meet now.

use std::collections::BTreeSet;

use super::fields::earlier;
use super::{AccessChange, Change, Kind, turned};
use crate::decimal;
use crate::schema::{AbacRule, Access, FieldRule, Mask, Operation, Schema, Sight};

/// The operations that show records, and those that set fields.
const SHOWING: [Operation; 3] = [Operation::Read, Operation::History, Operation::Export];
const SETTING: [Operation; 2] = [Operation::Create, Operation::Update];

/// Conditions that came, went or are others now, for each operation that they are asked for.
pub(super) fn conditions(before: &Access, after: &Access, found: &mut Vec<AccessChange>) {
    let of = |access: &Access, operation| -> Vec<String> {
        access.abac_for(operation).map(|rule| rule.condition.source().to_owned()).collect()
    };
    for operation in Operation::ALL {
        let (mut old, mut new) = (of(before, operation), of(after, operation));
        new.retain(|condition| match old.iter().position(|other| other == condition) {
            Some(at) => {
                old.remove(at);
                false
            }
            None => true,
        });
        for index in 0..old.len().max(new.len()) {
            let (was, is) = (old.get(index).cloned(), new.get(index).cloned());
            let change = match (&was, &is) {
                (Some(_), Some(_)) => "condition changed",
                (Some(_), None) => "condition removed",
                _ => "condition added",
            };
            let role = "*".to_owned();
            found.push(AccessChange { role, operation, field: None, change, before: was, after: is });
        }
    }
}

/// Conditions that stay and tell the caller something else.
pub(super) fn messages(old: Option<&Schema>, new: &Schema) -> Vec<Change> {
    let before = old.map(|old| old.access().abac()).unwrap_or_default();
    let same = |rule: &AbacRule, other: &AbacRule| {
        rule.condition.source() == other.condition.source() && rule.operations == other.operations
    };
    let told = |rule: &AbacRule| rule.message.clone().unwrap_or_default();
    let mut found = Vec::new();
    for rule in new.access().abac() {
        if let Some(was) = before.iter().find(|other| same(rule, other))
            && told(was) != told(rule)
        {
            let detail = turned(&told(was), &told(rule));
            found.push(Change::new(Kind::Changed, "message of condition", rule.condition.source(), detail));
        }
    }
    found
}

/// Rights on fields that roles gain and lose, in the order of the fields.
///
/// Looked at are the roles that an entry of the field names, and those that may do anything with it here. Where none of
/// them sees a difference, everyone else may: `*`.
pub(super) fn fields(old: Option<&Schema>, new: &Schema, found: &mut Vec<AccessChange>) {
    for (position, field) in new.fields().iter().enumerate() {
        let name = field.name.as_str();
        let source = old.and_then(|old| old.field(name)).or_else(|| earlier(field, old, new));
        let before = old
            .zip(source)
            .and_then(|(old, source)| old.access().field_rule(old.position(source.name.as_str())?));
        let after = new.access().field_rule(position);
        if before == after && (source.is_some() || after.is_none()) {
            continue;
        }
        let was = Was { there: source.is_some(), rule: before };
        let mut told = Vec::new();
        for role in roles(old, new, was.rule, after, &SHOWING, |rule| rule.read.as_ref()) {
            told.extend(read(role, name, &was, after));
        }
        for role in roles(old, new, was.rule, after, &SETTING, |rule| rule.write.as_ref()) {
            told.extend(write(role, new, name, &was, after));
        }
        if told.is_empty() && source.is_some() {
            told.extend(read("*", name, &was, after));
            told.extend(write("*", new, name, &was, after));
        }
        found.extend(told);
    }
}

/// How a field was: whether it was there, and with which rights.
struct Was<'a> {
    there: bool,
    rule: Option<&'a FieldRule>,
}

/// The roles that the entries name, and those that may do one of the operations.
fn roles<'a>(
    old: Option<&'a Schema>,
    new: &'a Schema,
    before: Option<&'a FieldRule>,
    after: Option<&'a FieldRule>,
    operations: &[Operation],
    named: fn(&FieldRule) -> Option<&BTreeSet<String>>,
) -> BTreeSet<&'a str> {
    let mut roles: BTreeSet<&str> = BTreeSet::new();
    for rule in before.into_iter().chain(after) {
        roles.extend(named(rule).into_iter().flatten().map(String::as_str));
    }
    for schema in old.into_iter().chain([new]) {
        for operation in operations {
            roles.extend(schema.access().roles(*operation).iter().map(String::as_str));
        }
    }
    roles
}

fn read(role: &str, field: &str, was: &Was<'_>, after: Option<&FieldRule>) -> Option<AccessChange> {
    let sight = |rule: Option<&FieldRule>| rule.map_or(Sight::Clear, |rule| rule.sight(&|held| held == role));
    let before = if was.there { sight(was.rule) } else { Sight::Hidden };
    let (old_words, new_words) = (seen(before, was.rule), seen(sight(after), after));
    let change = match (before, sight(after)) {
        _ if old_words == new_words => return None,
        (_, Sight::Clear) => "gains read of field",
        (_, Sight::Masked) => "sees masked",
        (_, Sight::Hidden) => "loses read of field",
    };
    Some(AccessChange {
        role: role.to_owned(),
        operation: Operation::Read,
        field: Some(field.to_owned()),
        change,
        before: Some(old_words),
        after: Some(new_words),
    })
}

fn write(
    role: &str,
    new: &Schema,
    field: &str,
    was: &Was<'_>,
    after: Option<&FieldRule>,
) -> Option<AccessChange> {
    let may = |rule: Option<&FieldRule>| rule.is_none_or(|rule| rule.writable(&|held| held == role));
    let change = match (was.there && may(was.rule), may(after)) {
        (false, true) => "gains write of field",
        (true, false) => "loses write of field",
        _ => return None,
    };
    let updates = new.access().roles(Operation::Update);
    let creates_only = !updates.contains(role) && new.access().roles(Operation::Create).contains(role);
    Some(AccessChange {
        role: role.to_owned(),
        operation: if creates_only { Operation::Create } else { Operation::Update },
        field: Some(field.to_owned()),
        change,
        before: None,
        after: None,
    })
}

/// What is seen of a field, in words.
fn seen(sight: Sight, rule: Option<&FieldRule>) -> String {
    match (sight, rule.and_then(|rule| rule.mask.as_ref())) {
        (Sight::Clear, _) => "in clear".to_owned(),
        (Sight::Masked, Some(mask)) => format!("masked by {}", mask_words(mask)),
        _ => "nothing".to_owned(),
    }
}

fn mask_words(mask: &Mask) -> String {
    match mask {
        Mask::Partial { visible: 0 } => "partial (no character stays)".to_owned(),
        Mask::Partial { visible: 1 } => "partial (the last character stays)".to_owned(),
        Mask::Partial { visible } => format!("partial (the last {visible} characters stay)"),
        Mask::Hash => "hash".to_owned(),
        Mask::Range { size } => format!("range (of {})", decimal::to_text(size)),
        Mask::Redact => "redact".to_owned(),
        Mask::Tokenise => "tokenise".to_owned(),
    }
}
