//! From the fields of a spec to the fields of a schema, system fields included.

use std::collections::HashMap;

use bigdecimal::BigDecimal;
use regex::RegexBuilder;
use serde_json::value::RawValue;

use crate::decimal;
use crate::field::{DEFAULT_PRECISION, DEFAULT_SCALE, Field, FieldType, Pattern, Reference};
use crate::name::{FieldName, SchemaPath};
use crate::spec::{FieldSpec, OnDelete, RefSpec, Sensitivity, TypeSpec};
use crate::value::Value;
use crate::violation::{Violations, did_you_mean};

/// The fields that every record has, in their place after the declared ones; `id` comes first.
const SYSTEM_TAIL: [(&str, TypeSpec); 5] = [
    ("version", TypeSpec::Integer),
    ("created_at", TypeSpec::Timestamp),
    ("created_by", TypeSpec::String),
    ("updated_at", TypeSpec::Timestamp),
    ("updated_by", TypeSpec::String),
];
/// Columns of ours that are no fields; compared without case.
const RESERVED: [&str; 1] = ["deleted_at"];
/// Largest compiled regular expression, in bytes: what keeps a pattern from eating memory.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// Compiles a pattern of the linear-time dialect.
pub(super) fn compile_pattern(text: &str) -> Result<Pattern, String> {
    RegexBuilder::new(text).size_limit(PATTERN_SIZE_MAX).build().map(Pattern).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "is too large once compiled; use smaller repetitions".to_owned(),
        other => format!(
            "is not a regular expression of the linear-time dialect: {}",
            last_line(&other.to_string())
        ),
    })
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

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
        match system_slot(spec.name.as_str()) {
            Some(slot) => {
                if let Some(field) = system_field(slot, spec, field, &at, errors) {
                    system.insert(slot, field);
                }
            }
            None => declared.push(field),
        }
    }
    let mut fields = vec![system.remove("id").unwrap_or_else(default_id)];
    fields.append(&mut declared);
    for (name, kind) in SYSTEM_TAIL {
        fields.extend(system.remove(name).or_else(|| default_system(name, kind)));
    }
    fields
}

fn system_slot(name: &str) -> Option<&'static str> {
    std::iter::once("id").chain(SYSTEM_TAIL.iter().map(|(slot, _)| *slot)).find(|slot| *slot == name)
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
fn default_id() -> Field {
    let mut id = bare("id", FieldType::Uuid).expect("id is a field name");
    id.system = false;
    id.auto_populated = true;
    id.filterable = true;
    id.sortable = true;
    id
}

fn default_system(name: &str, kind: TypeSpec) -> Option<Field> {
    let kind = match kind {
        TypeSpec::Integer => FieldType::Integer { min: None, max: None },
        TypeSpec::Timestamp => FieldType::Timestamp,
        _ => FieldType::plain_string(),
    };
    bare(name, kind)
}

