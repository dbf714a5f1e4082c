//! A request's object: decoded, checked against the path, without unknown fields, with defaults.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::field_error::{Fault, FieldError};
use crate::http::decode::{self, Decoded};
use crate::http::options::FieldValidation;
use crate::http::{Call, protobuf};
use crate::kind::Behaviour;
use crate::schema::{self, Schema, Type};
use crate::status::ApiError;

/// What Go reads the type of any object into.
const GO_TYPE_META: &str = "Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind \
                            string \"json:\\\"kind,omitempty\\\"\" }";

/// As much of a body as messages show, in bytes.
const SHOWN: usize = 30;

#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) value: Value,
    pub(super) warnings: Vec<String>,
}

/// Why a JSON value is no object of the kind.
#[derive(Debug)]
pub(super) struct Undecodable(String);

impl Undecodable {
    /// As the error of the request with this body.
    fn in_body(self, call: &Call) -> ApiError {
        unhandled(call, &call.endpoint.kind.kind, &self.0)
    }

    /// As the error of the patch that made `patched`.
    pub(super) fn in_patch(self, patched: &Value) -> ApiError {
        ApiError::invalid("", "", "", &[FieldError::invalid("patch", json!(patched.to_string()), self.0)])
    }
}

fn unhandled(call: &Call, found: &str, why: &str) -> ApiError {
    let (kind, version) = (&call.endpoint.kind.kind, &call.endpoint.version().name);
    ApiError::bad_request(format!("{found} in version \"{version}\" cannot be handled as a {kind}: {why}"))
}

/// Reads the body of a POST or PUT.
pub(super) fn read(call: &Call) -> Result<Incoming, ApiError> {
    let media = decode::content_type(&call.parts.headers);
    let decoded = match media {
        "" | "application/json" | "application/yaml" => {
            decode::decode(&call.body, media == "application/yaml").map_err(|error| {
                unrecognized(
                    call,
                    &format!("couldn't get version/kind; json parse error: {}", error.message()),
                )
            })?
        }
        protobuf::MEDIA_TYPE if call.endpoint.kind.behaviour != Behaviour::Custom => {
            Decoded { value: protobuf::decode(&call.body)?, duplicates: Vec::new() }
        }
        _ => {
            return Err(ApiError::unsupported_media_type(
                "application/json, application/yaml, application/vnd.kubernetes.protobuf",
            ));
        }
    };
    let mut decoded = decoded;
    if call.endpoint.kind.behaviour != Behaviour::Custom {
        fill_type(call, &mut decoded.value);
    }
    check_body_type(call, &decoded.value)?;
    clean(call, decoded).map_err(|error| error.in_body(call))
}

fn unrecognized(call: &Call, why: &str) -> ApiError {
    let body = &call.body;
    let shown = &body[..body.len().min(SHOWN)];
    let mut summary = match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
    };
    if body.len() > SHOWN {
        summary.push_str(" ...");
    }
    let kind = &call.endpoint.kind.kind;
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({summary})"
    ))
}

/// A built-in object that says of no type what it is, is what the path says.
fn fill_type(call: &Call, value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    let wanted = [("kind", call.endpoint.kind.kind.clone()), ("apiVersion", call.endpoint.api_version())];
    for (field, expected) in wanted {
        if object.get(field).is_none_or(|found| found == "") {
            object.insert(field.to_owned(), json!(expected));
        }
    }
}

/// Refuses a body of another kind or version than the path's.
fn check_body_type(call: &Call, value: &Value) -> Result<(), ApiError> {
    let (kind, expected) = (&call.endpoint.kind, call.endpoint.api_version());
    let found_type = go_word(value);
    if !value.is_object() {
        let why = format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {found_type} into {GO_TYPE_META}"
        );
        return Err(unrecognized(call, &why));
    }
    let found = value["kind"].as_str().unwrap_or_default();
    if found.is_empty() {
        let body = String::from_utf8_lossy(&call.body);
        return Err(unrecognized(call, &format!("Object 'Kind' is missing in '{body}'")));
    }
    let version = value["apiVersion"].as_str().unwrap_or_default();
    if version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        )));
    }
    if found != kind.kind && kind.behaviour != Behaviour::Custom {
        let version = &call.endpoint.version().name;
        let group = kind.group.split('.').next().filter(|group| *group == "coordination").unwrap_or("core");
        let why = format!("converting ({version}.{found}) to ({group}.{}): unknown conversion", kind.kind);
        return Err(unhandled(call, found, &why));
    }
    check_custom_type(call, value)
}

