//! A request's object: decoded, checked against the path, without unknown fields, with defaults.

use serde_json::{Value, json};

use crate::field_error::{Fault, FieldError};
use crate::http::decode::{self, Decoded};
use crate::http::options::FieldValidation;
use crate::http::{Call, protobuf};
use crate::kind::Behaviour;
use crate::schema;
use crate::status::ApiError;

pub(super) struct Incoming {
    pub(super) value: Value,
    pub(super) warnings: Vec<String>,
}

/// Reads the body of a POST or PUT.
pub(super) fn read(call: &Call) -> Result<Incoming, ApiError> {
    let decoded = match decode::content_type(&call.parts.headers) {
        "" | "application/json" => decode::decode(&call.body, false)?,
        "application/yaml" => decode::decode(&call.body, true)?,
        protobuf::MEDIA_TYPE if call.endpoint.kind.behaviour != Behaviour::Custom => {
            Decoded { value: protobuf::decode(&call.body)?, duplicates: Vec::new() }
        }
        _ => return Err(ApiError::unsupported_media_type("application/json, application/yaml")),
    };
    check_type(call, &decoded.value)?;
    clean(call, decoded)
}

/// Refuses an object of another kind or version than the path's.
pub(super) fn check_type(call: &Call, value: &Value) -> Result<(), ApiError> {
    let (kind, expected) = (&call.endpoint.kind, call.endpoint.api_version());
    if !value.is_object() {
        return Err(ApiError::bad_request("the body of the request is not an object"));
    }
    let found = value["kind"].as_str().unwrap_or_default();
    if found.is_empty() {
        return Err(ApiError::bad_request(format!("Object 'Kind' is missing in '{value}'")));
    }
    let version = value["apiVersion"].as_str().unwrap_or_default();
    if version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        )));
    }
    if found == kind.kind {
        return Ok(());
    }
    if kind.behaviour == Behaviour::Custom {
        let error = FieldError::invalid("kind", json!(found), format!("must be {}", kind.kind));
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        return Err(ApiError::invalid(&kind.group, &kind.kind, name, &[error]));
    }
    Err(unhandled(call, &format!("the object is a {found}")))
}

fn unhandled(call: &Call, why: &str) -> ApiError {
    let kind = &call.endpoint.kind.kind;
    let version = &call.endpoint.version().name;
    ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
}

/// Drops unknown fields (or refuses them, as the request says) and sets defaults.
pub(super) fn clean(call: &Call, decoded: Decoded) -> Result<Incoming, ApiError> {
    let Decoded { mut value, duplicates } = decoded;
    if value["metadata"].is_null() {
        value["metadata"] = json!({});
    }
    check_go_types(call, &value)?;
    let schema = call.endpoint.schema();
    let mut odd = duplicates;
    let unknown = schema::prune(schema, &mut value);
    odd.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
    if call.options.field_validation == FieldValidation::Strict && !odd.is_empty() {
        return Err(unhandled(call, &format!("strict decoding error: {}", odd.join(", "))));
    }
    schema::fill_defaults(schema, &mut value);
    let warnings = if call.options.field_validation == FieldValidation::Warn { odd } else { Vec::new() };
    Ok(Incoming { value, warnings })
}

/// What Go could not decode into its types: wrong types in metadata, and anywhere in a built-in kind.
fn check_go_types(call: &Call, value: &Value) -> Result<(), ApiError> {
    let schema = call.endpoint.schema();
    let errors = if call.endpoint.kind.behaviour == Behaviour::Custom {
        let Some(metadata) = schema.properties.get("metadata") else { return Ok(()) };
        schema::validate(metadata, &value["metadata"], None, "metadata")
    } else {
        schema::validate(schema, value, None, "")
    };
    // Null is the zero value of every Go type.
    let wrong = errors.iter().find(|error| {
        error.fault == Fault::TypeInvalid && error.value.as_ref().is_some_and(|found| found != "null")
    });
    match wrong {
        None => Ok(()),
        Some(error) => {
            let found = error.value.as_ref().and_then(Value::as_str).unwrap_or_default();
            let detail = format!("json: cannot unmarshal {found} into Go struct field {}", error.path);
            Err(unhandled(call, &detail))
        }
    }
}
