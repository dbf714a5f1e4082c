//! Fields that every record has, declared or not.

use crate::field::{Field, FieldType};
use crate::name::FieldName;
use crate::spec::{FieldSpec, Sensitivity, TypeSpec};
use crate::violation::Violations;

/// The fields that every record has, in their place after the declared ones; `id` comes first.
pub(super) const TAIL: [(&str, TypeSpec); 5] = [
    ("version", TypeSpec::Integer),
    ("created_at", TypeSpec::Timestamp),
    ("created_by", TypeSpec::String),
    ("updated_at", TypeSpec::Timestamp),
    ("updated_by", TypeSpec::String),
];

/// The system field of exactly that name.
pub(super) fn slot(name: &str) -> Option<&'static str> {
    std::iter::once("id").chain(TAIL.iter().map(|(slot, _)| *slot)).find(|slot| *slot == name)
}

fn bare(name: &str, kind: FieldType) -> Option<Field> {
    Some(Field {
        name: name.parse::<FieldName>().ok()?,
        kind,
        description: None,
        required: true,
        unique: false,
        default: None,
        filterable: false,
        sortable: false,
        immutable: false,
        auto_populated: false,
        sensitivity: Sensitivity::None,
        renamed_from: None,
        deprecated: false,
        reference: None,
        system: true,
    })
}

#[expect(clippy::expect_used, reason = "`id` is a field name")]
pub(super) fn default_id() -> Field {
    let mut id = bare("id", FieldType::Uuid).expect("id is a field name");
    id.system = false;
    id.auto_populated = true;
    id.filterable = true;
    id.sortable = true;
    id
}

pub(super) fn default(name: &str, kind: TypeSpec) -> Option<Field> {
    let kind = match kind {
        TypeSpec::Integer => FieldType::Integer { min: None, max: None },
        TypeSpec::Timestamp => FieldType::Timestamp,
        _ => FieldType::plain_string(),
    };
    bare(name, kind)
}

/// A system field that the schema declares: to describe it or to make it filterable, never to change it.
pub(super) fn declared(
    slot: &'static str,
    spec: &FieldSpec,
    mut field: Field,
    at: &str,
    errors: &mut Violations,
) -> Option<Field> {
    field.required = true;
    if slot == "id" {
        if !matches!(field.kind, FieldType::String { .. } | FieldType::Integer { .. } | FieldType::Uuid) {
            errors.push(format!("{at}.type"), "type", "`id` is a string, an integer or a uuid");
        }
        if spec.default.is_some() {
            errors.push(
                format!("{at}.default"),
                "default",
                "`id` takes no default: two records would have the same id",
            );
        }
        if spec.reference.is_some() {
            errors.push(
                format!("{at}.ref"),
                "ref",
                "`id` is no reference; declare a field of its own for it",
            );
        }
        field.filterable = true;
        field.sortable = true;
        field.unique = false; // the primary key says so already
        field.auto_populated = matches!(field.kind, FieldType::Uuid);
        return Some(field);
    }
    let plain = FieldSpec {
        description: None,
        filterable: false,
        sortable: false,
        required: false,
        deprecated: false,
        ..spec.clone()
    };
    let own = TAIL.iter().find(|(name, _)| *name == slot)?;
    let allowed = FieldSpec { name: slot.to_owned(), field_type: own.1, ..blank(slot, own.1) };
    if plain != allowed {
        errors.push(at, "system", format!("`{slot}` is a system field: it may be declared to describe it or to make it filterable or sortable, with its type unchanged"));
    }
    field.system = true;
    Some(field)
}

fn blank(name: &str, field_type: TypeSpec) -> FieldSpec {
    FieldSpec {
        name: name.to_owned(),
        field_type,
        description: None,
        required: false,
        unique: false,
        default: None,
        filterable: false,
        sortable: false,
        searchable: false,
        immutable: false,
        auto_populated: false,
        sensitivity: Sensitivity::None,
        renamed_from: None,
        deprecated: false,
        reference: None,
        min_length: None,
        max_length: None,
        pattern: None,
        min: None,
        max: None,
        precision: None,
        scale: None,
        values: Vec::new(),
        max_size: None,
        items: None,
        min_items: None,
        max_items: None,
        unique_items: false,
        schema: None,
    }
}
