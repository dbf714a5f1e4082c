//! `POST …/bulk`: many writes in one request.
//!
//! Records stay raw JSON text, so that numbers keep every digit and nothing is parsed twice.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Code;
use crate::problem::{FieldError, Problem};

/// Most operations of one request.
pub const OPERATIONS_MAX: usize = 10_000;

/// The body of `POST …/bulk`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BulkRequest<'a> {
    /// Whether one failure undoes everything (then the answer is a [`Problem`] whose `errors` name
    /// `operations[N]…`). `false`: each operation stands alone, and the answer lists those that failed.
    #[serde(default = "atomic", skip_serializing_if = "Clone::clone")]
    pub atomic: bool,
    /// What the writes are called in the events.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: BulkMode,
    /// What a `create` does where the id, or a unique value, is taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_conflict: OnConflict,
    /// The operations, done in this order; 1 to [`OPERATIONS_MAX`].
    #[serde(borrow)]
    pub operations: Vec<BulkOperation<'a>>,
}

/// What the writes of a bulk request are called in the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BulkMode {
    /// By what they are: CREATE, UPDATE, DELETE.
    #[default]
    Write,
    /// All of them IMPORT.
    Import,
}

/// What a `create` does where the id, or a unique value, is taken by a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnConflict {
    /// It fails with [`Code::UniqueViolation`].
    #[default]
    Fail,
    /// It does nothing and counts as skipped.
    Skip,
    /// It becomes an update of that record. Only a conflict on the id can be resolved so; one on another unique value
    /// still fails.
    Update,
}

/// One operation: `{"create": {…}}`, `{"update": {"id": …, "data": {…}}}`, `{"upsert": {…}}`, `{"delete": {"id": …}}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BulkOperation<'a> {
    /// Makes a record of this object.
    #[serde(borrow)]
    Create(&'a RawValue),
    /// Changes a record: `data` is a merge patch.
    #[serde(borrow)]
    Update(BulkUpdate<'a>),
    /// Makes the record of this object or replaces the one with its id.
    #[serde(borrow)]
    Upsert(&'a RawValue),
    /// Deletes a record.
    #[serde(borrow)]
    Delete(BulkDelete<'a>),
}

/// A change of one record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkUpdate<'a> {
    /// Its id, a string or a number.
    #[serde(borrow)]
    pub id: &'a RawValue,
    /// The merge patch (RFC 7396).
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// The version that the record must be at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// The deletion of one record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkDelete<'a> {
    /// Its id, a string or a number.
    #[serde(borrow)]
    pub id: &'a RawValue,
    /// The version that the record must be at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// The body of a bulk request's answer (200): counts, and what there is to say of single operations.
///
/// [`BulkMode::Write`] answers with one result per operation, in order; [`BulkMode::Import`] with the failed ones only,
/// so that the stored answer of a batch stays small.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BulkResponse {
    /// The results.
    pub data: Vec<BulkResult>,
    /// The counts.
    pub stats: BulkStats,
}

/// How many operations ended how; they add up to the number of operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkStats {
    /// Records made.
    pub created: u64,
    /// Records changed.
    pub updated: u64,
    /// Records deleted.
    pub deleted: u64,
    /// Operations that had nothing to do, by `onConflict: skip`.
    pub skipped: u64,
    /// Operations that failed and left nothing behind.
    pub failed: u64,
}

/// How one operation ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BulkResult {
    /// Its position in the request, from 0.
    pub index: u32,
    /// How it ended.
    pub outcome: BulkOutcome,
    /// The record's id, a string or a number, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<RawValue>>,
    /// The record's version after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<BulkError>,
}

/// The ways in which an operation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BulkOutcome {
    /// A record was made.
    Created,
    /// A record was changed.
    Updated,
    /// A record was deleted.
    Deleted,
    /// There was nothing to do.
    Skipped,
    /// It failed and left nothing behind.
    Failed,
}

/// Why one operation failed: a [`Problem`] without what all of them share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkError {
    /// What went wrong; for programs.
    pub code: Code,
    /// What went wrong; for people.
    pub detail: String,
    /// Every violation, by field of the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The version that the record is at, with [`Code::VersionConflict`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version: Option<i64>,
}

impl From<Problem> for BulkError {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            detail: problem.detail,
            errors: problem.errors,
            current_version: problem.current_version,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn atomic() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_every_digit_and_the_key_order() {
        let body = r#"{"atomic":false,"mode":"import","onConflict":"skip","operations":[{"create":{"z":1.50,"a":123456789012345678901234567890}},{"update":{"id":"x","data":{"a":null},"version":3}},{"upsert":{"id":7}},{"delete":{"id":7}}]}"#;
        let request: BulkRequest<'_> = serde_json::from_str(body).unwrap();
        assert_eq!(
            (request.atomic, request.mode, request.on_conflict),
            (false, BulkMode::Import, OnConflict::Skip)
        );
        let BulkOperation::Create(record) = &request.operations[0] else { panic!("a create") };
        assert_eq!(record.get(), r#"{"z":1.50,"a":123456789012345678901234567890}"#);
        assert_eq!(serde_json::to_string(&request).unwrap(), body);
    }

    #[test]
    fn a_request_is_atomic_unless_it_says_otherwise() {
        let request: BulkRequest<'_> = serde_json::from_str(r#"{"operations":[]}"#).unwrap();
        assert_eq!(
            (request.atomic, request.mode, request.on_conflict),
            (true, BulkMode::Write, OnConflict::Fail)
        );
    }

    #[test]
    fn unknown_members_and_operations_are_errors() {
        for body in [
            r#"{"operations":[],"atomc":false}"#,
            r#"{"operations":[{"insert":{}}]}"#,
            r#"{"operations":[{"delete":{"id":1,"reson":"x"}}]}"#,
            r#"{"operations":[{"create":{},"delete":{"id":1}}]}"#,
        ] {
            assert!(serde_json::from_str::<BulkRequest<'_>>(body).is_err(), "{body}");
        }
    }

    #[test]
    fn an_answer_leaves_out_what_there_is_not() {
        let answer = BulkResponse {
            data: vec![BulkResult {
                index: 3,
                outcome: BulkOutcome::Failed,
                id: None,
                version: None,
                error: Some(Problem::new(Code::UniqueViolation, "`code` is taken").into()),
            }],
            stats: BulkStats { created: 4, failed: 1, ..BulkStats::default() },
        };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"data":[{"index":3,"outcome":"failed","error":{"code":"UNIQUE_VIOLATION","detail":"`code` is taken"}}],"stats":{"created":4,"updated":0,"deleted":0,"skipped":0,"failed":1}}"#
        );
    }
}