/// Custom resources say of a wrong type that the object is invalid.
fn check_custom_type(call: &Call, value: &Value) -> Result<(), ApiError> {
    let (kind, expected) = (&call.endpoint.kind, call.endpoint.api_version());
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    let mut errors = Vec::new();
    if text("kind") != kind.kind {
        errors.push(FieldError::invalid("kind", json!(text("kind")), format!("must be {}", kind.kind)));
    }
    if text("apiVersion") != expected {
        errors.push(FieldError::invalid(
            "apiVersion",
            json!(text("apiVersion")),
            format!("must be {expected}"),
        ));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    Err(ApiError::invalid(group, text("kind"), name, &errors))
}

/// Refuses what a patch made of the type.
pub(super) fn check_patched_type(call: &Call, value: &Value) -> Result<(), ApiError> {
    if call.endpoint.kind.behaviour == Behaviour::Custom {
        return check_custom_type(call, value);
    }
    let fits = value["kind"] == call.endpoint.kind.kind && value["apiVersion"] == call.endpoint.api_version();
    if fits {
        Ok(())
    } else {
        Err(ApiError::bad_request("a patch cannot change the kind or the API version"))
    }
}

/// Refuses a configuration to apply that is of another type.
pub(super) fn check_applied_type(call: &Call, value: &Value) -> Result<(), ApiError> {
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    if text("kind") == call.endpoint.kind.kind && text("apiVersion") == call.endpoint.api_version() {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("invalid object type: {}, Kind={}", text("apiVersion"), text("kind"))))
}

/// Drops unknown fields (or refuses them, as the request says) and sets defaults.
pub(super) fn clean(call: &Call, decoded: Decoded) -> Result<Incoming, Undecodable> {
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
        return Err(Undecodable(format!("strict decoding error: {}", odd.join(", "))));
    }
    drop_empty(call.endpoint.kind.behaviour, &mut value);
    schema::fill_defaults(schema, &mut value);
    call.endpoint.kind.behaviour.fill_defaults(&mut value);
    let warnings = if call.options.field_validation == FieldValidation::Warn { odd } else { Vec::new() };
    Ok(Incoming { value, warnings })
}

/// Maps and lists that Go leaves out when they are empty.
fn drop_empty(behaviour: Behaviour, value: &mut Value) {
    let is_empty = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if let Some(metadata) = value["metadata"].as_object_mut() {
        let fields = ["labels", "annotations", "finalizers", "ownerReferences"];
        metadata.retain(|name, value| !fields.contains(&name.as_str()) || !is_empty(value));
    }
    if matches!(behaviour, Behaviour::Secret | Behaviour::ConfigMap)
        && let Some(object) = value.as_object_mut()
    {
        let fields = ["data", "binaryData", "stringData"];
        object.retain(|name, value| !fields.contains(&name.as_str()) || !is_empty(value));
    }
}

