//! What is special about each kind when its objects are created and changed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::field_error::FieldError;
use crate::kind::Behaviour;
use crate::object_meta::NameRule;

impl Behaviour {
    pub(crate) fn name_rule(self) -> NameRule {
        if self == Self::Namespace { NameRule::Label } else { NameRule::Subdomain }
    }

    /// Whether a PUT may leave the resource version out.
    pub(crate) fn updates_unconditionally(self) -> bool {
        !matches!(self, Self::Custom | Self::Lease)
    }

    /// Whether a PUT to a name that is not there creates the object.
    pub(crate) fn creates_on_update(self) -> bool {
        matches!(self, Self::Event | Self::Lease)
    }

    /// What an object of the kind has before anything is set: Go's structs are there when they are empty.
    pub(crate) fn empty(self) -> Value {
        match self {
            Self::Namespace => json!({ "spec": {}, "status": {} }),
            Self::Lease => json!({ "spec": {} }),
            Self::Event => {
                json!({ "involvedObject": {}, "source": {}, "regarding": {}, "deprecatedSource": {} })
            }
            _ => json!({}),
        }
    }

    pub(crate) fn counts_generations(self) -> bool {
        self == Self::Custom
    }

    /// What decoding an object of the kind fills in; it belongs to who sent the object.
    pub(crate) fn fill_defaults(self, object: &mut Value) {
        match self {
            Self::Secret => complete_secret(object),
            Self::Lease if object["spec"].is_null() => object["spec"] = json!({}),
            Self::Namespace => {
                let name = object["metadata"]["name"].clone();
                if name.is_string() {
                    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
                }
            }
            _ => {}
        }
    }

    /// What the server adds to a new or changed object.
    pub(crate) fn complete(self, object: &mut Value) {
        match self {
            Self::Namespace => complete_namespace(object),
            // Fields of coordinated elections, which nobody holds here.
            Self::Lease => {
                if let Some(spec) = object["spec"].as_object_mut() {
                    spec.retain(|name, _| !["strategy", "preferredHolder"].contains(&name.as_str()));
                }
            }
            _ => {}
        }
    }

    /// Violations of the kind's own rules; `old` is the object before the change.
    pub(crate) fn check(self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        match self {
            Self::Secret => check_secret(object, old),
            Self::ConfigMap => check_config_map(object, old),
            Self::Lease => check_lease(object),
            Self::Event => check_event(object, old),
            _ => Vec::new(),
        }
    }
}

