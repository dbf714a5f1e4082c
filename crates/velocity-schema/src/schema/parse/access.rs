//! The access block: roles, conditions on requests, row filters, field rights and masks.

use std::collections::{BTreeSet, HashSet};

use bigdecimal::BigDecimal;

use crate::cel;
use crate::decimal;
use crate::field::{Field, FieldType};
use crate::schema::access::roles_of;
use crate::schema::mask::VISIBLE_DEFAULT;
use crate::schema::{
    AbacRule, Access, FieldRule, Mask, Operation, RowFilter, SYSTEM_ROLE_ADMIN, fields as known_fields,
};
use crate::spec::{AbacSpec, AccessSpec, FieldAccessSpec, MaskingSpec, MaskingStrategy, RowFilterSpec};
use crate::violation::{Violations, did_you_mean};

/// Most characters of a role's name.
const ROLE_MAX: usize = 128;
/// Most roles in one list.
const ROLES_MAX: usize = 100;
/// The operations that look at many records at once: the database decides which.
const IN_SQL: [Operation; 3] = [Operation::Read, Operation::History, Operation::Export];
/// System fields that tell records and their states apart.
const ALWAYS_SEEN: [&str; 4] = ["id", "version", "created_at", "updated_at"];
/// Who acted: either field tells what the other one hides.
const ACTORS: [&str; 2] = ["created_by", "updated_by"];

pub(super) fn parse(spec: Option<&AccessSpec>, fields: &[Field], errors: &mut Violations) -> Access {
    let Some(spec) = spec else { return Access::default() };
    for operation in Operation::ALL {
        roles(roles_of(&spec.roles, operation), &format!("spec.access.roles.{operation}"), errors);
    }
    let access = Access { roles: Access::roles_from(&spec.roles), ..Access::default() };
    let row_filters = row_filters(&spec.row_filter, &access.all_roles(), fields, errors);
    let abac = spec.abac.iter().enumerate().filter_map(|(index, rule)| abac(index, rule, fields, errors));
    let abac = abac.collect();
    let field_rules = field_rules(&spec.field_access, fields, errors);
    Access { row_filters, abac, field_rules, ..access }
}

/// A list of roles: names, each once, not too many.
fn roles(names: &[String], at: &str, errors: &mut Violations) {
    let mut seen = HashSet::new();
    for (index, role) in names.iter().enumerate() {
        role_name(role, &format!("{at}[{index}]"), errors);
        if !seen.insert(role) {
            errors.push(format!("{at}[{index}]"), "unique", format!("`{role}` is there already"));
        }
    }
    if names.len() > ROLES_MAX {
        errors.push(at, "length", format!("has {} entries; there may be {ROLES_MAX}", names.len()));
    }
}

fn role_name(role: &str, path: &str, errors: &mut Violations) {
    let valid = !role.is_empty()
        && role.len() <= ROLE_MAX
        && role
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'@'));
    if !valid {
        errors.push(
            path,
            "role",
            format!("a role is 1 to {ROLE_MAX} letters, digits and any of - _ . : / @"),
        );
    }
}

fn row_filters(
    specs: &[RowFilterSpec],
    known: &BTreeSet<&str>,
    fields: &[Field],
    errors: &mut Violations,
) -> Vec<RowFilter> {
    let mut found = Vec::new();
    for (index, filter) in specs.iter().enumerate() {
        let at = format!("spec.access.rowFilter[{index}]");
        if filter.role != "*" {
            role_name(&filter.role, &format!("{at}.role"), errors);
            if filter.role == SYSTEM_ROLE_ADMIN {
                let why =
                    format!("`{SYSTEM_ROLE_ADMIN}` sees every record, whatever a filter says; leave it out");
                errors.push(format!("{at}.role"), "role", why);
            } else if !known.contains(filter.role.as_str()) {
                let near = did_you_mean(&filter.role, known.iter().copied());
                errors.push(
                    format!("{at}.role"),
                    "role",
                    format!("no operation of access.roles lists `{}`{near}", filter.role),
                );
            }
        }
        match cel::compile_filter(&filter.condition, fields, true) {
            Ok(condition) => found.push(RowFilter { role: filter.role.clone(), condition }),
            Err(error) => errors.push(format!("{at}.condition"), "expression", error.to_string()),
        }
    }
    found
}

