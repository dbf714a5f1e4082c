//! From the members of a body to the values of a record.

use serde_json::value::RawValue;

use super::body::{self, Members};
use super::{Change, InputError, Malformed, NewRecord, NewUuid, Patch, Replacement};
use crate::field::{Field, FieldType};
use crate::schema::Schema;
use crate::value::Value;
use crate::violation::{Violations, did_you_mean};

/// Reads the body of a create. Fields that it does not name get their default, or a UUID where the platform fills
/// them in, else no value.
pub fn parse_create(
    schema: &Schema,
    body: &[u8],
    uuids: &mut (impl NewUuid + ?Sized),
) -> Result<NewRecord, InputError> {
    let members = body::members(body)?;
    let mut reader = Reader::new(schema);
    for (name, raw) in &members.0 {
        match reader.locate(name) {
            Some(position) if schema.fields()[position].system => reader.refuse_system(position),
            Some(position) => reader.take(position, raw),
            None => {}
        }
    }
    let record = reader.complete(uuids);
    reader.errors.into_result(record).map_err(InputError::from)
}

/// Reads the body of a replace (PUT): the whole record again. Its id is that of the URL; the body may repeat it.
/// `version` in the body is the version that the caller has seen.
pub fn parse_replace(
    schema: &Schema,
    id: &Value,
    body: &[u8],
    uuids: &mut (impl NewUuid + ?Sized),
) -> Result<Replacement, InputError> {
    parse_replace_keeping(schema, id, body, &|_| false, uuids)
}

/// [`parse_replace`] for a caller who may not set every field: those that are `kept` and that the body does not name
/// keep the value that the record has. They are among [`NewRecord::generated`], and are not missing; a record that is
/// not there yet gets their default, or no value.
pub fn parse_replace_keeping(
    schema: &Schema,
    id: &Value,
    body: &[u8],
    kept: &dyn Fn(usize) -> bool,
    uuids: &mut (impl NewUuid + ?Sized),
) -> Result<Replacement, InputError> {
    let members = body::members(body)?;
    let mut reader = Reader::new(schema);
    reader.kept = kept;
    let expected_version = reader.read_existing(&members, id);
    let sent = reader.sent();
    let kind = &schema.id().kind;
    if let Err(misfit) = kind.check(id) {
        reader.errors.push("id", misfit.rule, misfit.message);
    }
    reader.set_id(id);
    let record = NewRecord { sent, ..reader.complete(uuids) };
    reader.errors.into_result(Replacement { record, expected_version }).map_err(InputError::from)
}

/// Reads a JSON merge patch (RFC 7396). The body may repeat the id of the URL. `version` in the body is the version
/// that the caller has seen.
pub fn parse_patch(schema: &Schema, id: &Value, body: &[u8]) -> Result<Patch, InputError> {
    let members = body::members(body)?;
    let mut reader = Reader::new(schema);
    reader.patching = true;
    let expected_version = reader.read_existing(&members, id);
    for (position, field) in schema.fields().iter().enumerate() {
        if field.required && matches!(reader.values[position], Some(Change::Set(Value::Null))) {
            reader.errors.push(field.name.as_str(), "required", "must have a value; null takes it away");
        }
    }
    let sent = reader.sent();
    let changes = std::mem::take(&mut reader.values);
    let changes = changes.into_iter().enumerate().filter_map(|(at, change)| Some((at, change?)));
    let patch = Patch { changes: changes.collect(), expected_version, sent };
    reader.errors.into_result(patch).map_err(InputError::from)
}

/// The fields that a body names, by position, ascending; names that are no fields are left out.
///
/// Cheaper than reading the body, and without an answer to what is wrong with it: rights come before that, so that who
/// may not set a field is not told what would fit it either.
pub fn sent(schema: &Schema, body: &[u8]) -> Result<Vec<usize>, Malformed> {
    let members = body::members(body)?;
    let mut positions: Vec<usize> = members.0.iter().filter_map(|(name, _)| schema.position(name)).collect();
    positions.sort_unstable();
    positions.dedup();
    Ok(positions)
}

/// Collects the values of one body, and everything that is wrong with it.
struct Reader<'a> {
    schema: &'a Schema,
    patching: bool,
    /// Fields that keep what they are when the body does not name them.
    kept: &'a dyn Fn(usize) -> bool,
    seen: Vec<bool>,
    /// Fields that were there but did not fit: they are not missing too.
    broken: Vec<bool>,
    values: Vec<Option<Change>>,
    errors: Violations,
}

impl<'a> Reader<'a> {
    fn new(schema: &'a Schema) -> Self {
        let count = schema.fields().len();
        Self {
            schema,
            patching: false,
            kept: &|_| false,
            seen: vec![false; count],
            broken: vec![false; count],
            values: vec![None; count],
            errors: Violations::default(),
        }
    }

