//! Records as clients send them: from bytes to values that fit their fields, or to everything that is wrong.
//!
//! Pure and bounded: a body is walked once without recursion, however deep it is nested.

mod body;
mod merge;
mod record;
mod rules;
mod seen;
mod state;

use std::fmt;

use uuid::Uuid;

use crate::field::Misfit;
use crate::schema::Schema;
use crate::value::Value;
use crate::violation::{Violation, Violations};

pub use merge::merge_json;
pub use record::{parse_create, parse_patch, parse_replace, parse_replace_keeping, sent};
pub use rules::check_rules;
pub use state::read_state;

/// A record to be written whole: a value for every field of [`Schema::fields`], in that order.
///
/// System fields are null in it; the database fills them in. `values[0]` is the id.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// The values.
    pub values: Vec<Value>,
    /// Fields besides the id, by position, that the caller left out and that got a UUID of ours, or that the caller may
    /// not set: where the record is there already, it keeps what it has.
    pub generated: Vec<usize>,
    /// The fields that the caller named, by position, ascending.
    pub(crate) sent: Vec<usize>,
}

impl NewRecord {
    /// The record's id.
    pub fn id(&self) -> &Value {
        self.values.first().unwrap_or(&Value::Null)
    }

    /// The fields that the caller named, by position, ascending: those need rights.
    pub fn sent(&self) -> &[usize] {
        &self.sent
    }
}

/// A record that takes the place of another (or is created when there is none).
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    /// What the record is afterwards.
    pub record: NewRecord,
    /// The version that the caller has seen: `version` in the body.
    pub expected_version: Option<i64>,
}

impl Replacement {
    /// The fields that the caller named, by position, ascending: those need rights.
    pub fn sent(&self) -> &[usize] {
        self.record.sent()
    }
}

/// What a merge patch does to a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// The changed fields by their position in [`Schema::fields`], ascending, each once.
    pub changes: Vec<(usize, Change)>,
    /// The version that the caller has seen: `version` in the body.
    pub expected_version: Option<i64>,
    /// The fields that the caller named, by position, ascending.
    pub(crate) sent: Vec<usize>,
}

/// What a merge patch does to one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The field gets this value; null takes its value away.
    Set(Value),
    /// The JSON object is merged into the one that is there (RFC 7396).
    Merge(String),
}

impl Patch {
    /// The fields that the caller named, by position, ascending: those need rights.
    pub fn sent(&self) -> &[usize] {
        &self.sent
    }

    /// Whether the outcome depends on the record as it is: then it has to be read first.
    pub fn needs_current(&self) -> bool {
        self.changes.iter().any(|(_, change)| matches!(change, Change::Merge(_)))
    }

    /// The record after the patch, and the positions of the fields that it sets.
    ///
    /// `current` has a value for every field of the schema, in order.
    pub fn apply(&self, current: &[Value]) -> Vec<Value> {
        let mut values = current.to_vec();
        for (position, change) in &self.changes {
            let Some(slot) = values.get_mut(*position) else { continue };
            *slot = match change {
                Change::Set(value) => value.clone(),
                Change::Merge(patch) => {
                    let old = if let Value::Json(json) = &*slot { Some(json.as_str()) } else { None };
                    Value::Json(merge_json(old, patch))
                }
            };
        }
        values
    }
}

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Not JSON, or not an object: 400 `MALFORMED_REQUEST`.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// JSON that does not fit the schema: 400 `VALIDATION_ERROR`.
    #[error(transparent)]
    Invalid(#[from] Violations),
}

/// A body that is no JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, for a person.
    pub message: String,
    /// 1-based line; 0 where there is no position.
    pub line: usize,
    /// 1-based column in bytes; 0 where there is no position.
    pub column: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.message)
        } else {
            write!(f, "{} (line {}, column {})", self.message, self.line, self.column)
        }
    }
}

impl std::error::Error for Malformed {}

/// Makes the ids of new records: UUIDs of version 7 in production, anything reproducible in tests.
pub trait NewUuid {
    /// A UUID that no record has.
    fn new_uuid(&mut self) -> Uuid;
}

impl<F: FnMut() -> Uuid> NewUuid for F {
    fn new_uuid(&mut self) -> Uuid {
        self()
    }
}

/// Reads an id as it stands in a URL.
///
/// An id that no record can have is an error of the caller: the violation names `id` and the form that it has.
pub fn parse_id(schema: &Schema, text: &str) -> Result<Value, Violation> {
    let misfit = |Misfit { rule, message }| Violation::new("id", rule, message);
    schema.id().kind.read_operand(text).map_err(misfit)
}

#[cfg(test)]
mod tests;