/// A system field that the schema declares: to describe it or to make it filterable, never to change it.
fn system_field(
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
    let own = SYSTEM_TAIL.iter().find(|(name, _)| *name == slot)?;
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

fn parse_field(spec: &FieldSpec, home: &SchemaPath, at: &str, errors: &mut Violations) -> Option<Field> {
    let before = errors.0.len();
    let name = match spec.name.parse::<FieldName>() {
        Ok(name) => Some(name),
        Err(error) => {
            errors.push(format!("{at}.name"), "name", error.to_string());
            None
        }
    };
    if RESERVED.contains(&spec.name.to_ascii_lowercase().as_str()) {
        errors.push(
            format!("{at}.name"),
            "reserved",
            format!("`{}` is a column of the platform; choose another name", spec.name),
        );
    }
    if system_slot(&spec.name).is_none() && system_slot(&spec.name.to_ascii_lowercase()).is_some() {
        errors.push(
            format!("{at}.name"),
            "reserved",
            format!("`{}` differs from a system field by case only; choose another name", spec.name),
        );
    }
    stray_constraints(spec, at, errors);
    let kind = field_type(spec, spec.field_type, at, errors);
    let renamed_from = spec.renamed_from.as_ref().and_then(|old| match old.parse::<FieldName>() {
        Ok(old) if old.as_str() == spec.name => {
            errors.push(format!("{at}.renamedFrom"), "renamedFrom", "is the field's own name");
            None
        }
        Ok(old) => Some(old),
        Err(error) => {
            errors.push(format!("{at}.renamedFrom"), "name", error.to_string());
            None
        }
    });
    let kind = kind?;
    if spec.auto_populated && !matches!(kind, FieldType::Uuid) {
        errors.push(
            format!("{at}.autoPopulated"),
            "autoPopulated",
            "only uuid fields are filled in by the platform",
        );
    }
    if spec.sortable && matches!(kind, FieldType::Json | FieldType::Bytes { .. } | FieldType::Array { .. }) {
        errors.push(
            format!("{at}.sortable"),
            "sortable",
            format!("{} values have no order that a list could use", kind.name()),
        );
    }
    if spec.filterable && matches!(kind, FieldType::Bytes { .. }) {
        errors.push(format!("{at}.filterable"), "filterable", "bytes fields take no conditions");
    }
    if spec.unique && matches!(kind, FieldType::Json | FieldType::Bytes { .. } | FieldType::Array { .. }) {
        errors.push(format!("{at}.unique"), "unique", format!("{} values cannot be unique", kind.name()));
    }
    let default = spec.default.as_ref().and_then(|json| default_value(&kind, json, at, errors));
    let reference =
        spec.reference.as_ref().and_then(|r| reference(r, home, spec, &format!("{at}.ref"), errors));
    (errors.0.len() == before).then_some(Field {
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

/// Constraints that belong to another type are contradictions, not decoration.
fn stray_constraints(spec: &FieldSpec, at: &str, errors: &mut Violations) {
    use TypeSpec as T;
    let given: [(&str, bool, &[T]); 14] = [
        ("minLength", spec.min_length.is_some(), &[T::String]),
        ("maxLength", spec.max_length.is_some(), &[T::String]),
        ("pattern", spec.pattern.is_some(), &[T::String]),
        ("min", spec.min.is_some(), &[T::Integer, T::Number]),
        ("max", spec.max.is_some(), &[T::Integer, T::Number]),
        ("precision", spec.precision.is_some(), &[T::Number]),
        ("scale", spec.scale.is_some(), &[T::Number]),
        ("enum", !spec.values.is_empty(), &[T::Enum]),
        ("maxSize", spec.max_size.is_some(), &[T::Bytes]),
        ("items", spec.items.is_some(), &[T::Array]),
        ("minItems", spec.min_items.is_some(), &[T::Array]),
        ("maxItems", spec.max_items.is_some(), &[T::Array]),
        ("uniqueItems", spec.unique_items, &[T::Array]),
        ("schema", spec.schema.is_some(), &[T::Json]),
    ];
    for (key, present, types) in given {
        let array_of_numbers = spec.field_type == T::Array
            && spec.items == Some(T::Number)
            && matches!(key, "precision" | "scale");
        if present && !types.contains(&spec.field_type) && !array_of_numbers {
            let word = serde_json::to_value(spec.field_type).unwrap_or_default();
            let word = word.as_str().unwrap_or_default();
            errors.push(
                format!("{at}.{key}"),
                "constraint",
                format!("does not belong to a field of type {word}"),
            );
        }
    }
}

fn field_type(spec: &FieldSpec, kind: TypeSpec, at: &str, errors: &mut Violations) -> Option<FieldType> {
    let ordered = |errors: &mut Violations, low: Option<u32>, high: Option<u32>, names: (&str, &str)| {
        if let (Some(low), Some(high)) = (low, high)
            && low > high
        {
            errors.push(format!("{at}.{}", names.0), "range", format!("is larger than {}", names.1));
        }
    };
    Some(match kind {
        TypeSpec::String => {
            ordered(errors, spec.min_length, spec.max_length, ("minLength", "maxLength"));
            let pattern = match spec.pattern.as_deref().map(compile_pattern).transpose() {
                Ok(pattern) => pattern,
                Err(why) => {
                    errors.push(format!("{at}.pattern"), "pattern", why);
                    None
                }
            };
            FieldType::String { min_length: spec.min_length, max_length: spec.max_length, pattern }
        }
        TypeSpec::Integer => {
            let bound = |key: &str, number: &Option<serde_json::Number>, errors: &mut Violations| match number
            {
                None => None,
                Some(number) => number.as_i64().or_else(|| {
                    errors.push(format!("{at}.{key}"), "type", "must be a whole number of 64 bits");
                    None
                }),
            };
            let (min, max) = (bound("min", &spec.min, errors), bound("max", &spec.max, errors));
            if min.zip(max).is_some_and(|(min, max)| min > max) {
                errors.push(format!("{at}.min"), "range", "is larger than max");
            }
            FieldType::Integer { min, max }
        }
        TypeSpec::Number => number_type(spec, at, errors),
        TypeSpec::Boolean => FieldType::Boolean,
        TypeSpec::Timestamp => FieldType::Timestamp,
        TypeSpec::Date => FieldType::Date,
        TypeSpec::Time => FieldType::Time,
        TypeSpec::Json => FieldType::Json,
        TypeSpec::Uuid => FieldType::Uuid,
        TypeSpec::Bytes => FieldType::Bytes { max_size: spec.max_size },
        TypeSpec::Enum => enum_type(spec, at, errors),
        TypeSpec::Array => {
            ordered(errors, spec.min_items, spec.max_items, ("minItems", "maxItems"));
            let items = match spec.items {
                None => {
                    errors.push(format!("{at}.items"), "required", "an array names the type of its elements");
                    return None;
                }
                Some(TypeSpec::Array | TypeSpec::Json | TypeSpec::Enum | TypeSpec::Bytes) => {
                    errors.push(format!("{at}.items"), "type", "elements are of a scalar type: string, integer, number, boolean, timestamp, date, time or uuid; use a json field for others");
                    return None;
                }
                Some(TypeSpec::Number) => number_type(spec, at, errors),
                Some(TypeSpec::String) => FieldType::plain_string(),
                Some(TypeSpec::Integer) => FieldType::Integer { min: None, max: None },
                Some(scalar) => field_type(spec, scalar, at, errors)?,
            };
            FieldType::Array {
                items: Box::new(items),
                min_items: spec.min_items,
                max_items: spec.max_items,
                unique_items: spec.unique_items,
            }
        }
    })
}

fn number_type(spec: &FieldSpec, at: &str, errors: &mut Violations) -> FieldType {
    let precision = spec.precision.unwrap_or(DEFAULT_PRECISION.max(spec.scale.unwrap_or(0)));
    let scale = spec.scale.unwrap_or(DEFAULT_SCALE.min(precision));
    if !(1..=1000).contains(&precision) {
        errors.push(format!("{at}.precision"), "range", "is from 1 to 1000 digits");
    }
    if scale > precision {
        errors.push(format!("{at}.scale"), "range", "is larger than precision");
    }
    let bound =
        |key: &str, number: &Option<serde_json::Number>, errors: &mut Violations| -> Option<BigDecimal> {
            let value = number.as_ref().and_then(|n| decimal::parse(&n.to_string()).ok())?;
            if !decimal::fits(&value, precision, scale.min(precision)) {
                errors.push(
                    format!("{at}.{key}"),
                    "range",
                    format!("does not fit a number of {precision} digits, {scale} of them after the point"),
                );
            }
            Some(value)
        };
    let (min, max) = (bound("min", &spec.min, errors), bound("max", &spec.max, errors));
    if min.as_ref().zip(max.as_ref()).is_some_and(|(min, max)| min > max) {
        errors.push(format!("{at}.min"), "range", "is larger than max");
    }
    FieldType::Number { precision, scale: scale.min(precision), min, max }
}

fn enum_type(spec: &FieldSpec, at: &str, errors: &mut Violations) -> FieldType {
    if spec.values.is_empty() {
        errors.push(format!("{at}.enum"), "required", "an enum lists its values");
    }
    for (index, value) in spec.values.iter().enumerate() {
        let path = format!("{at}.enum[{index}]");
        if spec.values[..index].contains(value) {
            errors.push(&path, "unique", format!("`{value}` is there already"));
        }
        if value.is_empty() || value.chars().count() > 200 || value.contains('\0') {
            errors.push(&path, "length", "is a text of 1 to 200 characters");
        }
    }
    FieldType::Enum { values: spec.values.clone() }
}

fn default_value(
    kind: &FieldType,
    json: &serde_json::Value,
    at: &str,
    errors: &mut Violations,
) -> Option<Value> {
    let raw = RawValue::from_string(json.to_string()).ok()?;
    match kind.read_json(&raw) {
        Ok(Value::Null) => None,
        Ok(value) => Some(value),
        Err(misfit) => {
            errors.push(format!("{at}.default"), misfit.rule, misfit.message);
            None
        }
    }
}

fn reference(
    spec: &RefSpec,
    home: &SchemaPath,
    field: &FieldSpec,
    at: &str,
    errors: &mut Violations,
) -> Option<Reference> {
    let before = errors.0.len();
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

/// The error for a field that another part of the spec names and that is not there.
pub(super) fn unknown_field(name: &str, fields: &[Field]) -> String {
    let near = did_you_mean(name, fields.iter().map(|field| field.name.as_str()));
    format!("there is no field `{name}`{near}")
}
