//! Kubernetes' protobuf bodies: kubectl's `create secret`, `create configmap` and `create namespace` send nothing else.
//!
//! Only reading, and only the built-in kinds; answers are JSON, which every client accepts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::status::ApiError;

pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";
/// Nesting of messages; the kinds below need five.
const MAX_DEPTH: usize = 16;

/// How a field's bytes become JSON.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Bool,
    Time,
    MicroTime,
    Message(&'static [Field]),
    TextMap,
    BytesMap,
    /// FieldsV1: raw JSON in a message.
    RawJson,
}

#[derive(Clone, Copy)]
struct Field {
    number: u64,
    name: &'static str,
    kind: Kind,
    repeated: bool,
}

const fn one(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: false }
}

const fn many(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: true }
}

const OWNER: &[Field] = &[
    one(1, "kind", Kind::Text),
    one(3, "name", Kind::Text),
    one(4, "uid", Kind::Text),
    one(5, "apiVersion", Kind::Text),
    one(6, "controller", Kind::Bool),
    one(7, "blockOwnerDeletion", Kind::Bool),
];
const MANAGED: &[Field] = &[
    one(1, "manager", Kind::Text),
    one(2, "operation", Kind::Text),
    one(3, "apiVersion", Kind::Text),
    one(4, "time", Kind::Time),
    one(6, "fieldsType", Kind::Text),
    one(7, "fieldsV1", Kind::RawJson),
    one(8, "subresource", Kind::Text),
];
const META: &[Field] = &[
    one(1, "name", Kind::Text),
    one(2, "generateName", Kind::Text),
    one(3, "namespace", Kind::Text),
    one(4, "selfLink", Kind::Text),
    one(5, "uid", Kind::Text),
    one(6, "resourceVersion", Kind::Text),
    one(7, "generation", Kind::Integer),
    one(8, "creationTimestamp", Kind::Time),
    one(9, "deletionTimestamp", Kind::Time),
    one(10, "deletionGracePeriodSeconds", Kind::Integer),
    one(11, "labels", Kind::TextMap),
    one(12, "annotations", Kind::TextMap),
    many(13, "ownerReferences", Kind::Message(OWNER)),
    many(14, "finalizers", Kind::Text),
    many(17, "managedFields", Kind::Message(MANAGED)),
];
const NAMESPACE: &[Field] = &[
    one(1, "metadata", Kind::Message(META)),
    one(2, "spec", Kind::Message(&[many(1, "finalizers", Kind::Text)])),
    one(3, "status", Kind::Message(&[one(1, "phase", Kind::Text)])),
];
const SECRET: &[Field] = &[
    one(1, "metadata", Kind::Message(META)),
    one(2, "data", Kind::BytesMap),
    one(3, "type", Kind::Text),
    one(4, "stringData", Kind::TextMap),
    one(5, "immutable", Kind::Bool),
];
const CONFIG_MAP: &[Field] = &[
    one(1, "metadata", Kind::Message(META)),
    one(2, "data", Kind::TextMap),
    one(3, "binaryData", Kind::BytesMap),
    one(4, "immutable", Kind::Bool),
];
const REFERENCE: &[Field] = &[
    one(1, "kind", Kind::Text),
    one(2, "namespace", Kind::Text),
    one(3, "name", Kind::Text),
    one(4, "uid", Kind::Text),
    one(5, "apiVersion", Kind::Text),
    one(6, "resourceVersion", Kind::Text),
    one(7, "fieldPath", Kind::Text),
];
const SOURCE: &[Field] = &[one(1, "component", Kind::Text), one(2, "host", Kind::Text)];
const SERIES: &[Field] = &[one(1, "count", Kind::Integer), one(2, "lastObservedTime", Kind::MicroTime)];
const CORE_EVENT: &[Field] = &[
    one(1, "metadata", Kind::Message(META)),
    one(2, "involvedObject", Kind::Message(REFERENCE)),
    one(3, "reason", Kind::Text),
    one(4, "message", Kind::Text),
    one(5, "source", Kind::Message(SOURCE)),
    one(6, "firstTimestamp", Kind::Time),
    one(7, "lastTimestamp", Kind::Time),
    one(8, "count", Kind::Integer),
    one(9, "type", Kind::Text),
    one(10, "eventTime", Kind::MicroTime),
    one(11, "series", Kind::Message(SERIES)),
    one(12, "action", Kind::Text),
    one(13, "related", Kind::Message(REFERENCE)),
    one(14, "reportingComponent", Kind::Text),
    one(15, "reportingInstance", Kind::Text),
];
const EVENT: &[Field] = &[
    one(1, "metadata", Kind::Message(META)),
    one(2, "eventTime", Kind::MicroTime),
    one(3, "series", Kind::Message(SERIES)),
    one(4, "reportingController", Kind::Text),
    one(5, "reportingInstance", Kind::Text),
    one(6, "action", Kind::Text),
    one(7, "reason", Kind::Text),
    one(8, "regarding", Kind::Message(REFERENCE)),
    one(9, "related", Kind::Message(REFERENCE)),
    one(10, "note", Kind::Text),
    one(11, "type", Kind::Text),
    one(12, "deprecatedSource", Kind::Message(SOURCE)),
    one(13, "deprecatedFirstTimestamp", Kind::Time),
    one(14, "deprecatedLastTimestamp", Kind::Time),
    one(15, "deprecatedCount", Kind::Integer),
];
const LEASE_SPEC: &[Field] = &[
    one(1, "holderIdentity", Kind::Text),
    one(2, "leaseDurationSeconds", Kind::Integer),
    one(3, "acquireTime", Kind::MicroTime),
    one(4, "renewTime", Kind::MicroTime),
    one(5, "leaseTransitions", Kind::Integer),
    one(6, "strategy", Kind::Text),
    one(7, "preferredHolder", Kind::Text),
];
const LEASE: &[Field] = &[one(1, "metadata", Kind::Message(META)), one(2, "spec", Kind::Message(LEASE_SPEC))];
const TYPE: &[Field] = &[one(1, "apiVersion", Kind::Text), one(2, "kind", Kind::Text)];