/// The layout of Go's `MicroTime`.
const MICRO_TIME: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Times that have microseconds, always: what is wrong with the first that has not.
fn check_micro_times(behaviour: Behaviour, value: &Value) -> Result<(), Undecodable> {
    let times = match behaviour {
        Behaviour::Lease => ["/spec/acquireTime", "/spec/renewTime"],
        Behaviour::Event => ["/eventTime", "/series/lastObservedTime"],
        _ => return Ok(()),
    };
    for text in times.iter().filter_map(|place| value.pointer(place)?.as_str()) {
        // Seconds end at the nineteenth character; six digits and a zone follow.
        let rest = text.get(19..).unwrap_or_default();
        let (fraction, zone) = rest.split_at_checked(7).unwrap_or((rest, ""));
        let is_fraction = fraction.len() == 7
            && fraction.starts_with('.')
            && fraction[1..].bytes().all(|byte| byte.is_ascii_digit());
        let wrong = if !is_fraction {
            Some((rest, ".000000"))
        } else if zone.starts_with(|first: char| first.is_ascii_digit()) {
            Some((zone, "Z07:00"))
        } else {
            None
        };
        if let Some((found, layout)) = wrong {
            return Err(Undecodable(format!(
                "parsing time {} as \"{MICRO_TIME}\": cannot parse {} as \"{layout}\"",
                json!(text),
                json!(found)
            )));
        }
    }
    Ok(())
}

fn go_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_type(schema: &Schema) -> &'static str {
    match (schema.kind, schema.values.format.as_deref()) {
        (Some(Type::String), Some("byte")) => "[]uint8",
        (Some(Type::String), Some("date-time")) => "time.Time",
        (Some(Type::String), _) => "string",
        (Some(Type::Integer), Some("int32")) => "int32",
        (Some(Type::Integer), _) => "int64",
        (Some(Type::Boolean), _) => "bool",
        (Some(Type::Array), _) => "[]string",
        _ => "map[string]string",
    }
}

/// What Go could not decode into its types: wrong types in metadata, and anywhere in a built-in kind.
fn check_go_types(call: &Call, value: &Value) -> Result<(), Undecodable> {
    let schema = call.endpoint.schema();
    let is_custom = call.endpoint.kind.behaviour == Behaviour::Custom;
    let errors = if is_custom {
        let Some(metadata) = schema.properties.get("metadata") else { return Ok(()) };
        schema::validate(metadata, &value["metadata"], None, "metadata")
    } else {
        schema::validate(schema, value, None, "")
    };
    // Null is the zero value of every Go type.
    let wrong = errors.iter().find(|error| {
        error.fault == Fault::TypeInvalid && error.value.as_ref().is_some_and(|found| found != "null")
    });
    let Some(error) = wrong else { return check_micro_times(call.endpoint.kind.behaviour, value) };
    let (mut node, mut found, mut field) = (Some(schema), value, Vec::new());
    for segment in error.path.split('.') {
        let (name, index) = segment
            .split_once('[')
            .map_or((segment, None), |(name, rest)| (name, rest.trim_end_matches(']').parse::<usize>().ok()));
        if node.is_some_and(|schema| schema.properties.contains_key(name)) {
            field.push(name);
        }
        node = node.and_then(|schema| schema.member(name));
        found = &found[name];
        if let Some(index) = index {
            node = node.and_then(|schema| schema.items.as_deref());
            found = &found[index];
        }
    }
    if found.is_string() && node.is_some_and(|schema| schema.values.format.as_deref() == Some("byte")) {
        let text = found.as_str().unwrap_or_default();
        let bad =
            text.find(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c))).unwrap_or(text.len());
        return Err(Undecodable(format!("illegal base64 data at input byte {bad}")));
    }
    if let (Some(text), Some("date-time")) =
        (found.as_str(), node.and_then(|schema| schema.values.format.as_deref()))
    {
        let shown = json!(text);
        return Err(Undecodable(format!(
            "parsing time {shown} as \"{MICRO_TIME}\": cannot parse {shown} as \"2006\""
        )));
    }
    let place = match (field.first(), is_custom) {
        (Some(&"metadata"), true) => format!("ObjectMeta.{}", field[1..].join(".")),
        (Some(&"metadata"), false) => format!("ObjectMeta.{}", field.join(".")),
        _ => format!("{}.{}", call.endpoint.kind.kind, field.join(".")),
    };
    let wanted = node.map_or("string", go_type);
    Err(Undecodable(format!(
        "json: cannot unmarshal {} into Go struct field {place} of type {wanted}",
        go_word(found)
    )))
}
