//! What the language means, by example. The bounds have tests of their own.

mod conditions;
mod errors;
mod filters;
mod limits;
mod meaning;
mod oracle;

use crate::decimal;
use crate::field::{Field, FieldType};
use crate::name::FieldName;
use crate::spec::Sensitivity;
use crate::time;
use crate::value::Value;

/// A field without constraints.
pub(super) fn field(name: &str, kind: FieldType) -> Field {
    Field {
        name: name.parse::<FieldName>().unwrap(),
        kind,
        description: None,
        required: false,
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
        system: false,
    }
}

fn array(items: FieldType, max_items: Option<u32>) -> FieldType {
    FieldType::Array { items: Box::new(items), min_items: None, max_items, unique_items: false }
}

fn text(max_length: Option<u32>) -> FieldType {
    FieldType::String { min_length: None, max_length, pattern: None }
}

/// One field of every type, and some more.
pub(super) fn fields() -> Vec<Field> {
    let integer = || FieldType::Integer { min: None, max: None };
    let number = || FieldType::Number { precision: 18, scale: 2, min: None, max: None };
    let status = FieldType::Enum { values: ["draft", "approved", "shipped"].map(str::to_owned).to_vec() };
    vec![
        field("id", FieldType::Uuid),
        field("amount", number()),
        field("quantity", integer()),
        field("status", status),
        field("approved_by", text(Some(100))),
        field("region", text(Some(20))),
        field("active", FieldType::Boolean),
        field("due", FieldType::Timestamp),
        field("day", FieldType::Date),
        field("opens", FieldType::Time),
        field("address", FieldType::Json),
        field("owner", FieldType::Uuid),
        field("digest", FieldType::Bytes { max_size: Some(64) }),
        field("tags", array(text(Some(20)), Some(20))),
        field("sizes", array(integer(), Some(20))),
        field("notes", array(text(None), None)),
        field("body", text(None)),
    ]
}

/// A record of these fields: the named ones, null for the others.
pub(super) fn record(values: &[(&str, Value)]) -> Vec<Value> {
    let named = |field: &Field| values.iter().find(|(name, _)| *name == field.name.as_str());
    fields().iter().map(|field| named(field).map_or(Value::Null, |(_, value)| value.clone())).collect()
}

pub(super) fn s(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub(super) fn n(text: &str) -> Value {
    Value::Number(decimal::parse(text).unwrap())
}

/// A record with a value in every field.
fn full() -> Vec<Value> {
    record(&[
        ("id", Value::Uuid("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f".parse().unwrap())),
        ("amount", n("10.50")),
        ("quantity", Value::Integer(7)),
        ("status", s("approved")),
        ("approved_by", s("ada")),
        ("region", s("EU")),
        ("active", Value::Boolean(true)),
        ("due", Value::Timestamp(time::parse_timestamp("2024-02-29T13:14:15.678Z").unwrap())),
        ("day", Value::Date(time::parse_date("2024-02-29").unwrap())),
        ("opens", Value::Time(time::parse_time("08:30:00").unwrap())),
        (
            "address",
            Value::Json(r#"{"city":"Köln","floor":3,"old":null,"lines":["a","b"],"tall":true}"#.into()),
        ),
        ("owner", Value::Uuid("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f".parse().unwrap())),
        ("digest", Value::Bytes(vec![1, 2, 255])),
        ("tags", Value::Array(vec![s("red"), s("großartig")])),
        ("sizes", Value::Array(vec![Value::Integer(1), Value::Integer(2), Value::Integer(3)])),
        ("notes", Value::Array(Vec::new())),
        ("body", s("the quick brown fox")),
    ])
}
