//! The JSON Schema (2020-12) of a record.

use bigdecimal::BigDecimal;
use serde_json::{Map, Value as Json, json};
use velocity_schema::field::{Field, FieldType, Reference};
use velocity_schema::schema::Sight;
use velocity_schema::{Schema, decimal};

use super::Rights;

/// The dialect of every schema that we write; also the one of OpenAPI 3.1.
pub(crate) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Which side of a request a record stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As it is read: every field that the caller sees is there, null where it has no value.
    Record,
    /// As it is created or replaced: without what the platform owns and what the caller may not set.
    New,
    /// As a merge patch: whatever is to change, and `version`.
    Patch,
}

/// The whole document for `…/schema.json`.
pub(crate) fn document(schema: &Schema, rights: &Rights) -> Json {
    let mut document = record(schema, rights, Shape::Record);
    let members = [
        ("$schema", json!(DIALECT)),
        ("$id", json!(format!("{}/schema.json", schema.path().endpoint()))),
        ("title", json!(title(schema))),
        ("x-velocity-path", json!(schema.path().to_string())),
        ("x-velocity-spec-hash", json!(schema.hash().as_str())),
    ];
    if let Json::Object(object) = &mut document {
        object.extend(members.map(|(name, value)| (name.to_owned(), value)));
        if let Some(description) = schema.description() {
            object.insert("description".to_owned(), json!(description));
        }
    }
    document
}

pub(crate) fn title(schema: &Schema) -> &str {
    schema.display_name().unwrap_or(schema.path().object.as_str())
}

