//! Pointers to records of other schemas.

use super::unknown_field;
use crate::field::{Field, FieldType, Reference};
use crate::name::{FieldName, SchemaPath};
use crate::spec::{FieldSpec, OnDelete, RefSpec, TypeSpec};
use crate::violation::Violations;

/// The reference of a field.
pub(super) fn parse(
    spec: &RefSpec,
    home: &SchemaPath,
    field: &FieldSpec,
    at: &str,
    errors: &mut Violations,
) -> Option<Reference> {
    let before = errors.0.len();
    if matches!(field.field_type, TypeSpec::Json | TypeSpec::Array | TypeSpec::Bytes | TypeSpec::Boolean) {
        errors.push(at, "ref", "a reference is one value that names a record: a string, integer, number, enum, uuid, date, time or timestamp");
    }
    let mut part = |key: &str, given: &Option<String>, own: &crate::Name| match given {
        None => Some(own.clone()),
        Some(text) => text
            .parse()
            .map_err(|e: crate::name::InvalidName| errors.push(format!("{at}.{key}"), "name", e.to_string()))
            .ok(),
    };
    let org = part("org", &spec.org, &home.org);
    let app = part("app", &spec.app, &home.app);
    let domain = part("domain", &spec.domain, &home.domain);
    let object = part("object", &Some(spec.object.clone()), &home.object);
    let version = spec
        .version
        .parse()
        .map_err(|e: crate::name::InvalidName| errors.push(format!("{at}.version"), "version", e.to_string()))
        .ok();
    let target_field = spec
        .field
        .parse::<FieldName>()
        .map_err(|e| errors.push(format!("{at}.field"), "name", e.to_string()))
        .ok();
    let target = SchemaPath { org: org?, app: app?, domain: domain?, object: object?, version: version? };
    if spec.enforce {
        match spec.on_delete {
            OnDelete::Restrict => {}
            OnDelete::SetNull if field.required => {
                errors.push(
                    format!("{at}.onDelete"),
                    "onDelete",
                    "a required field cannot lose its value; use restrict",
                );
            }
            OnDelete::Cascade | OnDelete::SetNull => {
                errors.push(
                    format!("{at}.onDelete"),
                    "notSupported",
                    "cascade and setNull are not supported yet; use restrict",
                );
            }
        }
        if !target.same_domain(home) {
            errors.push(
                at,
                "notSupported",
                "a foreign key into another domain is not supported yet; set enforce: false",
            );
        }
    } else if spec.on_delete != OnDelete::Restrict {
        errors.push(format!("{at}.onDelete"), "onDelete", "has no effect where enforce is false");
    }
    (errors.0.len() == before).then_some(Reference {
        target,
        field: target_field?,
        on_delete: spec.on_delete,
        enforce: spec.enforce,
    })
}

/// Checks references of a schema to itself, whose target is known here; those to others are checked against the catalog.
pub(in crate::schema) fn check_own(
    specs: &[FieldSpec],
    fields: &[Field],
    home: &SchemaPath,
    errors: &mut Violations,
) {
    for (index, spec) in specs.iter().enumerate() {
        let Some(field) = fields.iter().find(|field| field.name.as_str() == spec.name) else { continue };
        let Some(reference) = field.reference.as_ref().filter(|r| r.enforce && r.target == *home) else {
            continue;
        };
        let at = format!("spec.fields[{index}].ref.field");
        match fields.iter().find(|target| target.name == reference.field) {
            None => errors.push(at, "unknownField", unknown_field(reference.field.as_str(), fields)),
            Some(target) if !target.unique && target.name.as_str() != "id" => {
                errors.push(
                    at,
                    "ref",
                    format!("`{}` is not unique; point to `id`, or declare it `unique: true`", target.name),
                );
            }
            Some(target) if !same_column(&field.kind, &target.kind) => {
                errors.push(
                    at,
                    "ref",
                    format!(
                        "`{}` is of type {}; give both fields the same type",
                        target.name,
                        target.kind.name()
                    ),
                );
            }
            Some(_) => {}
        }
    }
}

/// Whether both are kept in columns of one type.
fn same_column(one: &FieldType, other: &FieldType) -> bool {
    use FieldType as T;
    match (one, other) {
        (T::Number { precision, scale, .. }, T::Number { precision: p, scale: s, .. }) => {
            (precision, scale) == (p, s)
        }
        (T::String { .. } | T::Enum { .. }, T::String { .. } | T::Enum { .. }) => true,
        _ => one.name() == other.name(),
    }
}
