//! JSON to [`Schema`].

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::{Additional, Bound, ListType, Pattern, Schema, Type, Values, rules};

/// Why a schema cannot be used; `path` is where in the schema.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("{path}: expected {expected}")]
    Shape { path: String, expected: &'static str },
    #[error("{path}: {key} is not supported in a structural schema")]
    Unsupported { path: String, key: String },
    #[error("{path}: the pattern does not compile")]
    Pattern { path: String, source: Box<regex::Error> },
    #[error("{path}: {problem}")]
    Rule { path: String, problem: String },
}

fn shape(path: &str, expected: &'static str) -> SchemaError {
    SchemaError::Shape { path: path.to_owned(), expected }
}

impl Schema {
    pub(crate) fn parse(json: &Value, path: &str) -> Result<Self, SchemaError> {
        let object = json.as_object().ok_or_else(|| shape(path, "a schema object"))?;
        let mut schema = Self::default();
        for (key, value) in object {
            let here = || format!("{path}.{key}");
            match key.as_str() {
                "type" => schema.kind = Some(parse_type(value, &here())?),
                "nullable" => schema.nullable = boolean(value, &here())?,
                "x-kubernetes-int-or-string" => schema.int_or_string = boolean(value, &here())?,
                "x-kubernetes-preserve-unknown-fields" => schema.preserve_unknown = boolean(value, &here())?,
                "x-kubernetes-embedded-resource" => schema.embedded_resource = boolean(value, &here())?,
                "properties" => schema.properties = parse_properties(value, &here())?,
                "additionalProperties" => schema.additional = parse_additional(value, &here())?,
                "items" => schema.items = Some(Box::new(Self::parse(value, &here())?)),
                "default" => schema.default = Some(value.clone()),
                "x-kubernetes-list-type" => schema.list_type = parse_list_type(value, &here())?,
                "x-kubernetes-list-map-keys" => schema.list_map_keys = strings(value, &here())?,
                "x-kubernetes-map-type" => schema.atomic_map = string(value, &here())? == "atomic",
                "x-kubernetes-patch-merge-key" => schema.merge_key = Some(string(value, &here())?),
                "x-kubernetes-patch-strategy" => {
                    schema.merge_list = string(value, &here())?.contains("merge");
                }
                "x-kubernetes-validations" => {
                    schema.rules =
                        rules::parse(value).map_err(|problem| SchemaError::Rule { path: here(), problem })?;
                }
                _ => schema.values.set(key, value, &here())?,
            }
        }
        schema.values.set_exclusive(object);
        Ok(schema)
    }
}

impl Values {
    fn set(&mut self, key: &str, value: &Value, path: &str) -> Result<(), SchemaError> {
        let bound = || number(value, path).map(|value| Some(Bound { value, exclusive: false }));
        match key {
            "format" => self.format = Some(string(value, path)?).filter(|format| !format.is_empty()),
            "required" => self.required = strings(value, path)?,
            "enum" => self.allowed = value.as_array().cloned().ok_or_else(|| shape(path, "a list"))?,
            "pattern" => self.pattern = parse_pattern(value, path)?,
            "minimum" => self.minimum = bound()?,
            "maximum" => self.maximum = bound()?,
            "multipleOf" => self.multiple_of = Some(number(value, path)?),
            "minLength" => self.min_length = Some(count(value, path)?),
            "maxLength" => self.max_length = Some(count(value, path)?),
            "minItems" => self.min_items = Some(count(value, path)?),
            "maxItems" => self.max_items = Some(count(value, path)?),
            "uniqueItems" => self.unique_items = boolean(value, path)?,
            "minProperties" => self.min_properties = Some(count(value, path)?),
            "maxProperties" => self.max_properties = Some(count(value, path)?),
            "allOf" => self.all_of = schemas(value, path)?,
            "anyOf" => self.any_of = schemas(value, path)?,
            "oneOf" => self.one_of = schemas(value, path)?,
            "not" => self.not = Some(Box::new(Schema::parse(value, path)?)),
            "description"
            | "title"
            | "example"
            | "externalDocs"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
            | "x-kubernetes-group-version-kind" => {}
            other => {
                return Err(SchemaError::Unsupported { path: path.to_owned(), key: other.to_owned() });
            }
        }
        Ok(())
    }

    fn set_exclusive(&mut self, object: &Map<String, Value>) {
        let exclusive = |key| object.get(key).and_then(Value::as_bool).unwrap_or(false);
        if let Some(bound) = &mut self.minimum {
            bound.exclusive = exclusive("exclusiveMinimum");
        }
        if let Some(bound) = &mut self.maximum {
            bound.exclusive = exclusive("exclusiveMaximum");
        }
    }
}

fn parse_type(value: &Value, path: &str) -> Result<Type, SchemaError> {
    Ok(match string(value, path)?.as_str() {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ => return Err(shape(path, "object, array, string, integer, number or boolean")),
    })
}

fn parse_list_type(value: &Value, path: &str) -> Result<ListType, SchemaError> {
    Ok(match string(value, path)?.as_str() {
        "atomic" => ListType::Atomic,
        "set" => ListType::Set,
        "map" => ListType::Map,
        _ => return Err(shape(path, "atomic, set or map")),
    })
}

fn parse_properties(value: &Value, path: &str) -> Result<BTreeMap<String, Schema>, SchemaError> {
    let object = value.as_object().ok_or_else(|| shape(path, "an object of schemas"))?;
    object
        .iter()
        .map(|(name, schema)| Ok((name.clone(), Schema::parse(schema, &format!("{path}[{name}]"))?)))
        .collect()
}

fn parse_additional(value: &Value, path: &str) -> Result<Option<Additional>, SchemaError> {
    match value {
        Value::Bool(false) => Ok(None),
        Value::Bool(true) => Ok(Some(Additional::Allowed)),
        schema => Ok(Some(Additional::Schema(Box::new(Schema::parse(schema, path)?)))),
    }
}

fn parse_pattern(value: &Value, path: &str) -> Result<Option<Pattern>, SchemaError> {
    let source = string(value, path)?;
    if source.is_empty() {
        return Ok(None);
    }
    let regex = Regex::new(&source)
        .map_err(|source| SchemaError::Pattern { path: path.to_owned(), source: Box::new(source) })?;
    Ok(Some(Pattern { source, regex }))
}

fn schemas(value: &Value, path: &str) -> Result<Vec<Schema>, SchemaError> {
    let list = value.as_array().ok_or_else(|| shape(path, "a list of schemas"))?;
    list.iter().enumerate().map(|(at, schema)| Schema::parse(schema, &format!("{path}[{at}]"))).collect()
}

fn boolean(value: &Value, path: &str) -> Result<bool, SchemaError> {
    value.as_bool().ok_or_else(|| shape(path, "true or false"))
}

fn string(value: &Value, path: &str) -> Result<String, SchemaError> {
    value.as_str().map(str::to_owned).ok_or_else(|| shape(path, "a string"))
}

fn number(value: &Value, path: &str) -> Result<f64, SchemaError> {
    value.as_f64().ok_or_else(|| shape(path, "a number"))
}

fn count(value: &Value, path: &str) -> Result<u64, SchemaError> {
    value.as_u64().ok_or_else(|| shape(path, "a count"))
}

fn strings(value: &Value, path: &str) -> Result<Vec<String>, SchemaError> {
    let list = value.as_array().ok_or_else(|| shape(path, "a list of strings"))?;
    list.iter().map(|one| string(one, path)).collect()
}