/// The schema of a record's object.
pub(crate) fn record(schema: &Schema, rights: &Rights, shape: Shape) -> Json {
    let is_in = |(position, field): &(usize, &Field)| match shape {
        Shape::Record => rights.sight(*position) != Sight::Hidden,
        Shape::New => !field.system && rights.sets(*position),
        Shape::Patch => {
            let is_changed = !(field.system || field.immutable || is_id(schema, field));
            field.name.as_str() == "version" || (is_changed && rights.changes(*position))
        }
    };
    let is_required = |field: &Field| match shape {
        Shape::Record => true,
        Shape::New => field.required && field.default.is_none() && !field.auto_populated,
        Shape::Patch => false,
    };
    let fields: Vec<(usize, &Field)> = schema.fields().iter().enumerate().filter(is_in).collect();
    let described = |(position, field): &(usize, &Field)| match shape {
        Shape::Record => shown(schema, rights, *position, field),
        Shape::New | Shape::Patch => Json::Object(property(schema, field, shape)),
    };
    let properties: Map<String, Json> =
        fields.iter().map(|entry| (entry.1.name.to_string(), described(entry))).collect();
    let required: Vec<&str> =
        fields.iter().filter(|(_, field)| is_required(field)).map(|(_, field)| field.name.as_str()).collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn is_id(schema: &Schema, field: &Field) -> bool {
    field.name == schema.id().name
}

/// A field of a record as the caller reads it.
fn shown(schema: &Schema, rights: &Rights, position: usize, field: &Field) -> Json {
    let mut property = property(schema, field, Shape::Record);
    if rights.sight(position) == Sight::Masked {
        property = masked(property);
    }
    if !(field.system || rights.sets(position) || rights.changes(position)) {
        property.insert("readOnly".to_owned(), Json::Bool(true));
    }
    Json::Object(property)
}

/// A masked field is a text or null, whatever its values are; nothing is found or put in order by it. Its own type stays,
/// for those who set it.
fn masked(property: Map<String, Json>) -> Map<String, Json> {
    const STAY: [&str; 7] = [
        "deprecated",
        "readOnly",
        "x-velocity-deprecated",
        "x-velocity-type",
        "x-velocity-required",
        "x-velocity-auto-populated",
        "x-velocity-immutable",
    ];
    const NOTE: &str = "Masked for you: what is left of the value, as text.";
    let description = match property.get("description") {
        Some(Json::String(own)) => format!("{own} ({NOTE})"),
        _ => NOTE.to_owned(),
    };
    let mut masked: Map<String, Json> =
        property.into_iter().filter(|(name, _)| STAY.contains(&name.as_str())).collect();
    let members = [
        ("type", json!(["string", "null"])),
        ("description", json!(description)),
        ("x-velocity-masked", Json::Bool(true)),
        ("x-velocity-filterable", Json::Bool(false)),
        ("x-velocity-sortable", Json::Bool(false)),
    ];
    masked.extend(members.map(|(name, value)| (name.to_owned(), value)));
    masked
}

fn property(schema: &Schema, field: &Field, shape: Shape) -> Map<String, Json> {
    let mut property = kind(&field.kind);
    let never_null = field.required || field.system || is_id(schema, field);
    if !never_null {
        allow_null(&mut property);
    }
    let mut set = |name: &str, value: Json| property.insert(name.to_owned(), value);
    if let Some(description) = &field.description {
        set("description", json!(description));
    }
    if field.deprecated {
        set("deprecated", json!(true));
        set("x-velocity-deprecated", json!(true));
    }
    if field.system && shape == Shape::Record {
        set("readOnly", json!(true));
    }
    if let (Some(default), Shape::Record | Shape::New) = (&field.default, shape) {
        let mut text = String::new();
        default.write_json(&mut text);
        set("default", serde_json::from_str(&text).unwrap_or(Json::Null));
    }
    if shape == Shape::Record {
        set("x-velocity-type", json!(field.kind.name()));
        set("x-velocity-required", json!(field.required));
        set("x-velocity-auto-populated", json!(field.auto_populated));
        set("x-velocity-filterable", json!(field.filterable));
        set("x-velocity-sortable", json!(field.sortable));
        set("x-velocity-unique", json!(field.unique || is_id(schema, field)));
        set("x-velocity-immutable", json!(field.immutable || is_id(schema, field)));
        set("x-velocity-sensitivity", json!(field.sensitivity));
        if let Some(reference) = &field.reference {
            set("x-velocity-ref", json_of(reference));
        }
    }
    property
}

fn json_of(reference: &Reference) -> Json {
    let target = &reference.target;
    json!({
        "org": target.org, "app": target.app, "domain": target.domain, "object": target.object,
        "version": target.version, "field": reference.field, "endpoint": target.endpoint(),
        "onDelete": reference.on_delete, "enforce": reference.enforce,
    })
}

/// Null is allowed where it stands for "no value".
fn allow_null(property: &mut Map<String, Json>) {
    if let Some(Json::String(only)) = property.get("type") {
        let both = json!([only, "null"]);
        property.insert("type".to_owned(), both);
    }
    if let Some(Json::Array(values)) = property.get_mut("enum") {
        values.push(Json::Null);
    }
}

/// A keyword and its value, where there is one.
type Keyword = (&'static str, Option<Json>);

fn kind(kind: &FieldType) -> Map<String, Json> {
    let keywords = keywords(kind).into_iter();
    keywords.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn keywords(kind: &FieldType) -> Vec<Keyword> {
    let text = |keyword: Keyword| vec![("type", Some(json!("string"))), keyword];
    match kind {
        FieldType::String { min_length, max_length, pattern } => vec![
            ("type", Some(json!("string"))),
            ("minLength", min_length.map(Json::from)),
            ("maxLength", max_length.map(Json::from)),
            ("pattern", pattern.as_ref().map(|pattern| json!(pattern.0.as_str()))),
        ],
        FieldType::Integer { min, max } => vec![
            ("type", Some(json!("integer"))),
            ("minimum", Some(json!(min.unwrap_or(i64::MIN)))),
            ("maximum", Some(json!(max.unwrap_or(i64::MAX)))),
        ],
        FieldType::Number { precision, scale, min, max } => vec![
            ("type", Some(json!("number"))),
            ("minimum", min.as_ref().and_then(number)),
            ("maximum", max.as_ref().and_then(number)),
            ("x-velocity-precision", Some(json!(precision))),
            ("x-velocity-scale", Some(json!(scale))),
        ],
        FieldType::Boolean => vec![("type", Some(json!("boolean")))],
        FieldType::Timestamp => text(("format", Some(json!("date-time")))),
        FieldType::Date => text(("format", Some(json!("date")))),
        FieldType::Time => text(("pattern", Some(json!(TIME_PATTERN)))),
        FieldType::Json => Vec::new(),
        FieldType::Enum { values } => text(("enum", Some(json!(values)))),
        FieldType::Uuid => text(("format", Some(json!("uuid")))),
        FieldType::Bytes { max_size } => vec![
            ("type", Some(json!("string"))),
            ("contentEncoding", Some(json!("base64"))),
            ("x-velocity-max-size", max_size.map(Json::from)),
        ],
        FieldType::Array { items, min_items, max_items, unique_items } => vec![
            ("type", Some(json!("array"))),
            ("items", Some(Json::Object(self::kind(items)))),
            ("minItems", min_items.map(Json::from)),
            ("maxItems", max_items.map(Json::from)),
            ("uniqueItems", unique_items.then_some(Json::Bool(true))),
        ],
    }
}

/// RFC 3339 times have an offset, ours have none: the format `time` would refuse them.
const TIME_PATTERN: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?$";

fn number(number: &BigDecimal) -> Option<Json> {
    serde_json::from_str(&decimal::to_text(number)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use velocity_schema::schema::Operation;

    use crate::describe::openapi::tests::{order, restricted};

    fn all() -> Rights {
        Rights::all(&Operation::ALL)
    }

    #[test]
    fn a_record_is_described_as_its_caller_sees_and_sets_it() {
        let (schema, rights) = restricted();
        let document = document(&schema, &rights);
        let properties = &document["properties"];
        assert!(properties.get("margin").is_none() && !document.to_string().contains("margin"), "{document}");
        assert_eq!(properties["amount"]["type"], json!(["string", "null"]));
        assert_eq!(properties["amount"]["x-velocity-filterable"], json!(false));
        assert!(
            properties["amount"].get("minimum").is_none() && properties["amount"].get("default").is_none()
        );
        assert_eq!(
            (&properties["supplier"]["readOnly"], properties["status"].get("readOnly")),
            (&json!(true), None)
        );
        let new = record(&schema, &rights, Shape::New);
        let names: Vec<&String> = new["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["amount", "at", "id", "status", "tags"]);
        assert_eq!(new["properties"]["amount"]["type"], "number");
        let patch = record(&schema, &rights, Shape::Patch);
        assert!(patch["properties"].get("supplier").is_none() && patch["properties"].get("margin").is_none());
        let validator = jsonschema::validator_for(&document).unwrap();
        let seen = json!({
            "id": "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f", "amount": "0..100", "status": null, "tags": ["a"], "at": null,
            "supplier": "S-1", "version": 1, "created_at": "2026-01-01T00:00:00Z", "created_by": "ravi",
            "updated_at": "2026-01-01T00:00:00.000001Z", "updated_by": "ravi",
        });
        assert!(validator.is_valid(&seen), "{:?}", validator.iter_errors(&seen).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_is_described_with_every_field_and_its_keys() {
        insta::assert_json_snapshot!(document(&order(), &all()));
    }

    #[test]
    fn what_the_platform_owns_is_not_asked_of_a_new_record() {
        let new = record(&order(), &all(), Shape::New);
        assert!(new["properties"].get("version").is_none() && new["properties"].get("id").is_some());
        assert_eq!(new["required"], json!(["amount"]));
    }

    #[test]
    fn a_patch_asks_for_nothing_and_takes_the_version() {
        let patch = record(&order(), &all(), Shape::Patch);
        assert!(patch.get("required").is_none());
        assert!(patch["properties"].get("version").is_some() && patch["properties"].get("id").is_none());
    }

    #[test]
    fn records_that_the_api_shows_fit_their_schema() {
        let validator = jsonschema::validator_for(&document(&order(), &all())).unwrap();
        let record = json!({
            "id": "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f", "amount": 10.50, "status": null, "tags": ["a"], "at": null,
            "supplier": "S-1", "version": 1, "created_at": "2026-01-01T00:00:00Z", "created_by": "ravi",
            "updated_at": "2026-01-01T00:00:00.000001Z", "updated_by": "ravi",
        });
        assert!(validator.is_valid(&record), "{:?}", validator.iter_errors(&record).collect::<Vec<_>>());
        let mut wrong = record.clone();
        wrong["status"] = json!("unknown");
        assert!(!validator.is_valid(&wrong));
        let mut extra = record;
        extra["surplus"] = json!(1);
        assert!(!validator.is_valid(&extra));
    }
}