    /// The position of a member's field; a name that is unknown or comes twice is an error.
    fn locate(&mut self, name: &str) -> Option<usize> {
        let Some(position) = self.schema.position(name) else {
            let near = did_you_mean(name, self.schema.fields().iter().map(|field| field.name.as_str()));
            let shown: String = name.chars().take(100).collect();
            self.errors.push(shown, "unknownField", format!("is not a field of this schema{near}"));
            return None;
        };
        if std::mem::replace(&mut self.seen[position], true) {
            self.errors.push(name, "duplicateKey", "is there twice; send each field once");
            self.broken[position] = true;
            return None;
        }
        Some(position)
    }

    fn refuse_system(&mut self, position: usize) {
        let name = self.schema.fields()[position].name.as_str();
        self.errors.push(name, "readOnly", "is filled in by the platform; leave it out");
    }

    /// The members of a patch or replace: `id` only as in the URL, of the system fields only `version`.
    fn read_existing(&mut self, members: &Members<'_>, id: &Value) -> Option<i64> {
        let mut expected = None;
        for (name, raw) in &members.0 {
            let Some(position) = self.locate(name) else { continue };
            let field = &self.schema.fields()[position];
            if position == 0 {
                if field.kind.read_json(raw).ok().as_ref() != Some(id) {
                    self.errors.push(
                        "id",
                        "immutable",
                        "differs from the id in the URL; a record keeps its id",
                    );
                }
            } else if field.name.as_str() == "version" {
                expected = self.version(field, raw);
            } else if field.system {
                self.refuse_system(position);
            } else {
                self.take(position, raw);
            }
        }
        expected
    }

    fn version(&mut self, field: &Field, raw: &RawValue) -> Option<i64> {
        match field.kind.read_json(raw) {
            Ok(Value::Integer(version)) if version > 0 => Some(version),
            _ => {
                self.errors.push(
                    "version",
                    "type",
                    "must be the version that you have read, a number from 1",
                );
                None
            }
        }
    }

    fn take(&mut self, position: usize, raw: &RawValue) {
        let field = &self.schema.fields()[position];
        let change = match field.kind.read_json(raw) {
            Ok(Value::Json(json)) if body::has_twin_keys(&json) => {
                Err(("duplicateKey", "must not have the same key twice in one object".to_owned()))
            }
            Ok(Value::Json(patch)) if self.patching && patch.starts_with('{') => Ok(Change::Merge(patch)),
            Ok(value) => Ok(Change::Set(value)),
            Err(misfit) => Err((misfit.rule, misfit.message)),
        };
        match change {
            Ok(change) => self.values[position] = Some(change),
            Err((rule, message)) => {
                self.broken[position] = true;
                self.errors.push(field.name.as_str(), rule, message);
            }
        }
    }

    /// The fields that the body named so far.
    fn sent(&self) -> Vec<usize> {
        self.seen.iter().enumerate().filter(|(_, seen)| **seen).map(|(position, _)| position).collect()
    }

    fn set_id(&mut self, id: &Value) {
        self.seen[0] = true;
        self.values[0] = Some(Change::Set(id.clone()));
    }

    /// Fills in what the body does not name, and reports required fields without a value.
    fn complete(&mut self, uuids: &mut (impl NewUuid + ?Sized)) -> NewRecord {
        let mut values = Vec::with_capacity(self.values.len());
        let mut generated = Vec::new();
        for (position, field) in self.schema.fields().iter().enumerate() {
            let value = match self.values[position].take() {
                Some(Change::Set(value)) => value,
                Some(Change::Merge(json)) => Value::Json(json),
                None if self.seen[position] || field.system => Value::Null,
                None => {
                    let fills_in = fills_in(field);
                    let kept = position != 0 && (self.kept)(position);
                    if position != 0 && (fills_in || kept) {
                        generated.push(position);
                    }
                    if fills_in {
                        Value::Uuid(uuids.new_uuid())
                    } else {
                        field.default.clone().unwrap_or(Value::Null)
                    }
                }
            };
            let kept = generated.last() == Some(&position);
            if field.required && !field.system && value.is_null() && !self.broken[position] && !kept {
                let message = if self.seen[position] { "must not be null" } else { "is required" };
                self.errors.push(field.name.as_str(), "required", message);
            }
            values.push(value);
        }
        NewRecord { values, generated, sent: self.sent() }
    }
}

/// Whether a field that the body does not name gets a UUID of ours.
fn fills_in(field: &Field) -> bool {
    field.auto_populated && field.default.is_none() && matches!(field.kind, FieldType::Uuid)
}