/// One field on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn malformed() -> ApiError {
    ApiError::bad_request("the body of the request is not a well-formed protobuf object")
}

/// A protobuf body as the JSON that it stands for.
pub(super) fn decode(body: &[u8]) -> Result<Value, ApiError> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(malformed)?;
    let mut kind = json!({});
    let mut raw: &[u8] = &[];
    for (number, wire) in fields(envelope)? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => kind = message(TYPE, bytes, 0)?,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let table = match (kind["apiVersion"].as_str(), kind["kind"].as_str()) {
        (Some("v1"), Some("Namespace")) => NAMESPACE,
        (Some("v1"), Some("Secret")) => SECRET,
        (Some("v1"), Some("ConfigMap")) => CONFIG_MAP,
        (Some("v1"), Some("Event")) => CORE_EVENT,
        (Some("events.k8s.io/v1"), Some("Event")) => EVENT,
        (Some("coordination.k8s.io/v1"), Some("Lease")) => LEASE,
        _ => return Err(ApiError::unsupported_media_type("application/json, application/yaml")),
    };
    let mut value = message(table, raw, 0)?;
    value["apiVersion"] = kind["apiVersion"].clone();
    value["kind"] = kind["kind"].clone();
    Ok(value)
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, ApiError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or_else(malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed())
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], ApiError> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or_else(malformed)?;
    *bytes = rest;
    Ok(taken)
}

fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Wire<'_>)>, ApiError> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = read_varint(&mut bytes)?;
        let wire = match tag & 7 {
            0 => Wire::Number(read_varint(&mut bytes)?),
            1 => Wire::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = usize::try_from(read_varint(&mut bytes)?).map_err(|_| malformed())?;
                Wire::Bytes(take(&mut bytes, length)?)
            }
            5 => Wire::Bytes(take(&mut bytes, 4)?),
            _ => return Err(malformed()),
        };
        all.push((tag >> 3, wire));
    }
    Ok(all)
}