fn complete_secret(object: &mut Value) {
    let Some(secret) = object.as_object_mut() else { return };
    if let Some(Value::Object(texts)) = secret.remove("stringData") {
        let data = secret.entry("data").or_insert_with(|| Value::Object(Map::new()));
        for (key, text) in texts {
            data[key] = json!(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
    if secret.get("type").and_then(Value::as_str).unwrap_or_default().is_empty() {
        secret.insert("type".to_owned(), json!("Opaque"));
    }
}

fn complete_namespace(object: &mut Value) {
    if object["spec"]["finalizers"].is_null() && object["metadata"]["deletionTimestamp"].is_null() {
        object["spec"]["finalizers"] = json!(["kubernetes"]);
    }
    if object["status"]["phase"].is_null() {
        object["status"]["phase"] = json!("Active");
    }
}

fn check_keys(object: &Value, field: &str, errors: &mut Vec<FieldError>) {
    for key in object[field].as_object().into_iter().flat_map(Map::keys) {
        let fits = !key.is_empty()
            && key.len() <= 253
            && key.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        let dots = match key.as_str() {
            "." | ".." => Some(format!("must not be '{key}'")),
            key if key.starts_with("..") => Some("must not start with '..'".to_owned()),
            _ => None,
        };
        if let Some(words) = dots {
            errors.push(FieldError::invalid(format!("{field}[{key}]"), json!(key), words));
        } else if !fits {
            errors.push(FieldError::invalid(
                format!("{field}[{key}]"),
                json!(key),
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
                 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            ));
        }
    }
}

fn check_immutable(object: &Value, old: Option<&Value>, fields: &[&str], errors: &mut Vec<FieldError>) {
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return };
    if object["immutable"] != true {
        errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    for field in fields.iter().filter(|field| object[**field] != old[**field]) {
        errors.push(FieldError::forbidden(*field, "field is immutable when `immutable` is set"));
    }
}

/// The most bytes in a Secret.
const SECRET_BYTES: usize = 1024 * 1024;

fn check_secret(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_keys(object, "data", &mut errors);
    // Base64 has four letters for three bytes, the last ones filled up.
    let bytes = |text: &str| {
        (text.len() / 4 * 3).saturating_sub(text.bytes().rev().take_while(|b| *b == b'=').count())
    };
    let entries = object["data"].as_object().into_iter().flat_map(Map::values);
    if entries.filter_map(Value::as_str).map(bytes).sum::<usize>() > SECRET_BYTES {
        errors.push(FieldError::too_long("data", SECRET_BYTES as u64));
    }
    if old.is_some_and(|old| old["type"] != object["type"]) {
        errors.push(FieldError::invalid("type", object["type"].clone(), "field is immutable"));
    }
    check_immutable(object, old, &["data"], &mut errors);
    errors
}

fn check_config_map(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_keys(object, "data", &mut errors);
    for key in object["data"].as_object().into_iter().flat_map(Map::keys) {
        if !object["binaryData"][key].is_null() {
            let detail = "duplicate of key present in binaryData";
            errors.push(FieldError::invalid(format!("data[{key}]"), json!(key), detail));
        }
    }
    check_keys(object, "binaryData", &mut errors);
    check_immutable(object, old, &["data", "binaryData"], &mut errors);
    errors
}

fn check_lease(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &object["spec"];
    for (field, least, words) in [
        ("leaseDurationSeconds", 1, "must be greater than 0"),
        ("leaseTransitions", 0, "must be greater than or equal to 0"),
    ] {
        if spec[field].as_i64().is_some_and(|number| number < least) {
            errors.push(FieldError::invalid(format!("spec.{field}"), spec[field].clone(), words));
        }
    }
    errors
}

/// The longest reporter, action and reason of an Event, in bytes.
const EVENT_WORD: usize = 128;
const EVENT_NOTE: usize = 1024;

/// Events with an `eventTime` follow the rules of events.k8s.io, the others those of the core group.
fn check_event(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let is_core = object["involvedObject"].is_object();
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let about = if is_core { &object["involvedObject"] } else { &object["regarding"] };
    let of_object = about["namespace"].as_str().unwrap_or_default();
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut errors = Vec::new();
    if text("eventTime").is_empty() {
        if of_object != namespace && !(of_object.is_empty() && namespace == "default") {
            let detail = "does not match event.namespace";
            errors.push(FieldError::invalid("involvedObject.namespace", json!(of_object), detail));
        }
        if !is_core {
            errors.push(FieldError::required("eventTime", ""));
        }
        check_event_change(object, old.filter(|_| !is_core), &mut errors);
        return errors;
    }
    if of_object.is_empty() && !["default", "kube-system"].contains(&namespace) {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid("involvedObject.namespace", json!(of_object), detail));
    }
    let reporter = if is_core { "reportingComponent" } else { "reportingController" };
    for field in [reporter, "reportingInstance", "action", "reason"] {
        if text(field).is_empty() {
            errors.push(FieldError::required(field, ""));
        } else if text(field).len() > EVENT_WORD {
            let detail = format!("can have at most {EVENT_WORD} characters");
            errors.push(FieldError::invalid(field, json!(""), detail));
        }
    }
    let note = if is_core { "message" } else { "note" };
    if text(note).len() > EVENT_NOTE {
        errors.push(FieldError::invalid(
            "message",
            json!(""),
            format!("can have at most {EVENT_NOTE} characters"),
        ));
    }
    if !is_core && !["Normal", "Warning"].contains(&text("type")) {
        errors.push(FieldError::invalid("type", json!(""), format!("has invalid value: {}", text("type"))));
    }
    check_event_change(object, old.filter(|_| !is_core), &mut errors);
    errors
}

/// What cannot change of an Event of events.k8s.io, and what errors call it.
const EVENT_IS_FIXED: [(&str, &str); 13] = [
    ("regarding", "involvedObject"),
    ("reason", "reason"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingController", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

fn check_event_change(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    for (field, shown) in EVENT_IS_FIXED {
        if object[field] != old[field] {
            errors.push(FieldError::invalid(shown, object[field].clone(), "field is immutable"));
        }
    }
}