fn abac(index: usize, spec: &AbacSpec, fields: &[Field], errors: &mut Violations) -> Option<AbacRule> {
    let at = format!("spec.access.abac[{index}]");
    let mut operations = Vec::new();
    for (position, text) in spec.operations.iter().enumerate() {
        let path = format!("{at}.operations[{position}]");
        match text.parse::<Operation>() {
            Ok(operation) if operations.contains(&operation) => {
                errors.push(path, "unique", format!("`{operation}` is there already"));
            }
            Ok(operation) => operations.push(operation),
            Err(why) => errors.push(path, "operation", why),
        }
    }
    if spec.operations.is_empty() {
        errors.push(format!("{at}.operations"), "required", "names the operations that it is asked for");
    }
    if spec.message.as_ref().is_some_and(|message| message.trim().is_empty()) {
        let why = "says what the caller is told when the condition is not true; without it a message is made";
        errors.push(format!("{at}.message"), "required", why);
    }
    let in_sql = operations.iter().find(|operation| IN_SQL.contains(operation));
    match cel::compile_condition(&spec.condition, fields, in_sql.is_some()) {
        Ok(condition) => Some(AbacRule { operations, condition, message: spec.message.clone() }),
        Err(error) => {
            let hint = match in_sql {
                Some(operation) if cel::compile_condition(&spec.condition, fields, false).is_ok() => format!(
                    "; for {operation} a condition over `record` is the database's to check: split it at `&&` into \
                     rules of their own, or leave {operation} out"
                ),
                _ => String::new(),
            };
            errors.push(format!("{at}.condition"), "expression", format!("{error}{hint}"));
            None
        }
    }
}

/// The rules by position, ascending.
fn field_rules(
    specs: &[FieldAccessSpec],
    fields: &[Field],
    errors: &mut Violations,
) -> Vec<(usize, FieldRule)> {
    let mut found: Vec<(usize, FieldRule)> = Vec::new();
    let mut first: Vec<Option<usize>> = vec![None; fields.len()];
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("spec.access.fieldAccess[{index}]");
        let Some(position) = fields.iter().position(|field| field.name.as_str() == spec.field) else {
            errors.push(
                format!("{at}.field"),
                "unknownField",
                known_fields::unknown_field(&spec.field, fields),
            );
            continue;
        };
        if let Some(other) = first[position] {
            let why = format!("`{}` has its rights already, as spec.access.fieldAccess[{other}]", spec.field);
            errors.push(format!("{at}.field"), "unique", why);
            continue;
        }
        first[position] = Some(index);
        let field = &fields[position];
        check_field(spec, field, &at, errors);
        let mask =
            spec.masking.as_ref().and_then(|mask| parse_mask(mask, field, &format!("{at}.masking"), errors));
        let set = |names: &Option<Vec<String>>| names.as_ref().map(|names| names.iter().cloned().collect());
        found.push((position, FieldRule { read: set(&spec.read), write: set(&spec.write), mask }));
    }
    found.sort_by_key(|(position, _)| *position);
    check_actors(&found, fields, &first, errors);
    found
}

/// What an entry says as a whole, and of which field.
fn check_field(spec: &FieldAccessSpec, field: &Field, at: &str, errors: &mut Violations) {
    roles(spec.read.as_deref().unwrap_or_default(), &format!("{at}.read"), errors);
    roles(spec.write.as_deref().unwrap_or_default(), &format!("{at}.write"), errors);
    if spec.read.is_none() && spec.write.is_none() && spec.masking.is_none() {
        let why =
            "restricts nothing: say who sees the field in `read`, who sets it in `write`, or leave it out";
        errors.push(at, "required", why);
    }
    if spec.masking.is_some() && spec.read.is_none() {
        errors.push(
            format!("{at}.masking"),
            "read",
            "would mask nothing, since everyone sees the field in clear; list in `read` who does (`[]`: \
             platform-admin only)",
        );
    }
    let name = field.name.as_str();
    if ALWAYS_SEEN.contains(&name) {
        let why = format!("`{name}` tells records and their states apart and cannot be restricted");
        errors.push(format!("{at}.field"), "system", why);
    } else if field.system && spec.write.is_some() {
        let why = format!("`{name}` is set by the platform alone; leave this out");
        errors.push(format!("{at}.write"), "system", why);
    }
}