fn message(table: &[Field], bytes: &[u8], depth: usize) -> Result<Value, ApiError> {
    if depth > MAX_DEPTH {
        return Err(malformed());
    }
    let mut object = Map::new();
    for (number, wire) in fields(bytes)? {
        let Some(field) = table.iter().find(|field| field.number == number) else { continue };
        let Some(value) = value(field.kind, &wire, depth)? else { continue };
        match (field.kind, field.repeated) {
            (Kind::TextMap | Kind::BytesMap, _) => {
                let map = object.entry(field.name).or_insert_with(|| json!({}));
                if let (Some(map), Value::Object(entry)) = (map.as_object_mut(), value) {
                    map.extend(entry);
                }
            }
            (_, true) => {
                let list = object.entry(field.name).or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut() {
                    list.push(value);
                }
            }
            // Go writes empty strings; in JSON they are left out.
            (Kind::Text, false) if value == "" => {}
            _ => {
                object.insert(field.name.to_owned(), value);
            }
        }
    }
    Ok(Value::Object(object))
}

fn value(kind: Kind, wire: &Wire<'_>, depth: usize) -> Result<Option<Value>, ApiError> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| malformed());
    Ok(Some(match (kind, wire) {
        (Kind::Integer, Wire::Number(number)) => json!(number.cast_signed()),
        (Kind::Bool, Wire::Number(number)) => json!(*number != 0),
        (Kind::Text, Wire::Bytes(bytes)) => json!(text(bytes)?),
        (Kind::Time, Wire::Bytes(bytes)) => return time(bytes, false),
        (Kind::MicroTime, Wire::Bytes(bytes)) => return time(bytes, true),
        (Kind::Message(table), Wire::Bytes(bytes)) => message(table, bytes, depth + 1)?,
        (Kind::RawJson, Wire::Bytes(bytes)) => {
            let raw = fields(bytes)?.into_iter().find_map(|(number, wire)| match wire {
                Wire::Bytes(bytes) if number == 1 => Some(bytes),
                _ => None,
            });
            serde_json::from_slice(raw.unwrap_or(b"{}")).map_err(|_| malformed())?
        }
        (Kind::TextMap | Kind::BytesMap, Wire::Bytes(bytes)) => {
            let (mut key, mut entry) = (String::new(), &[][..]);
            for (number, wire) in fields(bytes)? {
                match (number, wire) {
                    (1, Wire::Bytes(bytes)) => key = text(bytes)?,
                    (2, Wire::Bytes(bytes)) => entry = bytes,
                    _ => {}
                }
            }
            let value = if matches!(kind, Kind::TextMap) { text(entry)? } else { STANDARD.encode(entry) };
            json!({ key: value })
        }
        _ => return Err(malformed()),
    }))
}

/// Seconds and nanoseconds since 1970; nothing at all is no time.
fn time(bytes: &[u8], micro: bool) -> Result<Option<Value>, ApiError> {
    let (mut seconds, mut nanoseconds) = (0_i64, 0_i64);
    let fields = fields(bytes)?;
    if fields.is_empty() {
        return Ok(None);
    }
    for (number, wire) in fields {
        match (number, wire) {
            (1, Wire::Number(number)) => seconds = number.cast_signed(),
            (2, Wire::Number(number)) => nanoseconds = number.cast_signed(),
            _ => {}
        }
    }
    let nanoseconds = i32::try_from(nanoseconds).map_err(|_| malformed())?;
    let time = Timestamp::new(seconds, nanoseconds).map_err(|_| malformed())?;
    Ok(Some(json!(if micro { format!("{time:.6}") } else { format!("{time:.0}") })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_with_its_bytes_and_labels() {
        // Type {v1, Secret}; metadata {name: a, labels {k: v}}; data {x: 0x00ff}.
        let meta = b"\x0a\x01a\x5a\x06\x0a\x01k\x12\x01v";
        let mut raw = vec![0x0a, u8::try_from(meta.len()).unwrap()];
        raw.extend_from_slice(meta);
        raw.extend_from_slice(b"\x12\x07\x0a\x01x\x12\x02\x00\xff");
        let mut body = b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12".to_vec();
        body.push(u8::try_from(raw.len()).unwrap());
        body.extend(raw);
        assert_eq!(
            decode(&body).unwrap(),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "labels": {"k": "v"}},
                   "data": {"x": "AP8="}})
        );
    }

    #[test]
    fn garbage_is_refused_not_read() {
        for body in [
            &b""[..],
            b"k8s\0\xff\xff",
            b"k8s\0\x0a\x7f",
            b"{}",
            b"k8s\0\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ] {
            assert!(decode(body).is_err());
        }
    }
}
