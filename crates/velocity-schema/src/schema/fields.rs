//! From the fields of a spec to the fields of a schema, system fields included.

mod kind;
mod reference;
mod system;

use std::collections::HashMap;

pub(super) use kind::{compile_pattern, digits};
pub(super) use reference::check_own as check_own_references;

use crate::field::{Field, FieldType};
use crate::name::{FieldName, SchemaPath};
use crate::spec::FieldSpec;
use crate::violation::{Violations, did_you_mean};

/// Names that columns of ours or Postgres' own system columns have ("System Columns" in its documentation); compared
/// without case.
const RESERVED: [&str; 7] = ["deleted_at", "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// All fields of the schema, in the order of a record's JSON.
pub(super) fn parse(specs: &[FieldSpec], home: &SchemaPath, errors: &mut Violations) -> Vec<Field> {
    let mut declared = Vec::new();
    let mut system: HashMap<&str, Field> = HashMap::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("spec.fields[{index}]");
        if let Some(first) = seen.insert(spec.name.to_ascii_lowercase(), index) {
            errors.push(
                format!("{at}.name"),
                "unique",
                format!(
                    "`{}` is declared already, as spec.fields[{first}] (case does not tell names apart)",
                    spec.name
                ),
            );
            continue;
        }
        let Some(field) = parse_field(spec, home, &at, errors) else { continue };
        match system::slot(&spec.name) {
            Some(slot) => {
                if let Some(field) = system::declared(slot, spec, field, &at, errors) {
                    system.insert(slot, field);
                }
            }
            None => declared.push(field),
        }
    }
    check_renames(specs, errors);
    let mut fields = vec![system.remove("id").unwrap_or_else(system::default_id)];
    fields.append(&mut declared);
    for (name, kind) in system::TAIL {
        fields.extend(system.remove(name).or_else(|| system::default(name, kind)));
    }
    fields
}

/// The field, also where parts of it are wrong: then the rest of the spec can still be checked against it.
fn parse_field(spec: &FieldSpec, home: &SchemaPath, at: &str, errors: &mut Violations) -> Option<Field> {
    let name = parse_name(spec, at, errors);
    kind::stray_constraints(spec, at, errors);
    let kind = kind::parse(spec, spec.field_type, at, errors);
    let renamed_from = parse_renamed_from(spec, at, errors);
    let reference =
        spec.reference.as_ref().and_then(|r| reference::parse(r, home, spec, &format!("{at}.ref"), errors));
    let kind = kind?;
    check_use(spec, &kind, at, errors);
    let default = spec.default.as_ref().and_then(|json| kind::default_value(&kind, json, at, errors));
    Some(Field {
        name: name?,
        kind,
        description: spec.description.clone(),
        required: spec.required,
        unique: spec.unique,
        default,
        filterable: spec.filterable,
        sortable: spec.sortable,
        immutable: spec.immutable,
        auto_populated: spec.auto_populated,
        sensitivity: spec.sensitivity,
        renamed_from,
        deprecated: spec.deprecated,
        reference,
        system: false,
    })
}

fn parse_name(spec: &FieldSpec, at: &str, errors: &mut Violations) -> Option<FieldName> {
    let lower = spec.name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) {
        let why = format!("`{}` is a column of the platform; choose another name", spec.name);
        errors.push(format!("{at}.name"), "reserved", why);
    }
    if system::slot(&spec.name).is_none() && system::slot(&lower).is_some() {
        let why = format!("`{}` differs from a system field by case only; choose another name", spec.name);
        errors.push(format!("{at}.name"), "reserved", why);
    }
    spec.name
        .parse::<FieldName>()
        .map_err(|error| errors.push(format!("{at}.name"), "name", error.to_string()))
        .ok()
}

fn parse_renamed_from(spec: &FieldSpec, at: &str, errors: &mut Violations) -> Option<FieldName> {
    let old = spec.renamed_from.as_ref()?;
    match old.parse::<FieldName>() {
        Ok(old) if old.as_str() == spec.name => {
            errors.push(format!("{at}.renamedFrom"), "renamedFrom", "is the field's own name");
            None
        }
        Ok(old) => Some(old),
        Err(error) => {
            errors.push(format!("{at}.renamedFrom"), "name", error.to_string());
            None
        }
    }
}

/// An old name that is still in use, by its field or by another rename, says nothing about what is meant.
fn check_renames(specs: &[FieldSpec], errors: &mut Violations) {
    for (index, spec) in specs.iter().enumerate() {
        let Some(old) = spec.renamed_from.as_ref().filter(|old| **old != spec.name) else { continue };
        let at = format!("spec.fields[{index}].renamedFrom");
        if specs.iter().any(|other| other.name == *old) || system::slot(old).is_some() {
            errors.push(
                at,
                "renamedFrom",
                format!("`{old}` is still a field; a rename leaves no field of the old name"),
            );
        } else if let Some(first) =
            specs[..index].iter().position(|other| other.renamed_from.as_ref() == Some(old))
        {
            errors.push(at, "renamedFrom", format!("`{old}` became spec.fields[{first}] already"));
        }
    }
}

/// What cannot be done with values of a type.
fn check_use(spec: &FieldSpec, kind: &FieldType, at: &str, errors: &mut Violations) {
    let compound = matches!(kind, FieldType::Json | FieldType::Bytes { .. } | FieldType::Array { .. });
    let mut refuse = |present: bool, key: &'static str, why: String| {
        if present {
            errors.push(format!("{at}.{key}"), key, why);
        }
    };
    refuse(
        spec.auto_populated && !matches!(kind, FieldType::Uuid),
        "autoPopulated",
        "only uuid fields are filled in by the platform".to_owned(),
    );
    refuse(
        spec.auto_populated && spec.default.is_some(),
        "default",
        "has no effect on a field that the platform fills in; leave one of both out".to_owned(),
    );
    refuse(
        spec.sortable && compound,
        "sortable",
        format!("{} values have no order that a list could use", kind.name()),
    );
    refuse(
        spec.filterable && matches!(kind, FieldType::Bytes { .. }),
        "filterable",
        "bytes fields take no conditions".to_owned(),
    );
    refuse(spec.unique && compound, "unique", format!("{} values cannot be unique", kind.name()));
}

/// The error for a field that another part of the spec names and that is not there.
pub(super) fn unknown_field(name: &str, fields: &[Field]) -> String {
    let near = did_you_mean(name, fields.iter().map(|field| field.name.as_str()));
    format!("there is no field `{name}`{near}")
}