/// Who created a record changed it too, for as long as nobody else did: rights on one of both fields are rights on both.
fn check_actors(
    rules: &[(usize, FieldRule)],
    fields: &[Field],
    entries: &[Option<usize>],
    errors: &mut Violations,
) {
    let of = |name: &str| {
        let position = fields.iter().position(|field| field.name.as_str() == name)?;
        let rule = rules.iter().find(|(at, _)| *at == position)?;
        Some((entries.get(position).copied().flatten()?, &rule.1))
    };
    let mut refuse = |index: usize, other: &str| {
        errors.push(
            format!("spec.access.fieldAccess[{index}]"),
            "system",
            format!("one of `created_by` and `updated_by` tells the other; give `{other}` the same `read` and `masking`"),
        );
    };
    match (of(ACTORS[0]), of(ACTORS[1])) {
        (Some((index, _)), None) => refuse(index, ACTORS[1]),
        (None, Some((index, _))) => refuse(index, ACTORS[0]),
        (Some((_, one)), Some((index, other))) if (&one.read, &one.mask) != (&other.read, &other.mask) => {
            refuse(index, ACTORS[1]);
        }
        _ => {}
    }
}

fn parse_mask(spec: &MaskingSpec, field: &Field, at: &str, errors: &mut Violations) -> Option<Mask> {
    let before = errors.0.len();
    if spec.visible_chars.is_some() && spec.strategy != MaskingStrategy::Partial {
        errors.push(
            format!("{at}.visibleChars"),
            "constraint",
            "belongs to the strategy partial; leave it out",
        );
    }
    if spec.range_size.is_some() && spec.strategy != MaskingStrategy::Range {
        errors.push(format!("{at}.rangeSize"), "constraint", "belongs to the strategy range; leave it out");
    }
    let mask = match spec.strategy {
        MaskingStrategy::Partial => partial(spec, field, at, errors),
        MaskingStrategy::Range => range(spec, field, at, errors),
        MaskingStrategy::Hash => Some(Mask::Hash),
        MaskingStrategy::Redact => Some(Mask::Redact),
        MaskingStrategy::Tokenise => Some(Mask::Tokenise),
    };
    if errors.0.len() == before { mask } else { None }
}

fn partial(spec: &MaskingSpec, field: &Field, at: &str, errors: &mut Violations) -> Option<Mask> {
    let why = match &field.kind {
        FieldType::Json | FieldType::Bytes { .. } | FieldType::Array { .. } => {
            format!("{} values have no end that could stay", field.kind.name())
        }
        FieldType::Boolean => "the length of true and false tells which it is".to_owned(),
        _ => {
            let visible = spec.visible_chars.and_then(|count| usize::try_from(count).ok());
            return Some(Mask::Partial { visible: visible.unwrap_or(VISIBLE_DEFAULT) });
        }
    };
    errors.push(format!("{at}.strategy"), "masking", format!("{why}; use redact, hash or tokenise"));
    None
}

fn range(spec: &MaskingSpec, field: &Field, at: &str, errors: &mut Violations) -> Option<Mask> {
    let scale = match &field.kind {
        FieldType::Integer { .. } => 0,
        FieldType::Number { scale, .. } => i64::from(*scale),
        kind => {
            let why = format!(
                "{} values lie in no range; only integer and number do. Use redact, hash or tokenise",
                kind.name()
            );
            errors.push(format!("{at}.strategy"), "masking", why);
            return None;
        }
    };
    let path = format!("{at}.rangeSize");
    let Some(given) = &spec.range_size else {
        errors.push(path, "required", "says how wide the ranges are, as in 1000");
        return None;
    };
    let size = match decimal::parse(&given.to_string()) {
        Ok(size) if size > 0 => size,
        Ok(_) => {
            errors.push(path, "min", "must be more than 0");
            return None;
        }
        Err(error) => {
            errors.push(path, "type", error.to_string());
            return None;
        }
    };
    if scale == 0 && !size.is_integer() {
        errors.push(path, "type", "must be a whole number, as the field's values are");
    } else if size <= BigDecimal::new(1.into(), scale) {
        errors.push(
            path,
            "min",
            "would mask nothing: every range has room for one value only; make it wider",
        );
    }
    Some(Mask::Range { size: size.normalized() })
}
